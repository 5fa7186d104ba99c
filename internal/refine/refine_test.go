package refine_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"otrpipe/internal/refine"
)

var (
	errParent = errors.New("file: broken")
	errCut    = refine.Error(&errParent, ": it was cut")
	errLate   = refine.Error(&errCut, " at the end")
	errOther  = refine.Error(&errParent, ": it was cut")
)

func TestRefinedErrorHasTheTextOfItsParentAndMore(t *testing.T) {
	if got, want := errLate.Error(), fmt.Errorf("%w at the end", fmt.Errorf("%w: it was cut", errParent)).Error(); got != want {
		t.Errorf("the text is %q, not %q", got, want)
	}
}

func TestRefinedErrorIsItselfAndItsParents(t *testing.T) {
	wrapped := fmt.Errorf("reading: %w", errLate)
	for _, parent := range []error{errLate, errCut, errParent} {
		if !errors.Is(wrapped, parent) {
			t.Errorf("%v is not %v", wrapped, parent)
		}
	}
	for _, other := range []error{errOther, io.EOF} {
		if errors.Is(wrapped, other) {
			t.Errorf("%v is %v", wrapped, other)
		}
	}
	if errors.Is(errParent, errCut) {
		t.Error("an error is what refines it")
	}
}
