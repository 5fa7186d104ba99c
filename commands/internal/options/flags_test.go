package options

import (
	"errors"
	"strings"
	"testing"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/otr"
)

const (
	someKey  = "0123456789abcdef0123456789abcdef01234567"
	otherKey = "ffffffffffffffffffffffffffffffffffffffff"
)

// values reads flags as a stream command does, from "name=value" words.
func values(t *testing.T, line string) (Values, error) {
	t.Helper()
	v := Values{}
	for _, word := range strings.Fields(line) {
		name, value, _ := strings.Cut(word, "=")
		canonical, err := formOf(t, name)(value)
		if err != nil {
			return nil, exit.Errorf(exit.Usage, "--%s: %w", name, err)
		}
		v[name] = append(v[name], canonical)
	}
	return v, v.Check()
}

// formOf is what reads the value of a flag.
func formOf(t *testing.T, name string) func(string) (string, error) {
	t.Helper()
	for _, f := range Table() {
		if f.Name == name {
			return f.Form
		}
	}
	t.Fatalf("there is no --%s", name)
	return nil
}

func TestDefaultsAreThoseOfTheManual(t *testing.T) {
	o, err := Values{}.Options(nil)
	if err != nil {
		t.Fatal(err)
	}
	if o.Policy.Has(otr.AllowV2) || !o.Policy.Has(otr.AllowV3|otr.AllowV4|otr.RequireEncryption) {
		t.Errorf("the policy is %b", o.Policy)
	}
	if o.Mode != ModeStream || o.Trust != TrustNew || o.HTML != HTMLRaw || o.Stay || o.Raw || o.Progress {
		t.Errorf("%+v", o)
	}
	if o.Timeout != time.Minute || o.Heartbeat != time.Minute || o.Expire != 2*time.Hour ||
		o.Dead != 5*time.Minute || o.Linger != time.Second {
		t.Errorf("%+v", o)
	}
	lines, err := Values{ModeFlag: {ModeLines}}.Options(nil)
	if err != nil || lines.Dead != 0 {
		t.Errorf("mode lines: a silent peer is given up after %v, %v", lines.Dead, err)
	}
}

func TestFlagsThatContradictEachOtherAreUsageErrors(t *testing.T) {
	for _, line := range []string{
		"trust=known",
		"trust=surely contact=bob",
		"contact=",
		"mode=chat",
		"otr=", "otr=5", "otr=33x", "otr=1",
		"expect=1234",
		"otr=44x",
		"max-size=63", "max-size=many", "max-size=-1", "max-size=1048577",
		"pad=-1", "pad=1000000",
		"timeout=60", "timeout=-1s", "timeout=soon",
		"account=a@example.com", "peer-account=b@example.com",
		"stay=true", "linger=1s", "raw=true", "html=text", "html=blink",
		"smp-question=",
	} {
		v, err := values(t, line)
		if err == nil {
			_, err = v.Options(nil)
		}
		var e *exit.Error
		if !errors.As(err, &e) || e.Code != exit.Usage {
			t.Errorf("%s: %v, want a usage error", line, err)
		}
	}
}

func TestExpectLimitsTheVersions(t *testing.T) {
	v, err := values(t, "otr=23 expect="+strings.ToUpper(someKey))
	if err != nil {
		t.Fatal(err)
	}
	o, err := v.Options(nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Expect) != 1 || o.Expect[0].Hex() != someKey {
		t.Errorf("expected are %v", o.Expect)
	}
	if !o.Policy.Has(otr.AllowV2 | otr.AllowV3) {
		t.Errorf("the policy is %b", o.Policy)
	}
	// A key of version 4 cannot be met in version 3.
	if v, err = values(t, "otr=3 expect="+strings.Repeat("0f", 56)); err == nil {
		t.Errorf("accepted: %v", v)
	}
}

func TestAHalfTakesWhatTheOtherWasGiven(t *testing.T) {
	first, err := values(t, "contact=bob timeout=60s")
	if err != nil {
		t.Fatal(err)
	}
	second, err := values(t, "timeout=1m pad=256")
	if err != nil {
		t.Fatal(err)
	}
	together, flag := first.Merge(second)
	if flag != "" {
		t.Fatalf("--%s contradicts", flag)
	}
	o, err := together.Options(nil)
	if err != nil || o.Contact != "bob" || o.Pad != 256 || o.Timeout != time.Minute {
		t.Errorf("together: %v, %v", o, err)
	}
	// Another goroutine may be reading what a half was given.
	if len(first) != 2 || len(second) != 2 {
		t.Errorf("a half was changed: %v and %v", first, second)
	}

	other, err := values(t, "mode=lines contact=carol")
	if err != nil {
		t.Fatal(err)
	}
	if _, flag := together.Merge(other); flag != ContactFlag {
		t.Errorf("contradiction in %q, want contact", flag)
	}
}
