package prefault

// stackSize is how much stack a command needs. With less, the stack would grow once more; a
// larger one costs memory in a page or two.
const stackSize = 24 << 10

func init() { growStack() }

// growStack makes the stack of the goroutine large enough for stackSize, in one step while
// nothing is on it. When it grows later, step by step, each step copies what is there by then,
// with the help of tables in yet more new pages.
//
//go:noinline
func growStack() {
	var space [stackSize]byte
	use(&space)
}

//go:noinline
func use(*[stackSize]byte) {}
