package offline

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// line armors a message, without its line end.
func line(msg []byte) []byte { return wire.AppendArmor(nil, msg) }

// headed returns a message with a header and a body.
func headed(version uint16, kind wire.MessageType, sender, receiver uint32, body ...byte) []byte {
	return append(wire.Header{Version: version, Type: kind, Sender: sender, Receiver: receiver}.Append(nil), body...)
}

// An unreadable line is reported with its reason, and the message around it is read
// nevertheless.
func TestALineThatCannotBeReadSaysWhyAndDoesNoHarm(t *testing.T) {
	alice, bob := newPeople(t)
	from, to := alice.config.InstanceTag, bob.config.InstanceTag
	session, lines := alice.begin(bob.publish(1, For{}))
	lines = append(lines, alice.stream(session, []byte("hello"), false)...)
	split := bytes.SplitAfter(lines, []byte("\n"))
	for name, c := range map[string]struct {
		line []byte
		want error // of the line; nil: any
		text string
		end  error // with nothing else in the input
	}{
		"a message of version 3":         {line(headed(3, wire.TypeData, from, to, 0)), nil, "version 3", ErrNothing},
		"an Identity message":            {line(headed(4, wire.TypeIdentity, from, to, 0)), nil, "Identity", ErrNothing},
		"a message of version 9":         {line(headed(9, wire.TypeData, from, to, 0)), wire.ErrVersion, "", ErrNothing},
		"a message that is cut":          {line(headed(4, wire.TypeData, from, to)[:6]), wire.ErrShort, "", ErrNothing},
		"no base64":                      {[]byte("?OTR:AAQD!."), wire.ErrArmor, "", ErrNothing},
		"a message to another instance":  {line(headed(4, wire.TypeData, from, to+1, 0)), v4.ErrOtherInstance, "", v4.ErrOtherInstance},
		"a data message cut short":       {line(headed(4, wire.TypeData, from, to, 0, 0, 0)), wire.ErrShort, "", ErrNothing},
		"a beginning cut short":          {line(headed(4, wire.TypeNonInteractiveAuth, from, to, 0)), ErrRefused, "", ErrRefused},
		"a fragment to another instance": {[]byte("?OTR|00000001|00000101|00009999,00001,00002,AAQD,"), v4.ErrOtherInstance, "", ErrNothing},
		"a malformed fragment":           {[]byte("?OTR|00000001|00000101|00001002,00003,00002,AAQD,"), wire.ErrFragment, "", ErrNothing},
	} {
		r := NewReader(bob.load(), KindAny)
		result, err := r.Line(c.line)
		if err != nil || result.Warn == nil || c.want != nil && !errors.Is(result.Warn, c.want) || !strings.Contains(result.Warn.Error(), c.text) {
			t.Errorf("%s: %v, %v", name, result.Warn, err)
		}
		if err := r.Finish(); !errors.Is(err, c.end) {
			t.Errorf("%s: at the end %v", name, err)
		}
		for at := range split {
			if testing.Short() && at != len(name)%len(split) {
				continue
			}
			around := bytes.Join(append(append(append([][]byte{}, split[:at]...), c.line, []byte("\n")), split[at:]...), nil)
			r := NewReader(bob.load(), KindStream)
			var data []byte
			for _, line := range bytes.Split(around, []byte("\n")) {
				result, _ := r.Line(line)
				data = append(data, result.Data...)
			}
			if string(data) != "hello" || !r.Ended() {
				t.Errorf("%s, before line %d: %q came, %v", name, at+1, data, r.Finish())
			}
		}
	}
}

func TestAnErrorSaysWhyAMessageIsRefused(t *testing.T) {
	alice, bob := newPeople(t)
	s := bob.load()
	_, err := s.Accept(headed(4, wire.TypeNonInteractiveAuth, alice.config.InstanceTag, bob.config.InstanceTag+1, 0))
	if !errors.Is(err, ErrRefused) || !OtherInstance(err) || errors.Is(Reason(err), ErrRefused) || !OtherInstance(Reason(err)) {
		t.Errorf("for another instance: %v, because of %v", err, Reason(err))
	}
	_, err = s.Accept(headed(4, wire.TypeData, alice.config.InstanceTag, bob.config.InstanceTag, 0))
	if !errors.Is(err, ErrRefused) || OtherInstance(err) {
		t.Errorf("a data message: %v", err)
	}
	if err := Reason(ErrSender); err != ErrSender {
		t.Errorf("the reason of what has none is %v", err)
	}
}

func TestTheMissingFirstLineIsNamed(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newPeople(t)
	session, _ := alice.begin(bob.publish(1, For{}))
	rest := alice.stream(session, []byte("hello"), false)
	got, err := bob.read(rest)
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "begins it is missing") || len(got.data) > 0 {
		t.Errorf("%q, %v", got.data, err)
	}
}

func TestOnlySoManyMessagesWaitForTheirBeginning(t *testing.T) {
	alice, bob := newPeople(t)
	session, beginning := alice.begin(bob.publish(1, For{}))
	message := func(id uint32, length int) []byte {
		h := wire.Header{Version: v4.Version, Type: wire.TypeData, Sender: alice.config.InstanceTag, Receiver: bob.config.InstanceTag}
		m := v4.Data{MessageID: id, ECDH: make([]byte, 57), Encrypted: make([]byte, length), MAC: make([]byte, 64)}
		return m.Append(h.Append(nil))
	}
	full := len(message(0, 0))
	for name, c := range map[string]struct{ length, want int }{
		"messages": {0, maxEarly},
		"bytes":    {maxEarlyBytes/16 - full, 16},
	} {
		if testing.Short() && name == "messages" {
			continue
		}
		r := NewReader(bob.load(), KindAny)
		for i := range c.want + 1 {
			// Line would spend most of its time on the base64 of 16 MiB.
			var got Result
			err := r.message(&got, message(uint32(i), c.length))
			kept := i < c.want
			if err != nil || got.Early != kept || errors.Is(got.Warn, ErrRefused) == kept {
				t.Fatalf("%s: message %d: kept %v, warning %v, %v", name, i, got.Early, got.Warn, err)
			}
		}
		// The kept messages belong to another session and do no harm.
		all := append(bytes.Clone(beginning), alice.stream(session, []byte("hello"), false)...)
		var data []byte
		for _, line := range bytes.Split(all, []byte("\n")) {
			got, err := r.Line(line)
			if err != nil {
				t.Fatal(err)
			}
			data = append(data, got.Data...)
		}
		if string(data) != "hello" || !r.Ended() {
			t.Errorf("%s: read %q, %v", name, data, r.Finish())
		}
	}
}

func TestAMessageOfNoSessionIsRefused(t *testing.T) {
	alice, bob := newPeople(t)
	session := mail(t, alice, bob, bob.publish(1, For{}), "hello")
	reply, err := bob.load().Session(session.ID())
	if err != nil {
		t.Fatal(err)
	}
	lines := bob.stream(reply, []byte("reply"), false) // of the second ratchet
	alice.disk = nil
	if got, err := alice.read(lines); !errors.Is(err, ErrRefused) || len(got.data) > 0 {
		t.Errorf("%q, %v", got.data, err)
	}
}

func TestAStreamWithoutItsBeginningIsNoStream(t *testing.T) {
	alice, bob := newPeople(t)
	session := mail(t, alice, bob, bob.publish(1, For{}), "hello")
	lines := alice.stream(session, pattern(PieceLen+1), false)
	r := NewReader(bob.load(), KindStream)
	if k := r.Kind(); k != KindStream {
		t.Errorf("a reader of %v", k)
	}
	result, err := r.Line(bytes.Split(lines, []byte("\n"))[1])
	if !errors.Is(err, ErrBroken) || len(result.Data) > 0 || r.Keep() {
		t.Errorf("%d bytes, %v", len(result.Data), err)
	}
	if _, again := r.Line(bytes.Split(lines, []byte("\n"))[0]); again != err {
		t.Errorf("then its beginning: %v", again)
	}
}

func TestAReaderSaysWhatItReads(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newPeople(t)
	file := bob.publish(2, For{})
	for want, write := range map[Kind]func(*Session) []byte{
		KindStream: func(s *Session) []byte { return alice.stream(s, []byte("x"), false) },
		KindTexts:  func(s *Session) []byte { return alice.texts(s, false, "x") },
	} {
		session, lines := alice.begin(file)
		r := NewReader(bob.load(), KindAny)
		if r.Kind() != KindAny {
			t.Errorf("%v before the first line", r.Kind())
		}
		for _, line := range bytes.Split(append(lines, write(session)...), []byte("\n")) {
			r.Line(line)
		}
		if r.Kind() != want || r.Finish() != nil {
			t.Errorf("%v where %v was written, %v", r.Kind(), want, r.Finish())
		}
	}
	for k, want := range map[Kind]string{KindAny: "any", KindStream: "stream", KindTexts: "texts", 7: "Kind(7)"} {
		if got := k.String(); got != want {
			t.Errorf("kind %d is %s", int(k), got)
		}
	}
}

func TestNothingIsWrittenAfterTheEndOrAfterAnError(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newPeople(t)
	file := bob.publish(2, For{})
	session, _ := alice.begin(file)
	ended := alice.writer(session, Head{Size: -1})
	if _, err := ended.End(nil, false); err != nil {
		t.Fatal(err)
	}
	full := errors.New("the disk is full")
	session, _ = alice.begin(file)
	failed, err := NewWriter(session, Head{}, WriterConfig{Save: func(*Session, int) error { return full }})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := failed.Text(nil, []byte("x")); err != full || len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
	for name, w := range map[string]*Writer{"after the end": ended, "after an error": failed} {
		for _, write := range []func() ([]byte, error){
			func() ([]byte, error) { return w.Write(nil, []byte("x")) },
			func() ([]byte, error) { return w.Text(nil, []byte("x")) },
			func() ([]byte, error) { return w.End(nil, false) },
			func() ([]byte, error) { return w.EndTexts(nil, true) },
		} {
			if b, err := write(); err == nil || len(b) > 0 {
				t.Errorf("%s: %q, %v", name, b, err)
			}
		}
	}
}

func TestALongestLineThatIsTooShortForAFragmentIsRefused(t *testing.T) {
	alice, bob := newPeople(t)
	session, first := alice.begin(bob.publish(1, For{}))
	config := WriterConfig{Save: alice.save, Rand: alice.config.Rand, MaxLine: 10}
	if b, err := FirstLine(nil, bytes.TrimSpace(first), config); err == nil || len(b) > 0 {
		t.Errorf("the first line: %q, %v", b, err)
	}
	w, err := NewWriter(session, Head{}, config)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if b, err := w.Write(nil, []byte("secret")); err == nil || len(b) > 0 {
			t.Errorf("a piece: %q, %v", b, err)
		}
	}
	for _, line := range []string{"?OTR:AAQD", "?OTR:AA==."} {
		if b, err := FirstLine(nil, []byte(line), config); err == nil || len(b) > 0 {
			t.Errorf("of %q: %q", line, b)
		}
	}
}

// Somebody who has written often to one person keeps a session for each message, and the reply to
// any of these is read, however fast.
func TestAReplyToTheOldestOfManySessionsIsRead(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newPeople(t)
	const many = 30
	file := bob.publish(many, For{})
	first := mail(t, alice, bob, file, "hello")
	for range many - 1 {
		alice.begin(file)
	}
	reply := bob.stream(bob.load().Sessions()[0], []byte("thanks"), false)
	got, err := alice.read(reply)
	if err != nil || string(got.data) != "thanks" || got.session.ID() != first.ID() {
		t.Errorf("%q, %v, %v", got.data, err, got.warn)
	}
}

func TestMessagesThatAreNotAuthenticAreNotCheckedForEver(t *testing.T) {
	alice, bob := newPeople(t)
	session := mail(t, alice, bob, bob.publish(1, For{}), "hello")
	reply := bytes.TrimSpace(bob.stream(bob.load().Sessions()[0], []byte("thanks"), false))
	reply = bytes.SplitN(reply, []byte("\n"), 2)[0]
	msg, err := wire.AppendDearmored(nil, reply)
	if err != nil {
		t.Fatal(err)
	}
	_, body, err := wire.ParseHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	m, err := v4.ParseData(body)
	if err != nil {
		t.Fatal(err)
	}
	m.MAC[0] ^= 1
	forged := wire.AppendArmor(nil, msg)
	r := NewReader(alice.load(), KindAny)
	for i, want := range []error{v4.ErrMAC, v4.ErrMAC, v4.ErrBusy} {
		if got, err := r.Line(forged); err != nil || !errors.Is(got.Warn, want) {
			t.Errorf("message %d: %v, %v", i, got.Warn, err)
		}
		if i == 0 {
			if r.vain != 1 {
				t.Errorf("%d checks in vain", r.vain)
			}
			r.vain = maxVain - 1
		}
	}
	if got, err := alice.read(reply); len(got.data) == 0 || got.session.ID() != session.ID() {
		t.Errorf("the authentic message: %q, %v", got.data, err)
	}
}
