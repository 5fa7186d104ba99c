package commands

import (
	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/options"
)

// The groups of flags, in the order in which help shows them. A flag's category is its group.
const (
	groupTransport  = options.TransportGroup
	groupPeer       = options.PeerGroup
	groupSession    = options.SessionGroup
	groupStream     = options.StreamGroup
	groupOffline    = "Somebody who is away"
	groupSMP        = "The comparison"
	groupExtraKey   = "The extra key"
	groupKeys       = "Our keys"
	groupAddress    = "The address"
	groupFile       = "The file"
	groupAnswer     = "Output"
	groupEverywhere = "Global flags"
)

var flagGroups = []string{
	groupTransport, groupPeer, groupOffline, groupSession, groupStream, groupSMP, groupExtraKey, groupKeys, groupAddress, groupFile, groupAnswer, groupEverywhere,
}

// The groups of commands, in the order in which help shows them. A command's category is its
// group.
const (
	groupCommandsKeys    = "Keys and contacts"
	groupCommandsStreams = "Streams"
	groupCommandsLive    = "Live sessions"
	groupCommandsOther   = "Other"
)

var commandGroups = []string{groupCommandsKeys, groupCommandsStreams, groupCommandsLive, groupCommandsOther}

// helpLayout is the layout of the help pages.
var helpLayout = cmdline.Layout{
	FlagGroups:    flagGroups,
	CommandGroups: commandGroups,
	GlobalGroup:   groupEverywhere,
	Footer:        "otrpipe help COMMAND explains one command; man otrpipe explains everything.",
	CommandFooter: manPageOf,
}

// manPageOf returns the name of the manual page of a command. A command's page also describes
// its subcommands.
func manPageOf(words []string) string { return "man " + programName + "-" + words[0] + " says more." }

// shortHelp is printed when no command is given.
const shortHelp = `
  otrpipe send FILE --listen 9000         send a file; shows what the other end types
  otrpipe keygen                          for all else, make your keys, once
  otrpipe fingerprint                     read this to the other end
  otrpipe chat --listen 9000              talk with somebody
  otrpipe connect --tcp host:9000         move bytes, over TCP or a command
  otrpipe serve -- cat                    let a program talk with the other end

otrpipe --help lists all commands; otrpipe help COMMAND explains one.
`
