package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/keyfile"
	"otrpipe/otr/keys"
)

// The names of the flags that say whose keys are used and how they are opened.
const (
	flagHome         = "home"
	flagIdentity     = "identity"
	flagIdentityFile = "identity-file"
	flagProtocol     = "protocol"
	flagJSON         = "json"
)

const (
	defaultIdentity = "default"

	// envIdentity is where the identity's name may come from. It is no matter of
	// the flag library's, for which an empty variable is a flag that was given.
	envIdentity = "OTRPIPE_IDENTITY"
)

// identityFlags are the flags of every command that opens an identity.
func identityFlags() []cli.Flag {
	return append(cmdline.In(groupKeys,
		identityFlag(),
		&cli.StringFlag{Name: flagIdentityFile, Usage: "use the identity in `FILE`, of otrpipe or libotr"},
	), passphraseFlags()...)
}

func identityFlag() cli.Flag {
	return &cli.StringFlag{
		Name: flagIdentity, Aliases: []string{"i"}, Category: groupKeys,
		Usage: "the identity's `NAME`; else $" + envIdentity, DefaultText: defaultIdentity,
	}
}

func passphraseFlags() []cli.Flag {
	return cmdline.In(groupKeys, secretFlags(flagPassphrase, "the identity's passphrase")...)
}

// jsonFlag is the flag of every command that answers.
func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: flagJSON, Category: groupAnswer, Usage: "answer with one JSON document", DisableDefaultText: true}
}

// accountFlags are the flags that choose an account in a file of libotr's.
func accountFlags() []cli.Flag {
	return cmdline.In(groupFile,
		&cli.StringFlag{Name: flagAccount, Usage: "the account's `NAME` in libotr's file"},
		&cli.StringFlag{Name: flagProtocol, Usage: "the account's protocol in libotr's file, by the client's `NAME` for it"},
	)
}

func accountOf(c *cli.Context) keyfile.Account {
	return keyfile.Account{Name: c.String(flagAccount), Protocol: c.String(flagProtocol)}
}

// openHome returns the folder of identities and contacts that the flags name.
func openHome(c *cli.Context) *keyfile.Home {
	if home, ok := c.App.Metadata[flagHome].(*keyfile.Home); ok {
		return home
	}
	home := keyfile.OpenDefault(programName)
	if folder := c.String(flagHome); folder != "" {
		home = keyfile.Open(folder)
	}
	home.Warn = func(text string) { ioOf(c).Warn("%s", text) }
	c.App.Metadata[flagHome] = home
	return home
}

// identityName is the name of the identity that the flags name.
func identityName(c *cli.Context) (string, error) {
	name, given := chosenIdentity(c)
	if !given {
		return defaultIdentity, nil
	}
	if err := keyfile.CheckName(name); err != nil {
		return "", exit.Errorf(exit.Usage, "--identity: %w", exit.Plain(err))
	}
	return name, nil
}

// chosenIdentity is the name that the flag or the environment says, if any.
func chosenIdentity(c *cli.Context) (name string, given bool) {
	if c.IsSet(flagIdentity) {
		return c.String(flagIdentity), true
	}
	name = os.Getenv(envIdentity)
	return name, name != ""
}

// openIdentity opens the identity that the flags name, asking for a passphrase
// if it is protected. Errors have their exit code.
func openIdentity(c *cli.Context) (*keyfile.Identity, error) {
	return openIdentityWith(c, passphraseOf(c).opening)
}

func openIdentityWith(c *cli.Context, pass keyfile.PassphraseFunc) (*keyfile.Identity, error) {
	home := openHome(c)
	if !c.IsSet(flagIdentityFile) {
		name, err := identityName(c)
		if err != nil {
			return nil, err
		}
		id, err := home.Identity(name, pass)
		return id, identityError(err, name)
	}
	if c.IsSet(flagIdentity) {
		return nil, exit.Errorf(exit.Usage, "--identity and --identity-file contradict each other")
	}
	// An account's name chooses between the keys of several; where there is no
	// choice it means what else it means in this command.
	file := c.String(flagIdentityFile)
	id, err := home.IdentityFile(file, keyfile.Account{}, pass)
	if choice := (*keyfile.ChoiceError)(nil); errors.As(err, &choice) && accountOf(c) != (keyfile.Account{}) {
		id, err = home.IdentityFile(file, accountOf(c), pass)
	}
	return id, exit.Key(err)
}

// publicIdentity is what is known of the identity that the flags name, without
// its passphrase where that can be.
func publicIdentity(c *cli.Context) (keyfile.Public, error) {
	if !c.IsSet(flagIdentityFile) {
		name, err := identityName(c)
		if err != nil {
			return keyfile.Public{}, err
		}
		public, err := openHome(c).Public(name)
		return public, identityError(err, name)
	}
	id, err := openIdentity(c)
	if err != nil {
		return keyfile.Public{}, err
	}
	defer id.Wipe()
	return id.Public(), nil
}

// identityError is keyError for an identity of the home.
func identityError(err error, name string) error {
	if errors.Is(err, keyfile.ErrNotFound) {
		e := exit.Errorf(exit.KeyFile, "%w", exit.Plain(err))
		if name == defaultIdentity {
			return e.WithHint("make it: otrpipe keygen")
		}
		return e.WithHint("make it: otrpipe keygen -i %s", exit.ShellWord(name))
	}
	return exit.Key(err)
}

// noVersion refuses an identity that has no key for a version of OTR. That is
// version 4 only, which the identities of older programs know nothing of.
func noVersion(c *cli.Context, name string, version int) error {
	e := exit.Errorf(exit.KeyFile, "identity %q has no key for OTR version %d", name, version)
	if c.IsSet(flagIdentityFile) {
		return e.WithHint("otrpipe keys import %s, then use that identity", exit.ShellWord(c.String(flagIdentityFile)))
	}
	return e.WithHint("make it: %s", upgradeCommand(name))
}

// upgradeCommand is the command that makes an identity's keys of version 4.
func upgradeCommand(name string) string {
	if name == defaultIdentity {
		return "otrpipe keys upgrade"
	}
	return "otrpipe keys upgrade -i " + exit.ShellWord(name)
}

// parseFingerprint reads a fingerprint from arguments, which a shell may have
// split at its blanks, or from a fingerprint's QR code.
func parseFingerprint(args []string) (keys.Fingerprint, error) {
	fp, err := options.ReadFingerprint(strings.Join(args, " "))
	if err != nil {
		return fp, exit.Errorf(exit.Usage, "%w", err).WithHint("a fingerprint has 40 hexadecimal digits (OTRv3) or 112 (OTRv4)")
	}
	return fp, nil
}

// parseFingerprints reads one fingerprint, or several on a line each, as the command
// fingerprint prints them.
func parseFingerprints(args []string) ([]keys.Fingerprint, error) {
	var all []keys.Fingerprint
	for _, line := range options.FingerprintLines(strings.Join(args, " ")) {
		fp, err := parseFingerprint([]string{line})
		if err != nil {
			return nil, err
		}
		all = append(all, fp)
	}
	return all, nil
}

// An identityAnswer is an identity in JSON.
type identityAnswer struct {
	Identity  string      `json:"identity"`
	Instance  *string     `json:"instance"` // 8 hexadecimal digits; null where a file of libotr says none
	Keys      []keyAnswer `json:"keys"`
	Protected *bool       `json:"protected,omitempty"`
}

type keyAnswer struct {
	OTR         int    `json:"otr"`
	Fingerprint string `json:"fingerprint"`
}

func answerIdentity(public keyfile.Public, fps []keys.Fingerprint) identityAnswer {
	answer := identityAnswer{Identity: public.Name, Keys: []keyAnswer{}}
	if public.InstanceTag != 0 {
		tag := fmt.Sprintf("%08x", public.InstanceTag)
		answer.Instance = &tag
	}
	for _, fp := range fps {
		answer.Keys = append(answer.Keys, keyAnswer{fp.OTR(), fp.Hex()})
	}
	return answer
}

// printJSON answers with one JSON document.
func printJSON(c *cli.Context, answer any) error {
	e := json.NewEncoder(output(c))
	e.SetEscapeHTML(false)
	return e.Encode(answer)
}

// printFingerprint answers with a key as people read it.
func printFingerprint(c *cli.Context, fp keys.Fingerprint) error {
	_, err := fmt.Fprintf(output(c), "OTRv%d %v\n", fp.OTR(), fp)
	return err
}

// noArguments refuses arguments of a command that has none.
func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return exit.Errorf(exit.Usage, "%s takes no argument, not %q", c.Command.HelpName, c.Args().First())
	}
	return nil
}
