package wire

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"
)

// The data message that the specification of version 3 breaks into fragments.
const exampleMessage = "" +
	"?OTR:AAMDJ+MVmSfjFZcAAAAAAQAAAAIAAADA1g5IjD1ZGLDVQEyCgCyn9hbrL3KAbGDdzE2ZkMy" +
	"TKl7XfkSxh8YJnudstiB74i4BzT0W2haClg6dMary/jo9sMudwmUdlnKpIGEKXWdvJKT+hQ26h9n" +
	"zMgEditLB8vjPEWAJ6gBXvZrY6ZQrx3gb4v0UaSMOMiR5sB7Eaulb2Yc6RmRnnlxgUUC2alosg4W" +
	"IeFN951PLjScajVba6dqlDi+q1H5tPvI5SWMN7PCBWIJ41+WvF+5IAZzQZYgNaVLbAAAAAAAAAAE" +
	"AAAAHwNiIi5Ms+4PsY/L2ipkTtquknfx6HodLvk3RAAAAAA==."

// The data message of the specification of version 2.
const exampleMessage2 = "" +
	"?OTR:AAEDAAAAAQAAAAEAAADAVf3Ei72ZgFeKqWvLMnuVPVCwxktsOZ1QdjeLp6jn62mCVtlY9nS" +
	"6sRkecpjuLYHRxyTdRu2iEVtSsjZqK55ovZ35SfkOPHeFYa9BIuxWi9djHMVKQ8KOVGAVLibjZ6P" +
	"8LreDSKtWDv9YQjIEnkwFVGCPfpBq2SX4VTQfJAQXHggR8izKxPvluXUdG9rIPh4cac98++VLdIu" +
	"FMiEXjUIoTX2rEzunaCLMy0VIfowlRsgsKGrwhCCv7hBWyglbzwz+AAAAAAAAAAQAAAF2SOrJvPU" +
	"erB9mtf4bqQDFthfoz/XepysnYuReHHEXKe+BFkaEoMNGiBl4TCLZx72DvmZwKCewWRH1+W66ggr" +
	"XKw2VdVl+vLsmzxNyWChGLfBTL5/3SUF09BfmCEl03Ckk7htAgyAQcBf90RJznZndv7HwVAi3syu" +
	"pi0sQDdOKNPyObR5FRtqyqudttWmSdmGCGFcZ/fZqxQNsHB8QuYaBiGL7CDusES+wwfn8Q7BGtoJ" +
	"zOPDDx6KyIyox/flPx2DZDJIZrMz9b0V70a9kqKLo/wcGhvHO6coCyMxenBAacLJ1DiINLKoYOoJ" +
	"TM7zcxsGnvCxaDZCvsmjx3j8Yc5r3i3ylllCQH2/lpr/xCvXFarGtG7+wts+UqstS9SThLBQ9Ojq" +
	"4oPsX7HBHKvq19XU3/ChIgWMy+bczc5gpkC/eLAIGfJ0D5DJsl68vMXSmCoFK0HTwzzNa7lnZK4I" +
	"utYPBNBCv0pWORQqDpskEz96YOGyB8+gtpFgCrkuV1bSB9SRVmEBfDtKPQFhKowAAAAA=."

// lines cuts what AppendFragments wrote into its lines.
func lines(t *testing.T, b []byte) [][]byte {
	t.Helper()
	if len(b) == 0 || b[len(b)-1] != '\n' {
		t.Fatalf("%q does not end with a line end", b)
	}
	return bytes.Split(b[:len(b)-1], []byte("\n"))
}

func TestFragmentsOfTheExamplesInTheSpecifications(t *testing.T) {
	for _, test := range []struct {
		format, max int
		want        string
	}{
		{3, 199, "?OTR|5a73a599|27e31597,00001,00003," + exampleMessage[:163] + ",\n" +
			"?OTR|5a73a599|27e31597,00002,00003," + exampleMessage[163:326] + ",\n" +
			"?OTR|5a73a599|27e31597,00003,00003," + exampleMessage[326:] + ",\n"},
		{4, 208, "?OTR|3c5b5f03|5a73a599|27e31597,00001,00003," + exampleMessage[:163] + ",\n" +
			"?OTR|3c5b5f03|5a73a599|27e31597,00002,00003," + exampleMessage[163:326] + ",\n" +
			"?OTR|3c5b5f03|5a73a599|27e31597,00003,00003," + exampleMessage[326:] + ",\n"},
		{2, 199, "?OTR,00001,00002," + exampleMessage[:181] + ",\n" +
			"?OTR,00002,00002," + exampleMessage[181:] + ",\n"},
	} {
		got, err := AppendFragments(nil, test.format, 0x3c5b5f03, 0x5a73a599, 0x27e31597, []byte(exampleMessage), test.max)
		if err != nil || string(got) != test.want {
			t.Errorf("format %d: %v\n got %s\nwant %s", test.format, err, got, test.want)
		}
	}
}

func TestFragmentsOfTheExampleInVersion2AreUnpaddedAndAssemble(t *testing.T) {
	var a Assembler
	for i, line := range []string{
		"?OTR,1,3," + exampleMessage2[:300] + ",",
		"?OTR,2,3," + exampleMessage2[300:600] + ",",
		"?OTR,3,3," + exampleMessage2[600:] + ",",
	} {
		f, err := ParseFragment([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		whole, err := a.Add(f, time.Time{})
		if err != nil || (i == 2) != (whole != nil) {
			t.Fatalf("piece %d: %v, %v", i+1, whole != nil, err)
		}
		if i == 2 && string(whole) != exampleMessage2 {
			t.Errorf("got %s", whole)
		}
	}
}

func TestFragmentsAsOthersWriteThemAreRead(t *testing.T) {
	for line, want := range map[string]Fragment{
		"?OTR,1,2,abc,":                              {2, 0, 0, 0, 1, 2, []byte("abc")},
		"?OTR,00002,00002,abc,":                      {2, 0, 0, 0, 2, 2, []byte("abc")},
		"?OTR|100|0,1,1,abc,":                        {3, 0, 0x100, 0, 1, 1, []byte("abc")},
		"?OTR|5A73a599|00000100,00001,65535,?OTR:A,": {3, 0, 0x5a73a599, 0x100, 1, 65535, []byte("?OTR:A")},
		"?OTR|0|100|ffffffff,65535,65535,x,":         {4, 0, 0x100, 0xffffffff, 65535, 65535, []byte("x")},
		"?OTR|deadbeef|00000100|00000000,1,10,x y,":  {4, 0xdeadbeef, 0x100, 0, 1, 10, []byte("x y")},
		"?OTR,1,2,abc,\r":                            {2, 0, 0, 0, 1, 2, []byte("abc")},
		"he says: ?OTR,1,2,abc, and more, and more":  {2, 0, 0, 0, 1, 2, []byte("abc")},
		"?OTR you see ?OTR,1,2,abc,":                 {2, 0, 0, 0, 1, 2, []byte("abc")},
	} {
		f, err := ParseFragment([]byte(line))
		if err != nil || fmt.Sprint(f) != fmt.Sprint(want) {
			t.Errorf("%q: %+v, %v, want %+v", line, f, err, want)
		}
		if kind := Classify([]byte(line)); kind != KindFragment {
			t.Errorf("%q is %v", line, kind)
		}
	}
}

func TestDamagedFragmentsAreRefused(t *testing.T) {
	for _, line := range []string{
		"", "hello", "?OTR", "?OTR|", "?OTR,", "?OTR:AAAA.",
		"?OTR,1", "?OTR,1,", "?OTR,1,2", "?OTR,1,2,", "?OTR,1,2,abc", // cut
		"?OTR|100", "?OTR|100|", "?OTR|100|0", "?OTR|100|0,1,1,abc",
		"?OTR,1,2,,", "?OTR|100|0,2,2,,", // empty pieces
		"?OTR,0,2,abc,", "?OTR,3,2,abc,", "?OTR,0,0,abc,", // numbers that do not fit together
		"?OTR,1,65536,abc,", "?OTR,65536,65536,abc,", "?OTR,000001,2,abc,", "?OTR,99999999999,99999999999,abc,",
		"?OTR,-1,2,abc,", "?OTR,+1,2,abc,", "?OTR, 1,2,abc,", "?OTR,1 ,2,abc,", "?OTR,a,b,abc,", "?OTR,1,0x2,abc,",
		"?OTR|000000100|0,1,1,abc,", "?OTR|100000000|0,1,1,abc,", "?OTR|0x100|0,1,1,abc,", "?OTR|g00|0,1,1,abc,", "?OTR||0,1,1,abc,", "?OTR|100|,1,1,abc,",
		"?OTR|100,1,1,abc,", "?OTR|1|100|0|0,1,1,abc,", "?OTR|100|0|1,1,abc,",
	} {
		if f, err := ParseFragment([]byte(line)); !errors.Is(err, ErrFragment) || f.Piece != nil {
			t.Errorf("%q: %+v, %v", line, f, err)
		}
	}
	for _, line := range []string{"?OTR|ff|0,1,1,abc,", "?OTR|0|0,1,1,abc,", "?OTR|100|1,1,1,abc,", "?OTR|100|ff,1,1,abc,", "?OTR|1000|ff|0,1,1,abc,", "?OTR|1|100|ff,1,1,abc,"} {
		if _, err := ParseFragment([]byte(line)); !errors.Is(err, ErrInstanceTag) {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestNoLineIsLongerThanAskedAndNoPieceEmpty(t *testing.T) {
	msg := bytes.Repeat([]byte("0123456789"), 40)
	for format := 2; format <= 4; format++ {
		for _, max := range []int{MinFragmentSize, 65, 100, 199, 399, 400} {
			for n := 1; n <= len(msg); n++ {
				b, err := AppendFragments(nil, format, 0xffffffff, 0xffffffff, 0xffffffff, msg[:n], max)
				if err != nil {
					t.Fatal(err)
				}
				if n <= max {
					if string(b) != string(msg[:n])+"\n" {
						t.Fatalf("a message of %d bytes fits into %d, but became %q", n, max, b)
					}
					continue
				}
				var a Assembler
				list := lines(t, b)
				for i, line := range list {
					f, err := ParseFragment(line)
					if err != nil || len(line) > max || len(line) != FragmentOverhead(format)+len(f.Piece) || f.Version != format {
						t.Fatalf("format %d, max %d: %q, %v", format, max, line, err)
					}
					whole, err := a.Add(f, time.Time{})
					if err != nil || (whole != nil) != (i == len(list)-1) || whole != nil && !bytes.Equal(whole, msg[:n]) {
						t.Fatalf("format %d, max %d, piece %d: %q, %v", format, max, i+1, whole, err)
					}
				}
			}
		}
	}
}

func TestWithoutALimitAMessageIsOneLine(t *testing.T) {
	got, err := AppendFragments([]byte("x"), 3, 0, 0x100, 0, []byte(exampleMessage), 0)
	if err != nil || string(got) != "x"+exampleMessage+"\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestALimitThatIsTooSmallIsRefused(t *testing.T) {
	for _, max := range []int{-1, 1, MinFragmentSize - 1} {
		if got, err := AppendFragments([]byte("x"), 3, 0, 0x100, 0, []byte("short"), max); !errors.Is(err, ErrFragmentSize) || string(got) != "x" {
			t.Errorf("%d: %q, %v", max, got, err)
		}
	}
}

func TestAMessageOfTooManyPiecesIsRefused(t *testing.T) {
	size := MinFragmentSize - FragmentOverhead(4)
	msg := make([]byte, MaxPieces*size+1)
	if got, err := AppendFragments([]byte("x"), 4, 0, 0x100, 0, msg, MinFragmentSize); !errors.Is(err, ErrTooManyPieces) || string(got) != "x" {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	b, err := AppendFragments(nil, 4, 0, 0x100, 0, msg[1:], MinFragmentSize)
	if err != nil || bytes.Count(b, []byte("\n")) != MaxPieces || !bytes.HasPrefix(b[len(b)-MinFragmentSize-1:], []byte("?OTR|00000000|00000100|00000000,65535,65535,")) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestFragmentsAllocateNothingWhereThereIsRoom(t *testing.T) {
	msg := []byte(exampleMessage)
	var b []byte
	if n := testing.AllocsPerRun(100, func() {
		b, _ = AppendFragments(b[:0], 3, 0, 0x100, 0x100, msg, 100)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzFragment reads a fragment, writes it as we do and reads it again.
func FuzzFragment(f *testing.F) {
	f.Add([]byte("?OTR,1,2,abc,"))
	f.Add([]byte("?OTR|5a73a599|27e31597,00002,00003,abc,"))
	f.Add([]byte("text ?OTR|0|100|ffffffff,65535,65535,x, text"))
	f.Fuzz(func(t *testing.T, line []byte) {
		first, err := ParseFragment(line)
		if err != nil {
			return
		}
		if Classify(line) != KindFragment || first.K == 0 || first.K > first.N || len(first.Piece) == 0 {
			t.Fatalf("%q: %+v, %v", line, first, Classify(line))
		}
		written := first.Append(nil)
		second, err := ParseFragment(written)
		if err != nil || fmt.Sprint(first) != fmt.Sprint(second) {
			t.Errorf("%q: %+v, then %+v, %v", line, first, second, err)
		}
		if len(written) != FragmentOverhead(first.Version)+len(first.Piece) {
			t.Errorf("%q is %d bytes", written, len(written))
		}
	})
}
