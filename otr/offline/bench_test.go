package offline

import (
	"bytes"
	"testing"
)

const benchmarked = 16 << 20

func BenchmarkWriter(b *testing.B) {
	alice, bob := newPeople(b)
	session, _ := alice.begin(bob.publish(1, For{}))
	w, err := NewWriter(session, Head{}, WriterConfig{Save: func(*Session, int) error { return nil }})
	if err != nil {
		b.Fatal(err)
	}
	content := make([]byte, benchmarked)
	var lines []byte
	b.SetBytes(benchmarked)
	for b.Loop() {
		for at := 0; at < len(content); at += BulkLen {
			if lines, err = w.Write(lines[:0], content[at:min(at+BulkLen, len(content))]); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkReader(b *testing.B) {
	alice, bob := newPeople(b)
	session, first := alice.begin(bob.publish(1, For{}))
	w, err := NewWriter(session, Head{}, WriterConfig{Save: func(*Session, int) error { return nil }})
	if err != nil {
		b.Fatal(err)
	}
	lines, err := w.Write(first, make([]byte, benchmarked))
	if err != nil {
		b.Fatal(err)
	}
	all := bytes.Split(bytes.TrimSuffix(lines, []byte("\n")), []byte("\n"))
	b.SetBytes(benchmarked)
	for b.Loop() {
		r := NewReader(bob.load(), KindStream)
		for i, line := range all {
			if i%Batch == 0 {
				r.Prepare(all[i:min(i+Batch, len(all))])
			}
			if _, err := r.Line(line); err != nil {
				b.Fatal(err)
			}
		}
	}
}
