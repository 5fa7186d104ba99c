package commands

import (
	"otrpipe/commands/internal/complete"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/secret"
	"otrpipe/keyfile"
)

// flagValueWords says of every flag what its value can be; nil is what only the
// user knows.
var flagValueWords = withStreamFlags(map[string]complete.Completer{
	flagHome:                    complete.AFolder,
	flagIdentity:                complete.Listed(knownIdentities),
	flagIdentityFile:            complete.AFile,
	flagPassphrase + "-file":    complete.AFile,
	flagPassphrase + "-fd":      nil,
	flagNewPassphrase + "-file": complete.AFile,
	flagNewPassphrase + "-fd":   nil,
	flagSecret + "-file":        complete.AFile,
	flagSecret + "-fd":          nil,
	flagQuestion:                nil,
	flagProtocol:                nil,
	flagFormat:                  complete.These(keyfile.FormatLibotr, keyfile.FormatOTRPipe),
	flagOutput:                  complete.AFile,
	flagInstanceTags:            complete.AFile,
	flagTo:                      complete.AFile,
	flagToInstance:              nil,
	flagReplyTo:                 complete.Listed(knownContacts),
	flagUse:                     nil,
	flagData:                    nil,
	flagKeyLog:                  complete.AFile,
	flagProfile:                 complete.AFile,
	flagText:                    nil,
	flagNumber:                  nil,
	flagAs:                      nil,
})

// withStreamFlags adds what the table of stream flags says of their values.
func withStreamFlags(words map[string]complete.Completer) map[string]complete.Completer {
	for _, f := range options.Table {
		switch f.Kind {
		case options.Switch:
		case options.Secret:
			words[f.Name+secret.FileFlag], words[f.Name+secret.FDFlag] = complete.AFile, nil
		default:
			words[f.Name] = streamCompleter(&f)
		}
	}
	return words
}

// streamCompleter is what the value of a stream flag can be; nil is what only the
// user knows.
func streamCompleter(f *options.Flag) complete.Completer {
	switch f.Completion {
	case options.Fixed:
		return complete.These(f.Values...)
	case options.Files:
		return complete.AFile
	case options.Contacts:
		return complete.Listed(knownContacts)
	case options.Fingerprints:
		return complete.Listed(knownFingerprints)
	case options.Sessions:
		return complete.Listed(knownSessions)
	case options.Versions:
		return knownVersions
	case options.Modes:
		return knownModes
	}
	return nil
}

// argumentWords says of a command, by its path, what its arguments can be.
var argumentWords = map[string][]complete.Completer{
	"keys remove":       {complete.Listed(knownIdentities)},
	"keys import":       {complete.AFile},
	"contacts add":      {complete.Listed(knownContacts)},
	"contacts trust":    {complete.Listed(knownContacts), complete.Listed(knownFingerprints)},
	"contacts distrust": {complete.Listed(knownContacts), complete.Listed(knownFingerprints)},
	"contacts remove":   {complete.Listed(knownContacts), complete.Listed(knownFingerprints)},
	"contacts rename":   {complete.Listed(knownContacts)},
	"contacts import":   {complete.AFile},
	"contacts export":   {complete.AFile},
	"toolkit sesskeys":  {complete.AFile, complete.AFile},
	"toolkit mackey":    {complete.AFile},
	"toolkit readforge": {complete.AFile},
	"toolkit modify":    {complete.AFile},
	"toolkit remac":     {complete.AFile},
	"toolkit forge":     {complete.AFile},
	"prekeys revoke":    {complete.These()}, // ids are known only with the passphrase
	"completion":        {complete.These(complete.Bash, complete.Zsh, complete.Fish)},
}
