package wire

import (
	"bytes"
	"errors"
	"slices"
	"time"
)

// MaxCutAge is how long the beginning of a cut line waits for its next part. The parts are
// sent one after another, but a client that may send only one line every few seconds needs a
// while for each.
const MaxCutAge = time.Minute

// ErrCut reports a line whose end never came.
var ErrCut = errors.New("wire: the line was cut and its end is missing")

// A cutLine is the beginning of a line that was cut on its way. Networks and gateways with
// their own length limit break a long line into several without using OTR's fragments; only
// the last of them has the "." or "," that ends an encoded message or a fragment.
type cutLine struct {
	kind   Kind   // KindEncoded or KindFragment; KindPlain: there is none
	buf    []byte // the parts so far, at most MaxMessage bytes
	commas int    // of a fragment, after the marker
	last   time.Time
}

// Join rejoins lines that were cut on their way. It has to be called with every line that
// comes, at now. It returns the line to process: usually the same line, or the whole line
// when the last part of a cut one comes, or nil while parts are missing. The result is valid
// until the next call.
//
// The beginning of a cut line is an encoded message of a known version without its final ".",
// or a fragment without its final ",". The following lines belong to it as long as they
// contain only characters of such a message. Any other line ends the wait: that line is
// returned, together with the error ErrCut. A cut line that grows beyond MaxMessage bytes is
// dropped with ErrTooLong.
func (a *Assembler) Join(line []byte, now time.Time) (whole []byte, err error) {
	c := &a.cut
	if c.kind != KindPlain && now.Sub(c.last) >= MaxCutAge {
		c.drop()
		err = ErrCut
	}
	if c.kind != KindPlain {
		part := bytes.TrimSpace(line)
		if c.continues(part) {
			return c.add(part, now)
		}
		c.drop()
		err = ErrCut
	}
	if c.begins(line) {
		_, at := find(line)
		c.commas = bytes.Count(line[at+len(marker):], []byte{','})
		c.buf = append(c.buf[:0], bytes.TrimRight(line, " \t\r")...)
		c.last = now
		return nil, err
	}
	return line, err
}

// Joining reports whether the beginning of a cut line waits for its next part. If not, Join
// returns a line that is a whole encoded message unchanged.
func (a *Assembler) Joining() bool { return a.cut.kind != KindPlain }

// ExpireCut drops the beginning of a cut line whose next part has not come within
// MaxCutAge, and reports whether there was one.
func (a *Assembler) ExpireCut(now time.Time) bool {
	if a.cut.kind == KindPlain || now.Sub(a.cut.last) < MaxCutAge {
		return false
	}
	a.cut.drop()
	return true
}

// begins reports whether line is the beginning of a cut line, and records its kind.
func (c *cutLine) begins(line []byte) bool {
	kind, at := find(line)
	rest := bytes.TrimRight(line[at:], " \t\r")
	switch kind {
	case KindEncoded:
		rest = rest[len(encodedMarker):]
		// Check the end first: nearly all lines are whole, and long.
		if !hasVersion(rest) || !isBase64(rest[len(rest)-1]) || !only(rest, isBase64) {
			return false
		}
	case KindFragment:
		rest = rest[len(marker):]
		if bytes.Count(rest, []byte{','}) >= fragmentCommas || !only(rest, isFragment) {
			return false
		}
	default:
		return false
	}
	c.kind = kind
	return true
}

// continues reports whether part can be the next part of the line.
func (c *cutLine) continues(part []byte) bool {
	if len(part) == 0 {
		return false
	}
	if c.kind == KindEncoded {
		return only(bytes.TrimSuffix(part, []byte{'.'}), isBase64)
	}
	if kind, at := find(part); kind != KindPlain {
		// The piece in a first fragment begins with the marker of its message. A line that
		// ends with "." is a separate message, which a forged beginning must not swallow: the
		// last part of a fragment ends with ",".
		begun := c.commas == fragmentCommas-1 && c.buf[len(c.buf)-1] == ',' && part[len(part)-1] != '.'
		inPiece := kind == KindEncoded && (at > 0 || begun)
		return inPiece && only(part, isFragment)
	}
	return only(part, isFragment)
}

// add adds a part, and returns the whole line if it was the last part.
func (c *cutLine) add(part []byte, now time.Time) (whole []byte, err error) {
	if len(c.buf)+len(part) > MaxMessage {
		c.drop()
		return nil, ErrTooLong
	}
	c.buf, c.last = append(c.buf, part...), now
	c.commas += bytes.Count(part, []byte{','})
	if c.kind == KindEncoded && part[len(part)-1] != '.' || c.kind == KindFragment && c.commas < fragmentCommas {
		return nil, nil
	}
	whole = c.buf
	c.kind = KindPlain
	return whole, nil
}

func (c *cutLine) drop() { *c = cutLine{} }

const (
	encodedMarker = marker + ":"
	// fragmentCommas is the number of commas after the marker of a whole fragment, in every
	// format: around the two numbers and the piece.
	fragmentCommas = 4
)

// hasVersion reports whether armored bytes begin like a message of version 2, 3
// or 4. Text that merely mentions "?OTR:" does not.
func hasVersion(armored []byte) bool {
	return len(armored) >= 3 && armored[0] == 'A' && armored[1] == 'A' && slices.Contains([]byte("IMQ"), armored[2])
}

func only(b []byte, is func(byte) bool) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return !is(c) })
}

func isBase64(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '+' || c == '/' || c == '='
}

// isFragment reports whether c can occur in a fragment after its marker.
func isFragment(c byte) bool { return isBase64(c) || bytes.IndexByte([]byte("|,.:?"), c) >= 0 }
