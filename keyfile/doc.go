// Package keyfile implements everything that otrpipe keeps on disk: identities (long-term
// keys and an instance tag) and contacts (other people's keys and how far they are trusted).
// It also reads and writes the corresponding files of libotr and the clients built on it.
//
// A home folder looks like this; every folder is 0700, every file 0600:
//
//	lock                            held while something is written
//	contacts.json                   contacts, their keys and trust
//	identities/NAME/private.key     the private keys; an age file if protected
//	identities/NAME/public.json     the fingerprints, readable without passphrase
//	identities/NAME/profile-34      the encoded version 4 client profile, for its week
//	identities/NAME/instance-2      the tag of a second client, which has profile-34-2; up to 8
//	identities/NAME/offline         prekeys and sessions of messages to people who are away
//	identities/NAME/offline.lock    held while such a message is read or answered
//
// NAME is the identity's name, with every byte that file systems treat differently written as
// %XX. Everything is checked before it is read: a file or folder that other users can access,
// that belongs to someone else, or that is a symbolic link instead of a private file is
// refused with an *UnsafeError.
//
// Every write is complete or has no effect: the data goes into a temporary file or folder
// beside its destination, is flushed to disk and then renamed, with the lock held. Even if a
// process is killed, the next reader finds either the old or the new content, and the next
// writer removes leftovers. Only Home.Upgrade renames two files, the private one first. If it
// is killed between the two, the identity opens with all its keys and a warning, but shows
// the new one only after another Upgrade. Readers take no lock, so they also work on a
// read-only file system.
//
// # Our own files
//
// Each is a JSON object that begins with its kind, "otrpipe", and the version of its format,
// "version". A file of a newer version than this package knows is refused with ErrNewer;
// older versions remain readable. Files are read strictly: a file is accepted only if it
// equals, byte for byte, what this package would write, so that two programs cannot interpret
// one file differently.
//
// A private key file contains the identity's name, its instance tag and a list of keys, each
// preceded by its protocol version. Version 1 of the format has exactly one key, the DSA key
// of OTR versions 2 and 3. Version 2 has a second one, for OTR version 4: the symmetric key
// from which the Ed448 key is derived, the public forging key as a bare POINT, and, if the
// user wants to keep it, the forging key's own symmetric key. Version 4 client profiles are
// made from these keys and kept beside them for their week, one for each set of announced
// versions. An identity without a version 4 key is still written in version 1. A passphrase
// turns the same text into an armored age file with a scrypt recipient
// (age-encryption.org/v1), which "age -d" opens. The public file beside it is used to show
// fingerprints without a passphrase. Whenever the private file is opened the two are
// compared, so that tampering with the public file is noticed (ErrMismatch).
//
// # What wiping can promise
//
// Identity.Wipe overwrites an identity's private keys. The buffers in this package are
// overwritten as soon as they are no longer needed, and so are a passphrase, right after it
// has opened a file, and everything derived from it; none of these is ever converted to a
// string. Go's runtime may have copied them before that, when it grew a stack, and the hash
// functions and ciphers of other packages have internal state; a program built with
// GOEXPERIMENT=runtimesecret erases both. Removing a file does not overwrite the disk. To be
// safe, encrypt the disk and the swap.
package keyfile
