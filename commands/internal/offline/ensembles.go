package offline

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"otrpipe/commands/internal/descriptor"
	protocol "otrpipe/otr/offline"
)

const (
	// markPatience is how long to wait for another process that holds the lock of an ensemble
	// file. Other otrpipes hold it for one write to the home.
	markPatience = 2 * time.Second
	markPause    = 10 * time.Millisecond
)

var errFileBusy = errors.New("another process holds its lock")

// An ensembleFile is the user's file of ensembles, open for marking the used ones. It is nil for
// a file that is not regular or not writable, in which nothing is marked. It is locked from the
// first mark on, so that senders who share the file, each with their own home, take different
// ensembles.
type ensembleFile struct {
	file   *os.File
	locked bool
	places []int // the places of this process's mark
}

func openEnsembles(path string) *ensembleFile {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil
	}
	return &ensembleFile{file: f}
}

// mark marks the ensemble of r as used. It returns false if the ensemble is no longer in the
// file because another process has taken it. If nothing can be marked, it returns true, with an
// error that says why unless the file is nil.
//
// The mark is written over the beginning of the ensemble: the file keeps its length, owner,
// mode and names, and whatever else is in it, and at no time does a reader find half of a
// change.
func (e *ensembleFile) mark(r *protocol.Recipient) (there bool, err error) {
	if e == nil || e.file == nil {
		return true, nil
	}
	if err := e.lock(); err != nil {
		return true, err
	}
	text, err := io.ReadAll(io.NewSectionReader(e.file, 0, MaxEnsembleFile+1))
	if err != nil {
		return true, err
	}
	if len(text) > MaxEnsembleFile {
		return true, fmt.Errorf("it has more than %d bytes", MaxEnsembleFile)
	}
	if e.places = r.Places(text); len(e.places) == 0 {
		return false, nil
	}
	return true, e.write(protocol.UsedMark)
}

// unmark removes the mark of an ensemble that was not used after all. Places at which the file has
// another content now stay as they are. If it fails, an ensemble is wasted.
func (e *ensembleFile) unmark() {
	if e == nil || e.file == nil {
		return
	}
	e.places = slices.DeleteFunc(e.places, func(at int) bool {
		there := make([]byte, len(protocol.UsedMark))
		_, err := e.file.ReadAt(there, int64(at))
		return err != nil || string(there) != protocol.UsedMark
	})
	e.write(protocol.UnusedMark)
}

func (e *ensembleFile) write(mark string) error {
	for _, at := range e.places {
		if _, err := e.file.WriteAt([]byte(mark), int64(at)); err != nil {
			return err
		}
	}
	return nil
}

func (e *ensembleFile) lock() error {
	for begun := time.Now(); !e.locked; time.Sleep(markPause) {
		err := descriptor.Lock(e.file)
		switch {
		case err == nil:
			e.locked = true
			return nil
		case !errors.Is(err, descriptor.ErrLocked):
			return err
		case time.Since(begun) >= markPatience:
			return errFileBusy
		}
	}
	return nil
}

func (e *ensembleFile) close() {
	if e != nil && e.file != nil {
		e.file.Close()
		e.file = nil
	}
}
