package commands

import (
	"slices"
	"strings"
	"testing"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
)

func TestAChatHasDefaultsOfItsOwn(t *testing.T) {
	o, err := chatDefaults().Options(nil)
	if err != nil || o.Mode != modeLines || !o.Stay || o.HTML != htmlText || o.Dead != 0 || o.Timeout != options.DefaultTimeout {
		t.Errorf("%+v, %v", o, err)
	}
	for _, f := range streamFlags(options.Chat) {
		if slices.Contains([]string{flagLinger, flagRaw, flagProgress}, f.Names()[0]) {
			t.Errorf("--%s means nothing here", f.Names()[0])
		}
	}
	code, _, stderr := run(t, "chat", "--", "cat")
	if code != exit.Usage || !strings.Contains(stderr, "hint: otrpipe connect --mode lines") {
		t.Errorf("without a terminal: %d, %s", code, stderr)
	}
}
