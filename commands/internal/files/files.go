// Package files reads and writes the files that a user names on the command line. The name -
// means a standard stream. No file is replaced unless the user asked for that.
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

// Read reads a file of at most limit bytes. public reports whether others can read it. Errors
// carry exit codes.
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

// Write writes a file whole or not at all. It writes to standard output if there is no name or
// the name is "-". Errors carry exit codes. With an error, written is how many bytes have been
// written: to a regular file none.
func (w Writer) Write(path string, data []byte) (written int, err error) {
	if isStandard(path) {
		if written, err = w.Standard.Write(data); err != nil {
			return written, OutputError(err)
		}
		return written, nil
	}
	err = keyfile.WriteFile(path, data, w.Replace)
	if err == nil {
		return len(data), nil
	}
	if part := (*keyfile.PartError)(nil); errors.As(err, &part) {
		written = part.Written
	}
	if errors.Is(err, keyfile.ErrExists) {
		return written, exit.Errorf(exit.KeyFile, "%w", exit.Plain(err)).WithHint("%s", hintReplace)
	}
	return written, exit.Key(err)
}

func isStandard(path string) bool { return path == "" || path == standard }

// defaultProtocol is Pidgin's name for XMPP, the network that most of libotr's files are for.
const defaultProtocol = "prpl-jabber"

// ExportAccount returns the account for one of libotr's files: the given one, completed with
// name and the usual protocol. It tells the user what it added.
func ExportAccount(io *terminal.IO, given keyfile.Account, name string) keyfile.Account {
	account := given
	if account.Name == "" {
		account.Name = name
	}
	if account.Protocol == "" {
		account.Protocol = defaultProtocol
	}
	if account != given {
		io.Note("exporting for account %v; others with --account and --protocol", account)
	}
	return account
}
