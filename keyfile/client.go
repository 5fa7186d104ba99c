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

// Several processes can use one identity at the same time, and a peer has to be able to tell
// them apart. So each process is a client of its own: the first has the identity's instance
// tag, and the others have tags that are drawn once and kept, so that a peer always meets the
// same few clients. The same is true of their client profiles, which contain the tag.

const (
	tagPrefix     = "instance-" // followed by the client's number; contains an instance tag
	profilePrefix = "profile-"  // followed by its versions and, except for the first client, "-" and its number

	// MaxClients bounds the clients of one identity whose tags are kept: nobody runs more at
	// the same time, and peers remember each of them.
	MaxClients = 8

	// maxClientProfile is the maximum length of a kept client profile, in bytes. With a DSA
	// key and all signatures a profile has less than 1 KiB.
	maxClientProfile = 4096
)

// ClientTag returns the instance tag of a client, numbered from 1 to MaxClients, of an
// identity that was opened from this home. Client 1 has the identity's tag. The tag of any
// other client is drawn from rand when it is first used, and kept.
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

// keptTag parses a file with an instance tag.
func keptTag(text []byte) (uint32, error) {
	digits, _ := bytes.CutSuffix(text, []byte("\n"))
	tag, err := parseTag(string(digits))
	if err == nil && tag < minInstanceTag {
		err = fmt.Errorf("%w: instance tag %#x", ErrFormat, tag)
	}
	return tag, err
}

// ClientProfile returns the OTR version 4 client profile of a client, numbered from 1 on, of
// an identity that was opened from this home. It calls renew with the kept profile, or nil if
// there is none. renew returns that profile or a new one, which is kept from then on. Only
// one process calls renew at a time, so that all processes show their peers the same profile
// for its week. A client has one profile for each set of announced versions. A profile is not
// secret. It may be malformed, which renew has to check.
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

// renewed passes the content of a file, at most limit bytes, to renew, and returns the
// result, which it writes if it is new.
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
	if kept, err = h.readKept(path, limit); err != nil { // another process may have written it
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
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrFormat) { // too long: make a new one
		return nil, nil
	}
	return kept, err
}
