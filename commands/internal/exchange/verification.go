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

// CodeFlag is the switch that has a code asked for; with -file or -fd behind it, it says
// where one is.
const CodeFlag = "code"

// madeCodeWait is how long an end that has made a code and does not listen waits by default:
// a person has to carry the code to the other end.
const madeCodeWait = "10m0s"

// Given is what a command line says of how the other end is verified.
type Given struct {
	AskCode bool           // the code is asked for at the terminal
	Code    *secret.Source // where the code is, if the flags say so
	Secret  bool           // the flags say where a secret of SMP is
	Contact bool           // a contact is named
	Expect  bool           // a fingerprint is expected
	Listens bool           // the end waits for callers
	Trust   *string        // the value of --trust; nil: it was not given

	Identity identities.Choice
	// NotEphemeral says why the end cannot have an ephemeral identity, which a code needs;
	// nil: it can.
	NotEphemeral error
}

// A Verification is how the ends of a transfer know each other.
type Verification struct {
	Defaults options.Values // of the stream flags that were not given
	Code     []byte         // the secret of SMP; nil: the flags say where one is, if any
	made     bool           // the code, by this end
}

// Verification finds out how the other end is verified, asking for the code if it has to.
// It refuses a transfer whose other end would not be verified.
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

// byCode is the verification by a code: the one given or asked for, or else a new one.
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

// codeGiven says whether the flags give a code, or have it asked for.
func (g Given) codeGiven() bool { return g.AskCode || g.Code.FromFlags() }

// hasIdentity says whether there is an identity, or one is asked for.
func (g Given) hasIdentity() bool {
	if g.Identity.Flag != nil || g.Identity.File != nil || g.Identity.Env != "" {
		return true
	}
	_, err := g.Identity.Public()
	return !errors.Is(err, keyfile.ErrNotFound)
}

// givenCode reads the code from where the flags say.
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
