package commands

import "github.com/urfave/cli/v2"

// commandList is every command, in the order that help shows them.
func commandList() []*cli.Command {
	return []*cli.Command{
		keygenCommand(),
		fingerprintCommand(),
		keysCommand(),
		contactsCommand(),
		encryptStreamCommand(),
		decryptStreamCommand(),
		connectCommand(),
		serveCommand(),
		smpCommand(),
		statusCommand(),
		refreshCommand(),
		endCommand(),
		extraKeyCommand(),
	}
}
