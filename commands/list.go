package commands

import (
	"slices"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
)

// commandList returns all commands, in the order in which help shows them.
func commandList() []*cli.Command {
	return slices.Concat(
		cmdline.InCategory(groupCommandsKeys,
			keygenCommand(),
			fingerprintCommand(),
			keysCommand(),
			contactsCommand(),
			prekeysCommand(),
		),
		cmdline.InCategory(groupCommandsStreams,
			sendCommand(),
			receiveCommand(),
			connectCommand(),
			chatCommand(),
			serveCommand(),
			encryptStreamCommand(),
			decryptStreamCommand(),
		),
		cmdline.InCategory(groupCommandsLive,
			smpCommand(),
			statusCommand(),
			refreshCommand(),
			endCommand(),
			extraKeyCommand(),
		),
		cmdline.InCategory(groupCommandsOther,
			toolkitCommand(),
			completionCommand(),
			completeCommand(),
		),
	)
}
