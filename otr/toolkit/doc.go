// Package toolkit does with OTR messages what anyone can do who has a transcript and,
// for some of it, a key: show every field, derive keys, read, change and forge messages,
// and make whole conversations that never happened. It is what makes OTR's deniability
// something to try: see "The OTR toolkit" in the documentation of versions 2 and 3, and the
// section "Forging Transcripts" of version 4's specification, which asks for these
// operations and wants them made with the functions of honest conversations.
//
// Nothing here trusts its input. A Scanner reads any amount of text in bounded memory; a
// message is shown whole or refused with a reason and a position.
package toolkit
