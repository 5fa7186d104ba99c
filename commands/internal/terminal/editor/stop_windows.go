package editor

import "os"

// watchTerminal does nothing: Windows has no signals of the terminal.
func watchTerminal(chan<- os.Signal) {}

func isContinued(os.Signal) bool { return false }

// stopGroup reports that processes cannot be stopped.
func stopGroup() bool { return false }
