package terminal

import "fmt"

// Count returns a number with its noun, in the plural if needed.
func Count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
