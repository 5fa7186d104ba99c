package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
)

// A commandMaker describes one command. A description with all its flags takes far longer to
// make than most commands take to run, so only those that are needed are made.
type commandMaker struct {
	name     string
	describe func() *cli.Command
	needsAll bool // the command looks at all the others
}

// commandTable is every command in its group, in the order that help shows them.
func commandTable() []commandCategory {
	return []commandCategory{
		{groupCommandsKeys, []commandMaker{
			{name: "keygen", describe: keygenCommand},
			{name: "fingerprint", describe: fingerprintCommand},
			{name: "keys", describe: keysCommand},
			{name: "contacts", describe: contactsCommand},
			{name: "prekeys", describe: prekeysCommand},
		}},
		{groupCommandsStreams, []commandMaker{
			{name: commandSend, describe: sendCommand},
			{name: commandReceive, describe: receiveCommand},
			{name: commandConnect, describe: connectCommand},
			{name: commandChat, describe: chatCommand},
			{name: commandServe, describe: serveCommand},
			{name: "encrypt-stream", describe: encryptStreamCommand},
			{name: "decrypt-stream", describe: decryptStreamCommand},
		}},
		{groupCommandsLive, []commandMaker{
			{name: "smp", describe: smpCommand},
			{name: "status", describe: statusCommand},
			{name: "refresh", describe: refreshCommand},
			{name: "end", describe: endCommand},
			{name: "extra-key", describe: extraKeyCommand},
		}},
		{groupCommandsOther, []commandMaker{
			{name: "toolkit", describe: toolkitCommand},
			{name: "completion", describe: completionCommand, needsAll: true},
			{name: "__complete", describe: completeCommand, needsAll: true},
		}},
	}
}

// A commandCategory is a group of commands, as help shows it.
type commandCategory struct {
	group    string
	commands []commandMaker
}

// commandList is every command.
func commandList() (all []*cli.Command) {
	for _, category := range commandTable() {
		for _, c := range category.commands {
			all = append(all, cmdline.InCategory(category.group, c.describe())...)
		}
	}
	return all
}

// commandsFor is the commands that a run with args, the first of which is the program's
// name, has to know: the one that comes first, or all where something else does.
func commandsFor(args []string) []*cli.Command {
	for _, category := range commandTable() {
		for _, c := range category.commands {
			if len(args) > 1 && args[1] == c.name && !c.needsAll {
				return cmdline.InCategory(category.group, c.describe())
			}
		}
	}
	return commandList()
}
