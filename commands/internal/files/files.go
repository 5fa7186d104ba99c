// Package files reads and writes the files that a user names on the command line. The name -
// is a standard stream, and no file is replaced unless that was asked for.
package files

import (
	"errors"
	"io"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
)

// standard is the name of standard input or output.
const standard = "-"

// Read reads a file of at most limit bytes. Public tells whether others can read it. An error
// has its exit code.
func Read(path string, limit int) (b []byte, public bool, err error) {
	if path == standard {
		b, public, err = readStandardInput(limit)
	} else {
		b, public, err = keyfile.ReadOutside(path, limit)
	}
	return b, public, exit.Key(err)
}

// A Writer writes the files of one command.
type Writer struct {
	Standard io.Writer // standard output
	Replace  bool      // files that exist are replaced
}

// Check fails early where Write would refuse to replace a file.
func (w Writer) Check(path string) error {
	if isStandard(path) || w.Replace || !keyfile.Exists(path) {
		return nil
	}
	return exit.Errorf(exit.KeyFile, "%s exists already", path).WithHint("%s", hintReplace)
}

const hintReplace = "replace it with --force"

// Write writes a file whole or not at all; without a name, or with that of standard output,
// it writes there. An error has its exit code.
func (w Writer) Write(path string, data []byte) error {
	if isStandard(path) {
		_, err := w.Standard.Write(data)
		return err
	}
	err := keyfile.WriteFile(path, data, w.Replace)
	if errors.Is(err, keyfile.ErrExists) {
		return exit.Errorf(exit.KeyFile, "%w", exit.Plain(err)).WithHint("%s", hintReplace)
	}
	return exit.Key(err)
}

func isStandard(path string) bool { return path == "" || path == standard }

// defaultProtocol is what Pidgin calls XMPP, the network where most of libotr's files come
// from.
const defaultProtocol = "prpl-jabber"

// ExportAccount is the account that a file for libotr is about: the given one, completed with
// name and the usual protocol. The user is told of what was completed.
func ExportAccount(io *terminal.IO, given keyfile.Account, name string) keyfile.Account {
	account := given
	if account.Name == "" {
		account.Name = name
	}
	if account.Protocol == "" {
		account.Protocol = defaultProtocol
	}
	if account != given {
		io.Note("exported for account %v; others with --account and --protocol", account)
	}
	return account
}
