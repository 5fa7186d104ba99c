package options

import (
	"errors"
	"slices"
	"testing"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/exit"
)

func noSecrets(name, _ string) []cli.Flag {
	return []cli.Flag{&cli.StringFlag{Name: name + "-file"}, &cli.IntFlag{Name: name + "-fd"}}
}

// read runs a command line through the flag library.
func read(t *testing.T, args ...string) (v Values, err error) {
	t.Helper()
	app := &cli.App{
		Name: "tool", Flags: Flags(Connect, noSecrets), HideHelp: true, DisableSliceFlagSeparator: true,
		Action: func(c *cli.Context) error { v, err = Read(c); return nil },
	}
	if failed := app.Run(append([]string{"tool"}, args...)); failed != nil {
		t.Fatal(failed)
	}
	return v, err
}

func TestFlagsAreReadInTheirCanonicalForm(t *testing.T) {
	const key = "0123456789ABCDEF0123456789ABCDEF01234567"
	v, err := read(t, "--otr", "43", "--timeout", "90s", "--expect", "OTRv3 "+key+"\n"+key, "--expect", "0123456789abcdef0123456789abcdef01234567",
		"--tcp", "[::1]:09000", "--stay", "--raw=false", "--mode", "lines", "-s", "here", "--events", "file", "--smp-secret-file", "word")
	if err != nil {
		t.Fatal(err)
	}
	want := Values{
		OTRFlag: {"34"}, TimeoutFlag: {"1m30s"}, ExpectFlag: {"0123456789abcdef0123456789abcdef01234567"},
		StayFlag: {"true"}, ModeFlag: {"lines"}, TCPFlag: {"[::1]:9000"},
	}
	if len(v) != len(want) {
		t.Errorf("read %v", v)
	}
	for name, values := range want {
		if !slices.Equal(v[name], values) {
			t.Errorf("--%s is %q, not %q", name, v[name], values)
		}
	}
}

func TestAValueThatIsRefusedIsAUsageErrorOfItsFlag(t *testing.T) {
	for _, args := range [][]string{
		{"--trust", "surely"}, {"--contact", ""}, {"--account", ""}, {"--expect", "xyz"}, {"--otr", "1"}, {"--otr", ""},
		{"--mode", "chat"}, {"--max-size", "63"}, {"--pad", "65537"}, {"--pad", "x"}, {"--timeout", "-1s"}, {"--dead", "soon"},
		{"--smp-question", ""}, {"--tcp", "here"}, {"--tcp", ":9000"}, {"--tcp", "::1:9000"}, {"--listen", "70000"}, {"--listen", "here"}, {"--smp-question", "a\x00b"}, {"--html", "bold"},
	} {
		_, err := read(t, args...)
		var e *exit.Error
		if !errors.As(err, &e) || e.Code != exit.Usage || e.Error()[:len(args[0])] != args[0] {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestEveryRowOfTheTableIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Table() {
		if seen[f.Name] || f.Name == "" || f.Usage == "" || !slices.Contains([]string{TransportGroup, PeerGroup, SessionGroup, StreamGroup}, f.Group) {
			t.Errorf("--%s is there twice or says nothing of itself: %+v", f.Name, f)
		}
		seen[f.Name] = true
		if (f.Completion == Fixed) != (f.Values != nil) {
			t.Errorf("--%s: fixed values %q", f.Name, f.Values)
		}
		for _, value := range f.Values {
			if got, err := f.Form(value); err != nil || got != value {
				t.Errorf("--%s %s becomes %q, %v", f.Name, value, got, err)
			}
		}
		if f.LinesOnly {
			if _, err := (Values{f.Name: {"1s"}}).Options(nil); err == nil {
				t.Errorf("--%s works in mode stream", f.Name)
			}
		}
	}
}

func TestAChatHasNoFlagsThatMeanNothingToAPerson(t *testing.T) {
	chat := map[string]cli.Flag{}
	for _, f := range Flags(Chat, noSecrets) {
		chat[f.Names()[0]] = f
	}
	for _, name := range []string{LingerFlag, RawFlag, ProgressFlag} {
		if chat[name] != nil {
			t.Errorf("--%s is there", name)
		}
	}
	if mode := chat[ModeFlag].(*cli.StringFlag); mode.DefaultText != ModeLines {
		t.Errorf("the mode is %s by default", mode.DefaultText)
	}
	for _, f := range Flags(Connect, noSecrets) {
		if mode, ok := f.(*cli.StringFlag); ok && mode.Name == ModeFlag && mode.DefaultText != ModeStream {
			t.Errorf("the mode of other commands is now %s by default", mode.DefaultText)
		}
	}
}

// The help of each command shows the defaults of that command.
func TestHelpShowsTheDefaultsOfItsCommand(t *testing.T) {
	for end, want := range map[Ends]map[string]string{
		Connect:  {TrustFlag: "new", DeadFlag: "5m; mode lines: 0", WaitFlag: "for ever with --listen and at a terminal, else 0"},
		Chat:     {ModeFlag: "lines", HTMLFlag: "text", DeadFlag: "0", WaitFlag: "for ever"},
		Transfer: {TrustFlag: "known; new with --expect or a secret", DeadFlag: "5m", WaitFlag: "for ever with --listen and at a terminal, 10m with a code that is made here, else 0"},
	} {
		got := map[string]string{}
		for _, f := range Flags(end, noSecrets) {
			if f, ok := f.(*cli.StringFlag); ok {
				got[f.Name] = f.DefaultText
			}
		}
		for name, text := range want {
			if got[name] != text {
				t.Errorf("end %d: --%s has the default %q, not %q", end, name, got[name], text)
			}
		}
	}
}
