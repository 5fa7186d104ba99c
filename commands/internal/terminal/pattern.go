package terminal

import (
	"regexp"
	"sync"
)

// pattern returns a regular expression that is compiled when it is needed first. Most runs
// of the program need none, and compiling them would be a good part of its start.
func pattern(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
