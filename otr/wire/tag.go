package wire

import "bytes"

// A whitespace tag is these 16 bytes, followed by 8 bytes for every version offered. If a
// blank is a 0 and a tab is a 1, the 8 bytes of a version are its digit in ASCII, except for
// version 1.
const (
	tagBase     = " \t  \t\t\t\t \t \t \t  "
	tagVersion1 = " \t \t  \t "
	tagDigits   = "  \t\t" // a digit's upper four bits, 0011
	tagGroup    = 8
)

// ParseTag returns the versions offered by the first whitespace tag in line and the line
// without the tag. Further tags stay in the text. ok is false if there is no tag, which is 16
// bytes and at least one version. It allocates only if the tag has text on both sides.
func ParseTag(line []byte) (v Versions, text []byte, ok bool) {
	at, end := findTag(line)
	if at < 0 {
		return 0, nil, false
	}
	for group := at + len(tagBase); group < end; group += tagGroup {
		if version, ok := tagVersion(line[group:]); ok {
			v |= 1 << version
		}
	}
	switch {
	case end == len(line):
		return v, line[:at], true
	case at == 0:
		return v, line[end:], true
	}
	text = make([]byte, 0, at+len(line)-end)
	text = append(text, line[:at]...)
	return v, append(text, line[end:]...), true
}

// AppendTag appends the whitespace tag that offers the versions v, which must not be empty.
// Version 1 comes first, because its clients need that.
func AppendTag(b []byte, v Versions) []byte {
	b = append(b, tagBase...)
	if v.Has(1) {
		b = append(b, tagVersion1...)
	}
	for i := range maxVersions {
		if i == 1 || !v.Has(i) {
			continue
		}
		b = append(b, tagDigits...)
		for bit := 3; bit >= 0; bit-- {
			b = append(b, " \t"[i>>bit&1])
		}
	}
	return b
}

// findTag returns where the first whitespace tag starts and ends, or -1.
func findTag(line []byte) (at, end int) {
	for from := 0; ; {
		next := bytes.Index(line[from:], []byte(tagBase))
		if next < 0 {
			return -1, -1
		}
		at = from + next
		// Unknown versions may come before a known one. White space after the last known
		// version is text, even another tag.
		end = at + len(tagBase)
		for group := end; isTagGroup(line[group:]); {
			_, known := tagVersion(line[group:])
			if group += tagGroup; known {
				end = group
			}
		}
		if end > at+len(tagBase) {
			return at, end
		}
		from = at + 1
	}
}

// isTagGroup reports whether text begins with the 8 bytes of a version, known or unknown, and
// not with another tag.
func isTagGroup(text []byte) bool {
	return len(text) >= tagGroup && len(bytes.Trim(text[:tagGroup], " \t")) == 0 &&
		!bytes.HasPrefix(text, []byte(tagBase))
}

// tagVersion returns the version whose 8 bytes text begins with.
func tagVersion(text []byte) (version int, ok bool) {
	if len(text) < tagGroup {
		return 0, false
	}
	text = text[:tagGroup]
	if string(text) == tagVersion1 {
		return 1, true
	}
	if string(text[:len(tagDigits)]) != tagDigits {
		return 0, false
	}
	for _, c := range text[len(tagDigits):] {
		version <<= 1
		switch c {
		case ' ':
		case '\t':
			version |= 1
		default:
			return 0, false
		}
	}
	return version, version < maxVersions
}
