//go:build race

package stream

// raceDetector says that the tests run with the race detector.
const raceDetector = true
