package stream

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

func TestAQueueGivesBackWhatItGotHoweverItIsCut(t *testing.T) {
	long(t)
	random := rand.New(rand.NewPCG(1, 2))
	var q, other queue
	in, out := 0, 0
	steps := 3000
	if quick() {
		steps = 400
	}
	for range steps {
		switch random.IntN(4) {
		case 0, 1:
			n := random.IntN(100_000)
			target := &q
			if q.size == 0 && random.IntN(2) == 0 {
				target = &other
			}
			target.push(pattern('q', in, n))
			q.append(&other)
			in += n
		case 2:
			p := make([]byte, random.IntN(150_000))
			n := q.pop(p)
			if n != min(len(p), in-out) || !bytes.Equal(p[:n], pattern('q', out, n)) {
				t.Fatalf("pop of %d at %d", n, out)
			}
			out += n
		case 3:
			if q.size == 0 {
				continue
			}
			limit := 1 + random.IntN(100_000)
			value, c := q.take(limit, int64(out))
			n := len(value) - offsetLen
			if n < 1 || n > limit || binary.BigEndian.Uint64(value) != uint64(out) || !bytes.Equal(value[offsetLen:], pattern('q', out, n)) {
				t.Fatalf("take of %d at %d", n, out)
			}
			out += n
			if c != nil {
				q.release(c)
			}
		}
		if q.size != in-out {
			t.Fatalf("size %d, not %d", q.size, in-out)
		}
	}
	q.clear()
	if q.size != 0 || q.pop(make([]byte, 1)) != 0 {
		t.Error("something is left")
	}
}

func TestAQueueInFullFlightAllocatesNothing(t *testing.T) {
	var q queue
	p := make([]byte, 200_000)
	q.push(p)
	q.pop(p)
	if n := testing.AllocsPerRun(100, func() {
		q.push(p)
		q.pop(p)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
