// Package story is otrpipe as the stories run it: the same commands, but guessing the
// passphrase of a new identity costs little, and $OTR says which versions the ends of a
// conversation offer.
package story

import (
	"os"
	"slices"
	"strings"
	_ "unsafe" // for go:linkname

	"otrpipe/commands"
)

// usualWorkFactor is the cost of guessing a passphrase of a new identity, which the stories
// lower from one second to a millisecond. A test of package keyfile holds the real one.
//
//go:linkname usualWorkFactor otrpipe/keyfile.usualWorkFactor
var usualWorkFactor int

// Main is the program's main function. closedStreams is what commands.Run takes.
func Main(closedStreams uint) {
	usualWorkFactor = 8
	os.Exit(commands.Run(pinned(os.Args), closedStreams, os.Stdin, os.Stdout, os.Stderr))
}

// pinned is a command line of the program in a story: where $OTR is 3, and it
// is one that takes an end of a conversation and names no versions itself, it
// names that one only.
func pinned(args []string) []string {
	if os.Getenv("OTR") != "3" || slices.Contains(args, "--otr") {
		return args
	}
	for i, word := range args {
		if strings.HasPrefix(word, "--otr=") { // from a script of ours
			args = slices.Clone(args)
			args[i] = "--otr=3"
			return args
		}
	}
	for i, word := range args {
		if i > 0 && args[i-1] == "-s" {
			continue // a session's name
		}
		switch word {
		case "connect", "chat", "serve", "encrypt-stream", "decrypt-stream":
			return slices.Insert(slices.Clone(args), i+1, "--otr", "3")
		}
	}
	return args
}
