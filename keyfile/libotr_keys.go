package keyfile

import (
	"bytes"
	"fmt"

	"otrpipe/otr/keys"
)

// maxLibotrKeys is the maximum length of a file of private keys in bytes: enough for hundreds
// of accounts.
const maxLibotrKeys = 1 << 20

// An Account identifies an identity in libotr and its clients: the name of an account, and
// the client's name for its protocol, such as "prpl-jabber" in Pidgin or "IRC" in irssi.
type Account struct {
	Name     string
	Protocol string
}

func (a Account) String() string { return fmt.Sprintf("%q (%s)", a.Name, a.Protocol) }

// matches reports whether the account matches want, in which empty fields match all.
func (a Account) matches(want Account) bool {
	return (want.Name == "" || want.Name == a.Name) && (want.Protocol == "" || want.Protocol == a.Protocol)
}

// A LibotrKey is one account's private key.
type LibotrKey struct {
	Account Account
	Key     *keys.DSAPrivateKey
}

// ParseLibotrKeys parses libotr's file of private keys, otr.private_key in Pidgin: an
// S-expression "(privkeys (account (name …) (protocol …) (private-key (dsa (p …) (q …) (g …)
// (y …) (x …)))) …)". No account may occur twice. The errors are ErrFormat.
func ParseLibotrKeys(b []byte) ([]LibotrKey, error) {
	file, err := parseSexp(b)
	if err != nil {
		return nil, err
	}
	defer file.wipe()
	if file.head() != "privkeys" {
		return nil, fmt.Errorf("%w: no private keys of libotr", ErrFormat)
	}
	var list []LibotrKey
	seen := make(map[Account]bool)
	for i := range file.list[1:] {
		key, err := accountKey(&file.list[1+i])
		if err == nil && seen[key.Account] {
			err = fmt.Errorf("%w: account %v is there twice", ErrFormat, key.Account)
			key.Key.Wipe()
		}
		if err != nil {
			wipeLibotrKeys(list)
			return nil, err
		}
		seen[key.Account] = true
		list = append(list, key)
	}
	return list, nil
}

func accountKey(s *sexp) (LibotrKey, error) {
	if s.head() != "account" {
		return LibotrKey{}, fmt.Errorf("%w: privkeys has an unknown part", ErrFormat)
	}
	parts, err := s.fields("name", "protocol", "private-key")
	if err != nil {
		return LibotrKey{}, err
	}
	name, err := parts[0].value()
	if err != nil {
		return LibotrKey{}, err
	}
	protocol, err := parts[1].value()
	if err != nil {
		return LibotrKey{}, err
	}
	account := Account{Name: string(name), Protocol: string(protocol)}
	dsa, err := parts[2].fields("dsa")
	if err != nil {
		return LibotrKey{}, fmt.Errorf("%w (account %v)", err, account)
	}
	numbers, err := dsa[0].fields("p", "q", "g", "y", "x")
	if err != nil {
		return LibotrKey{}, fmt.Errorf("%w (account %v)", err, account)
	}
	var values [5][]byte
	for i, number := range numbers {
		if values[i], err = number.value(); err != nil {
			return LibotrKey{}, fmt.Errorf("%w (account %v)", err, account)
		}
		if n := values[i]; len(n) > 1 && n[0] == 0 && n[1] < 0x80 {
			return LibotrKey{}, fmt.Errorf("%w: %s begins with zeros (account %v)", ErrFormat, number.head(), account)
		}
	}
	key, err := keys.NewDSAPrivateKey(values[0], values[1], values[2], values[3], values[4])
	if err != nil {
		return LibotrKey{}, fmt.Errorf("%w: %w (account %v)", ErrFormat, err, account)
	}
	return LibotrKey{Account: account, Key: key}, nil
}

// AppendLibotrKeys appends a file in the format of ParseLibotrKeys and libotr. It contains
// secrets, and the caller has to wipe it.
func AppendLibotrKeys(b []byte, list ...LibotrKey) []byte {
	if b == nil {
		// Never moved, so that wiping it leaves no copy behind.
		b = make([]byte, 0, 64+len(list)*maxPrivate)
	}
	b = append(b, "(privkeys\n"...)
	for _, key := range list {
		b = append(b, " (account\n  (name "...)
		b = appendAtom(b, []byte(key.Account.Name))
		b = append(b, ")\n  (protocol "...)
		b = appendAtom(b, []byte(key.Account.Protocol))
		b = append(b, ")\n  (private-key\n   (dsa\n"...)
		p, q, g, y, x := key.Key.Parameters()
		for i, n := range [][]byte{p, q, g, y, x} {
			b = append(append(b, "    ("...), "pqgyx"[i], ' ')
			// A number whose highest bit is set would be negative.
			signed := n
			if n[0] >= 0x80 {
				signed = append(make([]byte, 1, 1+len(n)), n...)
			}
			b = append(appendNumber(b, signed), ")\n"...)
			if i == 4 {
				clear(signed)
			}
		}
		clear(x)
		b = append(b, "   )\n  )\n )\n"...)
	}
	return append(b, ")\n"...)
}

func wipeLibotrKeys(list []LibotrKey) {
	for _, key := range list {
		key.Key.Wipe()
	}
}

// looksLikeLibotr reports whether a file may be libotr's private keys.
func looksLikeLibotr(b []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte("("))
}
