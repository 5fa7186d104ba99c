package control

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

const holdSuffix = ".hold"

// A Held is a reservation of something that only one live session of the user may use.
type Held struct {
	lock        *flock.Flock
	left        bool
	stopRefresh func()
}

// Hold reserves the thing named what until Release or Leave is called or the process ends. It
// returns nil and false if another process, or another part of this one, holds it.
func Hold(dir string, what ...string) (h *Held, ok bool) {
	sum := sha256.Sum256([]byte(strings.Join(what, "\x00")))
	path := filepath.Join(dir, hex.EncodeToString(sum[:12])+holdSuffix)
	lock, err := takeLock(path)
	if err != nil {
		return nil, false
	}
	h = &Held{lock: lock, left: isMarked(lock), stopRefresh: keepFresh(path)}
	// Writing a mark again could lose it: on a full disk only its file is emptied.
	if !h.left && mark(lock) != nil {
		h.left = true
	}
	return h, true
}

// Left reports whether the previous holder never released it, because it was killed or called
// Leave.
func (h *Held) Left() bool { return h.left }

// Release ends the reservation.
func (h *Held) Release() {
	h.stopRefresh()
	unmark(h.lock)
	dropLock(h.lock)
}

// Leave ends the reservation in such a way that Left is true for all later holders.
func (h *Held) Leave() {
	h.stopRefresh()
	h.lock.Close()
}
