package wire

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func pieces(t *testing.T, format int, id, sender uint32, msg string, max int) []Fragment {
	t.Helper()
	b, err := AppendFragments(nil, format, id, sender, 0, []byte(msg), max)
	if err != nil {
		t.Fatal(err)
	}
	var list []Fragment
	for _, line := range lines(t, b) {
		f, err := ParseFragment(line)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, f)
	}
	return list
}

func TestVersion4PiecesMayComeInAnyOrder(t *testing.T) {
	list := pieces(t, 4, 7, 0x100, exampleMessage, 64)
	rng := rand.New(rand.NewPCG(1, 2))
	var a Assembler
	for range 50 {
		rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		for i, f := range list {
			whole, err := a.Add(f, time.Time{})
			if err != nil || (whole != nil) != (i == len(list)-1) || whole != nil && string(whole) != exampleMessage {
				t.Fatalf("piece %d: %s, %v", i, whole, err)
			}
		}
	}
}

func TestAVersion4PieceThatComesTwiceIsRefusedAndDoesNoHarm(t *testing.T) {
	list := pieces(t, 4, 7, 0x100, exampleMessage, 100)
	var a Assembler
	var whole []byte
	for i, f := range list {
		var err error
		if whole, err = a.Add(f, time.Time{}); err != nil {
			t.Fatal(err)
		}
		if i < len(list)-1 {
			if _, err = a.Add(f, time.Time{}); !errors.Is(err, ErrFragmentOrder) {
				t.Errorf("piece %d twice: %v", f.K, err)
			}
		}
	}
	if string(whole) != exampleMessage {
		t.Errorf("got %s", whole)
	}
}

func TestVersion4MessagesMayBeInterleaved(t *testing.T) {
	one, two := pieces(t, 4, 1, 0x100, exampleMessage, 100), pieces(t, 4, 2, 0x100, strings.ToLower(exampleMessage), 100)
	var a Assembler
	for i := range one {
		first, err := a.Add(one[i], time.Time{})
		if err != nil || i == len(one)-1 && string(first) != exampleMessage {
			t.Errorf("%s, %v", first, err)
		}
		second, err := a.Add(two[i], time.Time{})
		if err != nil || i == len(two)-1 && string(second) != strings.ToLower(exampleMessage) {
			t.Errorf("%s, %v", second, err)
		}
	}
}

func TestVersion4PiecesThatDisagreeAboutTheirNumberForgetTheMessage(t *testing.T) {
	list := pieces(t, 4, 7, 0x100, exampleMessage, 100)
	var a Assembler
	if _, err := a.Add(list[0], time.Time{}); err != nil {
		t.Fatal(err)
	}
	other := list[1]
	other.N++
	if _, err := a.Add(other, time.Time{}); !errors.Is(err, ErrFragmentOrder) {
		t.Error(err)
	}
	for i, f := range list[1:] {
		if whole, err := a.Add(f, time.Time{}); whole != nil || err != nil {
			t.Errorf("piece %d: %s, %v", i+2, whole, err)
		}
	}
}

func TestVersion3PiecesOutOfOrderForgetTheMessage(t *testing.T) {
	for format := 2; format <= 3; format++ {
		list := pieces(t, format, 0, 0x100, exampleMessage, 100)
		for _, order := range [][]int{{1}, {0, 2}, {0, 1, 1}, {0, 1, 3, 2}} {
			var a Assembler
			for i, at := range order {
				_, err := a.Add(list[at], time.Time{})
				wrong := at != 0 && (i == 0 || order[i-1] != at-1)
				if wrong != errors.Is(err, ErrFragmentOrder) {
					t.Errorf("format %d, %v, piece %d: %v", format, order, at+1, err)
				}
			}
			if !a.NextExpiry().IsZero() {
				t.Errorf("format %d, %v: something is left", format, order)
			}
			for i, f := range list {
				whole, err := a.Add(f, time.Time{})
				if err != nil || i == len(list)-1 && string(whole) != exampleMessage {
					t.Errorf("format %d, afterwards: %s, %v", format, whole, err)
				}
			}
		}
	}
}

func TestAFirstPieceStartsTheMessageAnew(t *testing.T) {
	list := pieces(t, 3, 0, 0x100, exampleMessage, 100)
	var a Assembler
	var whole []byte
	for _, i := range []int{0, 1, 0, 1, 2, 3, 4, 5} {
		var err error
		if whole, err = a.Add(list[i], time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if string(whole) != exampleMessage {
		t.Errorf("got %s", whole)
	}
}

func TestSendersDoNotDisturbEachOther(t *testing.T) {
	one, two := pieces(t, 3, 0, 0x100, exampleMessage, 100), pieces(t, 3, 0, 0x101, strings.ToLower(exampleMessage), 100)
	three := pieces(t, 2, 0, 0, strings.ToUpper(exampleMessage), 82)
	var a Assembler
	for i := range one {
		for j, f := range []Fragment{one[i], two[i], three[i]} {
			want := []string{exampleMessage, strings.ToLower(exampleMessage), strings.ToUpper(exampleMessage)}[j]
			whole, err := a.Add(f, time.Time{})
			if err != nil || i == len(one)-1 && string(whole) != want {
				t.Errorf("sender %d, piece %d: %s, %v", j, i+1, whole, err)
			}
		}
	}
}

func TestForgetDropsOneSender(t *testing.T) {
	one, two := pieces(t, 4, 1, 0x100, exampleMessage, 200), pieces(t, 4, 1, 0x101, exampleMessage, 200)
	var a Assembler
	for _, f := range []Fragment{one[0], two[0], pieces(t, 4, 2, 0x100, exampleMessage, 200)[0]} {
		if _, err := a.Add(f, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	a.Forget(0x100)
	for i := range 2 {
		first, err1 := a.Add(one[i+1], time.Time{})
		second, err2 := a.Add(two[i+1], time.Time{})
		if first != nil || (second != nil) != (len(two) == i+2) || err1 != nil || err2 != nil {
			t.Errorf("piece %d: %s, %v, %s, %v", i+2, first, err1, second, err2)
		}
		if len(two) == i+2 {
			break
		}
	}
}

func TestAMessageThatWaitsTooLongIsForgotten(t *testing.T) {
	list := pieces(t, 3, 0, 0x100, exampleMessage, 150)
	start := time.Unix(1000, 0)
	var a Assembler
	if !a.NextExpiry().IsZero() || a.Expire(start) != 0 {
		t.Error("an empty assembler has something to expire")
	}
	add := func(f Fragment, at time.Time) error {
		_, err := a.Add(f, at)
		return err
	}
	if err := add(list[0], start); err != nil {
		t.Fatal(err)
	}
	later := start.Add(MaxFragmentAge - 1)
	if err := add(list[1], later); err != nil {
		t.Errorf("the second piece came in time: %v", err)
	}
	if got, want := a.NextExpiry(), later.Add(MaxFragmentAge); !got.Equal(want) {
		t.Errorf("next at %v, want %v", got, want)
	}
	if err := add(list[2], later.Add(MaxFragmentAge)); !errors.Is(err, ErrFragmentOrder) {
		t.Errorf("the third came late: %v", err)
	}
	if err := add(list[0], start); err != nil {
		t.Fatal(err)
	}
	if n := a.Expire(start.Add(MaxFragmentAge)); n != 1 || !a.NextExpiry().IsZero() {
		t.Errorf("%d expired", n)
	}
}

func TestAMessageMayHaveOneMebibyteAndNoMore(t *testing.T) {
	for format := 2; format <= 4; format++ {
		var a Assembler
		piece := bytes.Repeat([]byte("a"), MaxMessage/2)
		f := Fragment{Version: format, Sender: 0x100, K: 1, N: 2, Piece: piece}
		if _, err := a.Add(f, time.Time{}); err != nil {
			t.Fatal(err)
		}
		f.K = 2
		if whole, err := a.Add(f, time.Time{}); err != nil || len(whole) != MaxMessage {
			t.Errorf("format %d: %d bytes, %v", format, len(whole), err)
		}
		f.K = 1
		if _, err := a.Add(f, time.Time{}); err != nil {
			t.Fatal(err)
		}
		f.K, f.Piece = 2, append(slices.Clone(piece), 'a')
		if whole, err := a.Add(f, time.Time{}); whole != nil || !errors.Is(err, ErrTooLong) {
			t.Errorf("format %d, one byte more: %d bytes, %v", format, len(whole), err)
		}
		if !a.NextExpiry().IsZero() {
			t.Errorf("format %d: what was too long is kept", format)
		}
	}
}

func TestOfTooManyOpenMessagesTheOneThatWaitedLongestGoes(t *testing.T) {
	var a Assembler
	messages := make([][]Fragment, MaxOpenMessages+1)
	for i := range messages {
		messages[i] = pieces(t, 4, uint32(i), 0x100, exampleMessage, 200)
		if _, err := a.Add(messages[i][0], time.Time{}); err != nil {
			t.Fatal(err)
		}
		if i == MaxOpenMessages-1 { // the first is now the one heard of last
			if _, err := a.Add(messages[0][1], time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, message := range slices.Concat(messages[:1], messages[2:], messages[1:2]) {
		var whole []byte
		for _, f := range message[1:] {
			if i == 0 && f.K == 2 { // it came above
				continue
			}
			var err error
			if whole, err = a.Add(f, time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		if gone := i == MaxOpenMessages; gone != (whole == nil) {
			t.Errorf("message %d: %s", message[0].ID, whole)
		}
	}
}

func TestAssemblingAllocatesLittleInSteadyState(t *testing.T) {
	list := pieces(t, 3, 0, 0x100, strings.Repeat("a", 100000), 1000)
	var a Assembler
	assemble := func() {
		for _, f := range list {
			if _, err := a.Add(f, time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	assemble()
	// What is left is the bookkeeping; the bytes of a message go where those of
	// the last one were.
	if n := testing.AllocsPerRun(10, assemble); n > 20 {
		t.Errorf("%v allocations for %d pieces", n, len(list))
	}
}

// FuzzAssembler feeds fragments that the input describes and holds the result
// against a simple model: a whole message is its pieces 1 to N, each as it came
// last before the message was complete.
func FuzzAssembler(f *testing.F) {
	f.Add([]byte{0x31, 1, 3, 0x31, 2, 3, 0x31, 3, 3})
	f.Add([]byte{0x41, 3, 3, 0x42, 1, 2, 0x41, 1, 3, 0x42, 2, 2, 0x41, 2, 3})
	f.Add([]byte{0x20, 1, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		var a Assembler
		type message struct {
			format int
			id     uint32
		}
		came := map[message]map[uint16]string{}
		now := time.Unix(0, 0)
		for i := 0; i+3 <= len(script); i += 3 {
			f := Fragment{Version: int(script[i] >> 4), K: uint16(script[i+1]), N: uint16(script[i+2])}
			if f.Version < 2 || f.Version > 4 || f.K == 0 || f.K > f.N {
				continue
			}
			if f.Version == 4 {
				f.ID = uint32(script[i] & 15)
			}
			f.Sender = 0x100
			f.Piece = fmt.Appendf(nil, "%d:%d/%d;", i, f.K, f.N)
			m := message{f.Version, f.ID}
			now = now.Add(time.Second)
			whole, err := a.Add(f, now)
			if err != nil {
				if !errors.Is(err, ErrFragmentOrder) || whole != nil {
					t.Fatalf("%+v: %q, %v", f, whole, err)
				}
				continue
			}
			if came[m] == nil {
				came[m] = map[uint16]string{}
			}
			came[m][f.K] = string(f.Piece)
			if whole == nil {
				continue
			}
			var want strings.Builder
			for k := uint16(1); k <= f.N; k++ {
				want.WriteString(came[m][k])
			}
			if string(whole) != want.String() {
				t.Fatalf("got %q, want %q", whole, want.String())
			}
			delete(came, m)
		}
		if len(a.open) > MaxOpenMessages {
			t.Errorf("%d open messages", len(a.open))
		}
		if n := a.Expire(now.Add(MaxFragmentAge)); n > MaxOpenMessages || !a.NextExpiry().IsZero() {
			t.Errorf("%d expired, and some were left", n)
		}
	})
}
