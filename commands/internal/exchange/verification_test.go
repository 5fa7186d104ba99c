package exchange

import (
	"crypto/rand"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"otrpipe/commands/internal/code"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/identities"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/secret"
	"otrpipe/keyfile"
)

// inFile is the source of a code that a file holds; "": the flags name none.
func inFile(t *testing.T, text string) *secret.Source {
	t.Helper()
	flags := secret.Flags{Name: CodeFlag}
	if text != "" {
		flags.HasFile, flags.File = true, filepath.Join(t.TempDir(), "code")
		if err := os.WriteFile(flags.File, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sources, err := secret.Open([]secret.Flags{flags}, os.Stdin)
	if err != nil {
		t.Fatal(err)
	}
	return sources[0]
}

// emptyHome is the choice of a user who has no identity yet.
func emptyHome(t *testing.T) identities.Choice {
	return identities.Choice{Home: keyfile.Open(filepath.Join(t.TempDir(), "home"))}
}

func TestWhatVerifiesTheOtherEndSetsTheDefaults(t *testing.T) {
	named, trust := "alice", options.TrustVerified
	ephemeral := options.Values{options.EphemeralFlag: {"true"}}
	for name, test := range map[string]struct {
		given    Given
		identity bool // one is named
		want     options.Values
	}{
		"a contact":                    {Given{Contact: true}, false, options.Values{options.TrustFlag: {options.TrustKnown}}},
		"a contact who is verified":    {Given{Contact: true, Trust: &trust}, false, options.Values{options.TrustFlag: {options.TrustKnown}}},
		"a contact and a secret":       {Given{Contact: true, Secret: true}, false, nil},
		"a contact and a fingerprint":  {Given{Contact: true, Expect: true}, false, nil},
		"a secret":                     {Given{Secret: true}, false, ephemeral},
		"a fingerprint":                {Given{Expect: true}, false, ephemeral},
		"a secret, with an identity":   {Given{Secret: true}, true, nil},
		"a fingerprint, with identity": {Given{Expect: true}, true, nil},
	} {
		test.given.Code, test.given.Identity = inFile(t, ""), emptyHome(t)
		if test.identity {
			test.given.Identity.Flag = &named
		}
		v, err := test.given.Verification()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !maps.EqualFunc(v.Defaults, test.want, slices.Equal) || v.Code != nil || v.made {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestAnEndWithNothingElseMakesACode(t *testing.T) {
	for _, listens := range []bool{false, true} {
		v, err := Given{Code: inFile(t, ""), Identity: emptyHome(t), Listens: listens}.Verification()
		if err != nil {
			t.Fatal(err)
		}
		want := options.Values{options.EphemeralFlag: {"true"}}
		if !listens { // which waits for ever anyhow
			want[options.WaitFlag] = []string{madeCodeWait}
		}
		if parsed, err := code.Parse(v.Code); err != nil || !slices.Equal(parsed, v.Code) || !v.made {
			t.Errorf("the code is %q, %v", v.Code, err)
		}
		if !maps.EqualFunc(v.Defaults, want, slices.Equal) {
			t.Errorf("the defaults are %v", v.Defaults)
		}
	}
}

func TestACodeIsReadFromItsFile(t *testing.T) {
	made, err := code.New(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Given{Code: inFile(t, string(made)+"\n"), Identity: emptyHome(t)}.Verification()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(v.Code, made) || v.made || len(v.Defaults) != 1 {
		t.Errorf("%q is read as %q, with %v", made, v.Code, v.Defaults)
	}
	_, err = Given{Code: inFile(t, "open sesame"), Identity: emptyHome(t)}.Verification()
	if !errors.Is(err, code.ErrCode) || exit.As(err).Code != exit.KeyFile {
		t.Errorf("what is not a code is read: %v", err)
	}
}

func TestAnUnverifiedOrContradictoryTransferIsRefused(t *testing.T) {
	trustNew, own := options.TrustNew, exit.Errorf(exit.Usage, "an identity is named")
	for name, given := range map[string]Given{
		"a code and a secret":            {AskCode: true, Secret: true},
		"a code and a contact":           {AskCode: true, Contact: true},
		"a code and a fingerprint":       {AskCode: true, Expect: true},
		"a code in a file and a contact": {Code: inFile(t, "acid zebra broom"), Contact: true},
		"a code in a file and asked for": {Code: inFile(t, "acid zebra broom"), AskCode: true},
		"anybody as a contact":           {Contact: true, Trust: &trustNew},
		"a code and an identity":         {NotEphemeral: own},
	} {
		if given.Code == nil {
			given.Code = inFile(t, "")
		}
		given.Identity = emptyHome(t)
		if v, err := given.Verification(); err == nil || exit.As(err).Code != exit.Usage {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
}
