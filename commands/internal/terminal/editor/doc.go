// Package editor lets a person edit a line at the bottom of a terminal while messages are
// printed above it. It supports the usual editing keys of shells, history, pasting, characters
// of any width, and hidden secrets.
//
// It counts columns, not characters, and keeps a pasted text together, which
// golang.org/x/term's own line editor does not.
package editor
