package commands

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/descriptor"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/files"
)

const (
	flagUse      = "use"
	flagData     = "data"
	flagReceived = "received"

	// maxExtraData is the maximum length of --data in bytes: that of a TLV's value, less the 4
	// bytes of the use.
	maxExtraData = 65535 - 4
)

func extraKeyCommand() *cli.Command {
	return &cli.Command{
		Name:  "extra-key",
		Usage: "print the extra symmetric key of a live session",
		Description: "Both ends can derive a key from the session that nobody else has, for a file or a\n" +
			"channel outside it: 64 bytes in version 4, 32 in version 3, in hexadecimal digits. --use and --data tell the peer what it is for; the peer gets the event\n" +
			"extra_key, and extra-key --received prints the same key there.\n\n" +
			"  otrpipe extra-key --use 1\n" +
			"  otrpipe extra-key --received",
		Flags: append(controlFlags(), cmdline.In(groupExtraKey,
			&cli.StringFlag{Name: flagUse, Usage: "what the key is for, a number `N` that both ends know"},
			&cli.StringFlag{Name: flagData, Usage: "more data for the peer, in `HEX`"},
			&cli.BoolFlag{Name: flagReceived, Usage: "the key that the peer announced last; nothing is sent", DisableDefaultText: true},
		)...),
		Action: runExtraKey,
	}
}

func runExtraKey(c *cli.Context) error {
	if err := noArguments(c, "-s"); err != nil {
		return err
	}
	request := &control.ExtraKey{Received: c.Bool(flagReceived)}
	switch {
	case request.Received && (c.IsSet(flagUse) || c.IsSet(flagData)):
		return exit.Errorf(exit.Usage, "--%s contradicts --%s and --%s", flagReceived, flagUse, flagData)
	case !request.Received && !c.IsSet(flagUse):
		return exit.Errorf(exit.Usage, "%s needs --%s N: what the key is for", c.Command.HelpName, flagUse)
	case c.IsSet(flagUse):
		use, err := strconv.ParseUint(c.String(flagUse), 0, 32)
		if err != nil {
			return exit.Errorf(exit.Usage, "--%s: %q is not a number below 2^32", flagUse, c.String(flagUse))
		}
		request.Use = uint32(use)
	}
	if c.IsSet(flagData) {
		data, err := hex.DecodeString(c.String(flagData))
		if err != nil {
			return exit.Errorf(exit.Usage, "--%s: %q is not an even number of hexadecimal digits", flagData, c.String(flagData))
		}
		if len(data) > maxExtraData {
			return exit.Errorf(exit.Usage, "--%s has %d bytes; at most %d can be sent", flagData, len(data), maxExtraData)
		}
		request.Data = data
	}
	session, err := theSession(c)
	if err != nil {
		return err
	}
	defer session.Close()
	reply, err := session.Do(c.Context, control.Request{ExtraKey: request})
	if err != nil {
		return err
	}
	defer descriptor.PipeErrors()()
	if _, err = fmt.Fprintf(output(c), "%x\n", reply.Key); err == nil {
		return nil
	}
	e := files.OutputError(err)
	if request.Received {
		return e
	}
	return exit.Errorf(e.Code, "%w; the peer has been told of the key all the same", e).
		WithHint("the same command prints a key, which the peer is told of too and which replaces the other one")
}
