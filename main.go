// Otrpipe is a command-line OTR toolkit and pipe filter: plaintext goes in on
// standard input, lines of OTR come out on standard output.
package main

import (
	"os"

	"otrpipe/commands"
	"otrpipe/internal/atstart"
	_ "otrpipe/internal/prefault" // makes the program start faster
)

func main() {
	os.Exit(commands.Run(os.Args, atstart.Closed(), os.Stdin, os.Stdout, os.Stderr))
}
