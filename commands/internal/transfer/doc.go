// Package transfer moves files and folders from one end of a byte stream to the other. The
// stream is authenticated and complete already; this package says what the bytes are, and
// puts them on disk.
//
// Both ends speak in records: a type (1 byte), a length (4 bytes) and so many bytes of
// value, integers big-endian. At first each end says HELLO with its role.
//
//	sender    OFFER   every item: its kind, name, size
//	receiver  ACCEPT  or FAIL
//
// and then for each item, in the order of the offer:
//
//	receiver  HAVE    how many of its bytes are here from an earlier try, and their SHA-256
//	sender    START   the offset of the first byte that follows: that number or 0
//	sender    DATA    again and again
//	sender    SUM     the SHA-256 of the whole item
//	receiver  STORED  it is complete, has that checksum, and has got its name
//
// FAIL, with a reason for people, may come instead of anything, from either end; then its
// sender says nothing more. After the last STORED both ends end their direction.
//
// The bytes of a folder are a tar archive with names, sizes, times to the second, one bit
// for executable files, and symbolic links that stay inside the folder. Equal folders make
// equal archives. So a receiver continues a folder as it continues a file: it makes the
// archive of what it has, whose bytes are those that the sender's begins with.
//
// While an item is incomplete it has a hidden name in the folder that it goes to. It gets
// its own name when all of it is there, and never replaces anything.
package transfer
