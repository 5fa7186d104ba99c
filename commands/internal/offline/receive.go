package offline

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"

	"otrpipe/commands/internal/descriptor"
	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/files"
	"otrpipe/commands/internal/terminal"
	protocol "otrpipe/otr/offline"
	"otrpipe/otr/wire"
)

// maxLine is the maximum length of an input line, the same as in live sessions.
const maxLine = wire.MaxMessage

// peekLen is how much of a file to inspect to find out what it is. The first OTR message begins
// within it, even below the headers of a mail.
const peekLen = 64 << 10

// IsMessage reports whether f is a regular file whose first OTR message, from the present
// position on, was written to someone who was away. It does not move the position.
func IsMessage(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return false
	}
	head := make([]byte, peekLen)
	n, err := f.ReadAt(head, at)
	if err != nil && err != io.EOF {
		return false
	}
	const armor = "?OTR:"
	_, first, ok := bytes.Cut(head[:n], []byte(armor))
	// The base64 of version 4 and the types Non-Interactive-Auth and Data.
	return ok && (bytes.HasPrefix(first, []byte("AAQN")) || bytes.HasPrefix(first, []byte("AAQD")))
}

// Receive reads one message and writes its plaintext.
func (c *Config) Receive() error {
	defer descriptor.PipeErrors()()
	c.event(events.Record{Event: events.Started, Identity: c.Identity.Name, Mode: c.mode(), PID: os.Getpid()})
	return c.ended(c.receive())
}

func (c *Config) receive() error {
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	// Delete what has expired, even if nothing can be read.
	if err := c.update(func(*protocol.Store) error { return nil }); err != nil {
		return err
	}
	store, err := c.load()
	if err != nil {
		return err
	}
	defer store.Wipe()
	kind := protocol.KindStream
	if c.Texts {
		kind = protocol.KindTexts
	}
	meter := c.newMeter("decrypted")
	defer meter.End()
	r := &reading{Config: c, meter: meter, reader: protocol.NewReader(store, kind), out: c.Messages.Output(c.Out)}
	if err := r.lines(bufio.NewReaderSize(descriptor.Stream{File: c.In}, maxLine+2)); err != nil {
		return err
	}
	return r.finish()
}

// A reading is the state of Receive.
type reading struct {
	*Config
	reader *protocol.Reader
	out    io.Writer
	meter  *terminal.Meter
	size   int64 // of the plaintext, as the message announces it; 0: it does not
	bytes  int64
	// written is how many bytes the output has taken.
	written int64
	kept    bool // the session has been stored in its final state
}

// lines passes every line of the input to the reader. Lines that have already arrived are opened
// together, in batches.
func (r *reading) lines(in *bufio.Reader) error {
	var batch [protocol.Batch][]byte
	for {
		n := 0
		var err error
		for ended := false; n < len(batch) && !ended; {
			var line []byte
			line, err = r.next(in)
			if len(line) > 0 {
				batch[n] = append(batch[n][:0], line...)
				n++
			}
			// Do not hold back lines that have arrived for lines that have not.
			ahead, _ := in.Peek(in.Buffered())
			ended = err != nil || bytes.IndexByte(ahead, '\n') < 0
		}
		r.reader.Prepare(batch[:n])
		for _, line := range batch[:n] {
			if err := r.line(line); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return exit.Errorf(exit.Failure, "reading the input: %w", err)
		}
	}
}

// next reads a line and removes its line end. It skips empty lines.
func (r *reading) next(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	tooLong := errors.Is(err, bufio.ErrBufferFull)
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = in.ReadSlice('\n')
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if tooLong || len(line) > maxLine {
		r.Warn("a line of more than %d bytes is ignored", maxLine)
		return nil, err
	}
	return line, err
}

func (r *reading) line(line []byte) error {
	got, broken := r.reader.Line(line)
	if got.Begun {
		if err := r.begin(got.Auth); err != nil {
			return err
		}
	}
	if got.Plain > 0 {
		n := int64(got.Plain)
		r.event(events.Record{Event: events.Unencrypted, Bytes: &n})
	}
	if got.Warn != nil {
		r.event(events.Record{Event: events.Unreadable, Reason: exit.Plain(got.Warn).Error()})
		r.Detail("a line does not count: %v", exit.Plain(got.Warn))
	}
	if got.Head != nil && got.Head.Size >= 0 {
		r.size = got.Head.Size
		r.meter.Show(r.Trust.Contact, r.bytes, r.size)
		r.Detail("%s are announced", terminal.Count(int(got.Head.Size), "byte"))
	}
	if len(got.Data) > 0 {
		if err := r.write(got.Data); err != nil {
			return err
		}
		r.bytes += int64(len(got.Data))
		r.meter.Show(r.Trust.Contact, r.bytes, r.size)
	}
	for _, text := range got.Texts {
		if !r.Raw {
			text = oneLine(text)
		}
		if err := r.write(append(text, '\n')); err != nil {
			return err
		}
		r.bytes += int64(len(text))
	}
	if broken != nil {
		return r.explain(broken)
	}
	if got.Ended {
		r.event(events.Record{Event: events.StreamEnded, Direction: "received", Bytes: &r.bytes})
		return r.keep()
	}
	return nil
}

// write writes plaintext to the output. If that fails, the session is not stored in its state after
// the message, so the message can be read again.
func (r *reading) write(plaintext []byte) error {
	n, err := r.out.Write(plaintext)
	r.written += int64(n)
	if err != nil {
		e := files.OutputError(err)
		return exit.Errorf(e.Code, "%w; the output is incomplete: it ends after %s", e, terminal.Count(int(r.written), "byte")).
			WithHint("the message can be read again, into an output that has room for it")
	}
	return nil
}

// oneLine shows each line end in a text as two characters.
func oneLine(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\r"), []byte(`\r`))
	return bytes.ReplaceAll(text, []byte("\n"), []byte(`\n`))
}

// begin checks who the message is from. Then, before any byte of it is shown, one write to the
// disk deletes the used prekey and stores the session.
func (r *reading) begin(auth []byte) error {
	t := r.reader.Session()
	if r.Trust.Contact == "" {
		r.Trust.Contact = t.Contact // the prekey or the session belongs to that contact
	}
	if err := r.meet(peer{t.Fingerprint(), t.ID(), t.PeerInstance()}, "from"); err != nil {
		return err
	}
	t.Contact = r.Trust.Contact
	if auth == nil {
		return nil
	}
	return r.update(func(store *protocol.Store) error {
		stored, err := store.Accept(auth)
		if err != nil {
			return r.explain(err)
		}
		stored.Contact = t.Contact
		return nil
	})
}

// keep stores the session in its state after the message, once.
func (r *reading) keep() error {
	if r.kept || !r.reader.Keep() {
		return nil
	}
	r.kept = r.reader.Ended()
	return r.put(r.reader.Session(), 0)
}

// finish returns the outcome for the whole input.
func (r *reading) finish() error {
	err := r.reader.Finish()
	if keepErr := r.keep(); err == nil {
		err = keepErr
	}
	if err != nil {
		return r.explain(err)
	}
	switch t := r.reader.Session(); {
	case t.Ended():
		r.Detail("the sender has ended the session")
	case t.Closed():
		r.Note("the sender has ended session %s; it is kept for messages that are still missing", t.ID())
	default:
		r.Note("session %s is kept: otrpipe encrypt-stream --reply-to %.8s answers", t.ID(), t.ID())
	}
	return nil
}

// explain gives an error of the reader its exit code and a hint.
func (r *reading) explain(err error) error {
	var e *exit.Error
	if errors.As(err, &e) {
		return e
	}
	switch {
	case errors.Is(err, protocol.ErrRead):
		return exit.Errorf(exit.Failure, "the message has been read before").
			WithHint("nothing can open it again")
	case errors.Is(err, protocol.ErrSender):
		return exit.Errorf(exit.Refused, "the message is not from the contact that its prekey was published for")
	case protocol.Used(err):
		return exit.Errorf(exit.Failure, "another message has used the prekey of this one").
			WithHint("it cannot be read; its sender has to take a new ensemble and send it again")
	case protocol.Expired(err):
		return exit.Errorf(exit.Failure, "the prekey of the message has expired, and its key is gone").
			WithHint("it cannot be read; publish new ones with otrpipe prekeys publish, and have it sent again")
	case protocol.NoPrekey(err):
		return exit.Errorf(exit.Failure, "the message cannot be read here: %w", exit.Plain(protocol.Reason(err))).
			WithHint("it may be for another identity or home; otrpipe prekeys list shows what is left")
	case protocol.OtherInstance(err):
		return exit.Errorf(exit.Failure, "the message is for another identity, home or machine").
			WithHint("choose the identity with -i NAME")
	case errors.Is(err, protocol.ErrNothing):
		return exit.Errorf(exit.Broken, "the input contains no message for somebody who was away").
			WithHint("read the whole of what otrpipe encrypt-stream has written; if it is damaged, ask for it again")
	case errors.Is(err, protocol.ErrOther):
		return exit.Errorf(exit.Failure, "the input has another message too, which was not read").
			WithHint("each goes into a file and a run of otrpipe decrypt-stream of its own")
	case errors.Is(err, protocol.ErrNoText):
		return exit.Errorf(exit.Broken, "the message is a series of texts, not a stream of bytes").WithHint("read it with --mode lines")
	case errors.Is(err, protocol.ErrNoStream):
		return exit.Errorf(exit.Broken, "the message is a stream of bytes, not a series of texts").WithHint("read it without --mode lines")
	case errors.Is(err, protocol.ErrCut):
		return exit.Errorf(exit.Broken, "the message is cut off: its end is missing").
			WithHint("get the whole of it and read it again")
	case errors.Is(err, protocol.ErrBroken):
		return exit.Errorf(exit.Broken, "%w", exit.Plain(err)).
			WithHint("a line is missing, damaged or in the wrong place; get the message anew and read it again")
	case protocol.TooFar(err):
		return exit.Errorf(exit.Failure, "%w", exit.Plain(protocol.Reason(err))).
			WithHint("read the sender's earlier messages first; if they are lost, have it sent anew with --to")
	case errors.Is(err, protocol.ErrRefused):
		return exit.Errorf(exit.Failure, "%w", exit.Plain(err)).
			WithHint("a part is damaged, missing or forged; get the message anew, or ask its sender for it again")
	}
	return exit.Failed(err)
}
