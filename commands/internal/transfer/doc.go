// Package transfer moves files and folders from one end of a byte stream to the other. The
// stream is already authenticated and complete; this package defines the meaning of its bytes
// and writes files to the disk.
//
// Both ends send records: a type (1 byte), a length (4 bytes), and a value of that length;
// integers are big-endian. First, each end sends HELLO with its role.
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
//	receiver  STORED  it is complete, has that checksum, has got its name, and is on disk
//
// Either end may send FAIL, with a reason for people, instead of any other record, and sends
// nothing after it. After the last STORED, both ends end their direction. A sender whose files
// changed while it read them sends FAIL then, so that both ends know; what is stored stays.
//
// The bytes of a folder are a tar archive with names, sizes, times to the second, one bit for
// executable files, and symbolic links that stay inside the folder. Equal folders make equal
// archives. So a receiver continues a folder as it continues a file: the archive of what it has
// consists of the bytes with which the sender's archive begins.
//
// While an item is incomplete, it has a hidden name in its target folder. It gets its own name
// when it is complete, and never replaces anything.
package transfer
