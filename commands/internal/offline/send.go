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
	"otrpipe/commands/internal/files"
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
	defer descriptor.PipeErrors()()
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
	in, err := c.openInput()
	if err != nil {
		return err
	}
	defer in.close()
	if c.Texts {
		// From now on the session is in the store, where others find it while its texts are written.
		unlock, err := c.lock()
		if err != nil {
			return err
		}
		defer unlock()
	}
	b, err := c.take(to, valid, path)
	if err != nil {
		return err
	}
	defer b.file.close()
	w := &writing{Config: c, session: b.session, in: in, begins: true, firstOut: b.file.close}
	if err := w.message(b.line); err != nil {
		if w.answerable() {
			return c.giveUp(w, err)
		}
		return c.abandon(b, w, err)
	}
	return w.finish()
}

// A beginning is a session with somebody who is away, of which nothing has been written yet.
type beginning struct {
	session *protocol.Session
	line    []byte // the line that begins its first message
	used    *protocol.Recipient
	file    *ensembleFile // open and locked until the line has been written
}

// take begins a session with the owner of to, using any of their ensembles, because another
// process may have taken to meanwhile. It marks the ensemble as used in the file, if possible,
// and in the home, so that the home never uses it again whatever happens to the file.
func (c *Config) take(to *protocol.Recipient, valid []*protocol.Recipient, path string) (*beginning, error) {
	b := &beginning{file: openEnsembles(path)}
	err := c.update(func(store *protocol.Store) error {
		for {
			to, err := store.Choose(valid, []keys.Fingerprint{to.Fingerprint()}, to.InstanceTag())
			if err != nil {
				return chooseError(err, valid, path, true)
			}
			there, err := b.file.mark(to)
			if err != nil {
				c.Detail("%s cannot be marked, only the home knows which ensembles are used: %v", path, exit.Plain(err))
				b.file.close()
			}
			if !there {
				valid = slices.DeleteFunc(slices.Clone(valid), func(r *protocol.Recipient) bool { return r == to })
				continue
			}
			b.used = to
			if b.session, b.line, err = store.Write(to); err != nil {
				return err
			}
			b.session.Contact = c.Trust.Contact
			if c.Texts {
				return store.Put(b.session, 0) // each text can be read and answered by itself
			}
			return nil
		}
	})
	if err != nil {
		if b.used != nil {
			b.file.unmark()
		}
		b.file.close()
		return nil, err
	}
	return b, nil
}

// abandon forgets a session whose first message could not be written whole, because nobody can read
// that message or a later one. If nothing of it was written, its ensemble is unused again. It
// completes the error with what the user can do.
func (c *Config) abandon(b *beginning, w *writing, failed error) error {
	unused := w.written == 0
	err := c.update(func(store *protocol.Store) error {
		store.Forget(b.session)
		if unused {
			store.Unspend(b.used)
		}
		return nil
	})
	e := exit.As(failed)
	switch {
	case err != nil:
		return e.WithHint("session %s is of no use, and cannot be deleted: %v; otrpipe prekeys revoke %s deletes it", b.session.ID(), err, b.session.ID())
	case unused:
		b.file.unmark()
		return e.WithHint("nothing was written, and the ensemble is unused again")
	}
	return e.WithHint("what was written is no message: its end is missing; the same command writes it anew, to another ensemble")
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
	defer descriptor.PipeErrors()()
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
	case t.Closed():
		return exit.Errorf(exit.Session, "the peer has ended session %s; it is kept only for messages that are still missing", t.ID()).
			WithHint("nobody could read a reply; write with --to instead")
	case t.Gap() > protocol.MaxGap:
		return exit.Errorf(exit.Session, "so much of session %s is lost that the peer cannot read what comes after it", t.ID()).
			WithHint("write with --to instead; otrpipe prekeys revoke %s deletes the session", t.ID())
	}
	if c.Trust.Contact == "" {
		c.Trust.Contact = t.Contact
	}
	if err := c.meet(peer{t.Fingerprint(), t.ID(), t.PeerInstance()}, "encrypting to"); err != nil {
		return err
	}
	in, err := c.openInput()
	if err != nil {
		return err
	}
	defer in.close()
	w := &writing{Config: c, session: t, in: in}
	if err := w.message(nil); err != nil {
		return c.giveUp(w, err)
	}
	return w.finish()
}

// giveUp stores the session of a message that could not be written whole, but goes on. Messages that were encrypted
// are lost to the session, written or not: their keys must not be used again. The state that was
// stored ahead of them would lose more of them, and the peer can read on after a limited gap only.
func (c *Config) giveUp(w *writing, failed error) error {
	e := exit.As(failed)
	if w.writer.Messages() == 0 {
		return e
	}
	id := w.session.ID()
	// With its last message the session here has ended, but what was stored ahead has not.
	if !w.session.Ended() {
		if err := c.put(w.session, 0); err != nil {
			c.Warn("session %s cannot be stored: %v", id, exit.Plain(err))
		}
	}
	if w.answerable() {
		return e.WithHint("the texts that were written can be read; session %s is kept: otrpipe encrypt-stream --reply-to %.8s sends the others", id, id)
	}
	if w.session.Gap() > protocol.MaxGap || w.session.Ended() && w.writer.Messages() > protocol.MaxGap {
		return e.WithHint("what was written is no message: its end is missing; so much of session %s is lost that the peer cannot read what comes after it: write with --to instead", id)
	}
	return e.WithHint("what was written is no message: its end is missing; the same command writes it anew")
}

func (c *Config) mode() string {
	if c.Texts {
		return "lines"
	}
	return "stream"
}

// A writing is a message that is being written.
type writing struct {
	*Config
	session  *protocol.Session
	in       *input
	begins   bool   // the message begins the session
	firstOut func() // called when the line that begins the session has been written
	writer   *protocol.Writer
	written  int64 // how many bytes the output has taken
	sent     int64 // how many bytes of the input these are
	unsent   error // not nil: the message is whole, but texts of the input are missing
}

// message writes first, the line that begins the message, and then the input encrypted in the
// session, to its end. After an error the message is incomplete.
func (w *writing) message(first []byte) (err error) {
	config := protocol.WriterConfig{Save: w.save, MaxLine: w.MaxSize, Rand: rand.Reader}
	if w.writer, err = protocol.NewWriter(w.session, protocol.Head{Size: w.in.size}, config); err != nil {
		return exit.Failed(err)
	}
	if first != nil {
		lines, err := protocol.FirstLine(nil, first, config)
		if err != nil {
			return exit.Failed(err)
		}
		if err := w.out(lines); err != nil {
			return err
		}
		w.firstOut()
	}
	if w.Texts {
		return w.texts()
	}
	return w.stream()
}

// save stores the session ahead of its messages. If a stream begins the session, it is only stored
// before the end of that, when the peer will be able to answer. If we are interrupted, no session is
// left of which the peer knows nothing.
func (w *writing) save(t *protocol.Session, ahead int) error {
	if w.begins && !w.Texts {
		return nil
	}
	return w.put(t, ahead)
}

// answerable reports whether the peer can answer the part of the message that has been written: of
// texts each can be read by itself.
func (w *writing) answerable() bool { return w.Texts && w.sent > 0 }

// finish stores the session in its state after the message, which is whole. If a stream has begun the
// session, that was stored in this state before the end, and another process may have gone on in it
// since: to store it again would make keys serve twice.
func (w *writing) finish() error {
	t := w.session
	if !w.begins || w.Texts {
		t.HandedOut(0)
		if err := w.put(t, 0); err != nil {
			return err
		}
	}
	w.event(events.Record{Event: events.StreamEnded, Direction: "sent", Bytes: &w.sent})
	if t.Ended() {
		w.Detail("the session is ended: no reply can be read")
	} else {
		w.Note("session %s is kept: otrpipe decrypt-stream reads a reply, otrpipe encrypt-stream --reply-to %.8s sends more", t.ID(), t.ID())
	}
	return w.unsent
}

// An input is the plaintext to encrypt.
type input struct {
	from io.Reader
	size int64 // -1: unknown
	// For a stream, the first piece and what reading it returned. Its buffer is for the others too.
	piece []byte
	n     int
	err   error
	lines *bufio.Reader // for texts
}

// openInput reads the beginning of the input, so that one that cannot be read costs no ensemble and no
// keys.
func (c *Config) openInput() (*input, error) {
	in := &input{from: descriptor.Stream{File: c.In}, size: inputSize(c.In)}
	if c.Texts {
		in.lines = bufio.NewReaderSize(in.from, protocol.MaxText+2)
		_, in.err = in.lines.Peek(1)
	} else {
		in.piece = make([]byte, protocol.BulkLen)
		in.n, in.err = io.ReadFull(in.from, in.piece)
	}
	if in.err != nil && in.err != io.EOF && in.err != io.ErrUnexpectedEOF {
		in.close()
		return nil, readError(in.err)
	}
	return in, nil
}

// close wipes the plaintext.
func (in *input) close() { clear(in.piece) }

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

func (w *writing) stream() error {
	in, size := w.in, w.in.size
	meter := w.newMeter("encrypted")
	defer meter.End()
	meter.Show(w.Trust.Contact, 0, size)
	var lines []byte
	for n, err := in.n, in.err; ; n, err = io.ReadFull(in.from, in.piece) {
		if n > 0 {
			var writeErr error
			if lines, writeErr = w.writer.Write(lines[:0], in.piece[:n]); writeErr != nil {
				return exit.Failed(writeErr)
			}
			if writeErr := w.out(lines); writeErr != nil {
				return writeErr
			}
			w.sent += int64(n)
			meter.Show(w.Trust.Contact, w.sent, size)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		} else if err != nil {
			return readError(err)
		}
	}
	if w.begins && !w.Last {
		w.session.HandedOut(1)
		if err := w.put(w.session, 1); err != nil {
			return err
		}
	}
	lines, err := w.writer.End(lines[:0], w.Last)
	if err != nil {
		return exit.Failed(err)
	}
	return w.out(lines)
}

func (w *writing) texts() error {
	in := w.in.lines
	var lines []byte
	for number := 1; ; number++ {
		line, err := in.ReadSlice('\n')
		tooLong := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
		if line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")); err == nil || len(line) > 0 {
			switch {
			case tooLong || len(line) > protocol.MaxText:
				w.Warn("line %d of the input is not sent: it is too long", number)
				w.unsent = exit.Errorf(exit.Broken, "not everything of our input was sent")
			case bytes.IndexByte(line, 0) >= 0:
				w.Warn("line %d of the input is not sent: it has a NUL", number)
				w.unsent = exit.Errorf(exit.Broken, "not everything of our input was sent")
			case len(line) > 0:
				var writeErr error
				if lines, writeErr = w.writer.Text(lines[:0], line); writeErr != nil {
					return exit.Failed(writeErr)
				}
				if writeErr := w.out(lines); writeErr != nil {
					return writeErr
				}
				w.session.HandedOut(0)
				w.sent += int64(len(line))
			}
		}
		if err == io.EOF {
			break
		} else if err != nil {
			return readError(err)
		}
	}
	lines, err := w.writer.EndTexts(lines[:0], w.Last)
	if err != nil {
		return exit.Failed(err)
	}
	return w.out(lines)
}

func readError(err error) error {
	return exit.Errorf(exit.Failure, "reading the plaintext: %w", err)
}

// out writes lines to standard output in order.
func (w *writing) out(lines []byte) error {
	n, err := descriptor.Stream{File: w.Out}.Write(lines)
	w.written += int64(n)
	if err != nil {
		return files.OutputError(err)
	}
	return nil
}
