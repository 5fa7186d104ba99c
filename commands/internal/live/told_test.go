package live

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/trust"
	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/stream"
	"otrpipe/otr/toolkit"
	"otrpipe/otr/wire"
)

// hear returns a session that the test owns, and what returns the messages that it has
// printed since the last time.
func hear(t *testing.T) (o *owned, said func() string) {
	t.Helper()
	o = own(t)
	messages, err := os.Create(filepath.Join(t.TempDir(), "messages"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { messages.Close() })
	o.Session.IO = terminal.NewIO("otrpipe", o.In, o.Out, messages)
	o.Verbose = true
	read := 0
	return o, func() string {
		t.Helper()
		o.Messages.Flush(patience)
		b, err := os.ReadFile(messages.Name())
		if err != nil {
			t.Fatal(err)
		}
		text := string(b[read:])
		read = len(b)
		return text
	}
}

func TestWhatHappensIsTold(t *testing.T) {
	o, said := hear(t)
	o.options.Mode = options.ModeLines
	o.cfg.SentTexts = func(first, n int64) []string {
		if first != 3 {
			return nil // they are not known any more
		}
		return []string{`"the text"`}
	}
	o.meet(t)
	said()
	met := o.session
	for _, test := range []struct {
		what fmt.Stringer
		says string
	}{
		{stream.Unencrypted{Bytes: 1}, "1 byte came unencrypted and was dropped"},
		{stream.Unencrypted{Bytes: 2}, "2 bytes came unencrypted and were dropped"},
		{otr.Unreadable{Reason: errors.New("otr: no key")}, "a message that cannot be read was dropped: no key"},
		{otr.Malformed{Reason: errors.New("otr: no sense")}, "a malformed message was dropped: no sense"},
		{otr.Malformed{Reason: fmt.Errorf("otr: %w", otr.ErrOffline)}, "a message to somebody who is away was dropped"},
		{stream.LineTooLong{Bytes: 7}, "a line of 7 bytes was dropped: that is too long"},
		{otr.PeerError{Text: "oops"}, "the program at the other end reports an error: oops"},
		{otr.PeerError{Text: "it is May", Expired: true}, "hint: " + clocksHint},
		{otr.Queried{Offered: wire.MakeVersions(2)}, "asks for versions of OTR that are not allowed here: 2"},
		{otr.Queried{Offered: wire.MakeVersions(3), Common: 3}, "otrpipe: "},
		{otr.Echo{}, "otrpipe: "},
		{otr.Restarted{}, "otrpipe: "},
		{otr.OtherKey{Version: 3}, "another client asked for a session and was refused; .* OTRv3 key: "},
		{otr.SecondClient{Version: 3, Instance: 0x1234}, "a second client of the peer asked for a session; this one goes on with the first"},
		{otr.ExchangeBegun{Version: 4}, "otrpipe: "},
		{otr.ProfileExpired{}, "hint: " + clocksHint},
		{otr.ExtraKeyReceived{Use: 7, Key: []byte("key")}, "will use the extra symmetric key for use 7"},
		{stream.Lost{Texts: 1}, "1 message of the peer got lost on the way"},
		{stream.Late{Texts: 2}, "2 messages of the peer came late"},
		{stream.Undelivered{First: 3, Texts: 1}, `did not reach the peer: "the text"`},
		{stream.Undelivered{First: 4, Texts: 2}, `did not reach the peer: 2 messages`},
		{stream.Undelivered{First: 4, Texts: 1, Perhaps: true}, `may not have reached the peer: 1 message`},
		{stream.Unacknowledged{First: 4, Texts: 1}, `not acknowledged yet by the peer: 1 message`},
		{stream.Delivered{First: 4, Texts: 1, AfterAll: true}, `reached the peer after all: 1 message`},
		{stream.Unsent{First: 4, Texts: 2}, "not sent, because the session had ended: 2 messages"},
		{stream.Unsent{First: 3, Texts: 1}, `not sent, because the session had ended: "the text"`},
		{stream.Text{Text: otr.Authenticated("hello")}, "the peer wrote 5 bytes of text, which mode stream has no place for"},
		{stream.NoSign{Wait: 16 * time.Second}, "everything was sent; waiting up to 16s for a sign of life from the peer\n"},
		{stream.OtherMode{}, "runs mode stream; the session is ended"},
		{stream.StreamEnded{Bytes: 5}, "all 5 bytes have been received"},
		{stream.StreamEnded{Sent: true, Bytes: 5}, "all 5 bytes have been sent"},
		{stream.Downgraded{Session: met, Common: 4}, "both ends offered OTR version 4, but the session is of version 3"},
		{stream.Told{Session: met}, "told its OTRv4 key in this session"},
		{otr.SMPAsked{Question: "where?"}, "asks with SMP: where\\?\n.*hint: answer with: otrpipe smp -s owned"},
		{otr.SMPFailed{}, "SMP failed: .*\n.*hint: capitals and blanks count"},
		{otr.SMPAsked{}, "wants to compare a secret with SMP"},
		{otr.SMPAborted{}, "SMP was aborted"},
		{otr.SMPSucceeded{}, "SMP succeeded: the peer knows the secret"},
		{stream.Refused{Session: met}, "a session with another key was refused"},
		{otr.PeerEnded{}, "the peer ended the session"},
	} {
		o.event(stream.Event{What: test.what, Count: 1, Time: time.Now()})
		if got := said(); !regexp.MustCompile(test.says).MatchString(got) {
			t.Errorf("%T %+v: %q, without a match for %s", test.what, test.what, got, test.says)
		}
	}
	o.event(stream.Event{What: stream.Unencrypted{Bytes: 2}, Count: 3, Time: time.Now()})
	if got := said(); !strings.Contains(got, "(3 times)") {
		t.Errorf("a repeated event: %q", got)
	}
}

// The stream refuses another key without asking whom it belongs to, because the run belongs to the
// first one.
func TestAKeyThatTheStreamRefusesIsNeitherTheFirstOneNorASuccess(t *testing.T) {
	for _, contact := range []string{"", "bob"} {
		o, said := hear(t)
		o.options.Contact = contact
		log := filepath.Join(t.TempDir(), "events")
		f, err := os.Create(log)
		if err != nil {
			t.Fatal(err)
		}
		o.LogTo(f)
		o.meet(t)
		said()
		refreshed := newWaiter()
		add(&o.waiters.secure, refreshed)
		stranger := otr.Session{Version: 3, Fingerprint: fingerprint(t, 40), SSID: [8]byte{2}}
		o.tell(otr.Secure{Session: stranger, Refreshed: true})
		select {
		case <-refreshed.done:
			t.Errorf("contact %q: a key exchange with a refused key is a success: %v", contact, refreshed.err)
		default:
		}
		now := o.Snapshot()
		if now.Trusted || now.Fingerprint != stranger.Fingerprint || now.Standing() == trust.Verified || now.Standing() == trust.Known {
			t.Errorf("contact %q: %+v, peer %+v", contact, now, now.Peer)
		}
		if text := said(); strings.Contains(text, "secure with") {
			t.Errorf("contact %q: %q", contact, text)
		}
		o.logs[0].Close()
		b, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		if last := lines[len(lines)-1]; !strings.Contains(last, stranger.Fingerprint.Hex()) {
			t.Errorf("contact %q: the last event does not name the key: %s", contact, last)
		}
	}
}

func TestASessionThatHasLapsedIsTold(t *testing.T) {
	o, said := hear(t)
	o.options.Stay, o.options.Expire = true, time.Hour
	o.meet(t)
	said()
	o.tell(otr.Ended{Expired: true})
	if got := said(); !strings.Contains(got, "its keys had not changed for 1h0m0s") || o.Snapshot().Trusted {
		t.Errorf("%q", got)
	}
	o.options.Stay = false
	o.tell(otr.Ended{})
	if got := said(); got == "" {
		t.Error("nothing is said of an end, though every detail is wanted")
	}
}

func TestAPersonIsToldWhatTheyCanDo(t *testing.T) {
	o, said := hear(t)
	o.cfg.AtTerminal = true
	o.meet(t)
	said()
	o.tell(otr.SMPAsked{Question: "where?"})
	if got := said(); !strings.Contains(got, "hint: answer with: /answer") {
		t.Errorf("%q", got)
	}
	o.smp.answered = true
	o.tell(otr.SMPSucceeded{})
	if got := said(); !strings.Contains(got, "SMP succeeded: the peer knows the secret\n") || !strings.Contains(got, "that shows the peer who you are") || !strings.Contains(got, "ask a question of your own: /smp QUESTION") {
		t.Errorf("%q", got)
	}
	o.tellPerson("another shell was here")
	if got := said(); !strings.Contains(got, "another shell was here") {
		t.Errorf("%q", got)
	}
}

func TestEveryEndHasItsExitCodeAndSaysWhatToDo(t *testing.T) {
	own := exit.Errorf(exit.Refused, "a reason of our own")
	byCode := func(s *Session) { s.cfg.ByCode = true }
	ours, err := keys.ParseFingerprint(strings.Repeat("01234567", 5))
	if err != nil {
		t.Fatal(err)
	}
	ourKey := func(s *Session) { s.ourKey = ours }
	for _, test := range []struct {
		err        error
		code       int
		says, hint string
		mode       string
		edit       func(*Session)
	}{
		{own, exit.Refused, "a reason of our own", "", "", nil},
		{stream.ErrDowngraded, exit.Refused, "a newer version", "someone in the middle has altered the offers", "", nil},
		{stream.ErrOtherKey, exit.Refused, "came back with another key", "", "", nil},
		{stream.ErrBrokenOff, exit.SMP, "broken off", "one guess", "", nil},
		{stream.ErrSMP, exit.SMP, "SMP failed: the secrets differ", "the very same secret", "", nil},
		{fmt.Errorf("%w: it cheated", stream.ErrSMP), exit.SMP, "SMP failed: it cheated", "", "", nil},
		{stream.ErrSMP, exit.SMP, "the codes differ: a word is wrong", "capitals, blanks and dashes do not matter", "", byCode},
		{fmt.Errorf("%w: it cheated", stream.ErrSMP), exit.SMP, "comparing the codes failed: it cheated", "try again", "", byCode},
		{stream.ErrBrokenOff, exit.SMP, "comparing the codes was broken off after its outcome had been shown", "one guess", "", byCode},
		{stream.ErrPeerLines, exit.Timeout, "the peer runs mode lines", "--mode lines here", "", nil},
		{stream.ErrPeerStream, exit.Timeout, "the peer runs mode stream", "--mode stream here", "", nil},
		{stream.ErrNoStream, exit.Timeout, "sends no byte stream within 1m0s", "--mode lines here too", "", nil},
		{stream.ErrTimeout, exit.Timeout, "there is no session after 1m0s", "is the other end running", "", nil},
		{stream.ErrTimeout, exit.Timeout, "", "sends back what we say", "", func(s *Session) { s.echoed = true }},
		{stream.ErrTimeout, exit.Timeout, "", offlineHint, "", func(s *Session) { s.offline = true }},
		{stream.ErrTimeout, exit.Timeout, "", "asks for OTR version 2", "", func(s *Session) { s.offers = "2" }},
		{stream.ErrTimeout, exit.Timeout, "", "only unencrypted text arrived", "", func(s *Session) { s.inClear = true }},
		{stream.ErrTimeout, exit.Timeout, "", "by our clock|expired", "", func(s *Session) { s.expired = &otr.ProfileExpired{} }},
		{stream.ErrTimeout, exit.Timeout, "", "the program at the other end says: late", "", func(s *Session) { s.clocks = "late" }},
		{stream.ErrTimeout, exit.Timeout, "", "may know account names", "", func(s *Session) { s.speaks4 = true }},
		{stream.ErrTimeout, exit.Timeout, "", "it needs --account them --peer-account me", "", func(s *Session) {
			s.speaks4, s.options.Account, s.options.PeerAccount = true, "me", "them"
		}},
		{stream.ErrClosedBeforeSession, exit.Broken, "closed before there was a session", "is the other end running", "", nil},
		{stream.ErrClosedBeforeSession, exit.Broken, "closed before there was a session", "late", "", func(s *Session) { s.clocks = "late" }},
		{stream.ErrClosedBeforeSession, exit.Broken, "a message to somebody who is away", offlineHint, "", func(s *Session) { s.offline = true }},
		{fmt.Errorf("%w: %w", stream.ErrClosedBeforeSession, &fs.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.ENOSPC}), exit.Broken,
			"the lines of OTR cannot be written: no space left on device", "^$", "", nil},
		{stream.ErrTransport, exit.Broken, "cut short before anything arrived", "", options.ModeStream, nil},
		{stream.ErrTransport, exit.Broken, "the transfer was cut short", "", options.ModeStream, func(s *Session) { s.cfg.OwnProgress = true }},
		{stream.ErrDead, exit.Broken, "everything from the peer has arrived, but the peer may not have everything that was sent", "", options.ModeStream, func(s *Session) { s.complete = true }},
		{stream.ErrTransport, exit.Broken, "the line was cut; the peer did not end the session", "", options.ModeLines, nil},
		{stream.ErrOurKeyRefused, exit.Broken, "the stream was cut short before anything arrived (the peer refuses our key)", "ours is 0123", options.ModeStream, ourKey},
		{stream.ErrOurKeyRefused, exit.Broken, "the peer refuses our key", "expects another key, or has not verified ours; .* ours is 0123", options.ModeLines, ourKey},
		{stream.ErrPeerEnded, exit.Broken, "the peer ended the session", "may not accept our key; .* ours is 0123", options.ModeLines, ourKey},
		{stream.ErrLost, exit.Broken, "messages of the peer were lost", "", options.ModeLines, nil},
		{stream.ErrUndelivered, exit.Broken, "not every message has reached the peer", "", options.ModeLines, nil},
		{stream.ErrUnwritten, exit.Broken, "the peer could not write every message: some are lost there", "send the rest again", options.ModeLines, nil},
		{stream.ErrUnconfirmed, exit.Broken, "has shown no sign of the session", "", options.ModeLines, nil},
		{stream.ErrDead, exit.Broken, "the peer is silent", "", options.ModeLines, nil},
		{stream.ErrClosed, exit.Broken, "the session was ended", "", "", nil},
	} {
		o, _ := hear(t)
		o.options.Mode, o.options.Timeout = test.mode, time.Minute
		if test.edit != nil {
			test.edit(o.Session)
		}
		got := exit.As(o.explain(fmt.Errorf("stream: %w", test.err)))
		if got.Code != test.code || !strings.Contains(got.Error(), test.says) || !regexp.MustCompile(test.hint).MatchString(got.Hint) {
			t.Errorf("%v: %d, %q, hint %q; want %d, %q, %q", test.err, got.Code, got.Error(), got.Hint, test.code, test.says, test.hint)
		}
	}
	o, _ := hear(t)
	if err := o.explain(nil); err != nil {
		t.Errorf("a proper end is %v", err)
	}
	o.meet(t)
	o.options.SMP, o.options.Timeout = []byte("secret"), time.Minute
	if got := exit.As(o.explain(stream.ErrTimeout)); !strings.Contains(got.Error(), "SMP was not finished: no answer within 1m0s") {
		t.Errorf("in the middle of a comparison: %v", got)
	}
	o.cfg.ByCode = true
	if got := exit.As(o.explain(stream.ErrTimeout)); !strings.Contains(got.Error(), "the codes were not compared: no answer within 1m0s") {
		t.Errorf("in the middle of comparing codes: %v", got)
	}
}

// An end that stays is told of a refused key when that happens, because nothing ends. Others read it
// in the outcome.
func TestAPeerThatRefusesOurKeyIsTold(t *testing.T) {
	for _, stays := range []bool{false, true} {
		o, said := hear(t)
		o.options.Mode, o.options.Stay = options.ModeLines, stays
		file := filepath.Join(t.TempDir(), "events")
		f, err := events.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		log := events.NewLog(f, "a", t.Errorf)
		o.logs = append(o.logs, log)
		o.meet(t)
		said()
		for _, what := range []fmt.Stringer{stream.OurKeyRefused{}, otr.PeerEnded{}} {
			o.event(stream.Event{What: what, Count: 1, Time: time.Now()})
		}
		told := regexp.MustCompile("the peer refuses our key\n.*hint: the user there expects another key, or has not verified ours")
		if got := said(); told.MatchString(got) != stays {
			t.Errorf("an end that stays: %v, prints %q", stays, got)
		} else if strings.Contains(got, "ended the session") {
			t.Errorf("an end that stays: %v, is told of the same thing twice: %q", stays, got)
		}
		log.Close()
		if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), `"event":"peer_ended","session":"a","reason":"our key was refused"`) {
			t.Errorf("%s, %v", b, err)
		}
	}
}

func TestAKeyLogIsAPrivateFile(t *testing.T) {
	o, said := hear(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "keys")
	log, err := openKeyLog(o.cfg.Home, path)
	if err != nil {
		t.Fatal(err)
	}
	o.keyLog = log
	key := []byte("0123456789abcdef")
	o.logKeys([]otr.SessionKey{{Version: 3, Sender: 0x100, Receiver: 0x101, First: 1, Second: 2, Key: key}})
	if strings.Trim(string(key), "\x00") != "" {
		t.Error("the key was not wiped")
	}
	b, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(b), toolkit.KeyLogHeader+"\n") || strings.Count(string(b), "\n") != 2 {
		t.Errorf("%q, %v", b, err)
	}
	log.file.Close() // as a disk that is full
	for range 2 {
		o.logKeys([]otr.SessionKey{{Version: 3, Key: []byte("0123456789abcdef")}})
	}
	if got := said(); strings.Count(got, "--keylog: the keys are not all in the file") != 1 {
		t.Errorf("%q", got)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, dir, os.DevNull, filepath.Join(dir, "none", "keys")} {
		if _, err := openKeyLog(o.cfg.Home, name); exit.As(err).Code != exit.KeyFile {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheProgressLineKnowsWhatIsLeftAndWhoIsThere(t *testing.T) {
	o, _ := hear(t)
	f, err := os.Create(filepath.Join(t.TempDir(), "input"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("ten bytes!"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(4, 0); err != nil {
		t.Fatal(err)
	}
	if n := o.remaining(); n != 0 {
		t.Errorf("without an input %d bytes are left", n)
	}
	if o.setup.Input = f; o.remaining() != 6 {
		t.Errorf("%d bytes are left", o.remaining())
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if o.setup.Input = r; o.remaining() != 0 {
		t.Error("it is known how much comes from a pipe")
	}
	if o.wantsProgress() {
		t.Error("a progress line in a file")
	}
	if got := o.trustInPeer(); got != "" {
		t.Errorf("nobody is there, and %q", got)
	}
	o.meet(t)
	for _, test := range []struct {
		edit func()
		want string
	}{
		{func() {}, "peer new"},
		{func() { o.options.SMP = []byte("secret") }, "peer knows the secret"},
		{func() { o.options.Contact = "bob" }, "bob (new)"},
	} {
		test.edit()
		o.publish()
		if got := o.trustInPeer(); got != test.want {
			t.Errorf("%q, not %q", got, test.want)
		}
	}
}
