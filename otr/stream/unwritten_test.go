package stream

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

// linesPair starts two Lines. The first one asks for the session, or else the second one, which
// decides which of them leads at the end.
func linesPair(t *testing.T, asks bool) (*end, *end) {
	t.Helper()
	a, b := cable(t, relay{delay: time.Millisecond}, relay{delay: time.Millisecond})
	initiates := func(does bool) setting {
		return setting{lines: true, config: func(c *Config) { c.Initiate = does }}
	}
	ea, eb := openPair(t, a, b, initiates(asks), initiates(!asks))
	handshakeLines(t, ea.lines, eb.lines)
	return ea, eb
}

// An output may show only when it is closed that it has lost something. The sender learns of it,
// although it has had its acknowledgements long before. Either of the two ends may be the first to
// have no more to say.
func TestAnOutputThatCannotBeClosedIsNoSuccess(t *testing.T) {
	for _, asks := range []bool{false, true} {
		for _, readerFirst := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				sender, reader := linesPair(t, asks)
				closed := 0
				reader.lines.OnLastText(func() error {
					closed++
					time.Sleep(readWait / 2)
					return errFull
				})
				read := make(chan error)
				go func() {
					texts, err := readTexts(reader.lines)
					if !slices.Equal(texts, []string{"one", "two"}) {
						t.Errorf("%q", texts)
					}
					read <- err
				}()
				sender.lines.WriteMessage([]byte("one"))
				sender.lines.WriteMessage([]byte("two"))
				time.Sleep(10 * time.Second)
				if closed != 0 || told[Delivered](sender) == 0 {
					t.Errorf("before the end it is closed %d times; %v", closed, sender.events())
				}
				if readerFirst {
					reader.lines.CloseWrite()
				} else {
					sender.lines.CloseWrite()
				}
				if err := sender.lines.Wait(); err != ErrUnwritten || told[Unwritten](sender) != 1 {
					t.Errorf("the sender ends with %v; %v", err, sender.events())
				}
				if err := <-read; err != errFull || closed != 1 {
					t.Errorf("the reader has %v, and its output was closed %d times", err, closed)
				}
			})
		}
	}
}

// An end that closes its output in time, or late, or for which nothing was written, costs no
// success. The peer does not wait for it for long.
func TestAnOutputThatIsClosedIsSuccess(t *testing.T) {
	for _, asks := range []bool{false, true} {
		for _, test := range []struct {
			texts int
			takes time.Duration
			err   error
			most  time.Duration // how long the sender may take to leave
		}{
			{2, 0, nil, 1100 * time.Millisecond},
			{2, time.Hour, nil, 5 * time.Second},
			{0, 0, errFull, 1100 * time.Millisecond},
		} {
			synctest.Test(t, func(t *testing.T) {
				sender, reader := linesPair(t, asks)
				reader.lines.OnLastText(func() error {
					time.Sleep(test.takes)
					return test.err
				})
				read := make(chan error)
				go func() {
					_, err := readTexts(reader.lines)
					read <- err
				}()
				for range test.texts {
					sender.lines.WriteMessage([]byte("a text"))
				}
				start := time.Now()
				sender.lines.CloseWrite()
				if err := sender.lines.Wait(); err != nil {
					t.Errorf("%+v: the sender ends with %v", test, err)
				}
				if d := time.Since(start); d > test.most {
					t.Errorf("%+v: that took %v", test, d)
				}
				if err := <-read; err != test.err && !(test.err == nil && err == io.EOF) {
					t.Errorf("%+v: the reader has %v", test, err)
				}
			})
		}
	}
}

// The output takes no text for two seconds and fails then. The acknowledgement did not wait for so
// long, so the end itself says that texts are lost.
func TestATextThatIsLostAfterItsAcknowledgementIsNoSuccess(t *testing.T) {
	for _, asks := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			sender, reader := linesPair(t, asks)
			sender.lines.WriteMessage([]byte("a text"))
			reader.lines.ReadMessage(nil)
			time.Sleep(2 * time.Second)
			if told[Delivered](sender) != 1 {
				t.Errorf("it is not acknowledged: %v", sender.events())
			}
			reader.lines.CloseRead()
			go reader.lines.Close()
			if err := sender.lines.Wait(); err != ErrUnwritten || told[Unwritten](sender) != 1 {
				t.Errorf("the sender ends with %v; %v", err, sender.events())
			}
		})
	}
}

// The output of an end that stays is closed when that end leaves, not with each session.
func TestTheOutputOfAnEndThatStaysIsNotClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := cable(t, relay{}, relay{})
		stays := open(t, a, setting{lines: true, config: func(c *Config) { c.Stay = true }})
		closed := 0
		stays.lines.OnLastText(func() error { closed++; return nil })
		read := make(chan []string)
		go func() {
			texts, _ := readTexts(stays.lines)
			read <- texts
		}()
		connect := switchboard(b)
		for i := range 2 {
			guest := open(t, connect(), setting{lines: true, key: 1, seed: uint64(i)})
			handshakeLines(t, guest.lines)
			guest.lines.WriteMessage([]byte("a text"))
			guest.lines.CloseWrite()
			if err := guest.lines.Wait(); err != nil || closed != 0 {
				t.Errorf("session %d: %v, closed %d times", i, err, closed)
			}
		}
		stays.lines.Close()
		if texts := <-read; len(texts) != 2 || closed != 1 {
			t.Errorf("%q, closed %d times", texts, closed)
		}
		b.Close()
	})
}

// A peer says that it has no more texts, and sends one nevertheless when our output is closed. That
// text is lost, and both ends know it.
func TestATextAfterTheLastOneIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meetLines(t, setting{lines: true})
		e.lines.OnLastText(func() error { return nil })
		var mu sync.Mutex // guards x.c
		var said []uint16
		heard := make(chan struct{})
		go func() {
			defer close(heard)
			for {
				line, err := x.in.ReadBytes('\n')
				if err != nil {
					return
				}
				mu.Lock()
				got, _ := x.c.Receive(bytes.TrimSpace(line))
				mu.Unlock()
				for _, tlv := range got.TLVs {
					said = append(said, tlv.Type)
				}
			}
		}()
		write := func(m otr.Message) {
			mu.Lock()
			b, err := x.c.AppendMessage(nil, m)
			mu.Unlock()
			if err != nil {
				t.Fatal(err)
			}
			x.out.Write(b)
		}
		write(otr.Message{Text: []byte("the last"), TLVs: []wire.TLV{number(0), {Type: typeClose}}})
		if text, err := e.lines.ReadMessage(nil); string(text) != "the last" {
			t.Errorf("%q, %v", text, err)
		}
		go func() {
			if text, err := e.lines.ReadMessage(nil); !errors.Is(err, ErrLost) {
				t.Errorf("%q, %v", text, err)
			}
		}()
		time.Sleep(100 * time.Millisecond)
		write(otr.Message{Text: []byte("and one more"), TLVs: []wire.TLV{number(1)}})
		if err := e.lines.Wait(); !errors.Is(err, ErrLost) || told[Lost](e) != 1 {
			t.Errorf("%v; %v", err, e.events())
		}
		x.out.Close()
		<-heard
		if !slices.Contains(said, typeUnwritten) {
			t.Errorf("the peer is not told: %x", said)
		}
	})
}

// A stranger, who has been sent nothing, has nothing to lose.
func TestAStrangerCannotSayThatTextsAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meetLines(t, setting{lines: true, config: func(c *Config) {
			c.SMP = &SMPConfig{Secret: []byte("secret"), Delay: func() (time.Duration, error) { return time.Hour, nil }}
		}})
		go io.Copy(io.Discard, x.in)
		x.say(wire.TLV{Type: typeUnwritten})
		time.Sleep(time.Second)
		if n := told[Unwritten](e); n != 0 {
			t.Errorf("it is told %d times", n)
		}
	})
}

// The reader fails and the session goes on. What comes then is dropped, however much it is, and the
// sender knows that nothing of it has arrived.
func TestTextsAfterTheReaderHasFailedAreDropped(t *testing.T) {
	const n = 8
	for _, asks := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			sender, reader := linesPair(t, asks)
			sender.lines.WriteMessage([]byte("the first"))
			sender.lines.WriteMessage([]byte("the second"))
			time.Sleep(readWait / 2)
			if text, err := reader.lines.ReadMessage(nil); string(text) != "the first" {
				t.Errorf("%q, %v", text, err)
			}
			reader.lines.CloseRead()
			read := make(chan []string)
			go func() {
				texts, _ := readTexts(reader.lines)
				read <- texts
			}()
			for range n {
				sender.lines.WriteMessage(bytes.Repeat([]byte("x"), linesRoom/4))
			}
			time.Sleep(time.Second)
			var waiting int
			if err := reader.lines.Do(func(*otr.Conversation) ([][]byte, error) {
				waiting = len(reader.lines.toRead)
				return nil, nil
			}); err != nil || waiting != 2 {
				t.Errorf("%d texts wait for the reader; %v", waiting, err)
			}
			sender.lines.CloseWrite()
			if err := sender.lines.Wait(); err != ErrUndelivered {
				t.Errorf("the sender ends with %v", err)
			}
			var lost int64
			for _, u := range eventsOf[Undelivered](sender) {
				lost += u.Texts
			}
			if texts := <-read; len(texts) != 0 || lost != n+2 || told[Unwritten](sender) != 0 {
				t.Errorf("%d texts are read, %d told as undelivered", len(texts), lost)
			}
		})
	}
}

// A text comes late, after a reader has failed with a text that was sent later. It is not acknowledged.
func TestALateTextAfterTheReaderHasFailedIsNotAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meetLines(t, setting{lines: true})
		for _, n := range []int64{0, 2} {
			x.sayText("hello", number(n))
			if text, err := e.lines.ReadMessage(nil); string(text) != "hello" || err != nil {
				t.Fatalf("%q, %v", text, err)
			}
		}
		e.lines.CloseRead()
		x.sayText("late", number(1))
		x.say(wire.TLV{Type: typeAsk})
		go func() {
			time.Sleep(time.Second)
			e.lines.Close()
		}()
		if n := x.ackedAtLast(); n != 1 {
			t.Errorf("%d texts are acknowledged", n)
		}
	})
}
