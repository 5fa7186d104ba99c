package editor

import "os"

// watchTerminal does nothing, because Windows has no terminal signals.
func watchTerminal(chan<- os.Signal) {}

func isContinued(os.Signal) bool { return false }

// stopGroup reports that processes cannot be stopped.
func stopGroup() bool { return false }
