// Package toolkit implements operations that are open to anyone who has a transcript and, for
// some of them, a key: it shows every field, derives keys, reads, changes and forges
// messages, and makes up whole conversations that never happened. So OTR's deniability can be
// tried in practice: see "The OTR toolkit" in the documentation of versions 2 and 3, and the
// section "Forging Transcripts" of version 4's specification, which asks for these
// operations, built from the functions of honest conversations.
//
// All input is untrusted. A Scanner reads any amount of text in bounded memory. A message is
// either shown completely, or rejected with a reason and a position.
package toolkit
