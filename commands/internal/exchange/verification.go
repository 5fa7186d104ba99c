package exchange

import (
	"crypto/rand"
	"errors"

	"otrpipe/commands/internal/code"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/identities"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/secret"
	"otrpipe/keyfile"
)

// CodeFlag is the switch to prompt for a code. With -file or -fd appended, it is the flag that
// names the code's source.
const CodeFlag = "code"

// madeCodeWait is how long an end that has made a code and does not listen waits by default. It
// allows for a person to bring the code to the other end.
const madeCodeWait = "10m0s"

// Given holds the flags that choose how the other end is verified.
type Given struct {
	AskCode bool           // whether to prompt for the code at the terminal
	Code    *secret.Source // the source of the code, if the flags name one
	Secret  bool           // whether the flags name a source of an SMP secret
	Contact bool           // whether a contact is named
	Expect  bool           // whether a fingerprint is expected
	Listens bool           // whether the end waits for callers
	Trust   *string        // the value of --trust; nil: it was not given

	Identity identities.Choice
	// NotEphemeral is the reason why the end cannot have an ephemeral identity, which a code
	// needs; nil: it can.
	NotEphemeral error
}

// A Verification is the way in which the ends of a transfer verify each other.
type Verification struct {
	Defaults options.Values // of the stream flags that were not given
	Code     []byte         // the SMP secret; nil: the flags name a source, or there is none
	made     bool           // whether this end made the code
}

// Verification decides how the other end is verified, and prompts for the code if necessary. It
// refuses a transfer whose other end would not be verified.
func (g Given) Verification() (*Verification, error) {
	switch {
	case g.codeGiven() && (g.Secret || g.Contact || g.Expect):
		return nil, exit.Errorf(exit.Usage, "a code verifies the other end alone: without --contact, --expect and --smp-secret-file")
	case g.AskCode && g.Code.FromFlags():
		return nil, exit.Errorf(exit.Usage, "--%s asks for the code, which --%s-file and --%s-fd give", CodeFlag, CodeFlag, CodeFlag)
	case g.Contact && (g.Secret || g.Expect):
		return &Verification{}, nil
	case g.Contact && g.Trust != nil && *g.Trust == options.TrustNew:
		return nil, exit.Errorf(exit.Usage, "--trust new accepts any first caller, so it does not verify who the files are for").
			WithHint("--smp-secret-file, or a key that is on file: otrpipe contacts add")
	case g.Contact:
		return &Verification{Defaults: options.Values{options.TrustFlag: {options.TrustKnown}}}, nil
	case (g.Secret || g.Expect) && g.hasIdentity():
		return &Verification{}, nil
	case g.Secret || g.Expect:
		return &Verification{Defaults: options.Values{options.EphemeralFlag: {"true"}}}, nil
	case g.NotEphemeral != nil:
		return nil, g.NotEphemeral
	}
	return g.byCode()
}

// byCode returns a verification by a code: the given or entered one, or else a new one.
func (g Given) byCode() (*Verification, error) {
	v := &Verification{Defaults: options.Values{options.EphemeralFlag: {"true"}}, made: !g.codeGiven()}
	var err error
	switch {
	case v.made:
		if !g.Listens {
			v.Defaults[options.WaitFlag] = []string{madeCodeWait}
		}
		v.Code, err = code.New(rand.Reader)
	case g.Code.FromFlags():
		v.Code, err = givenCode(g.Code)
	default:
		v.Code, err = askCode()
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// codeGiven reports whether the flags name a code or ask for a prompt.
func (g Given) codeGiven() bool { return g.AskCode || g.Code.FromFlags() }

// hasIdentity reports whether an identity exists or was chosen.
func (g Given) hasIdentity() bool {
	if g.Identity.Flag != nil || g.Identity.File != nil || g.Identity.Env != "" {
		return true
	}
	_, err := g.Identity.Public()
	return !errors.Is(err, keyfile.ErrNotFound)
}

// givenCode reads the code from the source that the flags name.
func givenCode(source *secret.Source) ([]byte, error) {
	typed, _, err := source.Read()
	if err != nil {
		return nil, err
	}
	defer clear(typed)
	parsed, err := code.Parse(typed)
	if err != nil {
		return nil, exit.Errorf(exit.KeyFile, "the code: %w", exit.Plain(err))
	}
	return parsed, nil
}
