package commands

import (
	"slices"

	"github.com/urfave/cli/v2"
)

// commandList is every command, in the order that help shows them.
func commandList() []*cli.Command {
	return slices.Concat(
		grouped(groupCommandsKeys,
			keygenCommand(),
			fingerprintCommand(),
			keysCommand(),
			contactsCommand(),
		),
		grouped(groupCommandsStreams,
			connectCommand(),
			chatCommand(),
			serveCommand(),
			encryptStreamCommand(),
			decryptStreamCommand(),
		),
		grouped(groupCommandsLive,
			smpCommand(),
			statusCommand(),
			refreshCommand(),
			endCommand(),
			extraKeyCommand(),
		),
		grouped(groupCommandsOther,
			toolkitCommand(),
			completionCommand(),
			completeCommand(),
		),
	)
}
