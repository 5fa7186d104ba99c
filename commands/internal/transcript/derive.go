package transcript

import (
	"fmt"
	"strings"

	"otrpipe/commands/internal/exit"
	"otrpipe/otr/toolkit"
)

// SessionKeys holds the keys of a session in the form in which the toolkit prints them.
type SessionKeys struct{ toolkit.Fields }

// DeriveSessionKeys derives the keys of a session of version 2 or 3 from D-H values.
func DeriveSessionKeys(ourPrivate, theirPublic []byte) (SessionKeys, error) {
	fields, err := toolkit.SessionKeys(ourPrivate, theirPublic)
	if err != nil {
		return SessionKeys{}, exit.Errorf(exit.Failure, "%w", exit.Plain(err))
	}
	return SessionKeys{fields}, nil
}

// Text has one line per key.
func (k SessionKeys) Text() string {
	var b strings.Builder
	for _, f := range k.Fields {
		fmt.Fprintf(&b, "%-20s %v\n", strings.ReplaceAll(f.Name, "_", " "), f.Value)
	}
	return b.String()
}

// DeriveMACKey derives a MAC key from an encryption key.
func DeriveMACKey(encryption []byte) ([]byte, error) {
	key, err := toolkit.MACKey(encryption)
	if err != nil {
		return nil, exit.Errorf(exit.Failure, "%w", exit.Plain(err))
	}
	return key, nil
}
