package torture

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// A wire is what went in one direction, recorded.
type wire struct {
	name string
	mu   sync.Mutex
	seen []byte
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, p...)
	return len(p), nil
}

// check looks for plaintext in what went over the wire, and for anything that is not OTR. A wire
// that was used has carried something.
func (w *wire) check(t *testing.T, used bool) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	checkWire(t, w.name, w.seen, used)
	w.seen = nil
}

// checkWire checks lines of a wire. The last may be cut.
func checkWire(t *testing.T, name string, seen []byte, used bool) {
	t.Helper()
	if used && len(seen) == 0 {
		t.Errorf("%s: nothing was on the wire", name)
	}
	if bytes.Contains(seen, []byte(marker)) {
		t.Errorf("%s: plaintext is on the wire", name)
	}
	for line := range bytes.Lines(seen) {
		if !bytes.HasPrefix([]byte("?OTR"), line[:min(4, len(line))]) {
			t.Errorf("%s: a line on the wire is not OTR: %.80q", name, line)
		}
		coded, ok := bytes.CutPrefix(line, []byte("?OTR:"))
		if !ok {
			continue
		}
		coded = bytes.TrimRight(coded, ".\n")
		message, err := base64.StdEncoding.AppendDecode(nil, coded[:len(coded)/4*4])
		if err != nil || bytes.Contains(message, []byte(marker)) {
			t.Errorf("%s: a message on the wire has plaintext, or is damaged (%v)", name, err)
		}
	}
}

// maxLine is longer than any line of a stream.
const maxLine = 2 << 20

// pump carries lines from in to out, and records them, until in ends. It returns false if out
// takes no more, or if tamper cuts the wire. tamper, if there is one, says what goes on in place
// of a line, and whether the wire stays whole.
func pump(in io.Reader, out io.Writer, record *wire, tamper func(line []byte) (lines [][]byte, ok bool)) bool {
	lines := bufio.NewReaderSize(in, maxLine)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			record.Write(line)
			pass, ok := [][]byte{line}, true
			if tamper != nil {
				pass, ok = tamper(line)
			}
			for _, line := range pass {
				if _, err := out.Write(line); err != nil {
					return false
				}
			}
			if !ok {
				return false
			}
		}
		if err != nil {
			return err == io.EOF
		}
	}
}

// pipe returns two ends of a pipe through which lines are recorded.
func (w *world) pipe(record *wire) (write, read *os.File) {
	w.t.Helper()
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer inRead.Close()
		defer outWrite.Close()
		pump(inRead, outWrite, record, nil)
	}()
	return inWrite, outRead
}

// A relay is a network between two programs, or between callers and a server.
type relay struct {
	t     *testing.T
	wires [2]*wire // what came from the end that called first (or from callers), and from the other
	// tamper makes what tampers with one direction; nil: nothing does.
	tamper func(from int) func(line []byte) ([][]byte, bool)

	listeners []*net.TCPListener
	pumps     sync.WaitGroup
}

func newRelay(t *testing.T) *relay {
	return &relay{t: t, wires: [2]*wire{{name: "from alice"}, {name: "from bob"}}}
}

// join listens at two addresses, and joins one caller of each.
func (r *relay) join() (addresses [2]string) {
	r.t.Helper()
	for i := range addresses {
		addresses[i] = r.listen()
	}
	r.pumps.Go(func() {
		var conns [2]*net.TCPConn
		for i, listener := range r.listeners {
			conn, err := listener.AcceptTCP()
			listener.Close()
			if err != nil {
				continue
			}
			defer conn.Close()
			conns[i] = conn
		}
		if conns[0] != nil && conns[1] != nil {
			r.carry(conns)
		}
	})
	return addresses
}

// forward listens, and brings every caller to a server.
func (r *relay) forward(server string) string {
	r.t.Helper()
	address := r.listen()
	listener := r.listeners[0]
	listener.SetDeadline(time.Time{})
	r.pumps.Go(func() {
		for {
			caller, err := listener.AcceptTCP()
			if err != nil {
				return
			}
			r.pumps.Go(func() {
				defer caller.Close()
				conn, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer conn.Close()
				r.carry([2]*net.TCPConn{caller, conn.(*net.TCPConn)})
			})
		}
	})
	return address
}

func (r *relay) listen() string {
	r.t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		r.t.Fatal(err)
	}
	// An end that never calls must not keep the relay for ever.
	listener.SetDeadline(time.Now().Add(patience))
	r.listeners = append(r.listeners, listener)
	return fmt.Sprint(listener.Addr())
}

// carry carries both directions until both have ended, or the wire is cut.
func (r *relay) carry(conns [2]*net.TCPConn) {
	var both sync.WaitGroup
	for from := range conns {
		var tamper func(line []byte) ([][]byte, bool)
		if r.tamper != nil {
			tamper = r.tamper(from)
		}
		both.Go(func() {
			if pump(conns[from], conns[1-from], r.wires[from], tamper) {
				conns[1-from].CloseWrite()
				return
			}
			conns[0].Close()
			conns[1].Close()
		})
	}
	both.Wait()
}

// close ends listening and waits until nothing is carried any more.
func (r *relay) close() {
	for _, listener := range r.listeners {
		listener.Close()
	}
	r.pumps.Wait()
}

// check closes the relay and looks at what it has carried. A relay that was used has carried
// something in both directions.
func (r *relay) check(used bool) {
	r.t.Helper()
	r.close()
	for _, w := range r.wires {
		w.check(r.t, used)
	}
}
