package terminal

import (
	"regexp"
	"sync"
)

// pattern returns a regular expression that is compiled on first use. Most runs of the program
// need none, and compiling them all would slow down every start.
func pattern(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
