// Package refine makes sentinel errors that refine others.
package refine

// Error returns an error whose text is that of *parent followed by more, and which wraps *parent.
// It is fmt.Errorf("%w...", *parent) for the variables of a package. The compiler inlines it and,
// because it gets the address of parent, evaluates it, so the variable costs nothing when the
// program starts.
func Error(parent *error, more string) error { return &refined{parent, more} }

type refined struct {
	parent *error
	more   string
}

func (e *refined) Error() string { return (*e.parent).Error() + e.more }

func (e *refined) Unwrap() error { return *e.parent }
