// Package keyfile is what otrpipe keeps on disk: identities (long-term keys and
// an instance tag), contacts (whose key is whose, and how far it is trusted),
// and the files that libotr and the clients built on it use for the same.
//
// A home folder looks like this; every folder is 0700, every file 0600:
//
//	lock                            held while something is written
//	contacts.json                   contacts, their keys and trust
//	identities/NAME/private.key     the private keys; an age file if protected
//	identities/NAME/public.json     the fingerprints, readable without passphrase
//	identities/NAME/profile-34      the client profile of version 4 for its week, encoded
//	identities/NAME/offline         prekeys and sessions of messages to people who are away
//	identities/NAME/offline.lock    held while such a message is read or answered
//
// NAME is the identity's name with every byte that file systems disagree about
// written as %XX. Everything that is read is checked first: a file or folder that
// others can get at, that belongs to someone else or that is a symbolic link
// where a private file should be is refused with an *UnsafeError.
//
// Everything that is written is written whole or not at all: into a temporary
// file or folder beside its place, flushed to the disk, then renamed, with the
// lock held. Whatever is killed and when, the next reader finds the old content
// or the new, and the next writer removes what was left lying about. Only
// Home.Upgrade renames two files, first the private one: killed between the two
// it leaves an identity that opens with all its keys, but shows the new one only
// after another Upgrade; opening it warns. Readers take no lock, so they work on
// a read-only file system too.
//
// # Our own files
//
// Each is a JSON object that begins with what it is and the version of its
// format, "otrpipe" and "version". A file with a version newer than this package
// knows is refused with ErrNewer, never guessed at; older versions stay readable.
// Files are read strictly: only what this package would have written itself is
// taken, byte for byte, so that two programs can never read one file in two ways.
//
// A private key file holds the identity's name, its instance tag and a list of
// keys, each led by the protocol version it is for. Version 1 of the format has
// exactly one, the DSA key of OTR versions 2 and 3. Version 2 has a second, of OTR
// version 4: the symmetric key that the Ed448 key is made from, the public forging
// key as a bare POINT, and the forging key's own symmetric key if it was to be
// kept. Client profiles of version 4 are made from these keys and kept for their
// week beside them, one for each set of versions that is announced. An identity
// that has no key of version 4 is still written in version 1. A passphrase turns the same
// text into an armored age file with a scrypt recipient (age-encryption.org/v1),
// which "age -d" opens. The public file beside it is for showing fingerprints
// without a passphrase; whenever the private file is opened the two are compared,
// so that a public file somebody has tampered with is noticed (ErrMismatch).
//
// # What wiping can promise
//
// Identity.Wipe and the buffers used here are overwritten when they are done
// with, and so are a passphrase, right after it has opened a file, and what is derived
// from it: no string is ever made of either. Go's runtime may have copied them before,
// when it grew a stack, and the hash functions and ciphers of other packages keep
// state of their own; a program built with GOEXPERIMENT=runtimesecret erases both. Nor
// does removing a file overwrite the disk. Who must be sure encrypts the disk and the swap.
package keyfile
