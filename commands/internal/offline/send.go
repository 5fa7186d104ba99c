package offline

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"otrpipe/commands/internal/descriptor"
	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
	"otrpipe/otr/keys"
	protocol "otrpipe/otr/offline"
)

// MaxEnsembleFile is the maximum length of an ensemble file in bytes: a thousand ensembles of up
// to four kilobytes, with as much text between them.
const MaxEnsembleFile = 8 << 20

// shownRefusals is how many unusable ensembles are reported one by one.
const shownRefusals = 5

// Send encrypts the input to one of the ensembles in file, whose name is path. instance, if not
// 0, selects an instance of the recipient.
func (c *Config) Send(file []byte, path string, instance uint32) error {
	c.event(events.Record{Event: events.Started, Identity: c.Identity.Name, Mode: c.mode(), PID: os.Getpid()})
	return c.ended(c.send(file, path, instance))
}

func (c *Config) send(file []byte, path string, instance uint32) error {
	valid, refused := protocol.ReadEnsembles(file, time.Now())
	for i, err := range refused {
		if i == shownRefusals {
			c.Warn("%s: %s more are not used", path, terminal.Count(len(refused)-i, "ensemble"))
			break
		}
		c.Warn("%s: %v", path, exit.Plain(err))
	}
	store, err := c.load()
	if err != nil {
		return err
	}
	defer store.Wipe()
	store.Expire()
	to, err := store.Choose(valid, nil, instance)
	if errors.Is(err, protocol.ErrSeveral) {
		var of []keys.Fingerprint
		if of, err = c.wanted(); err == nil {
			if to, err = store.Choose(valid, of, instance); len(of) == 0 {
				err = protocol.ErrSeveral
			}
		}
	}
	if err != nil {
		return chooseError(err, valid, path, bytes.Contains(file, []byte(protocol.UsedMark)))
	}
	if err := c.meet(peer{fingerprint: to.Fingerprint(), instance: to.InstanceTag()}, "encrypting to"); err != nil {
		return err
	}
	t, line, err := c.take(to, valid, path)
	if err != nil {
		return err
	}
	return c.write(t, line)
}

// take begins a session with the owner of to, using any of their ensembles, because another
// process may have taken to meanwhile. It marks the ensemble as used in the file, if possible,
// and in the home, so that the home never uses it again whatever happens to the file.
func (c *Config) take(to *protocol.Recipient, valid []*protocol.Recipient, path string) (t *protocol.Session, line []byte, err error) {
	file := openEnsembles(path)
	defer file.close()
	var marked *protocol.Recipient
	err = c.update(func(store *protocol.Store) error {
		for {
			to, err := store.Choose(valid, []keys.Fingerprint{to.Fingerprint()}, to.InstanceTag())
			if err != nil {
				return chooseError(err, valid, path, true)
			}
			there, err := file.mark(to)
			if err != nil {
				c.Detail("%s cannot be marked, only the home knows which ensembles are used: %v", path, exit.Plain(err))
				file.close()
			}
			if !there {
				valid = slices.DeleteFunc(slices.Clone(valid), func(r *protocol.Recipient) bool { return r == to })
				continue
			}
			marked = to
			if t, line, err = store.Write(to); err != nil {
				return err
			}
			t.Contact = c.Trust.Contact
			return store.Put(t, 0)
		}
	})
	if err != nil && marked != nil {
		file.unmark()
	}
	return t, line, err
}

// wanted returns the keys that the flags name, which select an owner in a file of several
// owners.
func (c *Config) wanted() ([]keys.Fingerprint, error) {
	if len(c.Trust.Expect) > 0 || c.Trust.Contact == "" {
		return c.Trust.Expect, nil
	}
	return contactKeys(c.Home, c.Trust.Contact)
}

// contactKeys returns the version 4 keys on file for a contact.
func contactKeys(home *keyfile.Home, name string) (of []keys.Fingerprint, err error) {
	contact, _, err := home.Contact(name)
	if err != nil {
		return nil, exit.Key(err)
	}
	for _, key := range contact.Keys {
		if key.Fingerprint.OTR() == 4 {
			of = append(of, key.Fingerprint)
		}
	}
	return of, nil
}

// chooseError explains why no ensemble can be chosen. used says that the file has used ones.
func chooseError(err error, valid []*protocol.Recipient, path string, used bool) error {
	switch {
	case errors.Is(err, protocol.ErrSeveral):
		e := exit.Errorf(exit.Usage, "%s has ensembles of several keys or instances, and none is named", path)
		r := valid[0]
		if slices.ContainsFunc(valid, func(o *protocol.Recipient) bool { return o.Fingerprint() != r.Fingerprint() }) {
			return e.WithHint("choose one with --contact NAME or --expect FINGERPRINT")
		}
		return e.WithHint("choose one with --instance, such as %08x", r.InstanceTag())
	case errors.Is(err, protocol.ErrNoEnsemble) && (len(valid) > 0 || used):
		return exit.Errorf(exit.Failure, "%s has no unused ensemble for this", path).
			WithHint("each serves one message; ask the recipient for new ones: otrpipe prekeys publish")
	case errors.Is(err, protocol.ErrNoEnsemble):
		return exit.Errorf(exit.Failure, "%s has no valid ensemble", path).
			WithHint("the recipient makes them with: otrpipe prekeys publish")
	}
	return exit.Failed(err)
}

// Reply encrypts the input in a stored session. name is the session's id, the beginning of that,
// or the session's contact.
func (c *Config) Reply(name string) error {
	c.event(events.Record{Event: events.Started, Identity: c.Identity.Name, Mode: c.mode(), PID: os.Getpid()})
	return c.ended(c.reply(name))
}

func (c *Config) reply(name string) error {
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	store, err := c.load()
	if err != nil {
		return err
	}
	defer store.Wipe()
	store.Expire()
	t, err := store.Session(name)
	switch {
	case errors.Is(err, protocol.ErrSeveral):
		return exit.Errorf(exit.Session, "several kept sessions are called %q", name).WithHint("otrpipe prekeys list shows their ids")
	case err != nil:
		return exit.Errorf(exit.Session, "no session %q is kept", name).WithHint("otrpipe prekeys list shows those that are")
	case t.Unread():
		return exit.Errorf(exit.Session, "the message that began session %s has not been read to its end", t.ID()).
			WithHint("read that message first: otrpipe decrypt-stream --offline")
	}
	if c.Trust.Contact == "" {
		c.Trust.Contact = t.Contact
	}
	if err := c.meet(peer{t.Fingerprint(), t.ID(), t.PeerInstance()}, "encrypting to"); err != nil {
		return err
	}
	return c.write(t, nil)
}

func (c *Config) mode() string {
	if c.Texts {
		return "lines"
	}
	return "stream"
}

// write writes first, the line that begins the message, and then the input encrypted in the
// session t.
func (c *Config) write(t *protocol.Session, first []byte) error {
	config := protocol.WriterConfig{Save: c.put, MaxLine: c.MaxSize, Rand: rand.Reader}
	w, err := protocol.NewWriter(t, protocol.Head{Size: inputSize(c.In)}, config)
	if err != nil {
		return exit.Failed(err)
	}
	if first != nil {
		lines, err := protocol.FirstLine(nil, first, config)
		if err != nil {
			return exit.Failed(err)
		}
		if err := c.out(lines); err != nil {
			return err
		}
	}
	move := c.writeStream
	if c.Texts {
		move = c.writeTexts
	}
	sent, err := move(w)
	if err != nil {
		return err
	}
	if err := c.put(t, 0); err != nil {
		return err
	}
	c.event(events.Record{Event: events.StreamEnded, Direction: "sent", Bytes: &sent})
	if t.Ended() {
		c.Detail("the session is ended: no reply can be read")
		return nil
	}
	c.Note("session %s is kept: otrpipe decrypt-stream reads a reply, otrpipe encrypt-stream --reply-to %.8s sends more", t.ID(), t.ID())
	return nil
}

// inputSize returns the number of bytes left to read in a regular file, and -1 for others.
func inputSize(f *os.File) int64 {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return -1
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil || at > info.Size() {
		return -1
	}
	return info.Size() - at
}

func (c *Config) writeStream(w *protocol.Writer) (sent int64, err error) {
	piece := make([]byte, protocol.BulkLen)
	defer clear(piece)
	size := inputSize(c.In)
	meter := c.newMeter("encrypted")
	defer meter.End()
	meter.Show(c.Trust.Contact, 0, size)
	var lines []byte
	for {
		n, err := io.ReadFull(descriptor.Stream{File: c.In}, piece)
		if n > 0 {
			var writeErr error
			if lines, writeErr = w.Write(lines[:0], piece[:n]); writeErr != nil {
				return sent, exit.Failed(writeErr)
			}
			if writeErr := c.out(lines); writeErr != nil {
				return sent, writeErr
			}
			sent += int64(n)
			meter.Show(c.Trust.Contact, sent, size)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		} else if err != nil {
			return sent, readError(err)
		}
	}
	if lines, err = w.End(lines[:0], c.Last); err != nil {
		return sent, exit.Failed(err)
	}
	return sent, c.out(lines)
}

func (c *Config) writeTexts(w *protocol.Writer) (sent int64, err error) {
	in := bufio.NewReaderSize(descriptor.Stream{File: c.In}, protocol.MaxText+2)
	var lines []byte
	var unsent error
	for number := 1; ; number++ {
		line, err := in.ReadSlice('\n')
		tooLong := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
		if line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")); err == nil || len(line) > 0 {
			switch {
			case tooLong || len(line) > protocol.MaxText:
				c.Warn("line %d of the input is not sent: it is too long", number)
				unsent = exit.Errorf(exit.Broken, "not everything of our input was sent")
			case bytes.IndexByte(line, 0) >= 0:
				c.Warn("line %d of the input is not sent: it has a NUL", number)
				unsent = exit.Errorf(exit.Broken, "not everything of our input was sent")
			case len(line) > 0:
				var writeErr error
				if lines, writeErr = w.Text(lines[:0], line); writeErr != nil {
					return sent, exit.Failed(writeErr)
				}
				if writeErr := c.out(lines); writeErr != nil {
					return sent, writeErr
				}
				sent += int64(len(line))
			}
		}
		if err == io.EOF {
			break
		} else if err != nil {
			return sent, readError(err)
		}
	}
	if lines, err = w.EndTexts(lines[:0], c.Last); err != nil {
		return sent, exit.Failed(err)
	}
	if err := c.out(lines); err != nil {
		return sent, err
	}
	return sent, unsent
}

func readError(err error) error {
	return exit.Errorf(exit.Failure, "reading the plaintext: %w", err).
		WithHint("what was written so far is no message: its end is missing")
}

// out writes lines to standard output in order.
func (c *Config) out(lines []byte) error {
	if _, err := (descriptor.Stream{File: c.Out}).Write(lines); err != nil {
		return outputError(err)
	}
	return nil
}

func outputError(err error) error {
	return exit.Errorf(exit.Failure, "writing the output: %w", err)
}
