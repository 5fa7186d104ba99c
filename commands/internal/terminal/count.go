package terminal

import "fmt"

// Count is a number with its noun, in the plural where it belongs.
func Count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
