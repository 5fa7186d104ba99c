package keyfile

import (
	"encoding/hex"
	"fmt"
	"strings"

	"otrpipe/otr/keys"
)

// MaxLibotrList is the maximum length of a file of fingerprints or instance tags that is
// read, in bytes: enough for fifty thousand lines. A file from somebody else that has nothing but
// bad lines takes some hundred times its length of memory.
const MaxLibotrList = 4 << 20

// A LibotrFingerprint is one line of libotr's file of fingerprints: a key of the person
// Username, to whom Account has talked.
type LibotrFingerprint struct {
	Username    string
	Account     Account
	Fingerprint keys.Fingerprint // of version 3
	Trust       string           // "", "verified", "smp", or a client's own word
}

// A RowError is a line of libotr's file of fingerprints that cannot be used: it is malformed
// (ErrFormat), or its username cannot be a contact's name (ErrName).
type RowError struct {
	Line    int     // from 1
	Account Account // the account in the line; empty if it cannot be read
	Reason  error
}

func (e *RowError) Error() string { return fmt.Sprintf("%v (line %d)", e.Reason, e.Line) }

// Unwrap returns the reason.
func (e *RowError) Unwrap() error { return e.Reason }

// Concerns reports whether the line belongs, or may belong, to an account that matches
// account.
func (e *RowError) Concerns(account Account) bool {
	return e.Account == (Account{}) || e.Account.matches(account)
}

// ParseLibotrFingerprints parses libotr's file of fingerprints, otr.fingerprints in Pidgin. A
// line is "username TAB account TAB protocol TAB 40 hexadecimal digits [TAB trust]", ended by
// LF or CR LF. Lines that cannot be used are returned in bad, in their order; the others are
// read nevertheless.
func ParseLibotrFingerprints(b []byte) (list []LibotrFingerprint, bad []*RowError) {
	for number, fields := range tabLines(b) {
		one, err := parseFingerprintRow(fields)
		if err != nil {
			bad = append(bad, &RowError{Line: number, Account: one.Account, Reason: err})
			continue
		}
		list = append(list, one)
	}
	return list, bad
}

func parseFingerprintRow(fields []string) (one LibotrFingerprint, err error) {
	if len(fields) != 4 && len(fields) != 5 {
		return one, fmt.Errorf("%w: not 4 or 5 fields between tabs, but %d", ErrFormat, len(fields))
	}
	one.Username, one.Account = fields[0], Account{fields[1], fields[2]}
	if err := CheckContactName(one.Username); err != nil {
		return one, err
	}
	digest, err := hex.DecodeString(fields[3])
	if err != nil || len(digest) != keys.FingerprintLen3 {
		return one, fmt.Errorf("%w: no fingerprint of 40 hexadecimal digits", ErrFormat)
	}
	if one.Fingerprint, err = keys.FingerprintFromBytes(digest); err != nil {
		return one, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if len(fields) == 5 {
		one.Trust = fields[4]
	}
	return one, nil
}

// AppendLibotrFingerprints appends a file in the format of ParseLibotrFingerprints and
// libotr. The format cannot hold fields with a tab or a line end, nor version 4 fingerprints;
// the error is then ErrFormat.
func AppendLibotrFingerprints(b []byte, list ...LibotrFingerprint) ([]byte, error) {
	for _, one := range list {
		if one.Fingerprint.OTR() != 3 {
			return nil, fmt.Errorf("%w: libotr has no fingerprints of version %d", ErrFormat, one.Fingerprint.OTR())
		}
		var err error
		b, err = appendTabLine(b, one.Username, one.Account.Name, one.Account.Protocol, one.Fingerprint.Hex(), one.Trust)
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

// A LibotrTag is one account's instance tag.
type LibotrTag struct {
	Account Account
	Tag     uint32
}

// ParseLibotrTags parses libotr's file of instance tags, otr.instance_tags in Pidgin. A line
// is "account TAB protocol TAB 8 hexadecimal digits". Like libotr, it skips all other lines,
// such as the warning at the beginning, and tags below 0x100.
func ParseLibotrTags(b []byte) []LibotrTag {
	var list []LibotrTag
	for _, fields := range tabLines(b) {
		if len(fields) != 3 {
			continue
		}
		if tag, err := parseTag(fields[2]); err == nil && tag >= minInstanceTag {
			list = append(list, LibotrTag{Account{fields[0], fields[1]}, tag})
		}
	}
	return list
}

// AppendLibotrTags appends a file in the format of ParseLibotrTags and libotr. The format
// cannot hold fields with a tab or a line end; the error is then ErrFormat.
func AppendLibotrTags(b []byte, list ...LibotrTag) ([]byte, error) {
	b = append(b, "# Do not copy this file to another computer: two ends with one instance tag cannot talk.\n"...)
	for _, one := range list {
		var err error
		b, err = appendTabLine(b, one.Account.Name, one.Account.Protocol, fmt.Sprintf("%08x", one.Tag))
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

// ChooseTag returns the tag of the account that matches account; empty fields match all. If
// there are several, or none, the error is a *ChoiceError. path names the file in errors.
func ChooseTag(list []LibotrTag, path string, account Account) (uint32, error) {
	var all, fitting []Account
	var tag uint32
	for _, one := range list {
		all = append(all, one.Account)
		if one.Account.matches(account) {
			fitting = append(fitting, one.Account)
			tag = one.Tag
		}
	}
	if len(all) == 0 {
		return 0, fmt.Errorf("%w: %s has no instance tag", ErrFormat, path)
	}
	if len(fitting) != 1 {
		return 0, &ChoiceError{Path: path, Accounts: all, None: len(fitting) == 0}
	}
	return tag, nil
}

// parseTag reads an instance tag of exactly eight hexadecimal digits.
func parseTag(s string) (uint32, error) {
	var b [4]byte
	if len(s) != 2*len(b) {
		return 0, fmt.Errorf("%w: an instance tag has 8 digits", ErrFormat)
	}
	if _, err := hex.Decode(b[:], []byte(s)); err != nil {
		return 0, fmt.Errorf("%w: an instance tag has 8 hexadecimal digits", ErrFormat)
	}
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]), nil
}

// tabLines iterates over the non-empty lines and their numbers.
func tabLines(b []byte) func(yield func(int, []string) bool) {
	return func(yield func(int, []string) bool) {
		number := 0
		for line := range strings.Lines(string(withoutMark(b))) {
			number++
			line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
			if line != "" && !yield(number, strings.Split(line, "\t")) {
				return
			}
		}
	}
}

func appendTabLine(b []byte, fields ...string) ([]byte, error) {
	for i, field := range fields {
		if strings.ContainsAny(field, "\t\r\n\x00") {
			return nil, fmt.Errorf("%w: %q cannot stand in a file of libotr", ErrFormat, field)
		}
		if i > 0 {
			b = append(b, '\t')
		}
		b = append(b, field...)
	}
	return append(b, '\n'), nil
}
