package commands

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/offline"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
)

// flagAll is a flag of prekeys revoke. The number of prekeys has the flag of the toolkit's.
const flagAll = "all"

// defaultPrekeys is how many prekeys are made where no number is said.
const defaultPrekeys = 20

func prekeysCommand() *cli.Command {
	return &cli.Command{
		Name:  "prekeys",
		Usage: "what others need to write while you are away",
		Description: "A prekey takes one message, made with otrpipe encrypt-stream --to, which\n" +
			"otrpipe decrypt-stream reads whenever you are back.\n\n" +
			"  otrpipe prekeys publish -o for-alice --contact alice\n" +
			"  otrpipe prekeys list",
		Subcommands: []*cli.Command{
			prekeysPublishCommand(),
			prekeysListCommand(),
			prekeysRevokeCommand(),
		},
	}
}

// homeIdentityFlags are those of identities that are in the home.
func homeIdentityFlags() []cli.Flag { return append([]cli.Flag{identityFlag()}, passphraseFlags()...) }

func prekeysConfig(c *cli.Context) (*offline.Config, error) {
	id, err := offlineIdentity(c)
	if err != nil {
		return nil, err
	}
	return &offline.Config{IO: ioOf(c), Home: openHome(c), Identity: id}, nil
}

func prekeysPublishCommand() *cli.Command {
	flags := append(homeIdentityFlags(),
		cmdline.In(groupPeer, &cli.StringFlag{Name: flagContact, Usage: "they take messages of contact `NAME` only"})...)
	return &cli.Command{
		Name:  "publish",
		Usage: "make prekeys and write their ensembles, a line each",
		Description: "Nothing in them is secret. Mail them, put them on a web server, or hand them out one\n" +
			"by one: each line serves one message, and of two messages to one line the second is\n" +
			"refused. They can be used for a week, and read for a day longer.\n\n" +
			"  otrpipe prekeys publish > ensembles\n" +
			"  otrpipe prekeys publish -n 5 --contact alice -o for-alice",
		Flags: append(flags, cmdline.In(groupFile,
			&cli.IntFlag{Name: flagNumber, Aliases: []string{"n"}, Usage: "make `N`", DefaultText: strconv.Itoa(defaultPrekeys)},
			&cli.StringFlag{Name: flagOutput, Aliases: []string{"o"}, Usage: "write to `FILE`", DefaultText: "standard output"},
			forceFlag(),
		)...),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return prekeysPublish(c)
		},
	}
}

func prekeysPublish(c *cli.Context) error {
	n := defaultPrekeys
	if c.IsSet(flagNumber) {
		n = c.Int(flagNumber)
		if n < 1 || n > offline.MaxPrekeys {
			return exit.Errorf(exit.Usage, "--%s: %d is not between 1 and %d", flagNumber, n, offline.MaxPrekeys)
		}
	}
	contact := c.String(flagContact)
	if c.IsSet(flagContact) && contact == "" {
		return exit.Errorf(exit.Usage, "--contact: a contact needs a name")
	}
	path := c.String(flagOutput)
	if path != "" && path != "-" && !c.Bool(flagForce) {
		if err := vacant(path); err != nil {
			return err
		}
	}
	config, err := prekeysConfig(c)
	if err != nil {
		return err
	}
	defer config.Identity.Wipe()
	lines, left, err := config.Publish(n, contact)
	if err != nil {
		return err
	}
	if err := writeOutput(c, path, lines); err != nil {
		return err
	}
	ioOf(c).Note("published %s; %d are unused now", count(n, "prekey"), left)
	return nil
}

// vacant fails early where a file would not be replaced.
func vacant(path string) error {
	if keyfile.Exists(path) {
		return exit.Errorf(exit.KeyFile, "%s exists already", path).WithHint("replace it with --force")
	}
	return nil
}

func prekeysListCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list unused prekeys and kept sessions",
		Description: "What has expired is deleted first.\n\n" +
			"  otrpipe prekeys list\n" +
			"  otrpipe prekeys list --json",
		Flags: append(homeIdentityFlags(), jsonFlag()),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return prekeysList(c)
		},
	}
}

// A prekeysAnswer is what prekeys list prints as JSON.
type prekeysAnswer struct {
	Identity string          `json:"identity"`
	Prekeys  []prekeyAnswer  `json:"prekeys"`
	Sessions []sessionAnswer `json:"sessions"`
}

type prekeyAnswer struct {
	ID      string  `json:"id"`      // eight hexadecimal digits
	Contact *string `json:"contact"` // null: anybody
	Expires string  `json:"expires"` // RFC 3339: nobody writes to it any more
	Usable  string  `json:"usable"`  // RFC 3339: nothing written to it can be read any more
}

type sessionAnswer struct {
	Session     string  `json:"session"`
	Contact     *string `json:"contact"`
	Fingerprint string  `json:"fingerprint"`
	Began       string  `json:"began"` // who wrote first: "us" or "peer"
	Unread      bool    `json:"unread"`
	Used        string  `json:"used"` // RFC 3339
}

func prekeysList(c *cli.Context) error {
	config, err := prekeysConfig(c)
	if err != nil {
		return err
	}
	defer config.Identity.Wipe()
	list, err := config.List()
	if err != nil {
		return err
	}
	answer := prekeysAnswer{Identity: config.Identity.Name, Prekeys: []prekeyAnswer{}, Sessions: []sessionAnswer{}}
	for _, k := range list.Prekeys {
		answer.Prekeys = append(answer.Prekeys, prekeyAnswer{
			ID: fmt.Sprintf("%08x", k.ID), Contact: named(k.Contact),
			Expires: rfc3339(k.Expires), Usable: rfc3339(offline.Expires(k)),
		})
	}
	for _, t := range list.Sessions {
		began := "peer"
		if t.Began() {
			began = "us"
		}
		answer.Sessions = append(answer.Sessions, sessionAnswer{
			Session: t.ID(), Contact: named(t.Contact), Fingerprint: t.Fingerprint().Hex(),
			Began: began, Unread: t.Unread(), Used: rfc3339(t.Used()),
		})
	}
	if c.Bool(flagJSON) {
		return printJSON(c, answer)
	}
	return printPrekeys(c, answer)
}

// printPrekeys prints the answer for people: prekeys by whom they are for and when they
// expire, then the sessions.
func printPrekeys(c *cli.Context, answer prekeysAnswer) error {
	type kind struct{ contact, expires string }
	counts := map[kind]int{}
	var kinds []kind
	for _, k := range answer.Prekeys {
		of := kind{forWhom(k.Contact), k.Expires}
		if counts[of]++; counts[of] == 1 {
			kinds = append(kinds, of)
		}
	}
	var b strings.Builder
	for _, of := range kinds {
		fmt.Fprintf(&b, "%s for %s, until %s\n", count(counts[of], "prekey"), terminal.Visible(of.contact), of.expires)
	}
	for _, t := range answer.Sessions {
		state := "used " + t.Used
		if t.Unread {
			state = "not read to its end"
		}
		fmt.Fprintf(&b, "session %s with %s, %s\n", t.Session, terminal.Visible(withWhom(t)), state)
	}
	_, err := fmt.Fprint(output(c), b.String())
	return err
}

func forWhom(contact *string) string {
	if contact == nil {
		return "anybody"
	}
	return *contact
}

func withWhom(t sessionAnswer) string {
	if t.Contact == nil {
		return t.Fingerprint
	}
	return *t.Contact
}

func named(contact string) *string {
	if contact == "" {
		return nil
	}
	return &contact
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func prekeysRevokeCommand() *cli.Command {
	flags := append(homeIdentityFlags(),
		cmdline.In(groupPeer, &cli.StringFlag{Name: flagContact, Usage: "those made for contact `NAME`"})...)
	return &cli.Command{
		Name:      "revoke",
		Usage:     "delete unused prekeys, or a kept session",
		ArgsUsage: "[ID…]",
		Description: "What was written to a deleted prekey cannot be read. An ID is that of a prekey,\n" +
			"eight digits, or of a session, sixteen.\n\n" +
			"  otrpipe prekeys revoke --contact alice\n" +
			"  otrpipe prekeys revoke --all",
		Flags: append(flags, cmdline.In(groupFile,
			&cli.BoolFlag{Name: flagAll, Usage: "all prekeys", DisableDefaultText: true},
		)...),
		Action: prekeysRevoke,
	}
}

func prekeysRevoke(c *cli.Context) error {
	var ids []uint32
	var sessions []string
	for _, arg := range c.Args().Slice() {
		id, err := strconv.ParseUint(arg, 16, 64)
		switch {
		case err == nil && len(arg) == 16:
			sessions = append(sessions, arg)
		case err == nil && len(arg) == 8:
			ids = append(ids, uint32(id))
		default:
			return exit.Errorf(exit.Usage, "%q is not the id of a prekey or session", arg).WithHint("otrpipe prekeys list --json shows them")
		}
	}
	contact := c.String(flagContact)
	if len(ids) == 0 && len(sessions) == 0 && contact == "" && !c.Bool(flagAll) {
		return exit.Errorf(exit.Usage, "%s needs an ID, --contact or --all", c.Command.HelpName)
	}
	config, err := prekeysConfig(c)
	if err != nil {
		return err
	}
	defer config.Identity.Wipe()
	for _, session := range sessions {
		if err := config.Forget(session); err != nil {
			return err
		}
	}
	n, err := config.Revoke(c.Bool(flagAll), contact, ids)
	if err != nil {
		return err
	}
	if n < len(ids) {
		return exit.Errorf(exit.Failure, "of %s only %d were there", count(len(ids), "prekey"), n)
	}
	ioOf(c).Note("deleted %s", count(n, "prekey"))
	return nil
}
