// Package editor is a terminal with a line at its bottom that a person edits,
// while what happens is printed above it: the keys that shells have taught
// everybody, history, pasting, characters of any width, and secrets that are not
// shown.
//
// It counts columns, not characters, and keeps a pasted text together, which
// golang.org/x/term's own line editor does not.
package editor
