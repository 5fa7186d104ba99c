package commands

import (
	"otrpipe/commands/internal/complete"
	"otrpipe/commands/internal/complete/names"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/secret"
	"otrpipe/keyfile"
)

// flagValueWords returns, for each flag, the function that lists its possible values; nil means
// that any value is possible.
func flagValueWords() map[string]complete.Completer {
	return withStreamFlags(map[string]complete.Completer{
		flagHome:                    complete.AFolder,
		flagIdentity:                atHome(names.Identities),
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
		flagEnsembles:               complete.AFile,
		flagToInstance:              nil,
		flagReplyTo:                 atHome(names.Contacts),
		flagUse:                     nil,
		flagData:                    nil,
		flagCode + "-file":          complete.AFile,
		flagCode + "-fd":            nil,
		flagMaxBytes:                nil,
		flagKeyLog:                  complete.AFile,
		flagProfile:                 complete.AFile,
		flagText:                    nil,
		flagNumber:                  nil,
		flagAs:                      nil,
	})
}

// withStreamFlags adds the values from the table of stream flags.
func withStreamFlags(words map[string]complete.Completer) map[string]complete.Completer {
	for _, f := range options.Table() {
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

// streamCompleter returns the function that lists the possible values of a stream flag; nil
// means that any value is possible.
func streamCompleter(f *options.Flag) complete.Completer {
	switch f.Completion {
	case options.Fixed:
		return complete.These(f.Values...)
	case options.Files:
		return complete.AFile
	case options.Contacts:
		return atHome(names.Contacts)
	case options.Fingerprints:
		return complete.Listed(contactsFingerprints)
	case options.Sessions:
		return complete.Listed(sessionsForCommand)
	case options.Versions:
		return versionsForCommand
	case options.Modes:
		return modesForCommand
	}
	return nil
}

// argumentWords returns the possible arguments of each command, which is given by its path.
func argumentWords() map[string][]complete.Completer {
	return map[string][]complete.Completer{
		"keys remove":       {atHome(names.Identities)},
		"keys import":       {complete.AFile},
		"contacts add":      {atHome(names.Contacts)},
		"contacts trust":    {atHome(names.Contacts), complete.Listed(contactsFingerprints)},
		"contacts distrust": {atHome(names.Contacts), complete.Listed(contactsFingerprints)},
		"contacts remove":   {atHome(names.Contacts), complete.Listed(contactsFingerprints)},
		"contacts rename":   {atHome(names.Contacts)},
		"contacts address":  {atHome(names.Contacts)},
		"contacts import":   {complete.AFile},
		"contacts export":   {complete.AFile},
		"toolkit sesskeys":  {complete.AFile, complete.AFile},
		"toolkit mackey":    {complete.AFile},
		"toolkit readforge": {complete.AFile},
		"toolkit modify":    {complete.AFile},
		"toolkit remac":     {complete.AFile},
		"toolkit forge":     {complete.AFile},
		"prekeys revoke":    {complete.These()}, // ids can be read only with the passphrase
		commandChat:         {atHome(names.Reachable)},
		commandConnect:      {atHome(names.Reachable)},
		"send":              {complete.AFile, complete.AFile, complete.AFile, complete.AFile},
		"receive":           {complete.AFolder},
		"completion":        {complete.These(complete.Bash, complete.Zsh, complete.Fish)},
	}
}
