package stream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/otr"
)

func openLinesPair(t *testing.T, ours, theirs setting) (*Lines, *Lines) {
	t.Helper()
	a, b := net.Pipe()
	ours.lines, theirs.lines = true, true
	ea, eb := openPair(t, a, b, ours, theirs)
	return ea.lines, eb.lines
}

// readTexts returns all texts up to the end.
func readTexts(l *Lines) (texts []string, err error) {
	for {
		text, err := l.ReadMessage(nil)
		if err != nil {
			return texts, err
		}
		texts = append(texts, string(text))
	}
}

func TestTextsArriveInOrderBothWaysAndTheSessionEndsAfterTheLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := openLinesPair(t, setting{}, setting{})
		for i := range 3000 {
			if err := errors.Join(a.WriteMessage(fmt.Appendf(nil, "from a %d", i)), b.WriteMessage(fmt.Appendf(nil, "from b %d", i))); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		a.CloseWrite()
		got := make(chan []string)
		go func() {
			texts, err := readTexts(a)
			if err != io.EOF {
				t.Error(err)
			}
			got <- texts
		}()
		texts, err := readTexts(b)
		if err != io.EOF {
			t.Error(err)
		}
		for name, texts := range map[string][]string{"a": texts, "b": <-got} {
			if len(texts) != 3000 || texts[2999] != fmt.Sprintf("from %s 2999", name) || texts[0] != fmt.Sprintf("from %s 0", name) {
				t.Errorf("%d texts of %s", len(texts), name)
			}
		}
		if d := time.Since(start); d < time.Second || d > 2*time.Second {
			t.Errorf("lingered for %v", d)
		}
		if err := errors.Join(a.Wait(), b.Wait()); err != nil {
			t.Error(err)
		}
		if err := b.WriteMessage([]byte("too late")); err != ErrPeerEnded {
			t.Errorf("%v", err)
		}
	})
}

func TestATextEitherWayStartsTheLingerAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := openLinesPair(t, setting{}, setting{})
		start := time.Now()
		a.CloseWrite()
		for range 10 {
			time.Sleep(900 * time.Millisecond)
			b.WriteMessage([]byte("still here"))
		}
		texts, err := readTexts(a)
		if len(texts) != 10 || err != io.EOF {
			t.Errorf("%d, %v", len(texts), err)
		}
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("ended after %v", d)
		}
		b.Wait()
	})
}

func TestAMessageIsAlwaysOneLineUnlessRaw(t *testing.T) {
	const text = "one\ntwo\r\nthree\\n"
	for _, raw := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b := openLinesPair(t, setting{}, setting{config: func(c *Config) { c.Raw = raw }})
			a.WriteMessage([]byte(text))
			a.CloseWrite()
			got, err := b.ReadMessage([]byte("> "))
			want := `> one\ntwo\r\nthree\n`
			if raw {
				want = "> " + text
			}
			if string(got) != want || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			b.Wait()
			a.Wait()
		})
	}
}

// WriteMessage sends plain text and marks it as such, except in version 2. A message of an IM
// client may be HTML.
func TestATextSaysThatItIsPlain(t *testing.T) {
	for _, version2 := range []bool{false, true} {
		only := func(c *otr.Config) {
			if version2 {
				c.Policy = otr.AllowV2 | otr.RequireEncryption
			}
		}
		synctest.Test(t, func(t *testing.T) {
			a, b := openLinesPair(t, setting{otr: only}, setting{otr: only, key: 1})
			if err := errors.Join(a.Handshake(t.Context()), b.Handshake(t.Context()), a.WriteMessage([]byte("a < b"))); err != nil {
				t.Fatal(err)
			}
			text, plain, err := b.ReadText(nil)
			if string(text) != "a < b" || plain == version2 || err != nil {
				t.Errorf("version 2: %v: %q, %v, %v", version2, text, plain, err)
			}
			err = a.Do(func(c *otr.Conversation) ([][]byte, error) {
				line, err := c.AppendMessage(nil, otr.Message{Text: []byte("<b>a</b>")})
				return [][]byte{bytes.TrimSuffix(line, []byte("\n"))}, err
			})
			if err != nil {
				t.Fatal(err)
			}
			if text, plain, err := b.ReadText(nil); string(text) != "<b>a</b>" || plain || err != nil {
				t.Errorf("version 2: %v: %q, %v, %v", version2, text, plain, err)
			}
			a.Close()
			b.Close()
		})
	}
}

func TestATextThatCannotBeSentIsRefusedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := openLinesPair(t, setting{}, setting{})
		long := bytes.Repeat([]byte{'x'}, MaxText)
		for _, test := range []struct {
			text []byte
			want error
		}{
			{[]byte("a\x00b"), ErrNUL},
			{append(long, 'x'), ErrTooLong},
			{long, nil},
			{nil, nil},
			{[]byte("last"), nil},
		} {
			if err := a.WriteMessage(test.text); err != test.want {
				t.Errorf("%.10q: %v", test.text, err)
			}
		}
		a.CloseWrite()
		texts, err := readTexts(b)
		if err != io.EOF || strings.Join(texts, "|") != string(long)+"|last" {
			t.Errorf("%d texts, %v", len(texts), err)
		}
		if err := errors.Join(a.Wait(), b.Wait()); err != nil {
			t.Error(err)
		}
	})
}

func TestATransportThatClosesFirstIsBroken(t *testing.T) {
	for _, inputEnded := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b := cable(t, relay{}, relay{})
			ea, eb := openPair(t, a, b, setting{lines: true}, setting{lines: true})
			handshakeLines(t, ea.lines, eb.lines)
			if inputEnded {
				ea.lines.CloseWrite()
			}
			a.Close()
			if err := ea.lines.Wait(); !errors.Is(err, ErrTransport) {
				t.Errorf("%v", err)
			}
			if err := eb.lines.Wait(); !errors.Is(err, ErrTransport) {
				t.Errorf("%v", err)
			}
		})
	}
}

func handshakeLines(t *testing.T, all ...*Lines) {
	t.Helper()
	for _, l := range all {
		if err := l.Handshake(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClosingEndsTheSessionProperly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := openLinesPair(t, setting{}, setting{})
		handshakeLines(t, a, b)
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if err := b.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestTextsLeftUnsentAreAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		go io.Copy(io.Discard, b)
		l := open(t, a, setting{lines: true}).lines
		l.WriteMessage([]byte("to nobody"))
		if err := l.Close(); err != ErrClosed {
			t.Error(err)
		}
	})
}

func TestOneWhoStaysTalksToTheNextSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := cable(t, relay{}, relay{})
		stay := setting{lines: true, config: func(c *Config) { c.Stay = true }}
		ea := open(t, a, stay)
		// Peers at b use the line through a switch that outlives each of them.
		connect := switchboard(b)
		for i := range 3 {
			eb := open(t, connect(), setting{lines: true, key: 1, seed: uint64(i)})
			handshakeLines(t, eb.lines)
			eb.lines.WriteMessage(fmt.Appendf(nil, "session %d", i))
			if got, err := ea.lines.ReadMessage(nil); string(got) != fmt.Sprintf("session %d", i) || err != nil {
				t.Fatalf("%q, %v", got, err)
			}
			eb.lines.CloseWrite()
			if err := eb.lines.Wait(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			ea.lines.WriteMessage(fmt.Appendf(nil, "held for session %d", i+1))
			if i == 0 {
				continue
			}
		}
		if n := told[otr.PeerEnded](ea); n != 3 {
			t.Errorf("%d sessions ended", n)
		}
		if err := ea.lines.Close(); err != ErrClosed {
			t.Errorf("with a text held back: %v", err)
		}
		b.Close()
	})
}

func TestATextIsForTheSessionThatItWasWrittenIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := func(c *Config) { c.Stay, c.OneSession = true, true }
		a, b := net.Pipe()
		ea, eb := openPair(t, a, b, setting{lines: true, config: one}, setting{lines: true, config: one})
		if err := ea.lines.WriteMessage([]byte("too early")); err != ErrNoSession {
			t.Errorf("before there is a session: %v", err)
		}
		handshakeLines(t, ea.lines)
		handshakeLines(t, eb.lines)
		begin := func(c *otr.Conversation) ([][]byte, error) { return c.Query(), nil }
		for i := range 3 {
			text := fmt.Sprintf("in session %d", i)
			if err := ea.lines.WriteMessage([]byte(text)); err != nil {
				t.Fatal(err)
			}
			if got, err := eb.lines.ReadMessage(nil); string(got) != text || err != nil {
				t.Fatalf("%q, %v", got, err)
			}
			// Either end may end the session, and either may begin the next.
			ends := []*end{ea, eb}
			if err := ends[i%2].lines.Do((*otr.Conversation).End); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			for _, e := range ends {
				if err := e.lines.WriteMessage([]byte("in between")); err != ErrNoSession {
					t.Errorf("between sessions: %v", err)
				}
			}
			if err := ends[i/2].lines.Do(begin); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second) // another client of the peer might have asked
		}
		if told[otr.Ended](ea) != 2 || told[otr.PeerEnded](ea) != 1 || told[otr.PeerEnded](eb) != 2 {
			t.Errorf("%v and %v", ea.events(), eb.events())
		}
		ea.lines.Close()
		eb.lines.Wait()
	})
}

func TestWhatTheEndOfASessionOvertakesIsDroppedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := func(c *Config) { c.Stay, c.OneSession = true, true }
		a, b := net.Pipe()
		ea, eb := openPair(t, a, b, setting{lines: true, config: one}, setting{lines: true, config: one})
		handshakeLines(t, ea.lines, eb.lines)
		// More than a peer accepts that does not read, but not enough to make us wait.
		const written = 90
		for range written {
			if err := ea.lines.WriteMessage(bytes.Repeat([]byte{'x'}, 20_000)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if err := ea.lines.Do((*otr.Conversation).End); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var unsent int
		for _, e := range ea.events() {
			if u, ok := e.What.(Unsent); ok {
				unsent += u.Texts
				if last := u.First + int64(u.Texts) - 1; last != written {
					t.Errorf("the last text that was dropped is number %d, not %d", last, written)
				}
			}
		}
		if unsent == 0 {
			t.Fatal("nothing waited")
		}
		for range written - unsent {
			if _, err := eb.lines.ReadMessage(nil); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if err := ea.lines.Do(func(c *otr.Conversation) ([][]byte, error) { return c.Query(), nil }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // another client of the peer might have asked
		if err := ea.lines.WriteMessage([]byte("news")); err != nil {
			t.Fatal(err)
		}
		if got, err := eb.lines.ReadMessage(nil); string(got) != "news" || err != nil {
			t.Errorf("%.20q, %v", got, err)
		}
	})
}

// switchboard returns a function that connects one end after another to a line, until the
// line is closed. Data that comes after one end has left is for the next.
func switchboard(line io.ReadWriteCloser) (connect func() io.ReadWriteCloser) {
	pieces := make(chan []byte, 4096)
	go func() {
		defer close(pieces)
		for {
			piece := make([]byte, 1<<16)
			n, err := line.Read(piece)
			pieces <- piece[:n]
			if err != nil {
				return
			}
		}
	}()
	return func() io.ReadWriteCloser {
		return &connection{Writer: line, pieces: pieces, gone: make(chan struct{})}
	}
}

type connection struct {
	io.Writer
	pieces <-chan []byte
	rest   []byte
	gone   chan struct{}
	once   sync.Once
}

func (c *connection) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		select {
		case <-c.gone: // before data that has come since
			return 0, io.EOF
		default:
		}
		select {
		case <-c.gone:
			return 0, io.EOF
		case piece, ok := <-c.pieces:
			if !ok {
				return 0, io.EOF
			}
			c.rest = piece
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *connection) Close() error {
	c.once.Do(func() { close(c.gone) })
	return nil
}

func TestASlowReaderOfTextsHoldsTheSenderUpAndLosesNothing(t *testing.T) {
	long(t)
	synctest.Test(t, func(t *testing.T) {
		a, b := openLinesPair(t, setting{}, setting{})
		const n = 200
		text := strings.Repeat("t", 50_000)
		sent := make(chan error)
		go func() {
			for range n {
				if err := a.WriteMessage([]byte(text)); err != nil {
					sent <- err
				}
			}
			sent <- a.CloseWrite()
		}()
		time.Sleep(time.Minute)
		if moved := a.Stats().SentMessages; moved > n/2 {
			t.Errorf("%d of %d messages went to a sleeping reader", moved, n)
		}
		texts, err := readTexts(b)
		if len(texts) != n || err != io.EOF {
			t.Errorf("%d texts, %v", len(texts), err)
		}
		if err := errors.Join(<-sent, a.Wait(), b.Wait()); err != nil {
			t.Error(err)
		}
	})
}

func TestClosingSendsWhatWasWrittenJustBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := openLinesPair(t, setting{}, setting{})
		handshakeLines(t, a, b)
		for i := range 100 {
			a.WriteMessage(fmt.Appendf(nil, "text %d", i))
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if texts, err := readTexts(b); len(texts) != 100 || err != io.EOF {
			t.Errorf("%d texts, %v", len(texts), err)
		}
	})
}

func TestTextsThatTheTransportDoesNotTakeAreNoSuccess(t *testing.T) {
	for _, closing := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			x, y := net.Pipe()
			var deaf atomic.Bool
			a := open(t, &brokenWrites{Conn: x, broken: &deaf}, setting{lines: true}).lines
			b := open(t, y, setting{key: 1, lines: true}).lines
			handshakeLines(t, a, b)
			synctest.Wait()
			deaf.Store(true)
			a.WriteMessage([]byte("lost"))
			if closing {
				a.requestAbort("")
			} else {
				a.CloseWrite()
			}
			// Which of the two is told depends on whether the write fails before the end comes.
			if err := a.Wait(); !errors.Is(err, ErrTransport) && !errors.Is(err, ErrUndelivered) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestWhoIsToldThatThePeerIsTrustedCanWriteAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := cable(t, relay{}, relay{})
		var ea, eb *end
		refused := make(chan error, 1)
		var ready sync.WaitGroup
		ready.Add(1)
		ea, eb = openPair(t, a, b, setting{lines: true, config: func(c *Config) {
			c.OneSession = true
			c.Event = func(e Event) {
				if _, ok := e.What.(Trusted); ok {
					ready.Wait()
					refused <- ea.lines.WriteMessage([]byte("at once"))
				}
			}
		}}, setting{lines: true})
		ready.Done()
		if err := <-refused; err != nil {
			t.Fatal(err)
		}
		if got, err := eb.lines.ReadMessage(nil); string(got) != "at once" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}
