package keyfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"

	"otrpipe/otr/wire"
)

// Several processes can use one identity at the same time, and a peer of theirs has to tell
// them apart. Each is a client of its own: the first has the identity's instance tag, the
// others have tags that are drawn once and kept, so that a peer meets the same few clients
// again. The same holds for their client profiles, which name the tag.

const (
	tagPrefix     = "instance-" // then the client's number; an instance tag
	profilePrefix = "profile-"  // then the versions that it announces; but for the first client a "-" and its number

	// MaxClients bounds the clients of one identity that are kept: nobody runs more at once,
	// and a peer remembers each.
	MaxClients = 8

	// maxClientProfile is the longest client profile in bytes that is kept: with a DSA key
	// and all signatures it has less than 1 KiB.
	maxClientProfile = 4096
)

// ClientTag returns the instance tag of a client of an identity that was opened from this
// home: of the first, 1, the identity's; of each other, up to MaxClients, one that is drawn
// from rand at its first start and kept.
func (h *Home) ClientTag(id *Identity, client int, rand io.Reader) (uint32, error) {
	if client == 1 {
		return id.InstanceTag, nil
	}
	folder, err := h.identity(id.Name)
	if err != nil {
		return 0, err
	}
	path := filepath.Join(folder, tagPrefix+strconv.Itoa(client))
	text, err := h.renewed(path, len("01234567\n"), func(kept []byte) ([]byte, error) {
		if _, err := keptTag(kept); err == nil {
			return kept, nil
		}
		tag, err := NewInstanceTag(rand)
		return fmt.Appendf(nil, "%08x\n", tag), err
	})
	if err != nil {
		return 0, err
	}
	return keptTag(text)
}

// keptTag reads the file of an instance tag.
func keptTag(text []byte) (uint32, error) {
	digits, _ := bytes.CutSuffix(text, []byte("\n"))
	tag, err := parseTag(string(digits))
	if err == nil && tag < minInstanceTag {
		err = fmt.Errorf("%w: instance tag %#x", ErrFormat, tag)
	}
	return tag, err
}

// ClientProfile returns the client profile of OTR version 4 of a client, from 1 on, of an
// identity that was opened from this home, as renew wants it: renew gets the one that is
// kept, nil if there is none, and returns that or a new one, which is kept from then on. It
// is called by one process at a time, so that all show their peers the same profile for its
// week. Versions tells apart what the profiles of one client announce. A profile is no secret
// and need not be well formed: renew looks.
func (h *Home) ClientProfile(id *Identity, client int, versions wire.Versions, renew func(kept []byte) ([]byte, error)) ([]byte, error) {
	folder, err := h.identity(id.Name)
	if err != nil {
		return nil, err
	}
	name := profilePrefix + versions.Digits()
	if client > 1 {
		name += "-" + strconv.Itoa(client)
	}
	return h.renewed(filepath.Join(folder, name), maxClientProfile, renew)
}

// renewed returns what a file has, of at most limit bytes, as renew wants it.
func (h *Home) renewed(path string, limit int, renew func(kept []byte) ([]byte, error)) ([]byte, error) {
	kept, err := h.readKept(path, limit)
	if err != nil {
		return nil, err
	}
	if text, err := renew(kept); err != nil || bytes.Equal(text, kept) {
		return text, err
	}
	unlock, err := h.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if kept, err = h.readKept(path, limit); err != nil { // another process may have been first
		return nil, err
	}
	text, err := renew(kept)
	if err != nil || bytes.Equal(text, kept) {
		return text, err
	}
	return text, replaceFile(path, text)
}

func (h *Home) readKept(path string, limit int) ([]byte, error) {
	kept, err := h.readPrivate(path, limit)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrFormat) { // too long: it is made anew
		return nil, nil
	}
	return kept, err
}
