package transfer

import (
	"errors"
	"io/fs"
	"os"
	"sync"
)

// syncWorkers is how many files are flushed at once. File systems flush several files together
// in much less time than one after the other.
const syncWorkers = 16

// syncTree flushes all files and folders of a folder to disk, so that a power failure cannot
// take anything away that the sender was told is stored.
func (r *receiver) syncTree(tree *os.Root) error {
	files, failed := make(chan string), make(chan error, syncWorkers)
	var workers sync.WaitGroup
	for range syncWorkers {
		workers.Go(func() {
			var err error
			for name := range files {
				err = errors.Join(err, r.syncPath(tree, name, syncAccess))
			}
			failed <- err
		})
	}
	var folders []string
	err := fs.WalkDir(tree.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			folders = append(folders, name)
		case d.Type().IsRegular():
			files <- name
		}
		return nil
	})
	close(files)
	workers.Wait()
	for range syncWorkers {
		err = errors.Join(err, <-failed)
	}
	for _, name := range folders {
		if err == nil {
			err = r.syncFolder(tree, name)
		}
	}
	return err
}

// syncPath flushes the file or folder called name to disk.
func (r *receiver) syncPath(root *os.Root, name string, access int) error {
	f, err := root.OpenFile(name, access, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return r.sync(f)
}
