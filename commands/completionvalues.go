package commands

import (
	"strings"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/secret"
	"otrpipe/keyfile"
)

// What can stand as a value or an argument.
type completer func(t *typed) completion

func theseWords(texts ...string) completer {
	return func(*typed) completion {
		found := completion{action: actionWords, command: -1}
		for _, text := range texts {
			found.words = append(found.words, completionWord{text, ""})
		}
		return found
	}
}

func files(*typed) completion { return completion{action: actionFiles, command: -1} }

func folders(*typed) completion { return completion{action: actionFolders, command: -1} }

func theWords(list func(t *typed) []completionWord) completer {
	return func(t *typed) completion {
		return completion{action: actionWords, command: -1, words: list(t)}
	}
}

// flagValueWords says of every flag what its value can be; nil is what only the
// user knows.
var flagValueWords = withStreamFlags(map[string]completer{
	flagHome:                    folders,
	flagIdentity:                theWords((*typed).identities),
	flagIdentityFile:            files,
	flagPassphrase + "-file":    files,
	flagPassphrase + "-fd":      nil,
	flagNewPassphrase + "-file": files,
	flagNewPassphrase + "-fd":   nil,
	flagSecret + "-file":        files,
	flagSecret + "-fd":          nil,
	flagQuestion:                nil,
	flagProtocol:                nil,
	flagFormat:                  theseWords(keyfile.FormatLibotr, keyfile.FormatOTRPipe),
	flagOutput:                  files,
	flagInstanceTags:            files,
	flagTo:                      files,
	flagToInstance:              nil,
	flagReplyTo:                 theWords((*typed).contacts),
	flagUse:                     nil,
	flagData:                    nil,
	flagKeyLog:                  files,
	flagProfile:                 files,
	flagText:                    nil,
	flagNumber:                  nil,
	flagAs:                      nil,
})

// withStreamFlags adds what the table of stream flags says of their values.
func withStreamFlags(words map[string]completer) map[string]completer {
	for _, f := range options.Table {
		switch f.Kind {
		case options.Switch:
		case options.Secret:
			words[f.Name+secret.FileFlag], words[f.Name+secret.FDFlag] = files, nil
		default:
			words[f.Name] = streamCompleter(&f)
		}
	}
	return words
}

// streamCompleter is what the value of a stream flag can be; nil is what only the
// user knows.
func streamCompleter(f *options.Flag) completer {
	switch f.Completion {
	case options.Fixed:
		return theseWords(f.Values...)
	case options.Files:
		return files
	case options.Contacts:
		return theWords((*typed).contacts)
	case options.Fingerprints:
		return theWords((*typed).fingerprints)
	case options.Sessions:
		return theWords((*typed).sessions)
	case options.Versions:
		return theWords((*typed).versions)
	case options.Modes:
		return theWords((*typed).modes)
	}
	return nil
}

// argumentWords says of a command, by its path, what its arguments can be.
var argumentWords = map[string][]completer{
	"keys remove":       {theWords((*typed).identities)},
	"keys import":       {files},
	"contacts add":      {theWords((*typed).contacts)},
	"contacts trust":    {theWords((*typed).contacts), theWords((*typed).fingerprints)},
	"contacts distrust": {theWords((*typed).contacts), theWords((*typed).fingerprints)},
	"contacts remove":   {theWords((*typed).contacts), theWords((*typed).fingerprints)},
	"contacts rename":   {theWords((*typed).contacts)},
	"contacts import":   {files},
	"contacts export":   {files},
	"toolkit sesskeys":  {files, files},
	"toolkit mackey":    {files},
	"toolkit readforge": {files},
	"toolkit modify":    {files},
	"toolkit remac":     {files},
	"toolkit forge":     {files},
	"prekeys revoke":    {theseWords()}, // ids are known only with the passphrase
	"completion":        {theseWords(shellBash, shellZsh, shellFish)},
}

// valueOf is what the value of f can be; prefix is what stands before it in the
// same word.
func (t *typed) valueOf(f cli.Flag, prefix string) completion {
	what := flagValueWords[f.Names()[0]]
	if what == nil {
		return completion{action: actionWords, command: -1}
	}
	found := what(t)
	for i := range found.words {
		found.words[i].text = prefix + found.words[i].text
	}
	if found.action != actionWords && prefix != "" {
		found.action += " " + prefix
	}
	return found
}

// argument is what the next argument can be; false: there is none that is known.
func (t *typed) argument() (completion, bool) {
	list := argumentWords[strings.Join(t.path, " ")]
	if len(t.rest) >= len(list) {
		return completion{action: actionWords, command: -1}, false
	}
	if len(t.rest) > 0 {
		t.contact = t.rest[0]
	}
	return list[len(t.rest)](t), true
}
