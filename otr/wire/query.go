package wire

import (
	"strconv"
	"strings"
)

// Versions is a set of protocol versions: bit v stands for version v, from 0 to 9.
type Versions uint16

// MakeVersions returns the set of the given versions, each 0 to 9.
func MakeVersions(versions ...int) Versions {
	var set Versions
	for _, v := range versions {
		set |= 1 << v
	}
	return set
}

// Has reports whether version v is in the set.
func (s Versions) Has(v int) bool {
	return v >= 0 && v < maxVersions && s>>v&1 == 1
}

// String lists the versions, such as "2, 3 and 4".
func (s Versions) String() string {
	var list []string
	for v := range maxVersions {
		if s.Has(v) {
			list = append(list, strconv.Itoa(v))
		}
	}
	switch last := len(list) - 1; last {
	case -1:
		return "none"
	case 0:
		return list[0]
	default:
		return strings.Join(list[:last], ", ") + " and " + list[last]
	}
}

// ParseVersions parses the output of Digits: one digit per version, here in any order. ok is
// false for anything else, and for an empty string.
func ParseVersions(digits string) (v Versions, ok bool) {
	for _, d := range []byte(digits) {
		if d < '0' || d > '9' {
			return 0, false
		}
		v |= MakeVersions(int(d - '0'))
	}
	return v, v != 0
}

// Digits returns one digit per version, in ascending order, such as "34".
func (s Versions) Digits() string {
	var digits []byte
	for v := range maxVersions {
		if s.Has(v) {
			digits = append(digits, '0'+byte(v))
		}
	}
	return string(digits)
}

// maxVersions is the number of versions that a digit can name.
const maxVersions = 10

// ParseQuery returns the versions offered by a query message, which may have text around it.
// It accepts every spelling: "?OTR?" for version 1, "?OTRv23?", "?OTR?v2?", with or without
// the last question mark, and ignores unknown version letters. ok is false if Classify finds
// no query in the line.
func ParseQuery(line []byte) (v Versions, ok bool) {
	kind, at := find(line)
	if kind != KindQuery {
		return 0, false
	}
	return queryVersions(line[at+len(marker):])
}

// AppendQuery appends the query message that offers the versions v, such as
// "?OTRv34?".
func AppendQuery(b []byte, v Versions) []byte {
	b = append(b, marker...)
	if v.Has(1) {
		b = append(b, '?')
		if v &^= MakeVersions(1); v == 0 {
			return b
		}
	}
	b = append(b, 'v')
	for i := range maxVersions {
		if v.Has(i) {
			b = append(b, '0'+byte(i))
		}
	}
	return append(b, '?')
}

// queryVersions parses a query message after "?OTR": a "?" that offers version 1, and a "v"
// with one character per further version, ended by "?". If that end is missing, only digits
// are treated as versions, because the words of any text could follow.
func queryVersions(text []byte) (v Versions, ok bool) {
	if len(text) > 0 && text[0] == '?' {
		v, ok = MakeVersions(1), true
		text = text[1:]
	}
	if len(text) == 0 || text[0] != 'v' {
		return v, ok
	}
	var more Versions
	digits := true
	n := 1
	for ; n < len(text) && isVersion(text[n]); n++ {
		if isDigit(text[n]) {
			more |= 1 << (text[n] - '0')
		} else {
			digits = false
		}
	}
	if n < len(text) && text[n] == '?' || digits && n > 1 {
		return v | more, true
	}
	return v, ok
}

func isVersion(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
