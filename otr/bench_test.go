package otr_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// Each figure is measured in version 3, which other implementations speak, and in
// version 4 under the same name after V4: scripts/bench reads the names.

func BenchmarkAKE(b *testing.B)           { benchAKE(b, otr.AllowV3) }
func BenchmarkV4AKE(b *testing.B)         { benchAKE(b, otr.AllowV4) }
func BenchmarkSend(b *testing.B)          { benchSend(b, otr.AllowV3) }
func BenchmarkV4Send(b *testing.B)        { benchSend(b, otr.AllowV4) }
func BenchmarkReceive(b *testing.B)       { benchReceive(b, otr.AllowV3) }
func BenchmarkV4Receive(b *testing.B)     { benchReceive(b, otr.AllowV4) }
func BenchmarkSendReceive(b *testing.B)   { benchSendReceive(b, otr.AllowV3) }
func BenchmarkV4SendReceive(b *testing.B) { benchSendReceive(b, otr.AllowV4) }
func BenchmarkPingPong(b *testing.B)      { benchPingPong(b, otr.AllowV3) }
func BenchmarkV4PingPong(b *testing.B)    { benchPingPong(b, otr.AllowV4) }
func BenchmarkSMP(b *testing.B)           { benchSMP(b, otr.AllowV3) }
func BenchmarkV4SMP(b *testing.B)         { benchSMP(b, otr.AllowV4) }

// Bulk uses 64 KiB messages, in batches and records like those of a Stream. -cpu 1,2 shows
// the gain from a second core.
func BenchmarkBulkSend(b *testing.B)      { benchBulkSend(b, otr.AllowV3) }
func BenchmarkV4BulkSend(b *testing.B)    { benchBulkSend(b, otr.AllowV4) }
func BenchmarkBulkReceive(b *testing.B)   { benchBulkReceive(b, otr.AllowV3) }
func BenchmarkV4BulkReceive(b *testing.B) { benchBulkReceive(b, otr.AllowV4) }

const (
	bulkSize = 64<<10 - 1 // the longest record
	bulkType = 0x6F02
	// bulkLines is how many lines are received between two pauses of the timer, on any number
	// of cores.
	bulkLines = 128
)

func bulkMessages() []otr.Message {
	ms := make([]otr.Message, otr.BulkMessages())
	for i := range ms {
		ms[i].TLVs = []wire.TLV{{Type: bulkType, Value: bytes.Repeat([]byte("x"), bulkSize)}}
	}
	return ms
}

func benchBulkSend(b *testing.B, version otr.Policy) {
	alice, _ := benchPair(b, version)
	ms := bulkMessages()
	b.SetBytes(int64(len(ms) * bulkSize))
	b.ReportAllocs()
	var lines []byte
	for b.Loop() {
		var err error
		if lines, err = alice.AppendMessages(lines[:0], ms); err != nil {
			b.Fatal(err)
		}
	}
}

func benchBulkReceive(b *testing.B, version otr.Policy) {
	alice, bob := benchPair(b, version)
	ms := bulkMessages()
	b.SetBytes(int64(len(ms) * bulkSize))
	b.ReportAllocs()
	b.ResetTimer()
	batches := make([][]byte, max(1, bulkLines/len(ms)))
	lines := make([][][]byte, len(batches))
	for done := 0; done < b.N; {
		b.StopTimer()
		for i := range batches {
			var err error
			if batches[i], err = alice.AppendMessages(batches[i][:0], ms); err != nil {
				b.Fatal(err)
			}
			lines[i] = bytes.Split(batches[i][:len(batches[i])-1], []byte("\n"))
		}
		b.StartTimer()
		for i := 0; i < len(batches) && done < b.N; i++ {
			for rest := lines[i]; len(rest) > 0; {
				got, err := bob.ReceiveAll(rest)
				if err != nil || len(got[0].TLVs) != 1 || len(got[0].TLVs[0].Value) != bulkSize {
					b.Fatalf("received %d records: %v %v", len(got[0].TLVs), err, got[0].Events)
				}
				rest = rest[len(got):]
			}
			done++
		}
	}
}

// benchPair returns two ends with a session.
func benchPair(b testing.TB, version otr.Policy) (alice, bob *otr.Conversation) {
	b.Helper()
	alice, bob = benchEnd(b, version, 0), benchEnd(b, version, 1)
	handshake(b, alice, bob)
	return alice, bob
}

// benchKeys holds the long-term keys of both ends of all benchmarks: making them takes longer
// than most measurements.
var benchKeys = sync.OnceValue(func() (k [2]otr.Config) {
	for i := range k {
		var err [3]error
		k[i].DSA, err[0] = keys.GenerateDSA(rand.Reader)
		k[i].Ed448, err[1] = keys.GenerateEd448(rand.Reader)
		k[i].Forging, err[2] = keys.GenerateForgingKey(rand.Reader)
		if err := errors.Join(err[:]...); err != nil {
			panic(err)
		}
	}
	return k
})

func benchEnd(b testing.TB, version otr.Policy, which int) *otr.Conversation {
	b.Helper()
	cfg := benchKeys()[which]
	cfg.Policy, cfg.Rand, cfg.Now = version, rand.Reader, time.Now
	c, err := otr.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// handshake runs a key exchange that alice begins.
func handshake(b testing.TB, alice, bob *otr.Conversation) {
	b.Helper()
	lines, err := alice.Refresh()
	if err != nil {
		b.Fatal(err)
	}
	rounds := 0
	for to, from := bob, alice; len(lines) > 0; to, from = from, to {
		mayGoOn(b, rounds)
		rounds++
		var answer [][]byte
		for _, line := range lines {
			got, err := to.Receive(line)
			if err != nil {
				b.Fatal(err)
			}
			answer = append(answer, got.Send...)
		}
		lines = answer
	}
	if alice.State() != otr.StateEncrypted || bob.State() != otr.StateEncrypted {
		b.Fatal("no session")
	}
}

func benchAKE(b *testing.B, version otr.Policy) {
	alice, bob := benchEnd(b, version, 0), benchEnd(b, version, 1)
	for b.Loop() {
		handshake(b, alice, bob)
	}
}

var benchSizes = []int{64, 1 << 10, 16 << 10, 64 << 10}

func benchName(size int) string {
	if size < 1024 {
		return fmt.Sprintf("%dB", size)
	}
	return fmt.Sprintf("%dKiB", size>>10)
}

// benchSend encrypts.
func benchSend(b *testing.B, version otr.Policy) {
	for _, size := range benchSizes {
		b.Run(benchName(size), func(b *testing.B) {
			alice, _ := benchPair(b, version)
			text := bytes.Repeat([]byte("x"), size)
			var line []byte
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if line, err = alice.AppendMessage(line[:0], otr.Message{Text: text}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchReceive decrypts what was encrypted before.
func benchReceive(b *testing.B, version otr.Policy) {
	for _, size := range benchSizes {
		b.Run(benchName(size), func(b *testing.B) {
			alice, bob := benchPair(b, version)
			text := bytes.Repeat([]byte("x"), size)
			first, err := alice.AppendMessage(nil, otr.Message{Text: text})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := bob.Receive(first[:len(first)-1]); err != nil { // this one rotates the keys
				b.Fatal(err)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			// Prepare one batch at a time with the timer stopped, because each message can be
			// read only once.
			batch := make([][]byte, max(1, 1<<22/size))
			for done := 0; done < b.N; {
				b.StopTimer()
				for i := range batch {
					var err error
					if batch[i], err = alice.AppendMessage(batch[i][:0], otr.Message{Text: text}); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				for i := 0; i < len(batch) && done < b.N; i++ {
					got, err := bob.Receive(batch[i][:len(batch[i])-1])
					if err != nil || len(got.Text) != size {
						b.Fatalf("received %d bytes: %v %v", len(got.Text), err, got.Events)
					}
					done++
				}
			}
		})
	}
}

// benchSendReceive does both in one thread.
func benchSendReceive(b *testing.B, version otr.Policy) {
	for _, size := range benchSizes {
		b.Run(benchName(size), func(b *testing.B) {
			alice, bob := benchPair(b, version)
			text := bytes.Repeat([]byte("x"), size)
			var line []byte
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if line, err = alice.AppendMessage(line[:0], otr.Message{Text: text}); err != nil {
					b.Fatal(err)
				}
				got, err := bob.Receive(line[:len(line)-1])
				if err != nil || len(got.Text) != size {
					b.Fatalf("received %d bytes: %v %v", len(got.Text), err, got.Events)
				}
			}
		})
	}
}

// benchPingPong answers every message, so that every message rotates keys.
// One operation is one message.
func benchPingPong(b *testing.B, version otr.Policy) {
	alice, bob := benchPair(b, version)
	var line []byte
	from, to := alice, bob
	for b.Loop() {
		var err error
		if line, err = from.AppendMessage(line[:0], otr.Message{Text: []byte("ping")}); err != nil {
			b.Fatal(err)
		}
		if got, err := to.Receive(line[:len(line)-1]); err != nil || !got.HasText {
			b.Fatal(err, got.Events)
		}
		from, to = to, from
	}
}

// benchSMP compares two equal secrets; one operation is both sides.
func benchSMP(b *testing.B, version otr.Policy) {
	alice, bob := benchPair(b, version)
	secret := []byte("a shared secret")
	for b.Loop() {
		lines, err := alice.StartSMP(secret, "")
		if err != nil {
			b.Fatal(err)
		}
		succeeded := 0
		for to, from := bob, alice; len(lines) > 0; to, from = from, to {
			got, err := to.Receive(lines[0])
			if err != nil {
				b.Fatal(err)
			}
			lines = got.Send
			for _, e := range got.Events {
				switch e.(type) {
				case otr.SMPAsked:
					if lines, err = to.AnswerSMP(secret); err != nil {
						b.Fatal(err)
					}
				case otr.SMPSucceeded:
					succeeded++
				}
			}
		}
		if succeeded != 2 {
			b.Fatal("the secrets did not match")
		}
	}
}
