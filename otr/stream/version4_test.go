package stream

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/testscripts/slowtest"
)

// TestEverythingOverVersion4 runs all tests of this package once more, over version 4.
func TestEverythingOverVersion4(t *testing.T) {
	slowtest.Skip(t)
	if overVersion4() {
		t.Skip("this is the second time")
	}
	if quick() {
		t.Skip("short: takes as long as all the others")
	}
	t.Parallel()
	args := []string{"-test.run=^Test", "-test.skip=^TestEverythingOverVersion4$"}
	if testing.Short() {
		args = append(args, "-test.short")
	}
	if deadline, ok := t.Deadline(); ok { // it says which test hangs before this one is ended
		args = append(args, fmt.Sprintf("-test.timeout=%v", time.Until(deadline)*9/10))
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), versionVariable+"=4")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// overVersion4 is set during the second run.
func overVersion4() bool { return os.Getenv(versionVariable) == "4" }

// namesItsVersions is called by a long test in which both ends are told what to speak: the
// second time it would do the same.
func namesItsVersions(t *testing.T) {
	t.Helper()
	if overVersion4() {
		t.Skip("its ends speak the same the second time")
	}
}

const versionVariable = "OTR_STREAM_TESTS"

// quick says that long tests do a part of their work. Under the race detector, which tests
// this package's goroutines, -short leaves less out.
func quick() bool { return testing.Short() && !raceDetector }

// long skips a test that costs more than a quick look is worth.
func long(t *testing.T) {
	t.Helper()
	if quick() {
		t.Skip("short: takes long")
	}
}

// rounds returns how often to repeat something that begins sessions, instead of n times: a
// version 4 key exchange takes as long as ten of version 3.
func rounds(n uint64) uint64 {
	if overVersion4() || quick() {
		return (n + 4) / 5
	}
	return n
}

// fingerprintOf returns the fingerprint of one of the testKeys, in the version of the ends.
func fingerprintOf(key int) keys.Fingerprint {
	if overVersion4() {
		return keys.Ed448Fingerprint(testKeys4()[key].private.Public(), testKeys4()[key].forging)
	}
	return testKeys()[key].Public().Fingerprint()
}
