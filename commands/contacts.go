package commands

import (
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
	"otrpipe/otr/keys"
)

func contactsCommand() *cli.Command {
	return &cli.Command{
		Name:  "contacts",
		Usage: "manage who is who, and how far they are trusted",
		Description: "A contact is a name for somebody and the keys that were met, or added, under it.\n\n" +
			"  otrpipe contacts list\n" +
			"  otrpipe contacts trust bob",
		Subcommands: []*cli.Command{
			contactsListCommand(),
			contactCommand("add", "put a contact's key on file, not verified yet", "NAME FINGERPRINT",
				"A fingerprint is taken in any grouping and case, or as the text of a QR code.\n\n"+
					"  otrpipe contacts add bob 01234567 01234567 01234567 01234567 01234567\n"+
					"  otrpipe contacts add bob otr-fingerprint:3:$(cat digits)", contactsAdd),
			contactCommand("trust", "note that somebody has compared the fingerprint", "NAME [FINGERPRINT]",
				"Where the contact has several keys the fingerprint says which one was compared.\n\n"+
					"  otrpipe contacts trust bob\n"+
					"  otrpipe contacts trust bob 01234567 01234567 01234567 01234567 01234567", contactsTrust),
			contactCommand("distrust", "take trust back; the key stays on file", "NAME [FINGERPRINT]",
				"Without a fingerprint it is taken back from all keys of the contact.\n\n"+
					"  otrpipe contacts distrust bob\n"+
					"  otrpipe contacts distrust bob 01234567 01234567 01234567 01234567 01234567", contactsDistrust),
			contactCommand("remove", "forget a key, or the contact", "NAME [FINGERPRINT]",
				"Without a fingerprint the contact is forgotten with all keys.\n\n"+
					"  otrpipe contacts remove bob\n"+
					"  otrpipe contacts remove bob 01234567 01234567 01234567 01234567 01234567", contactsRemove),
			contactCommand("rename", "give a contact another name", "OLD NEW",
				"A name that another contact has already is refused.\n\n"+
					"  otrpipe contacts rename bob robert\n"+
					"  otrpipe contacts rename bob@example.org bob", contactsRename),
			contactsImportCommand(),
			contactsExportCommand(),
		},
	}
}

// contactCommand is a command about one contact, whose name is its first argument.
func contactCommand(name, usage, arguments, description string, do func(c *cli.Context, contact string, rest []string) error) *cli.Command {
	return &cli.Command{
		Name:        name,
		Usage:       usage,
		ArgsUsage:   arguments,
		Description: description,
		Action: func(c *cli.Context) error {
			args := c.Args().Slice()
			if len(args) == 0 {
				return exit.Errorf(exit.Usage, "%s takes %s", c.Command.HelpName, arguments)
			}
			return do(c, args[0], args[1:])
		},
	}
}

func contactsListCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list all contacts",
		Description: "Each key comes with how far it is trusted: seen, verified (by hand) or smp.\n\n" +
			"  otrpipe contacts list\n" +
			"  otrpipe contacts list --json",
		Flags: []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			contacts, err := openHome(c).Contacts()
			if err != nil {
				return exit.Key(err)
			}
			return printContacts(c, contacts)
		},
	}
}

// A contactAnswer is a contact in JSON.
type contactAnswer struct {
	Contact string             `json:"contact"`
	Keys    []contactKeyAnswer `json:"keys"`
}

type contactKeyAnswer struct {
	keyAnswer
	Trust     string `json:"trust"`
	FirstSeen string `json:"first_seen"` // RFC 3339
	LastSeen  string `json:"last_seen"`

	Profile *profileAnswer `json:"profile,omitempty"` // of a key of version 4 that has been met
}

// A profileAnswer is what a contact's client profile has said last.
type profileAnswer struct {
	Versions string `json:"versions"` // the contact speaks: "4" or "34"
	Expires  string `json:"expires"`  // RFC 3339; then it says nothing any more
}

func answerContact(contact keyfile.Contact) contactAnswer {
	answer := contactAnswer{Contact: contact.Name, Keys: []contactKeyAnswer{}}
	for _, key := range contact.Keys {
		known := contactKeyAnswer{
			keyAnswer: keyAnswer{key.Fingerprint.OTR(), key.Fingerprint.Hex()},
			Trust:     key.Trust.String(),
			FirstSeen: keyfile.FormatTime(key.FirstSeen),
			LastSeen:  keyfile.FormatTime(key.LastSeen),
		}
		if p := key.Profile; p != (keyfile.Profile{}) {
			known.Profile = &profileAnswer{p.Versions.Digits(), keyfile.FormatTime(p.Expires)}
		}
		answer.Keys = append(answer.Keys, known)
	}
	return answer
}

func printContacts(c *cli.Context, contacts []keyfile.Contact) error {
	if c.Bool(flagJSON) {
		answer := []contactAnswer{}
		for _, contact := range contacts {
			answer = append(answer, answerContact(contact))
		}
		return printJSON(c, answer)
	}
	for _, contact := range contacts {
		if _, err := fmt.Fprintln(output(c), contact.Name); err != nil {
			return err
		}
		for _, key := range contact.Keys {
			fp := key.Fingerprint
			if _, err := fmt.Fprintf(output(c), "  OTRv%d %v %v\n", fp.OTR(), fp, key.Trust); err != nil {
				return err
			}
		}
	}
	return nil
}

func contactsAdd(c *cli.Context, name string, rest []string) error {
	if len(rest) == 0 {
		return exit.Errorf(exit.Usage, "%s takes a name and a fingerprint", c.Command.HelpName).
			WithHint("the fingerprint is what otrpipe fingerprint prints at the other end")
	}
	fps, err := parseFingerprints(rest)
	if err != nil {
		return err
	}
	if err := refuseOwnKeys(c, fps); err != nil {
		return err
	}
	for _, fp := range fps {
		if err := openHome(c).RememberKey(name, fp, keyfile.Seen, time.Now()); err != nil {
			return exit.Key(err)
		}
	}
	return nil
}

// refuseOwnKeys refuses fingerprints of our own identities: it is easily mistaken whose
// output a fingerprint was copied from, and a contact with our own key lets nobody in.
func refuseOwnKeys(c *cli.Context, fps []keys.Fingerprint) error {
	ours, err := openHome(c).Publics()
	if err != nil && len(ours) == 0 {
		return nil // nothing can be told of our keys, which are not needed here
	}
	for _, public := range ours {
		for _, fp := range fps {
			if slices.Contains(public.Keys, fp) {
				return exit.Errorf(exit.Usage, "that is the fingerprint of your own identity %s", terminal.Visible(public.Name)).
					WithHint("the contact's fingerprint is what otrpipe fingerprint prints at the other end")
			}
		}
	}
	return nil
}

func contactsTrust(c *cli.Context, name string, rest []string) error {
	contact, err := contactNamed(c, name)
	if err != nil {
		return err
	}
	if len(rest) == 0 && len(contact.Keys) > 1 {
		return exit.Errorf(exit.Usage, "contact %q has %d keys: say which one was compared", name, len(contact.Keys)).
			WithHint("otrpipe fingerprint --contact %s", exit.ShellWord(name))
	}
	fps := []keys.Fingerprint{contact.Keys[0].Fingerprint}
	if len(rest) > 0 {
		if fps, err = parseFingerprints(rest); err != nil {
			return err
		}
	}
	for _, fp := range fps {
		if _, ok := contact.Key(fp); !ok { // all of them, or none
			return exit.Key(openHome(c).SetTrust(name, fp, keyfile.Verified))
		}
	}
	for _, fp := range fps {
		if err := openHome(c).SetTrust(name, fp, keyfile.Verified); err != nil {
			return exit.Key(err)
		}
		ioOf(c).Note("the OTRv%d key of %s is verified: %v", fp.OTR(), terminal.Visible(name), fp)
	}
	return nil
}

func contactsDistrust(c *cli.Context, name string, rest []string) error {
	if len(rest) == 0 {
		return exit.Key(openHome(c).Distrust(name))
	}
	fp, err := parseFingerprint(rest)
	if err != nil {
		return err
	}
	return exit.Key(openHome(c).SetTrust(name, fp, keyfile.Seen))
}

func contactsRemove(c *cli.Context, name string, rest []string) error {
	if _, err := contactNamed(c, name); err != nil {
		return err
	}
	if len(rest) == 0 {
		return exit.Key(openHome(c).RemoveContact(name))
	}
	fp, err := parseFingerprint(rest)
	if err != nil {
		return err
	}
	return exit.Key(openHome(c).RemoveKey(name, fp))
}

func contactsRename(c *cli.Context, old string, rest []string) error {
	if len(rest) != 1 {
		return exit.Errorf(exit.Usage, "%s takes the old name and the new one", c.Command.HelpName)
	}
	if _, err := contactNamed(c, old); err != nil {
		return err
	}
	return exit.Key(openHome(c).RenameContact(old, rest[0]))
}

// contactNamed returns a contact of the home, or why there is none.
func contactNamed(c *cli.Context, name string) (keyfile.Contact, error) {
	home := openHome(c)
	contact, ok, err := home.Contact(name)
	if err == nil && !ok {
		err = exit.Errorf(exit.KeyFile, "not found: contact %q in %s", name, home.Dir()).WithHint("otrpipe contacts list")
	}
	return contact, exit.Key(err)
}

func contactsImportCommand() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "take over contacts from libotr's file of fingerprints",
		ArgsUsage: "FILE",
		Description: "It is otr.fingerprints in Pidgin, otr.fp in irssi. Keys are added, and trust in known ones is raised where the file has more;\n" +
			"nothing is taken away.\n\n" +
			"  otrpipe contacts import ~/.purple/otr.fingerprints --account me@example.org\n" +
			"  otrpipe contacts import - < otr.fingerprints",
		Flags: accountFlags(),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return exit.Errorf(exit.Usage, "%s takes one file", c.Command.HelpName)
			}
			return contactsImport(c, c.Args().First())
		},
	}
}

func contactsImport(c *cli.Context, path string) error {
	file, _, err := readArgument(c, path, keyfile.MaxLibotrList)
	if err != nil {
		return err
	}
	list, bad := keyfile.ParseLibotrFingerprints(file)
	if len(list) == 0 && len(bad) > 0 {
		return exit.Errorf(exit.KeyFile, "%w: %s", exit.Plain(bad[0]), path).WithHint("what can be imported is libotr's otr.fingerprints")
	}
	contacts, err := keyfile.ContactsFromLibotr(list, path, accountOf(c), time.Now())
	if err != nil {
		return exit.Key(err)
	}
	bad = slices.DeleteFunc(bad, func(row *keyfile.RowError) bool { return !row.Concerns(accountOf(c)) })
	if err := openHome(c).Remember(contacts); err != nil {
		return exit.Key(err)
	}
	ioOf(c).Note("imported %s", count(len(contacts), "contact"))
	return reportBadRows(c, path, bad)
}

// maxBadRows is how many lines that cannot be imported are listed one by one: more
// would not be read.
const maxBadRows = 20

// reportBadRows lists the lines that were not imported.
func reportBadRows(c *cli.Context, path string, bad []*keyfile.RowError) error {
	if len(bad) == 0 {
		return nil
	}
	for i, row := range bad {
		if i == maxBadRows {
			ioOf(c).Warn("and %d more", len(bad)-i)
			break
		}
		ioOf(c).Warn("line %d is left out: %v", row.Line, exit.Plain(row.Reason))
	}
	return exit.Errorf(exit.Failure, "%s of %s cannot be imported", count(len(bad), "line"), path).
		WithHint("mend or rename them in a copy, or give the key by hand: otrpipe contacts add NAME FINGERPRINT")
}

func contactsExportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "write contacts to a file of fingerprints for libotr",
		ArgsUsage: "FILE",
		Description: "FILE - is standard output. Keys of version 4, which libotr does not know, are left out.\n\n" +
			"  otrpipe contacts export otr.fingerprints --account me@example.org\n" +
			"  otrpipe contacts export -",
		Flags: append(accountFlags(), identityFlag(), forceFlag()),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return exit.Errorf(exit.Usage, "%s takes one file", c.Command.HelpName)
			}
			return contactsExport(c, c.Args().First())
		},
	}
}

func contactsExport(c *cli.Context, path string) error {
	contacts, err := openHome(c).Contacts()
	if err != nil {
		return exit.Key(err)
	}
	name, err := identityName(c)
	if err != nil {
		return err
	}
	list, leftOut := keyfile.LibotrFromContacts(contacts, exportAccount(c, name))
	text, err := keyfile.AppendLibotrFingerprints(nil, list...)
	if err != nil {
		return exit.Key(err)
	}
	if err := writeOutput(c, path, text); err != nil {
		return err
	}
	if leftOut > 0 {
		ioOf(c).Warn("left out %s of version 4, which libotr does not know", count(leftOut, "key"))
	}
	return nil
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
