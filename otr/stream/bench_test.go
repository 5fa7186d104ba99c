package stream

import (
	"fmt"
	"io"
	"net"
	"os"
	"testing"
)

// pipes returns a transport of operating system pipes, as the commands use.
func pipes(b *testing.B) (x, y io.ReadWriteCloser) {
	b.Helper()
	xr, yw, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	yr, xw, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	return files{xr, xw}, files{yr, yw}
}

type files struct {
	*os.File
	w *os.File
}

func (f files) Write(p []byte) (int, error) { return f.w.Write(p) }

func (f files) Close() error {
	f.File.Close()
	return f.w.Close()
}

var benchTransports = map[string]func(*testing.B) (io.ReadWriteCloser, io.ReadWriteCloser){
	"pipe":    pipes,
	"netpipe": func(*testing.B) (io.ReadWriteCloser, io.ReadWriteCloser) { x, y := net.Pipe(); return x, y },
}

// BenchmarkOneWay measures a bulk stream with both ends in this process.
func BenchmarkOneWay(b *testing.B) {
	for name, transport := range benchTransports {
		b.Run(name, func(b *testing.B) { benchmark(b, transport, false) })
	}
}

// BenchmarkBothWays counts the bytes of both directions.
func BenchmarkBothWays(b *testing.B) {
	for name, transport := range benchTransports {
		b.Run(name, func(b *testing.B) { benchmark(b, transport, true) })
	}
}

func benchmark(b *testing.B, transport func(*testing.B) (io.ReadWriteCloser, io.ReadWriteCloser), both bool) {
	x, y := transport(b)
	ea, eb := openPair(b, x, y, setting{}, setting{})
	if err := ea.Handshake(b.Context()); err != nil {
		b.Fatal(err)
	}
	const piece = 1 << 20
	p := make([]byte, piece)
	b.SetBytes(piece)
	if both {
		b.SetBytes(2 * piece)
	}
	b.ReportAllocs()
	b.ResetTimer()
	send := func(e *end, n int) {
		for range n {
			if _, err := e.Write(p); err != nil {
				b.Error(err)
				return
			}
		}
		e.CloseWrite()
	}
	receive := func(e *end) {
		buf := make([]byte, 128<<10)
		for {
			if _, err := e.Read(buf); err != nil {
				if err != io.EOF {
					b.Error(err)
				}
				return
			}
		}
	}
	go send(ea, b.N)
	if both {
		go send(eb, b.N)
	} else {
		go send(eb, 0)
	}
	go receive(ea)
	receive(eb)
	if err := ea.Wait(); err != nil {
		b.Error(err)
	}
	if err := eb.Wait(); err != nil {
		b.Error(err)
	}
}

// BenchmarkPingPong measures one byte each way.
func BenchmarkPingPong(b *testing.B) {
	x, y := net.Pipe()
	ea, eb := openPair(b, x, y, setting{}, setting{})
	go func() {
		buf := make([]byte, 1)
		for {
			if _, err := eb.Read(buf); err != nil {
				eb.CloseWrite()
				return
			}
			eb.Write(buf)
		}
	}()
	buf := make([]byte, 1)
	for range b.N {
		ea.Write(buf)
		if _, err := ea.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
	ea.CloseWrite()
	ea.Read(buf)
	if err := ea.Wait(); err != nil {
		b.Error(err)
	}
	eb.Wait()
}

// BenchmarkMessages measures Lines with texts of 64 bytes.
func BenchmarkMessages(b *testing.B) {
	x, y := pipes(b)
	ea, eb := openPair(b, x, y, setting{lines: true}, setting{lines: true})
	if err := ea.lines.Handshake(b.Context()); err != nil {
		b.Fatal(err)
	}
	text := make([]byte, 64)
	for i := range text {
		text[i] = 't'
	}
	b.SetBytes(64)
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		for range b.N {
			ea.lines.WriteMessage(text)
		}
		ea.lines.CloseWrite()
	}()
	var buf []byte
	for range b.N {
		var err error
		if buf, err = eb.lines.ReadMessage(buf[:0]); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	ea.lines.Close()
	eb.lines.Close()
}

// BenchmarkSessions measures one byte each way in each of a number of sessions in turn. The
// cost of one must not depend on their number.
func BenchmarkSessions(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			pairs := make([][2]*end, n)
			for i := range pairs {
				x, y := net.Pipe()
				pairs[i][0], pairs[i][1] = openPair(b, x, y, setting{}, setting{})
			}
			for _, pair := range pairs {
				for _, e := range pair {
					if err := e.Handshake(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			}
			buf := make([]byte, 1)
			for b.Loop() {
				for _, pair := range pairs {
					for i := range pair {
						if _, err := pair[i].Write(buf); err != nil {
							b.Fatal(err)
						}
						if _, err := pair[1-i].Read(buf); err != nil {
							b.Fatal(err)
						}
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/op")
		})
	}
}
