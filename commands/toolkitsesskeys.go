package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/transcript"
)

func toolkitSessKeysCommand() *cli.Command {
	return &cli.Command{
		Name:      "sesskeys",
		Usage:     "derive session keys from D-H values",
		ArgsUsage: "OUR_PRIVATE THEIR_PUBLIC",
		Description: "Versions 2 and 3. The session id is the one that chat clients show. Leading zeros of\n" +
			"either value do no harm.\n\n" +
			"  otrpipe toolkit sesskeys @private @public\n" +
			"  otrpipe toolkit sesskeys --json @private @public",
		Flags: cmdline.In(groupAnswer, jsonFlag()),
		Action: func(c *cli.Context) error {
			args, err := hexArguments(c, "OUR_PRIVATE", "THEIR_PUBLIC")
			if err != nil {
				return err
			}
			keys, err := transcript.DeriveSessionKeys(args[0], args[1])
			if err != nil {
				return err
			}
			return answer(c, keys)
		},
	}
}
