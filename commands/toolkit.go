package commands

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/transcript"
	"otrpipe/otr/toolkit"
)

const (
	flagFull   = "full"
	flagText   = "text"
	flagNumber = "number"
	flagKeyLog = "keylog"

	// maxKeyFile bounds a file that is named as @FILE: the longest key is a DH value, and
	// the longest other argument an encrypted message.
	maxKeyFile = 4 << 20
)

func toolkitCommand() *cli.Command {
	return &cli.Command{
		Name:  "toolkit",
		Usage: "take OTR messages apart, change them, and forge them",
		Description: "This is what anyone can do with a transcript and, for some of it, a key. It shows that\n" +
			"OTR messages prove nothing to others. Transcripts come on standard input: clean lines, or the\n" +
			"log of a chat. Keys are hexadecimal digits, or @FILE.\n\n" +
			"  otrpipe toolkit parse < log\n" +
			"  otrpipe toolkit readforge KEY --text 'I never said that' < log",
		Subcommands: []*cli.Command{
			toolkitParseCommand(),
			toolkitSessKeysCommand(),
			toolkitMACKeyCommand(),
			toolkitReadForgeCommand(),
			toolkitModifyCommand(),
			toolkitRemacCommand(),
			toolkitForgeCommand(),
		},
	}
}

func toolkitParseCommand() *cli.Command {
	return &cli.Command{
		Name:  "parse",
		Usage: "show every field of every OTR message",
		Description: "Fragments are put together, client profiles and ring signatures are checked, and\n" +
			"a revealed MAC key is shown with the messages that it authenticates.\n\n" +
			"  otrpipe toolkit parse < log | less\n" +
			"  otrpipe toolkit parse --json < log",
		Flags: cmdline.In(groupAnswer,
			jsonFlag(),
			&cli.BoolFlag{Name: flagFull, Usage: "show long fields whole", DisableDefaultText: true},
			&cli.StringFlag{Name: flagAccount, Usage: "an account `NAME` that version 4 may have bound the session to"},
			&cli.StringFlag{Name: flagPeerAccount, Usage: "the other account's `NAME`"},
		),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			if c.IsSet(flagAccount) != c.IsSet(flagPeerAccount) {
				return exit.Errorf(exit.Usage, "--%s and --%s go together", flagAccount, flagPeerAccount)
			}
			in := transcript.Input{R: c.App.Reader, Account: c.String(flagAccount), PeerAccount: c.String(flagPeerAccount)}
			if c.Bool(flagJSON) {
				return transcript.ShowJSON(in, output(c))
			}
			return transcript.Show(in, output(c), terminal.Colour(ioOf(c).Out), c.Bool(flagFull))
		},
	}
}

func toolkitSessKeysCommand() *cli.Command {
	return &cli.Command{
		Name:      "sesskeys",
		Usage:     "derive session keys from D-H values",
		ArgsUsage: "OUR_PRIVATE THEIR_PUBLIC",
		Description: "Versions 2 and 3. The session id is the one that chat clients show. Leading zeros of\n" +
			"either value do no harm.\n\n" +
			"  otrpipe toolkit sesskeys @private @public\n" +
			"  otrpipe toolkit sesskeys --json @private @public",
		Flags:  cmdline.In(groupAnswer, jsonFlag()),
		Action: sessionKeys,
	}
}

func sessionKeys(c *cli.Context) error {
	args, err := hexArguments(c, "OUR_PRIVATE", "THEIR_PUBLIC")
	if err != nil {
		return err
	}
	rows, err := toolkit.SessionKeys(args[0], args[1])
	if err != nil {
		return exit.Errorf(exit.Failure, "%w", exit.Plain(err))
	}
	if c.Bool(flagJSON) {
		return json.NewEncoder(output(c)).Encode(rows)
	}
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "%-20s %v\n", strings.ReplaceAll(r.Name, "_", " "), r.Value)
	}
	_, err = io.WriteString(output(c), b.String())
	return err
}

func toolkitMACKeyCommand() *cli.Command {
	return &cli.Command{
		Name:      "mackey",
		Usage:     "show the MAC key that follows from an encryption key",
		ArgsUsage: "KEY",
		Description: "KEY is an AES key of versions 2 and 3, of 32 hexadecimal digits, or a message key of\n" +
			"version 4, of 128.\n\n" +
			"  otrpipe toolkit mackey @key\n" +
			"  otrpipe toolkit mackey 00112233445566778899aabbccddeeff",
		Action: func(c *cli.Context) error {
			args, err := hexArguments(c, "KEY")
			if err != nil {
				return err
			}
			k, err := toolkit.MACKey(args[0])
			if err != nil {
				return exit.Errorf(exit.Failure, "%w", exit.Plain(err))
			}
			_, err = fmt.Fprintf(output(c), "%x\n", k)
			return err
		},
	}
}

// numberFlag chooses one message of a transcript.
func numberFlag() cli.Flag {
	return &cli.IntFlag{Name: flagNumber, Usage: "only message `N` of the input, as toolkit parse counts them", DefaultText: "all that the key fits"}
}

func toolkitReadForgeCommand() *cli.Command {
	return &cli.Command{
		Name:      "readforge",
		Usage:     "decrypt data messages, or put another text into them",
		ArgsUsage: "[KEY]",
		Description: "KEY is an AES key of versions 2 and 3, of 32 hexadecimal digits, or a message key or\n" +
			"a chain key of version 4, of 128. Messages under other keys are passed over; if the key fits\n" +
			"none, nothing is forged and the exit code is 1.\n\n" +
			"  otrpipe toolkit readforge --keylog keys < log\n" +
			"  otrpipe toolkit readforge @key --text 'never mind' < log",
		Flags: cmdline.In(groupAnswer,
			&cli.StringFlag{Name: flagKeyLog, Usage: "take the keys from `FILE`, which a stream command wrote"},
			&cli.StringFlag{Name: flagText, Usage: "forge: print each message with the text `NEW` in it"},
			numberFlag(),
			jsonFlag(),
		),
		Action: readForge,
	}
}

func readForge(c *cli.Context) error {
	key, log, err := readingKey(c)
	if err != nil {
		return err
	}
	number, err := messageNumber(c)
	if err != nil {
		return err
	}
	if c.IsSet(flagText) && c.Bool(flagJSON) {
		return exit.Errorf(exit.Usage, "--%s and --%s contradict each other", flagText, flagJSON)
	}
	found := []toolkit.Fields{}
	out := terminal.Output(ioOf(c).Out)
	fit, others, err := transcript.Fit(transcript.Input{R: c.App.Reader}, number, func(m *toolkit.Message) error {
		k := key
		if log != nil {
			var ok bool
			if k, ok = log.Find(m); !ok {
				return toolkit.ErrWrongKey
			}
		}
		if c.IsSet(flagText) {
			line, err := toolkit.Forge(m, k, []byte(c.String(flagText)))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(output(c), "%s\n", line)
			return err
		}
		p, err := toolkit.Read(m, k)
		if err != nil {
			return err
		}
		if c.Bool(flagJSON) {
			found = append(found, toolkit.PlaintextFields(m, p))
			return nil
		}
		for _, t := range p.TLVs {
			ioOf(c).Detail("message %d carries a TLV of type %d with %d bytes", m.Number, t.Type, len(t.Value))
		}
		_, err = out.Write(append(bytes.Clone(p.Text), '\n'))
		return err
	})
	if err == nil && others > 0 {
		ioOf(c).Note("%d of %d data messages are under other keys", others, fit+others)
	}
	if c.Bool(flagJSON) && fit > 0 {
		if jerr := json.NewEncoder(output(c)).Encode(found); err == nil {
			err = jerr
		}
	}
	return err
}

// readingKey returns the key of the argument, or the log of --keylog.
func readingKey(c *cli.Context) ([]byte, *toolkit.KeyLog, error) {
	name := c.String(flagKeyLog)
	if name == "" {
		args, err := hexArguments(c, "KEY")
		if err != nil {
			return nil, nil, err
		}
		return args[0], nil, nil
	}
	if c.Args().Present() {
		return nil, nil, exit.Errorf(exit.Usage, "--%s stands in the place of KEY", flagKeyLog)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, exit.Errorf(exit.KeyFile, "--%s: %w", flagKeyLog, err)
	}
	defer f.Close()
	log, err := toolkit.ReadKeyLog(f)
	if err != nil {
		return nil, nil, exit.Errorf(exit.KeyFile, "%s: %w", name, exit.Plain(err))
	}
	return nil, log, nil
}

func toolkitModifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "modify",
		Usage:     "replace a text that is guessed, knowing only a MAC key",
		ArgsUsage: "MAC_KEY OLD NEW OFFSET",
		Description: "OLD is what stands at byte OFFSET of the text, which need not be readable. NEW has\n" +
			"as many bytes. MAC_KEY has 40 hexadecimal digits in versions 2 and 3 and 128 in version 4;\n" +
			"clients reveal these keys once they are used up, and toolkit parse shows them.\n\n" +
			"  otrpipe toolkit modify @mackey noon nine 8 < log\n" +
			"  otrpipe toolkit modify --number 7 @mackey noon nine 8 < log",
		Flags:  cmdline.In(groupAnswer, numberFlag()),
		Action: modify,
	}
}

func modify(c *cli.Context) error {
	if err := argumentCount(c, "MAC_KEY", "OLD", "NEW", "OFFSET"); err != nil {
		return err
	}
	macKey, err := hexArgument(c.Args().First(), "MAC_KEY")
	if err != nil {
		return err
	}
	number, err := messageNumber(c)
	if err != nil {
		return err
	}
	offset, err := strconv.Atoi(c.Args().Get(3))
	if err != nil || offset < 0 {
		return exit.Errorf(exit.Usage, "OFFSET: %q is not a number of bytes", c.Args().Get(3))
	}
	_, _, err = transcript.Fit(transcript.Input{R: c.App.Reader}, number, func(m *toolkit.Message) error {
		line, err := toolkit.Modify(m, macKey, []byte(c.Args().Get(1)), []byte(c.Args().Get(2)), offset)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(output(c), "%s\n", line)
		return err
	})
	return err
}

func toolkitRemacCommand() *cli.Command {
	return &cli.Command{
		Name:      "remac",
		Usage:     "authenticate a data message with a MAC key",
		ArgsUsage: "MAC_KEY [PARTS...]",
		Description: "With MAC_KEY alone the data messages on standard input are given a new\n" +
			"authenticator. With PARTS a data message of version 3 is made of them, or of version 2 where\n" +
			"both instance tags are 0: SENDER RECEIVER FLAGS SENDER_KEYID RECIPIENT_KEYID PUBKEY COUNTER\n" +
			"ENCRYPTED REVEALED. The first five are numbers, decimal or 0x…; the others are hexadecimal\n" +
			"digits or @FILE, \"\" where there are none.\n\n" +
			"  otrpipe toolkit remac @mackey < message\n" +
			"  otrpipe toolkit remac @mackey 0x100 0x101 0 1 1 @next 01 @text ''",
		Flags:  cmdline.In(groupAnswer, numberFlag()),
		Action: remac,
	}
}

func remac(c *cli.Context) error {
	names := []string{"MAC_KEY", "SENDER", "RECEIVER", "FLAGS", "SENDER_KEYID", "RECIPIENT_KEYID", "PUBKEY", "COUNTER", "ENCRYPTED", "REVEALED"}
	if c.NArg() != 1 && c.NArg() != len(names) {
		return exit.Errorf(exit.Usage, "%s takes MAC_KEY alone, or all ten of %s", c.Command.HelpName, strings.Join(names, ", "))
	}
	macKey, err := hexArgument(c.Args().First(), names[0])
	if err != nil {
		return err
	}
	if c.NArg() == 1 {
		number, err := messageNumber(c)
		if err != nil {
			return err
		}
		_, _, err = transcript.Fit(transcript.Input{R: c.App.Reader}, number, func(m *toolkit.Message) error {
			line, err := toolkit.Remac(m, macKey)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(output(c), "%s\n", line)
			return err
		})
		return err
	}
	if c.IsSet(flagNumber) {
		return exit.Errorf(exit.Usage, "--%s is for messages on standard input", flagNumber)
	}
	p, err := partsOf(c, names)
	if err != nil {
		return err
	}
	line, err := toolkit.Make3(p, macKey)
	if err != nil {
		return exit.Errorf(exit.Failure, "%w", exit.Plain(err))
	}
	_, err = fmt.Fprintf(output(c), "%s\n", line)
	return err
}

// partsOf reads the arguments of remac behind the first.
func partsOf(c *cli.Context, names []string) (p toolkit.Parts3, err error) {
	number := func(i int, most uint64) uint64 {
		v, perr := strconv.ParseUint(c.Args().Get(i), 0, 64)
		if (perr != nil || v > most) && err == nil {
			err = exit.Errorf(exit.Usage, "%s: %q is not a number from 0 to %d", names[i], c.Args().Get(i), most)
		}
		return v
	}
	data := func(i int) []byte {
		b, herr := hexArgument(c.Args().Get(i), names[i])
		if err == nil {
			err = herr
		}
		return b
	}
	p.Sender, p.Receiver = uint32(number(1, math.MaxUint32)), uint32(number(2, math.MaxUint32))
	p.Flags = byte(number(3, math.MaxUint8))
	p.SenderKeyID, p.RecipientKeyID = uint32(number(4, math.MaxUint32)), uint32(number(5, math.MaxUint32))
	p.NextDH = data(6)
	counter := data(7)
	p.Encrypted = data(8)
	p.OldMACKeys = data(9)
	if err == nil && len(counter) > 8 {
		err = exit.Errorf(exit.Usage, "%s has %d bytes, and at most 8 are possible", names[7], len(counter))
	}
	if err == nil {
		for _, b := range counter {
			p.Counter = p.Counter<<8 | uint64(b)
		}
	}
	return p, err
}

// argumentCount refuses other arguments than those of the names.
func argumentCount(c *cli.Context, names ...string) error {
	if c.NArg() != len(names) {
		return exit.Errorf(exit.Usage, "%s takes %s", c.Command.HelpName, strings.Join(names, " "))
	}
	return nil
}

// hexArguments reads exactly these arguments.
func hexArguments(c *cli.Context, names ...string) ([][]byte, error) {
	if err := argumentCount(c, names...); err != nil {
		return nil, err
	}
	all := make([][]byte, len(names))
	for i, name := range names {
		var err error
		if all[i], err = hexArgument(c.Args().Get(i), name); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// hexArgument reads hexadecimal digits, or those of the file that "@FILE" names. No error
// quotes them.
func hexArgument(arg, name string) ([]byte, error) {
	code := exit.Usage
	if file, ok := strings.CutPrefix(arg, "@"); ok {
		code = exit.KeyFile
		f, err := os.Open(file)
		if err != nil {
			return nil, exit.Errorf(code, "%s: %w", name, err)
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
		if err != nil {
			return nil, exit.Errorf(code, "%s: %w", name, err)
		}
		if len(b) > maxKeyFile {
			return nil, exit.Errorf(code, "%s: %s is longer than %d bytes", name, file, maxKeyFile)
		}
		arg = strings.TrimSpace(string(b))
	}
	b, err := hex.DecodeString(arg)
	if errors.Is(err, hex.ErrLength) {
		return nil, exit.Errorf(code, "%s has an odd number of hexadecimal digits: %d", name, len(arg))
	}
	if err != nil {
		return nil, exit.Errorf(code, "%s is not made of hexadecimal digits", name)
	}
	return b, nil
}

// messageNumber returns the value of --number, or 0.
func messageNumber(c *cli.Context) (int, error) {
	if n := c.Int(flagNumber); !c.IsSet(flagNumber) || n > 0 {
		return n, nil
	}
	return 0, exit.Errorf(exit.Usage, "--%s: messages are counted from 1", flagNumber)
}
