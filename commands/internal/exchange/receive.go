package exchange

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"otrpipe/commands/internal/code"
	"otrpipe/commands/internal/descriptor"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/files"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/transfer"
)

// MaxBytesFlag limits what is received.
const MaxBytesFlag = "max-bytes"

// RefuseCode returns an error, which does not repeat them, if arguments of the command line are
// the words of a code.
func RefuseCode(arguments []string) error {
	parsed, err := code.Parse([]byte(strings.Join(arguments, " ")))
	if err != nil {
		return nil
	}
	clear(parsed)
	return exit.Errorf(exit.Usage, "a code is no argument: other users of this machine can read those").
		WithHint("leave the words out and add --%s, which asks for them", CodeFlag)
}

// NewReceiving makes the transfer of an end that receives at most limit bytes into the folder
// dir; 0: any number. It writes the path of each received file or folder to out, one per line.
// The caller closes the folder.
func NewReceiving(p *terminal.IO, out io.Writer, dir string, limit int64) (t *Transfer, folder io.Closer, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		e := exit.Errorf(exit.Failure, "%s cannot be received into: %w", dir, err)
		if errors.Is(err, fs.ErrNotExist) {
			if err := RefuseCode([]string{dir}); err != nil {
				return nil, nil, err
			}
			return nil, nil, e.WithHint("make the folder first: mkdir -p %s", exit.ShellWord(dir))
		}
		return nil, nil, e
	}
	cfg := transfer.ReceiveConfig{
		Dir: root, MaxBytes: limit,
		KeptAside: func(name, aside string) {
			p.Note("an unfinished %s of before does not belong to this one; it is kept as %s", name, filepath.Join(dir, aside))
		},
		Kept: func(name string, n int64) {
			p.Note("%s of %s are kept; the same command continues it", terminal.Size(n), name)
		},
	}
	if isHome(dir) {
		cfg.NoDotFiles = "in a home folder it could take effect; receive it into another one"
	}
	where := "in " + dir
	if dir == "." {
		where = "in this folder"
	}
	return &Transfer{
		IO: p, verb: "received", other: "sender", where: where,
		run: func(link transfer.Link, progress transfer.Progress) ([]transfer.Done, error) {
			cfg.Progress = progress
			return transfer.Receive(link, cfg)
		},
		arrived: func(done []transfer.Done) error {
			if len(done) > 0 && !isFolder(root, dir) {
				return exit.Errorf(exit.Failure, "%s was moved or replaced meanwhile; what was received is in the folder that had this name", dir)
			}
			defer descriptor.PipeErrors()()
			for _, d := range done {
				if _, err := fmt.Fprintln(out, filepath.Join(dir, d.Name)); err != nil {
					e := files.OutputError(err)
					return exit.Errorf(e.Code, "%w; what was received is in %s all the same", e, dir)
				}
			}
			return nil
		},
	}, root, nil
}

// isFolder reports whether dir still is the folder that was opened as root.
func isFolder(root *os.Root, dir string) bool {
	opened, err := root.Stat(".")
	if err != nil {
		return false
	}
	there, err := os.Stat(dir)
	return err == nil && os.SameFile(opened, there)
}

// isHome reports whether dir is the user's home folder.
func isHome(dir string) bool {
	home, err := os.UserHomeDir()
	if err != nil {
		return false
	}
	one, err1 := os.Stat(home)
	other, err2 := os.Stat(dir)
	return err1 == nil && err2 == nil && os.SameFile(one, other)
}

// MaxBytes reads the value of --max-bytes: a number of bytes above 0, or of thousands (k),
// millions (M) and so on (G, T).
func MaxBytes(text string) (int64, error) {
	digits, unit := text, int64(1)
	if n := len(text); n > 0 {
		if i := strings.IndexByte("kMGT", text[n-1]); i >= 0 {
			digits = text[:n-1]
			for range i + 1 {
				unit *= 1000
			}
		}
	}
	limit, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || limit <= 0 || limit > (1<<62)/unit {
		return 0, exit.Errorf(exit.Usage, "--%s: %q is not a number of bytes, such as 500000 or 2G", MaxBytesFlag, text)
	}
	return limit * unit, nil
}
