package wire

import "bytes"

// errorText follows "?OTR" in an error message.
const errorText = " Error:"

// StartsWithError reports whether line is an error message by the rule of version 4: its
// marker must be at the very beginning.
func StartsWithError(line []byte) bool {
	return bytes.HasPrefix(line, []byte(marker+errorText))
}

// ParseError returns the text of an error message, without the blank before it. ok is false
// if Classify finds no error message in the line. The text is not authenticated: anyone may
// have written it.
func ParseError(line []byte) (text []byte, ok bool) {
	kind, at := find(line)
	if kind != KindError {
		return nil, false
	}
	text = line[at+len(marker)+len(errorText):]
	if len(text) > 0 && text[0] == ' ' {
		text = text[1:]
	}
	return text, true
}

// AppendError appends an error message with text, which must not contain a line end.
func AppendError(b []byte, text string) []byte {
	b = append(b, marker...)
	b = append(b, errorText...)
	b = append(b, ' ')
	return append(b, text...)
}
