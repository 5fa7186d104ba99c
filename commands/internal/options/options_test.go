package options

import (
	"strings"
	"testing"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/otr"
)

func TestHalvesShareTheirFlagsAndKeepTheirOwn(t *testing.T) {
	first := Values{ContactFlag: {"bob"}, TimeoutFlag: {"30s"}}
	second := Values{TimeoutFlag: {"30s"}, PadFlag: {"256"}}
	together, contradiction := first.Merge(second)
	if contradiction != "" {
		t.Fatalf("--%s contradicts", contradiction)
	}
	o, err := together.Options([]byte("secret"))
	if err != nil || o.Contact != "bob" || o.Pad != 256 || o.Timeout != 30*time.Second || string(o.SMP) != "secret" {
		t.Errorf("together: %+v, %v", o, err)
	}
	// Another goroutine may be reading what a half was given.
	if len(first) != 2 || len(second) != 2 {
		t.Errorf("a half was changed: %v and %v", first, second)
	}
	if _, contradiction := together.Merge(Values{ContactFlag: {"carol"}}); contradiction != ContactFlag {
		t.Errorf("the contradiction is in %q", contradiction)
	}
	if together, _ := Values(nil).Merge(second); together == nil || together.Timeout() != 30*time.Second {
		t.Errorf("without flags of our own: %v", together)
	}
}

func TestWhatWasNotGivenHasItsDefault(t *testing.T) {
	v := Values{}
	if v.Mode() != ModeStream || v.Contact() != "" || v.Timeout() != DefaultTimeout {
		t.Errorf("%s, %q, %v", v.Mode(), v.Contact(), v.Timeout())
	}
	if DefaultVersions.Digits() != "34" {
		t.Errorf("the versions are %v", DefaultVersions)
	}
	o, err := v.Options(nil)
	if err != nil || o.Policy.Has(otr.AllowV2) || o.Dead != DefaultDead {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestFlagsOfTheOtherModeAreRefused(t *testing.T) {
	for _, v := range []Values{{StayFlag: {"true"}}, {RawFlag: {"true"}}, {LingerFlag: {"1s"}}, {HTMLFlag: {HTMLText}}} {
		if _, err := v.Options(nil); err == nil || exit.As(err).Code != exit.Usage {
			t.Errorf("%v in mode stream: %v", v, err)
		}
		v[ModeFlag] = []string{ModeLines}
		if _, err := v.Options(nil); err != nil {
			t.Errorf("%v: %v", v, err)
		}
	}
}

func TestAKeyOfVersion3AloneKeepsTheSessionToVersion3(t *testing.T) {
	old, fresh := strings.Repeat("a", 40), strings.Repeat("b", 112)
	for _, test := range []struct {
		given Values
		want  bool
	}{
		{Values{}, false},
		{Values{ExpectFlag: {old}}, true},
		{Values{ExpectFlag: {old, old}}, true},
		{Values{ExpectFlag: {fresh}}, false},
		{Values{ExpectFlag: {old, fresh}}, false},
		{Values{ExpectFlag: {old}, OTRFlag: {"3"}}, false}, // the user knows
	} {
		if got := test.given.KeepsToVersion3(); got != test.want {
			t.Errorf("%v: %v", test.given, got)
		}
		o, err := test.given.Options(nil)
		if err != nil {
			t.Fatal(err)
		}
		if kept := !o.Policy.Has(otr.AllowV4); test.given[OTRFlag] == nil && kept != test.want {
			t.Errorf("%v: version 4 is kept out: %v", test.given, kept)
		}
	}
}
