package wire

import (
	"bytes"
	"errors"
	"slices"
	"time"
)

// MaxCutAge is how long the beginning of a line that was cut waits for its next
// part. Whoever cuts a line sends the parts one after another, but a client
// that is held to a line every few seconds may need a while for each.
const MaxCutAge = time.Minute

// ErrCut reports a line whose end never came.
var ErrCut = errors.New("wire: the line was cut and its end is missing")

// A cutLine is the beginning of a line that was cut on its way. Networks and
// gateways with a limit of their own break a long line into several without the
// marks of a fragment; only the last of them has the "." or "," that ends an
// encoded message or a fragment.
type cutLine struct {
	kind   Kind   // KindEncoded or KindFragment; KindPlain: there is none
	buf    []byte // what has come, at most MaxMessage bytes
	commas int    // of a fragment, after the marker
	last   time.Time
}

// Join puts lines together that were cut on their way. It takes every line that
// comes, at now, and returns the line to go on with: the same one, or the whole
// of one that was cut when its last part comes, or nil while more must come. The
// result is valid until the next call.
//
// The beginning of a cut line is an encoded message of a known version without
// its final ".", or a fragment without its final ",". The lines after it belong
// to it as long as they hold nothing but the characters of such a message. Any
// other line ends the wait: then the error is ErrCut, and that line is returned.
// A beginning that grows over MaxMessage bytes is dropped with ErrTooLong.
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

// Joining reports whether the beginning of a cut line waits for its next part.
// Otherwise Join returns a line with a whole encoded message as it is.
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

// begins reports whether line is the beginning of a cut line, and notes its kind.
func (c *cutLine) begins(line []byte) bool {
	kind, at := find(line)
	rest := bytes.TrimRight(line[at:], " \t\r")
	switch kind {
	case KindEncoded:
		rest = rest[len(encodedMarker):]
		// The end is looked at first: nearly all lines are whole, and long.
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
		// The piece of a first fragment begins with the marker of its message. A line that
		// ends with "." is a message of its own, which no forged beginning may swallow: a
		// piece has its "," behind it.
		begun := c.commas == fragmentCommas-1 && c.buf[len(c.buf)-1] == ',' && part[len(part)-1] != '.'
		inPiece := kind == KindEncoded && (at > 0 || begun)
		return inPiece && only(part, isFragment)
	}
	return only(part, isFragment)
}

// add adds a part, and returns the whole line if that was the last.
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
	// fragmentCommas is how many commas follow the marker of a whole fragment, in
	// every format: around the two numbers and the piece.
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

// isFragment reports whether c can stand in a fragment after its marker.
func isFragment(c byte) bool { return isBase64(c) || bytes.IndexByte([]byte("|,.:?"), c) >= 0 }
