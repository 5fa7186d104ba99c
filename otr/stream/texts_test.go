package stream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// linesOver starts two Lines over a cable.
func linesOver(t *testing.T, ab, ba relay, config func(*Config)) (*end, *end) {
	t.Helper()
	a, b := cable(t, ab, ba)
	return openPair(t, a, b, setting{lines: true, config: config}, setting{lines: true, config: config})
}

// events returns the events of type T.
func eventsOf[T any](e *end) (all []T) {
	for _, event := range e.events() {
		if what, ok := event.What.(T); ok {
			all = append(all, what)
		}
	}
	return all
}

// swallow makes a filter that drops lines while on is set.
func swallow(on *atomic.Bool) func(int, []byte) [][]byte {
	return dropping(func(int) bool { return on.Load() })
}

func TestATextThatIsDroppedOnTheWayIsToldAtBothEnds(t *testing.T) {
	for _, dropped := range []int{0, 1, 2} { // of three, the last one too
		synctest.Test(t, func(t *testing.T) {
			var deaf atomic.Bool
			ea, eb := linesOver(t, relay{filter: swallow(&deaf)}, relay{}, nil)
			handshakeLines(t, ea.lines, eb.lines)
			synctest.Wait()
			for i := range 3 {
				deaf.Store(i == dropped)
				if n, err := ea.lines.WriteText(fmt.Appendf(nil, "text %d", i)); n != int64(i+1) || err != nil {
					t.Fatal(n, err)
				}
				synctest.Wait()
			}
			deaf.Store(false)
			ea.lines.CloseWrite()
			texts, err := readTexts(eb.lines)
			if len(texts) != 2 || !errors.Is(err, ErrLost) || !errors.Is(err, ErrBroken) {
				t.Errorf("%q, %v", texts, err)
			}
			if err := ea.lines.Wait(); !errors.Is(err, ErrUndelivered) || !errors.Is(err, ErrBroken) {
				t.Errorf("the sender: %v", err)
			}
			if lost := eventsOf[Lost](eb); !slices.Equal(lost, []Lost{{1}}) {
				t.Errorf("%v", lost)
			}
			if lost := eventsOf[Undelivered](ea); !slices.Equal(lost, []Undelivered{{First: int64(dropped + 1), Texts: 1}}) {
				t.Errorf("%v", lost)
			}
		})
	}
}

func TestAChangedOrderIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept []byte
		var swap atomic.Int32
		filter := func(_ int, line []byte) [][]byte {
			switch swap.Load() {
			case 1:
				kept = line
				swap.Store(2)
				return nil
			case 2:
				swap.Store(0)
				return [][]byte{line, kept}
			}
			return [][]byte{line}
		}
		ea, eb := linesOver(t, relay{filter: filter}, relay{}, nil)
		handshakeLines(t, ea.lines, eb.lines)
		synctest.Wait()
		swap.Store(1)
		for _, text := range []string{"one", "two", "three"} {
			ea.lines.WriteMessage([]byte(text))
			synctest.Wait()
		}
		ea.lines.CloseWrite()
		texts, err := readTexts(eb.lines)
		got := strings.Join(texts, " ")
		if overVersion4() {
			if got != "two one three" || err != io.EOF || told[Late](eb) != 1 || told[Lost](eb) != 0 {
				t.Errorf("%s, %v, %v", got, err, eb.events())
			}
			if err := ea.lines.Wait(); err != nil {
				t.Error(err)
			}
			return
		}
		// Version 3 does not read messages that were overtaken.
		if got != "two three" || !errors.Is(err, ErrLost) || told[Lost](eb) != 1 {
			t.Errorf("%s, %v, %v", got, err, eb.events())
		}
		if err := ea.lines.Wait(); !errors.Is(err, ErrUndelivered) {
			t.Error(err)
		}
	})
}

// TestWhateverHappensToLinesOfTextsNoLossIsHidden: for an end that leaves with success, all
// its texts have arrived, and it has received all texts of the other end.
func TestWhateverHappensToLinesOfTextsNoLossIsHidden(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"drop", "repeat", "swap", "flip", "cut"} {
		if quick() && kind != "drop" && kind != "repeat" {
			continue
		}
		t.Run(kind, func(t *testing.T) {
			good, bad := 0, 0
			for seed := range rounds(20) {
				if quick() && seed > 0 || slowtest.LeftOut() && seed > 5 {
					break
				}
				synctest.Test(t, func(t *testing.T) {
					every := []int{6, 20, 60}[seed%3]
					ea, eb := linesOver(t,
						relay{filter: mangler(kind, rand.New(rand.NewPCG(seed, 14)), every)},
						relay{filter: mangler(kind, rand.New(rand.NewPCG(seed, 15)), every)}, nil)
					const n = 30
					write := func(e *end) {
						for i := range n {
							e.lines.WriteMessage(fmt.Appendf(nil, "%d", i))
							time.Sleep(100 * time.Millisecond)
						}
						e.lines.CloseWrite()
					}
					go write(ea)
					go write(eb)
					var fromA, fromB []string
					read := make(chan struct{})
					go func() {
						fromB, _ = readTexts(ea.lines)
						close(read)
					}()
					fromA, _ = readTexts(eb.lines)
					<-read
					for name, end := range map[string]struct {
						result     error
						sent, read []string
					}{"a": {ea.lines.Wait(), fromA, fromB}, "b": {eb.lines.Wait(), fromB, fromA}} {
						whole := func(texts []string) bool {
							texts = slices.Sorted(slices.Values(texts))
							return len(texts) == n && len(slices.Compact(texts)) == n
						}
						if end.result != nil {
							bad++
							continue
						}
						good++
						if !whole(end.sent) || !whole(end.read) {
							t.Errorf("seed %d: %s says that all is well; %d of its texts came, and %d to it", seed, name, len(end.sent), len(end.read))
						}
					}
				})
			}
			if kind == "repeat" && bad > 0 || kind == "drop" && bad == 0 {
				t.Errorf("%d good ends, %d bad ones", good, bad)
			}
		})
	}
}

func TestTextsUnderWayDuringKeyExchangesAreNotCalledLost(t *testing.T) {
	long(t)
	synctest.Test(t, func(t *testing.T) {
		delay := relay{delay: 300 * time.Millisecond}
		ea, eb := linesOver(t, delay, delay, nil)
		handshakeLines(t, ea.lines, eb.lines)
		const n = 200
		for _, e := range []*end{ea, eb} {
			go func() {
				for i := range n {
					e.lines.WriteMessage(fmt.Appendf(nil, "%d", i))
					time.Sleep(50 * time.Millisecond)
				}
				e.lines.CloseWrite()
			}()
			go func() {
				for range 4 {
					time.Sleep(2 * time.Second)
					e.lines.Do((*otr.Conversation).Refresh)
				}
			}()
		}
		var fromB []string
		read := make(chan struct{})
		go func() {
			fromB, _ = readTexts(ea.lines)
			close(read)
		}()
		fromA, _ := readTexts(eb.lines)
		<-read
		if err := errors.Join(ea.lines.Wait(), eb.lines.Wait()); err != nil || len(fromA) != n || len(fromB) != n {
			t.Errorf("%d and %d texts, %v", len(fromA), len(fromB), err)
		}
		for _, e := range []*end{ea, eb} {
			if told[Lost](e)+told[Late](e)+told[Undelivered](e)+told[Unacknowledged](e) != 0 || told[otr.Secure](e) < 3 {
				t.Errorf("%v", e.events())
			}
		}
	})
}

func TestATextThatIsLostAtAKeyExchangeIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deaf atomic.Bool
		ea, eb := linesOver(t, relay{filter: swallow(&deaf)}, relay{}, nil)
		handshakeLines(t, ea.lines, eb.lines)
		synctest.Wait()
		deaf.Store(true)
		ea.lines.WriteMessage([]byte("lost"))
		synctest.Wait()
		deaf.Store(false)
		if err := eb.lines.Do((*otr.Conversation).Refresh); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if told[Lost](eb) != 1 || told[Undelivered](ea) != 1 {
			t.Errorf("%v and %v", ea.events(), eb.events())
		}
		ea.lines.WriteMessage([]byte("arrives"))
		ea.lines.CloseWrite()
		if texts, err := readTexts(eb.lines); len(texts) != 1 || !errors.Is(err, ErrLost) {
			t.Errorf("%q, %v", texts, err)
		}
		if err := ea.lines.Wait(); !errors.Is(err, ErrUndelivered) {
			t.Error(err)
		}
	})
}

func TestTextsAreAcknowledgedOnceASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answers atomic.Int32
		count := func(_ int, line []byte) [][]byte { answers.Add(1); return [][]byte{line} }
		ea, eb := linesOver(t, relay{}, relay{filter: count}, nil)
		handshakeLines(t, ea.lines, eb.lines)
		synctest.Wait()
		before := answers.Load()
		for range 100 {
			ea.lines.WriteMessage([]byte("text"))
			time.Sleep(100 * time.Millisecond)
		}
		if n := answers.Load() - before; n < 8 || n > 11 {
			t.Errorf("%d answers to a hundred texts in ten seconds", n)
		}
		if told[Unacknowledged](ea) != 0 {
			t.Error("texts are reported as unacknowledged")
		}
	})
}

func TestATextThatIsNotAcknowledgedIsToldAfterTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deaf atomic.Bool
		ea, eb := linesOver(t, relay{}, relay{filter: swallow(&deaf)}, nil)
		handshakeLines(t, ea.lines, eb.lines)
		synctest.Wait()
		deaf.Store(true)
		start := time.Now()
		ea.lines.WriteMessage([]byte("one"))
		ea.lines.WriteMessage([]byte("two"))
		time.Sleep(30 * time.Second)
		var at time.Time
		for _, e := range ea.events() {
			if e.What == (Unacknowledged{First: 1, Texts: 2}) {
				at = e.Time
			}
		}
		// The transport accepts them at once, but the end may notice this a little later.
		if late := at.Sub(start) - overdueAfter; late < 0 || late > time.Second || told[Unacknowledged](ea) != 1 {
			t.Errorf("%v", ea.events())
		}
		deaf.Store(false)
		time.Sleep(time.Minute) // to the next heartbeat
		if got := eventsOf[Delivered](ea); !slices.Equal(got, []Delivered{{First: 1, Texts: 2, AfterAll: true}}) {
			t.Errorf("%v", got)
		}
	})
}

// With another client, Lines numbers its texts, which the client ignores, and does not wait
// for acknowledgements.
func TestWithAnotherClientNothingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meetLines(t, setting{lines: true})
		x.write("hello")
		if text, err := e.lines.ReadMessage(nil); string(text) != "hello" || err != nil {
			t.Fatalf("%q, %v", text, err)
		}
		start := time.Now()
		e.lines.WriteMessage([]byte("and goodbye"))
		e.lines.CloseWrite()
		var texts []string
		for x.c.State() == otr.StateEncrypted {
			text, ok := x.text()
			if !ok {
				t.Fatal("no Disconnected")
			}
			if text != "" {
				texts = append(texts, text)
			}
		}
		if err := e.lines.Wait(); err != nil || strings.Join(texts, "|") != "and goodbye" {
			t.Errorf("%q, %v", texts, err)
		}
		if d := time.Since(start); d > 1100*time.Millisecond || told[NoSign](e) != 0 {
			t.Errorf("it took %v; %v", d, e.events())
		}
	})
}

// A client that sends one line every few seconds has the new keys long before its Signature
// arrives, if its user has pasted a long text. What is written here meanwhile waits for the
// Signature, for longer than Timeout, and is not sent under keys that the peer has dropped.
func TestATextWaitsWhileThePeersAnswerIsInAQueue(t *testing.T) {
	if overVersion4() {
		t.Skip("it is about a Signature")
	}
	synctest.Test(t, func(t *testing.T) {
		const gap = 6 * time.Second
		e, x := meetLines(t, setting{lines: true})
		var mu sync.Mutex // guards the rest
		var queue [][]byte
		var heard []string
		more := 25 // texts that are pasted behind the D-H Key
		go func() {
			for {
				line, err := x.in.ReadBytes('\n')
				if err != nil {
					return
				}
				mu.Lock()
				r, err := x.c.Receive(bytes.TrimSuffix(line, []byte("\n")))
				if err != nil {
					t.Error(err)
				}
				for _, answer := range r.Send {
					queue = append(queue, append(bytes.Clone(answer), '\n'))
				}
				if r.HasText {
					heard = append(heard, string(r.Text))
				}
				for ; len(r.Send) > 0 && more > 0; more-- {
					b, err := x.c.AppendMessage(nil, otr.Message{Text: []byte("pasted")})
					if err != nil {
						t.Error(err)
					}
					queue = append(queue, b)
				}
				mu.Unlock()
			}
		}()
		if err := e.lines.Do((*otr.Conversation).Refresh); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		for i := 0; ; i++ {
			mu.Lock()
			if len(queue) == 0 {
				mu.Unlock()
				break
			}
			line := queue[0]
			queue = queue[1:]
			mu.Unlock()
			x.out.Write(line)
			if i == 2 {
				e.lines.WriteMessage([]byte("written meanwhile"))
			}
			time.Sleep(gap)
		}
		mu.Lock()
		defer mu.Unlock()
		if want := []string{"written meanwhile"}; !slices.Equal(heard, want) {
			t.Errorf("the peer reads %q: %v", heard, e.events())
		}
		x.out.Close()
	})
}

// number is the record with the number of a text.
func number(n int64) wire.TLV {
	return wire.TLV{Type: typeNumber, Value: appendOffset(nil, n)}
}

// A text that comes twice with the same number is delivered once.
func TestATextThatIsRepeatedIsDeliveredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meetLines(t, setting{lines: true})
		go io.Copy(io.Discard, x.in)
		for i, n := range []int64{0, 1, 1, 0, 2} {
			b, err := x.c.AppendMessage(nil, otr.Message{Text: fmt.Appendf(nil, "line %d", i), TLVs: []wire.TLV{number(n)}})
			if err != nil {
				t.Fatal(err)
			}
			x.out.Write(b)
		}
		for _, want := range []string{"line 0", "line 1", "line 4"} {
			if text, err := e.lines.ReadMessage(nil); string(text) != want || err != nil {
				t.Errorf("%q, %v", text, err)
			}
		}
	})
}

// Texts of a peer that has not passed its checks are not acknowledged, because it is not
// certain that anyone will read them.
func TestTextsOfAPeerThatHasNotProvedItselfAreNotAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, x := meetLines(t, setting{lines: true, config: secret("the secret")})
		b, err := x.c.AppendMessage(nil, otr.Message{Text: []byte("hello"), TLVs: []wire.TLV{number(0), {Type: typeAsk}}})
		if err != nil {
			t.Fatal(err)
		}
		x.out.Write(b)
		for acks := 0; acks < 2; { // the one at the beginning, and the one that was asked for
			line, err := x.in.ReadBytes('\n')
			if err != nil {
				t.Fatal(err)
			}
			r, err := x.c.Receive(bytes.TrimSuffix(line, []byte("\n")))
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range r.TLVs {
				if v.Type != typeTextAck {
					continue
				}
				if a, err := parseAck(v.Value); err != nil || a.next != 0 {
					t.Errorf("acknowledged up to %d, %v", a.next, err)
				}
				acks++
			}
		}
	})
}

// meetLines starts Lines and a peer with another program.
func meetLines(t *testing.T, s setting) (*end, *stranger) {
	e, x := meet(t, s)
	return e, x
}

// write sends a text.
func (x *stranger) write(text string) {
	x.t.Helper()
	b, err := x.c.AppendMessage(nil, otr.Message{Text: []byte(text)})
	if err != nil {
		x.t.Fatal(err)
	}
	x.out.Write(b)
}

// text reads one line and returns its text.
func (x *stranger) text() (string, bool) {
	x.t.Helper()
	line, err := x.in.ReadBytes('\n')
	if err != nil {
		return "", false
	}
	r, err := x.c.Receive(bytes.TrimSuffix(line, []byte("\n")))
	if err != nil {
		x.t.Fatal(err)
	}
	text := string(r.Text)
	for _, line := range r.Send {
		x.out.Write(append(bytes.Clone(line), '\n'))
	}
	return text, true
}

func TestAfterTheEndOfATalkWhoListenedCanForgeIt(t *testing.T) {
	for _, test := range []struct {
		name         string
		fromA, fromB int
		both         bool // both ends end at once
		delay        time.Duration
	}{
		{"nothing", 0, 0, false, 0},
		{"one way", 20, 0, false, 0},
		{"the other way", 0, 20, false, 0},
		{"both ways", 20, 20, false, 0},
		{"both ends at once", 5, 5, true, 0},
		{"many at once", 3 * revealAfter, 0, false, 0},
		{"a slow line", 5, 5, false, 700 * time.Millisecond},
		{"a slow line, both ends at once", 5, 5, true, 700 * time.Millisecond},
	} {
		if quick() && (test.fromA == 0 || test.fromB == 0) {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l listener
				a, b := l.cable(t, relay{delay: test.delay}, relay{delay: test.delay})
				ea, eb := openPair(t, a, b, setting{lines: true}, setting{lines: true})
				handshakeLines(t, ea.lines, eb.lines)
				for i := range test.fromA {
					ea.lines.WriteMessage(fmt.Appendf(nil, "%d", i))
				}
				for i := range test.fromB {
					eb.lines.WriteMessage(fmt.Appendf(nil, "%d", i))
				}
				time.Sleep(5 * time.Second)
				start := time.Now()
				ea.lines.CloseWrite()
				if test.both {
					eb.lines.CloseWrite()
				}
				var fromB []string
				read := make(chan struct{})
				go func() {
					fromB, _ = readTexts(ea.lines)
					close(read)
				}()
				fromA, _ := readTexts(eb.lines)
				<-read
				if err := errors.Join(ea.lines.Wait(), eb.lines.Wait()); err != nil || len(fromA) != test.fromA || len(fromB) != test.fromB {
					t.Errorf("%d and %d texts, %v", len(fromA), len(fromB), err)
				}
				if d := time.Since(start); d > time.Second+4*test.delay {
					t.Errorf("the end took %v", d)
				}
				l.wantDeniable(t)
			})
		})
	}
}

func TestAPeerThatDiesInTheClosingHandshakeOfATalkCostsNoSuccess(t *testing.T) {
	for _, direction := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			var deaf atomic.Bool
			relays := [2]relay{}
			relays[direction].filter = swallow(&deaf)
			ea, eb := linesOver(t, relays[0], relays[1], nil)
			handshakeLines(t, ea.lines, eb.lines)
			ea.lines.WriteMessage([]byte("from a"))
			eb.lines.WriteMessage([]byte("from b"))
			time.Sleep(10 * time.Second) // all is acknowledged
			start := time.Now()
			ea.lines.CloseWrite()
			deaf.Store(true)
			go readTexts(eb.lines)
			if err := ea.lines.Wait(); err != nil {
				t.Errorf("direction %d: %v", direction, err)
			}
			if d := time.Since(start); d > time.Second+goodbyeWait<<maxCloses {
				t.Errorf("direction %d: it took %v", direction, d)
			}
			if direction == 1 { // it receives the last message
				if err := eb.lines.Wait(); err != nil {
					t.Errorf("the other end: %v", err)
				}
			}
		})
	}
}

func TestASenderWhoseTextsAreNotAcknowledgedFailsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deaf atomic.Bool
		ea, eb := linesOver(t, relay{filter: swallow(&deaf)}, relay{filter: swallow(&deaf)}, nil)
		handshakeLines(t, ea.lines, eb.lines)
		synctest.Wait()
		deaf.Store(true)
		start := time.Now()
		ea.lines.WriteMessage([]byte("a text"))
		ea.lines.CloseWrite()
		if err := ea.lines.Wait(); !errors.Is(err, ErrUndelivered) {
			t.Error(err)
		}
		if d := time.Since(start); d < endWait || d > endWait+5*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// TestALostLastMessageOfAKeyExchangeLosesNoText: the Signature or Auth-I message is lost. Its
// sender believes that there is a session and sends texts in it.
func TestALostLastMessageOfAKeyExchangeLosesNoText(t *testing.T) {
	long(t)
	for _, closing := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			last := wire.TypeSignature
			if overVersion4() {
				last = wire.TypeAuthI
			}
			lost := 0
			filter := func(_ int, line []byte) [][]byte {
				msg, err := wire.AppendDearmored(nil, bytes.TrimSpace(line))
				if err == nil {
					if h, _, err := wire.ParseHeader(msg); err == nil && h.Type == last && lost == 0 {
						lost++
						return nil
					}
				}
				return [][]byte{line}
			}
			a, b := cable(t, relay{filter: filter}, relay{filter: filter})
			restart := func(c *otr.Config) { c.Policy |= otr.RestartAKE | otr.ErrorStartAKE }
			ea, eb := openPair(t, a, b, setting{lines: true, otr: restart}, setting{lines: true, otr: restart})
			for _, e := range []*end{ea, eb} {
				for i := range 3 {
					e.lines.WriteMessage(fmt.Appendf(nil, "text %d", i))
				}
				if closing {
					e.lines.CloseWrite()
				}
			}
			if !closing {
				time.Sleep(time.Minute)
				ea.lines.CloseWrite()
				eb.lines.CloseWrite()
			}
			var fromB []string
			read := make(chan struct{})
			go func() {
				fromB, _ = readTexts(ea.lines)
				close(read)
			}()
			fromA, _ := readTexts(eb.lines)
			<-read
			if err := errors.Join(ea.lines.Wait(), eb.lines.Wait()); err != nil || len(fromA) != 3 || len(fromB) != 3 || lost != 1 {
				t.Errorf("%q and %q, %d lost, %v", fromA, fromB, lost, err)
			}
		})
	}
}

func TestAPeerThatNeverShowsThatItHasTheSessionIsNoSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Nothing after the key exchange gets through.
		for _, direction := range []int{0, 1} {
			data := func(_ int, line []byte) [][]byte {
				msg, err := wire.AppendDearmored(nil, bytes.TrimSpace(line))
				if err == nil {
					if h, _, err := wire.ParseHeader(msg); err == nil && h.Type == wire.TypeData {
						return nil
					}
				}
				return [][]byte{line}
			}
			relays := [2]relay{}
			relays[direction].filter, relays[1-direction].filter = data, data
			ea, eb := linesOver(t, relays[0], relays[1], nil)
			handshakeLines(t, ea.lines, eb.lines)
			sure := ea
			unsure := eb
			if !sureOf(t, ea) {
				sure, unsure = eb, ea
			}
			_ = sure
			unsure.lines.WriteMessage([]byte("into the void"))
			unsure.lines.CloseWrite()
			if err := unsure.lines.Wait(); !errors.Is(err, ErrUnconfirmed) {
				t.Errorf("%v", err)
			}
		}
	})
}

// sureOf reports whether an end has received the last message of the key exchange.
func sureOf(t *testing.T, e *end) (sure bool) {
	t.Helper()
	err := e.lines.Do(func(c *otr.Conversation) ([][]byte, error) {
		s, _ := c.Session()
		sure = s.FirstHalfBold
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sure
}

func TestASessionThatHasLapsedComesBackForTheNextText(t *testing.T) {
	for _, stay := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b := cable(t, relay{}, relay{})
			quiet := func(c *Config) { c.Stay, c.Heartbeat = stay, 0 }
			expire := func(c *otr.Config) { c.Expire = 10 * time.Second }
			s := setting{lines: true, config: quiet, otr: expire}
			ea, eb := openPair(t, a, b, s, s)
			handshakeLines(t, ea.lines, eb.lines)
			ea.lines.WriteMessage([]byte("before"))
			if text, err := eb.lines.ReadMessage(nil); string(text) != "before" || err != nil {
				t.Fatalf("%q, %v", text, err)
			}
			time.Sleep(time.Hour)
			if told[otr.Ended](ea)+told[otr.Ended](eb) == 0 || told[otr.Secure](ea) != 1 {
				t.Fatalf("%v and %v", ea.events(), eb.events())
			}
			eb.lines.WriteMessage([]byte("after an hour"))
			if text, err := ea.lines.ReadMessage(nil); string(text) != "after an hour" || err != nil {
				t.Fatalf("%q, %v", text, err)
			}
			time.Sleep(time.Hour)
			eb.lines.CloseWrite()
			ea.lines.CloseWrite()
			if err := errors.Join(ea.lines.Wait(), eb.lines.Wait()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestATextThatASessionLapsesRightAfterIsSettledInTheNext(t *testing.T) {
	long(t)
	for _, lost := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var deaf atomic.Bool
			a, b := cable(t, relay{filter: swallow(&deaf)}, relay{})
			s := setting{lines: true, config: func(c *Config) { c.Heartbeat = 0 }, otr: func(c *otr.Config) { c.Expire = 10 * time.Second }}
			ea, eb := openPair(t, a, b, s, s)
			handshakeLines(t, ea.lines, eb.lines)
			time.Sleep(9500 * time.Millisecond)
			deaf.Store(lost)
			ea.lines.WriteMessage([]byte("the last words"))
			synctest.Wait()
			deaf.Store(false)
			time.Sleep(time.Minute)
			ea.lines.CloseWrite()
			eb.lines.CloseWrite()
			texts, err := readTexts(eb.lines)
			if want := ea.lines.Wait(); lost != errors.Is(want, ErrUndelivered) || lost != errors.Is(err, ErrLost) || lost == (len(texts) == 1) {
				t.Errorf("lost %v: %q, %v and %v", lost, texts, err, want)
			}
		})
	}
}

func TestALapsedSessionWhosePeerIsGoneLosesNoTextUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deaf atomic.Bool
		a, b := cable(t, relay{filter: swallow(&deaf)}, relay{filter: swallow(&deaf)})
		quiet := func(c *Config) { c.Heartbeat = 0 }
		expire := func(c *otr.Config) { c.Expire = 10 * time.Second }
		s := setting{lines: true, config: quiet, otr: expire}
		ea, eb := openPair(t, a, b, s, s)
		handshakeLines(t, ea.lines, eb.lines)
		time.Sleep(time.Minute)
		deaf.Store(true)
		ea.lines.WriteMessage([]byte("typed later"))
		ea.lines.CloseWrite()
		if err := ea.lines.Wait(); !errors.Is(err, ErrTimeout) {
			t.Error(err)
		}
	})
}

// A session whose limits are shorter than the heartbeat lives as long as its ends do.
func TestLimitsBelowTheHeartbeatKillNoLivingSession(t *testing.T) {
	long(t)
	t.Parallel()
	for _, lines := range []bool{false, true} {
		for _, limit := range []string{"dead", "expire"} {
			synctest.Test(t, func(t *testing.T) {
				a, b := cable(t, relay{delay: 100 * time.Millisecond}, relay{delay: 100 * time.Millisecond})
				ours := setting{lines: lines,
					config: func(c *Config) {
						if limit == "dead" {
							c.Dead = 9 * time.Second
						}
					},
					otr: func(c *otr.Config) {
						if limit == "expire" {
							c.Expire = 9 * time.Second
						}
					}}
				ea, eb := openPair(t, a, b, ours, setting{lines: lines})
				if lines {
					handshakeLines(t, ea.lines, eb.lines)
				} else {
					handshakeBoth(t, ea, eb)
				}
				if quick() {
					time.Sleep(90 * time.Second)
				} else {
					time.Sleep(10 * time.Minute)
				}
				if told[otr.Secure](ea) != 1 || told[otr.Ended](ea)+told[otr.PeerEnded](ea) != 0 {
					t.Errorf("lines %v, %s: %v", lines, limit, ea.events())
				}
			})
		}
	}
}

func TestManyTextsOneWayAreRevealedAsTheyGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l listener
		a, b := l.cable(t, relay{}, relay{})
		ea, eb := openPair(t, a, b, setting{lines: true}, setting{lines: true})
		handshakeLines(t, ea.lines, eb.lines)
		go readTexts(eb.lines)
		for range 5 * revealAfter { // all within one second, before any acknowledgement
			ea.lines.WriteMessage([]byte("x"))
			synctest.Wait()
		}
		const most = 2*revealAfter + 10
		if peak, _ := l.peaks(); peak > most || peak < revealAfter {
			t.Errorf("%d messages could not be forged; at most %d may", peak, most)
		}
		ea.lines.CloseWrite()
		if err := errors.Join(ea.lines.Wait(), eb.lines.Wait()); err != nil {
			t.Error(err)
		}
		l.wantDeniable(t)
	})
}

// A text is reported as delivered as soon as it is acknowledged. If the line is cut, the
// unacknowledged texts may be lost, which is reported too.
func TestEachTextIsToldToHaveArrivedOrToBePerhapsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deaf atomic.Bool
		a, b := cable(t, relay{filter: swallow(&deaf)}, relay{})
		lines := setting{lines: true}
		ea, eb := openPair(t, a, b, lines, lines)
		handshakeLines(t, ea.lines, eb.lines)
		go readTexts(eb.lines)
		ea.lines.WriteMessage([]byte("one"))
		ea.lines.WriteMessage([]byte("two"))
		time.Sleep(2 * ackEvery)
		var arrived int64
		for _, d := range eventsOf[Delivered](ea) {
			if d.First != arrived+1 || d.AfterAll {
				t.Errorf("after %d texts: %+v", arrived, d)
			}
			arrived += d.Texts
		}
		if arrived != 2 || told[Undelivered](ea) != 0 {
			t.Errorf("%v", ea.events())
		}
		deaf.Store(true)
		ea.lines.WriteMessage([]byte("three"))
		time.Sleep(time.Second)
		b.Close()
		if err := ea.lines.Wait(); !errors.Is(err, ErrTransport) {
			t.Errorf("it ended with %v", err)
		}
		if got := eventsOf[Undelivered](ea); !slices.Equal(got, []Undelivered{{First: 3, Texts: 1, Perhaps: true}}) {
			t.Errorf("%v", got)
		}
	})
}

// The reader fails at the second of three texts, which has come with the end of the session. The
// sender learns that one text has arrived and two have not.
func TestTextsThatTheReaderLosesAreNotAcknowledged(t *testing.T) {
	for _, asks := range []bool{false, true} { // which also decides which end leads at the end
		synctest.Test(t, func(t *testing.T) {
			a, b := cable(t, relay{delay: time.Millisecond}, relay{delay: time.Millisecond})
			initiates := func(does bool) setting {
				return setting{lines: true, config: func(c *Config) { c.Initiate, c.Linger = does, time.Nanosecond }}
			}
			sender, reader := openPair(t, a, b, initiates(asks), initiates(!asks))
			handshakeLines(t, sender.lines, reader.lines)
			for _, text := range []string{"one", "two", "three"} {
				sender.lines.WriteMessage([]byte(text))
			}
			sender.lines.CloseWrite()
			for _, want := range []string{"one", "two"} {
				if got, err := reader.lines.ReadMessage(nil); string(got) != want {
					t.Fatalf("%q, %v", got, err)
				}
			}
			time.Sleep(readWait / 2) // as long as the disk takes to say that it is full
			reader.lines.CloseRead()
			time.Sleep(2 * readWait)
			go reader.lines.Close()
			if err := sender.lines.Wait(); !errors.Is(err, ErrUndelivered) {
				t.Errorf("the sender ends with %v", err)
			}
			var lost int64
			for _, u := range eventsOf[Undelivered](sender) {
				lost += u.Texts
				if u.First < 2 {
					t.Errorf("%+v", u)
				}
			}
			if lost != 2 || told[Unwritten](sender) != 0 { // nothing else is lost
				t.Errorf("%d texts are told as undelivered; %v", lost, sender.events())
			}
		})
	}
}

// Texts that wait for a slow reader, such as a pager, are not lost, and the sender does not wait
// until they have been read.
func TestTheSenderDoesNotWaitForASlowReader(t *testing.T) {
	for _, asks := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b := cable(t, relay{delay: time.Millisecond}, relay{delay: time.Millisecond})
			initiates := func(does bool) setting {
				return setting{lines: true, config: func(c *Config) { c.Initiate = does }}
			}
			sender, reader := openPair(t, a, b, initiates(asks), initiates(!asks))
			handshakeLines(t, sender.lines, reader.lines)
			for _, text := range []string{"one", "two", "three"} {
				sender.lines.WriteMessage([]byte(text))
			}
			sender.lines.CloseWrite()
			reader.lines.ReadMessage(nil)
			start := time.Now()
			if err := sender.lines.Wait(); err != nil {
				t.Errorf("the sender ends with %v", err)
			}
			if d := time.Since(start); d > 10*time.Second {
				t.Errorf("that took %v", d)
			}
			time.Sleep(time.Hour)
			for _, want := range []string{"two", "three"} {
				if got, err := reader.lines.ReadMessage(nil); string(got) != want {
					t.Errorf("%q, %v", got, err)
				}
			}
			if err := reader.lines.Wait(); err != nil {
				t.Errorf("the reader's end: %v", err)
			}
		})
	}
}

func TestTextInClearIsToldWithItsBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := bytes.Repeat([]byte{'x'}, MaxClear+1)
		filter := func(i int, line []byte) [][]byte {
			if i == 0 {
				return [][]byte{[]byte("hello\n"), append(bytes.Clone(long), '\n'), line}
			}
			return [][]byte{line}
		}
		ea, eb := linesOver(t, relay{filter: filter}, relay{}, nil)
		handshakeLines(t, ea.lines, eb.lines)
		got := eventsOf[Unencrypted](eb)
		if len(got) != 2 || string(got[0].Text) != "hello" || got[0].Bytes != 5 || got[1].Bytes != len(long) || !bytes.Equal(got[1].Text, long[:MaxClear]) {
			t.Errorf("%d events: %v", len(got), got)
		}
	})
}
