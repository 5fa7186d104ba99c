package stream

import (
	"context"
	"io"
	"sync"
)

// sendRoom is how many written bytes may wait to be sent. It is enough to fill the next batch
// of messages of the largest size while the batch before it is being encrypted on two cores.
const sendRoom = 2 << 20

// A Stream carries exact bytes to and from another Stream. Each direction ends on its own:
// CloseWrite ends ours, and Read returns io.EOF at the peer's authenticated end. When both
// have ended and everything is acknowledged, both ends close the session by themselves.
//
// All methods may be called from any goroutine.
type Stream struct {
	link
	transfer // the owner's

	// Guarded by mu.
	readable, writable sync.Cond
	out                queue // written and not yet sent
	writeClosed        bool  // CloseWrite was called
	stopped            bool  // the peer's STOP came; out stays empty
	cut                bool  // the peer stopped before it had everything
	in                 queue // received and not yet read
	trustedIn          bool  // in may be read
	inEnded            bool  // END came: nothing will be added to in
	taken              int64 // bytes handed to the reader, and taken by Deliver's writer
	delivering         bool  // Deliver runs, and its writer has not been closed yet
	inHand             int   // bytes that Deliver's writer has not taken
	writing            bool  // Deliver's writer may still take them
	takenGoal          int64 // wake the owner when taken reaches this
	readStopped        *string
	dropping           bool  // bytes that arrive are dropped
	stopping           bool  // readStopped's STOP has yet to be sent
	readBytes          int64 // bytes that the reader had when it stopped
}

// Open starts a Stream over transport, which carries lines both ways. The transport is closed
// at the end; Close must make a blocked Read or Write return. If cfg is incomplete, or its
// Rand fails, the Stream ends at once with that error.
func Open(transport io.ReadWriteCloser, cfg Config) *Stream {
	s := new(Stream)
	s.readable.L, s.writable.L = &s.mu, &s.mu
	s.window = cfg.Window
	if s.window <= 0 {
		s.window = DefaultWindow
	}
	s.takenGoal = s.quarter()
	err := errConfig
	if cfg.Rand != nil {
		_, err = io.ReadFull(cfg.Rand, s.id[:])
	}
	s.start(transport, cfg, s, err)
	return s
}

// Handshake waits until payload may move: the session is encrypted, the peer has passed the
// checks that Config asks for, and its HELLO has come. If ctx ends first, Handshake returns
// ctx's error and the Stream goes on.
func (s *Stream) Handshake(ctx context.Context) error { return s.handshake(ctx) }

// Read reads authenticated bytes from the peer. It returns io.EOF only at the peer's
// authenticated end.
func (s *Stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.await(p)
	s.take(n)
	return n, err
}

// await is Read without counting the bytes as taken. The mutex is held.
func (s *Stream) await(p []byte) (int, error) {
	for {
		switch {
		case s.readStopped != nil:
			return 0, ErrClosed
		case len(p) == 0:
			return 0, nil
		case s.trustedIn && s.in.size > 0:
			return s.in.pop(p), nil
		case s.trustedIn && s.inEnded:
			return 0, io.EOF
		case s.known:
			return 0, s.closedError()
		}
		s.readable.Wait()
	}
}

// deliverSize is the amount of bytes that Deliver writes at once. It is more than a pipe holds, and
// so large that the cost of a call does not matter.
const deliverSize = 256 << 10

// Deliver writes the peer's bytes to w until the peer's authenticated end, and then closes w. The
// peer gets the acknowledgement of bytes when w has taken them, and that of the end when w is
// closed. So if w fails, which no reader of bytes that Read has returned could tell, the peer does
// not end well. Deliver returns the error of w as it is. The stream goes on then: it needs Abort. If
// it was Write that failed, CloseRead does too, and the other direction goes on; after an error of
// Close it would tell the peer that all is well, because the reader has had all bytes.
func (s *Stream) Deliver(w io.WriteCloser) error {
	buf := make([]byte, deliverSize)
	for {
		n, err := s.hand(buf)
		switch {
		case err == io.EOF:
			if err := w.Close(); err != nil {
				return err
			}
			s.delivered()
			return nil
		case err != nil:
			return err
		}
		_, err = w.Write(buf[:n])
		s.wrote(err)
		if err != nil {
			return err
		}
	}
}

// hand returns bytes for Deliver's writer.
func (s *Stream) hand(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delivering = s.readStopped == nil // after CloseRead, the peer's end need not wait for the writer
	s.inHand, err = s.await(p)
	s.writing = s.inHand > 0
	return s.inHand, err
}

// wrote counts the bytes in hand as taken, unless err says that the writer has failed. CloseRead
// may have waited for that.
func (s *Stream) wrote(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = false
	if err == nil {
		n := s.inHand
		s.inHand = 0
		s.take(n)
	}
	if s.readStopped != nil {
		s.drop()
	}
}

// delivered is called when the writer is closed.
func (s *Stream) delivered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delivering = false
	s.take(0)
}

// take counts n bytes as handed to the reader. The mutex is held.
func (s *Stream) take(n int) {
	s.taken += int64(n)
	s.stats.ReceivedBytes += int64(n)
	if s.taken >= s.takenGoal || s.inEnded && s.in.size == 0 {
		s.rouse()
	}
}

// Write writes p. It returns once all of p has been sent or queued, which the peer's window
// may delay. Only when Wait returns nil is it certain that the peer has read everything.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for {
		switch {
		case n == len(p):
			return n, nil
		case s.ended:
			return n, s.closedError()
		case s.writeClosed:
			return n, ErrClosed
		case s.stopped:
			s.cut = true
			return n, ErrStopped
		case s.out.size < sendRoom:
			m := min(len(p)-n, sendRoom-s.out.size)
			s.out.push(p[n : n+m])
			n += m
			s.rouse()
			continue
		}
		s.writable.Wait()
	}
}

// CloseWrite ends our direction: after what was written, the peer reads io.EOF.
func (s *Stream) CloseWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known && s.result != nil {
		return s.result
	}
	s.writeClosed = true
	s.writable.Broadcast()
	s.rouse()
	return nil
}

// CloseRead stops reading: it tells the peer the reason and asks it to end its direction.
// Bytes that still arrive are dropped. Our direction goes on. If Deliver's writer is taking bytes,
// the peer is told when it has taken them or failed.
func (s *Stream) CloseRead(reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known && s.result != nil {
		return s.result
	}
	if s.readStopped == nil {
		s.readStopped = &reason
		s.readable.Broadcast()
		if !s.writing {
			s.drop()
		}
	}
	return nil
}

// drop drops the bytes that the reader has not taken. The peer learns how many it has taken, also
// if all bytes had arrived. The mutex is held.
func (s *Stream) drop() {
	s.readBytes = s.taken
	s.taken += int64(s.inHand)
	s.inHand, s.delivering, s.dropping = 0, false, true
	s.discard()
	s.stopping = !s.inEnded || s.taken > s.readBytes
	s.rouse()
}

// discard drops received bytes after CloseRead. They count as taken, because otherwise the
// peer's direction could never end.
func (s *Stream) discard() {
	s.taken += int64(s.in.size)
	s.in.clear()
}

// Wait waits until all is over and returns the result: nil if both directions
// ended and were acknowledged.
func (s *Stream) Wait() error {
	<-s.done
	return s.result
}

// Close ends the Stream. If CloseWrite was called, and Read has returned io.EOF or CloseRead
// was called, it waits for the proper end, for as long as the peer is alive; Abort interrupts
// that wait. Otherwise Close is the same as Abort. It returns nil if both directions ended
// and were acknowledged.
func (s *Stream) Close() error {
	s.mu.Lock()
	proper := s.writeClosed && (s.inEnded && s.in.size == 0 || s.readStopped != nil)
	s.mu.Unlock()
	if !proper {
		return s.Abort("closed")
	}
	return s.Wait()
}

// Abort breaks the stream in both directions and ends the session. The peer is told the
// reason, cut to 1024 bytes. Abort returns the result: nil if both directions had already
// ended, and ErrClosed if Abort itself ended the stream.
func (s *Stream) Abort(reason string) error {
	s.requestAbort(reason)
	return s.Wait()
}
