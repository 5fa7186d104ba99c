package stream

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"otrpipe/otr/wire"
)

// TestTextsAreAccountedForInWhateverOrderTheyCome compares both sides' accounts with the
// actual fate of a hundred texts.
func TestTextsAreAccountedForInWhateverOrderTheyCome(t *testing.T) {
	long(t)
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 11))
		now := time.Unix(1e9, 0)
		sender, receiver := new(sentTexts), new(receivedTexts)
		const texts = 100
		var way []int64
		for number := range int64(texts) {
			if got := sender.add(now, 1); got != number {
				t.Fatalf("text %d has number %d", number, got)
			}
			way = append(way, number)
			now = now.Add(time.Duration(random.IntN(400)) * time.Millisecond)
		}
		// Some texts are reordered, some lost, some repeated.
		for range random.IntN(20) {
			i := random.IntN(len(way) - 1)
			way[i], way[i+1] = way[i+1], way[i]
		}
		came := map[int64]bool{}
		highest := int64(-1)
		reportedLost, arrivedAfterAll := int64(0), int64(0)
		for _, number := range way {
			if random.IntN(8) == 0 {
				continue
			}
			for range 1 + random.IntN(2) {
				want := inOrder
				switch {
				case came[number]:
					want = repeated
				case number < highest:
					want = late
				}
				if got := receiver.arrive(number, now); got != want {
					t.Fatalf("seed %d: text %d: %v, not %v", seed, number, got, want)
				}
				came[number] = true
				highest = max(highest, number)
			}
			now = now.Add(time.Duration(random.IntN(500)) * time.Millisecond)
			receiver.lose(now, false)
			if random.IntN(10) == 0 {
				ack, err := parseAck(receiver.appendAck(nil, receiver.next))
				if err != nil {
					t.Fatal(err)
				}
				lost, _, afterAll := sender.acknowledge(ack.next, ack.gaps)
				reportedLost += count(lost)
				arrivedAfterAll += count(afterAll)
			}
		}
		receiver.reach(texts, now)
		receiver.lose(now, true)
		if got := count(receiver.missing); got != int64(texts-len(came)) {
			t.Fatalf("seed %d: %d texts are missing, not %d", seed, got, texts-len(came))
		}
		ack, err := parseAck(receiver.appendAck(nil, receiver.next))
		if err != nil {
			t.Fatal(err)
		}
		lost, _, afterAll := sender.acknowledge(ack.next, ack.gaps)
		reportedLost += count(lost)
		arrivedAfterAll += count(afterAll)
		if reportedLost-arrivedAfterAll != int64(texts-len(came)) {
			t.Fatalf("seed %d: %d reported lost, %d arrived after all, %d are missing", seed, reportedLost, arrivedAfterAll, texts-len(came))
		}
		for number := range int64(texts) {
			open := slices.ContainsFunc(sender.open, func(s span) bool { return s.first <= number && number < s.end() })
			if open == came[number] {
				t.Fatalf("seed %d: text %d: came %v, open %v", seed, number, came[number], open)
			}
		}
	}
}

func TestMoreGapsThanAreKeptCountAsLostRatherThanAsArrived(t *testing.T) {
	now := time.Unix(1e9, 0)
	sender, receiver := new(sentTexts), new(receivedTexts)
	const texts = 4 * maxSpans
	for number := range int64(texts) {
		sender.add(now, 1)
		now = now.Add(2 * ackEvery)
		if number%2 == 1 {
			receiver.arrive(number, now)
		}
	}
	receiver.lose(now, true)
	if len(receiver.missing) > maxSpans || len(sender.open) > maxSpans {
		t.Errorf("%d and %d spans are kept", len(receiver.missing), len(sender.open))
	}
	ack, err := parseAck(receiver.appendAck(nil, receiver.next))
	if err != nil {
		t.Fatal(err)
	}
	sender.acknowledge(ack.next, ack.gaps)
	if n := count(sender.open); n < texts/2 || len(sender.open) > maxSpans {
		t.Errorf("%d texts in %d spans are not acknowledged", n, len(sender.open))
	}
}

func TestTextRecordsThatAreNotOfTheirFormAreRefused(t *testing.T) {
	id := sessionID{1}
	many := make([]span, maxSpans+1)
	for i := range many {
		many[i] = span{first: int64(2 * i), n: 1}
	}
	if _, err := parseAck(appendAckValue(nil, id, 9999, many[:maxSpans])); err != nil {
		t.Errorf("as many runs as may be: %v", err)
	}
	for _, v := range []wire.TLV{
		{Type: typeNumber},
		{Type: typeNumber, Value: make([]byte, 9)},
		{Type: typeNumber, Value: []byte{0x80, 0, 0, 0, 0, 0, 0, 0}},
		{Type: typeNumber, Value: []byte{0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
		{Type: typeCount, Value: id[:]},
		{Type: typeCount, Value: appendCount(nil, id, -1)},
		{Type: typeTextAck, Value: id[:]},
		{Type: typeTextAck, Value: appendAckValue(nil, id, -1, nil)},
		{Type: typeTextAck, Value: append(appendAckValue(nil, id, 5, nil), 0)},
		{Type: typeTextAck, Value: appendAckValue(nil, id, 5, []span{{first: 1}})},
		{Type: typeTextAck, Value: appendAckValue(nil, id, 5, []span{{first: 4, n: 2}})},
		{Type: typeTextAck, Value: appendAckValue(nil, id, 5, []span{{first: 5, n: 1}})},
		{Type: typeTextAck, Value: appendAckValue(nil, id, 9, []span{{first: 3, n: 2}, {first: 4, n: 1}})},
		{Type: typeTextAck, Value: appendAckValue(nil, id, 9999, many)},
		{Type: typeAgain},
		{Type: typeAgain, Value: id[:]},
		{Type: typeAgain, Value: appendCount(nil, id, -1)},
		{Type: typeAgain, Value: make([]byte, 16*(maxAgain+1))},
		{Type: typeLapsed, Value: []byte{0}},
		{Type: typeRefused, Value: []byte{0}},
		{Type: typeUnwritten, Value: []byte{0}},
		{Type: typeAsk, Value: []byte{0}},
		{Type: typeClose, Value: []byte{0}},
		{Type: typeClosed, Value: []byte{0}},
	} {
		if _, err := parseTextRecords([]wire.TLV{v}); !errors.Is(err, errRecord) {
			t.Errorf("%04x %x: %v", v.Type, v.Value, err)
		}
	}
	number := wire.TLV{Type: typeNumber, Value: appendOffset(nil, 3)}
	if _, err := parseTextRecords([]wire.TLV{number, number}); !errors.Is(err, errRecord) {
		t.Errorf("two numbers: %v", err)
	}
	again := wire.TLV{Type: typeAgain, Value: appendCount(nil, id, 3)}
	if _, err := parseTextRecords([]wire.TLV{again, again}); !errors.Is(err, errRecord) {
		t.Errorf("two records of earlier sessions: %v", err)
	}
}

// FuzzTextAck: an accepted acknowledgement is one that we could have sent, and it leaves
// every account of texts consistent.
func FuzzTextAck(f *testing.F) {
	f.Add(appendAckValue(nil, sessionID{}, 9, []span{{first: 1, n: 2}, {first: 4, n: 5}}), int64(20))
	f.Fuzz(func(t *testing.T, value []byte, sent int64) {
		a, err := parseAck(value)
		if err != nil {
			return
		}
		if again := appendAckValue(nil, a.id, a.next, a.gaps); string(again) != string(value) {
			t.Errorf("%x became %x", value, again)
		}
		s := &sentTexts{}
		for range min(max(sent, 0), 50) {
			s.add(time.Time{}, 1)
		}
		before := count(s.open)
		lost, arrived, afterAll := s.acknowledge(a.next, a.gaps)
		if after := count(s.open); after+count(arrived) != before || after < count(lost) || len(afterAll) > 0 {
			t.Errorf("%d texts were open, %d are, %v lost, %v arrived, %v after all", before, after, lost, arrived, afterAll)
		}
	})
}
