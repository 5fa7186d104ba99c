package commands

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/transfer"
)

const (
	commandReceive = "receive"
	flagMaxBytes   = "max-bytes"
)

func receiveCommand() *cli.Command {
	return &cli.Command{
		Name:      commandReceive,
		Usage:     "receive files and folders from otrpipe send",
		ArgsUsage: "[DIR]" + cmdline.ThenCommand,
		Description: "What the other end sends goes to the folder DIR, or to this one, by the names that it was sent with. Nothing is\n" +
			"overwritten. Standard output says where each file or folder is. The other end is verified as for otrpipe send; with\n" +
			"--code its code is asked for, where the Tab key completes a word after its first three letters.\n\n" +
			"  otrpipe receive --code --tcp alices.host:9000\n" +
			"  otrpipe receive --from alice --listen 9000 incoming",
		Flags:  append(transferFlags("from"), &cli.StringFlag{Name: flagMaxBytes, Category: groupStream, Usage: "refuse more than `N` bytes in all, such as 500000 or 2G"}),
		Action: runReceive,
	}
}

func runReceive(c *cli.Context) error {
	args, command := ownArguments(c)
	dir := "."
	if len(args) == 1 {
		dir = args[0]
	} else if len(args) > 1 {
		return exit.Errorf(exit.Usage, "%s takes one folder, not %q too", c.Command.HelpName, args[1])
	}
	limit, err := byteLimit(c)
	if err != nil {
		return err
	}
	if err := checkWay(c, len(command) > 0); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		return exit.Errorf(exit.Failure, "%s cannot be received into: %w", dir, err)
	}
	defer root.Close()
	p := ioOf(c)
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
	t := transferring{verb: "received", where: "in " + dir, run: func(link transfer.Link, progress transfer.Progress) ([]transfer.Done, error) {
		cfg.Progress = progress
		return transfer.Receive(link, cfg)
	}, arrived: func(done []transfer.Done) error {
		for _, d := range done {
			if _, err := fmt.Fprintln(output(c), filepath.Join(dir, d.Name)); err != nil {
				return err
			}
		}
		return nil
	}}
	return t.over(c, command)
}

// isHome says whether dir is the user's home folder.
func isHome(dir string) bool {
	home, err := os.UserHomeDir()
	if err != nil {
		return false
	}
	one, err1 := os.Stat(home)
	other, err2 := os.Stat(dir)
	return err1 == nil && err2 == nil && os.SameFile(one, other)
}

// byteLimit reads --max-bytes; 0: no limit is given.
func byteLimit(c *cli.Context) (int64, error) {
	if !c.IsSet(flagMaxBytes) {
		return 0, nil
	}
	text := c.String(flagMaxBytes)
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
		return 0, exit.Errorf(exit.Usage, "--%s: %q is not a number of bytes, such as 500000 or 2G", flagMaxBytes, text)
	}
	return limit * unit, nil
}
