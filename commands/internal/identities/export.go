package identities

import (
	"os"
	"path/filepath"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/files"
	"otrpipe/keyfile"
)

// Export writes a copy of the identity's private key file. It needs no passphrase.
func (c Choice) Export(out files.Writer, path string) error {
	name, err := c.Name()
	if err != nil {
		return err
	}
	file, err := c.Home.PrivateFile(name)
	if err != nil {
		return missing(err, name)
	}
	defer clear(file)
	_, err = out.Write(path, file)
	return err
}

// ExportLibotr writes the key of versions 2 and 3 as libotr's private key file, and the instance
// tag as libotr's instance tag file if a name is given for it.
func (c Choice) ExportLibotr(out files.Writer, path, tagsPath string) error {
	id, err := c.Open()
	if err != nil {
		return err
	}
	defer id.Wipe()
	account := files.ExportAccount(c.IO, c.Account, id.Name)
	text := keyfile.AppendLibotrKeys(nil, keyfile.LibotrKey{Account: account, Key: id.DSA})
	defer clear(text)
	var tags []byte
	if tagsPath != "" {
		if isOneFile(path, tagsPath) {
			return exit.Errorf(exit.Usage, "the keys and the instance tag cannot both be written to %s", tagsPath)
		}
		if id.InstanceTag == 0 && c.File != nil {
			return exit.Errorf(exit.KeyFile, "%s has no instance tag", *c.File).
				WithHint("otrpipe keys import %s gives it one; export that identity", exit.ShellWord(*c.File))
		}
		if tags, err = keyfile.AppendLibotrTags(nil, keyfile.LibotrTag{Account: account, Tag: id.InstanceTag}); err != nil {
			return exit.Key(err)
		}
		// Neither file is written if the other one is in the way.
		for _, path := range []string{path, tagsPath} {
			if err := out.Check(path); err != nil {
				return err
			}
		}
	}
	// The keys come first: if they cannot be written, there is no file of tags that is in the way of
	// the next attempt.
	if _, err := out.Write(path, text); err != nil {
		return err
	}
	if tagsPath != "" {
		if _, err := out.Write(tagsPath, tags); err != nil {
			e := exit.As(err)
			return exit.Errorf(e.Code, "the keys are exported, but not the instance tag: %w", e).WithHint("with --force, the same command writes both")
		}
	}
	if id.Ed448 != nil {
		c.IO.Note("left out the keys of version 4, which libotr does not know")
	}
	c.IO.Warn("the exported key is not protected: libotr's files have no passphrase")
	return nil
}

// isOneFile reports whether two paths name one file, so that writing the second would replace the
// first. A device or a pipe takes both.
func isOneFile(a, b string) bool {
	if a == "" || a == "-" || b == "-" {
		return false
	}
	first, errA := os.Stat(a)
	second, errB := os.Stat(b)
	if errA == nil && errB == nil {
		return first.Mode().IsRegular() && os.SameFile(first, second)
	}
	absA, errA := filepath.Abs(a)
	absB, errB := filepath.Abs(b)
	return errA == nil && errB == nil && absA == absB
}
