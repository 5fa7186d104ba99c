package offline

import (
	"errors"
	"io"
	"testing"

	"otrpipe/testscripts/slowtest"
)

// A well is a source of randomness that fails after a number of bytes.
type well struct {
	source io.Reader
	left   int
}

var errDry = errors.New("no randomness is left")

func (w *well) Read(p []byte) (int, error) {
	if len(p) > w.left {
		return 0, errDry
	}
	w.left -= len(p)
	return w.source.Read(p)
}

// Wherever randomness runs out during a publication, a message or a reply, that error is
// returned, and with new randomness the operation succeeds.
func TestWithoutRandomnessNothingIsPublishedOrWritten(t *testing.T) {
	slowtest.SkipShort(t)
	failed, slower := 0, 2
	if testing.Short() {
		slower = 1
	}
	for budget := 0; ; budget += 1 + budget/slower {
		alice, bob := newPeople(t)
		file := bob.publish(2, For{})
		w := &well{source: alice.config.Rand, left: budget}
		alice.config.Rand = w
		attempt := func() error {
			s := alice.load()
			if _, err := s.Publish(1, For{}); err != nil {
				return err
			}
			valid, _ := ReadEnsembles(file, alice.now)
			session, lines, err := s.Write(valid[0])
			if err != nil {
				return err
			}
			if lines, err = FirstLine(nil, lines, WriterConfig{MaxLine: 500, Rand: w}); err != nil {
				return err
			}
			writer, err := NewWriter(session, Head{}, WriterConfig{Save: s.Put, Rand: w, MaxLine: 500})
			if err != nil {
				return err
			}
			for _, text := range []string{"one", "two"} {
				if lines, err = writer.Text(lines, []byte(text)); err != nil {
					return err
				}
			}
			if lines, err = writer.EndTexts(lines, true); err != nil {
				return err
			}
			got, err := bob.read(lines)
			if err != nil || len(got.texts) != 2 {
				t.Fatalf("budget %d: %q, %v", budget, got.texts, err)
			}
			return nil
		}
		err := attempt()
		if err != nil {
			if !errors.Is(err, errDry) {
				t.Fatalf("budget %d: %v", budget, err)
			}
			failed++
			w.left = 1 << 20
			if err := attempt(); err != nil {
				t.Fatalf("budget %d, then with randomness: %v", budget, err)
			}
			continue
		}
		break
	}
	if failed < 5 {
		t.Errorf("randomness ran out only %d times", failed)
	}
}
