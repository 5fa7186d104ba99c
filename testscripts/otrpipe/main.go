// Command otrpipe is the program as the stories run it; see package story.
package main

import (
	"otrpipe/internal/atstart"
	"otrpipe/testscripts/story"
)

func main() { story.Main(atstart.Closed()) }
