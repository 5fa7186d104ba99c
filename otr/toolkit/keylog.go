package toolkit

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"otrpipe/otr/v3"
	"otrpipe/otr/v4"
)

const (
	// maxLoggedKeys bounds the number of keys in one log: enough for a terabyte in version 4.
	maxLoggedKeys = 1 << 24
	// maxLogLine is longer than any line of a key log.
	maxLogLine = 1 << 10
)

// ErrKeyLog reports a file that is not a key log.
var ErrKeyLog = errors.New("toolkit: not a key log")

// A LoggedKey is a key that a session has used, together with the fields that identify the
// messages encrypted with it. It prints as a placeholder.
type LoggedKey struct {
	Version          uint16
	Sender, Receiver uint32 // instance tags; 0 in version 2
	// First and Second are the key ids of sender and recipient in versions 2 and 3, and the
	// ids of the ratchet and the message in version 4.
	First, Second uint32
	Key           []byte // the AES key of versions 2 and 3, MKenc of version 4
}

// Format prints a placeholder for every verb.
func (LoggedKey) Format(f fmt.State, _ rune) { io.WriteString(f, "toolkit.LoggedKey(…)") }

// The first words of a key log's lines.
const (
	logAES     = "aes"     // versions 2 and 3
	logMessage = "message" // version 4
)

// KeyLogHeader is the first line of a key log.
const KeyLogHeader = "# otrpipe key log 1"

// Append appends the key as a line of a key log, with LF:
//
//	aes VERSION SENDER RECEIVER SENDER_KEY_ID RECIPIENT_KEY_ID KEY
//	message 4 SENDER RECEIVER RATCHET_ID MESSAGE_ID KEY
//
// Instance tags have eight hexadecimal digits, ids are decimal, and the key has 32 or 128
// hexadecimal digits.
func (k LoggedKey) Append(b []byte) []byte {
	word := logAES
	if k.Version == v4.Version {
		word = logMessage
	}
	return fmt.Appendf(b, "%s %d %v %v %d %d %x\n", word, k.Version, Tag(k.Sender), Tag(k.Receiver), k.First, k.Second, k.Key)
}

// A KeyLog holds the keys of sessions. It prints as a placeholder.
type KeyLog struct {
	keys map[loggedFor][][]byte
}

// Format prints a placeholder for every verb.
func (KeyLog) Format(f fmt.State, _ rune) { io.WriteString(f, "toolkit.KeyLog(…)") }

type loggedFor struct {
	version          uint16
	sender, receiver uint32
	first, second    uint32
}

// ReadKeyLog reads a key log: lines in the format of Append. It ignores empty lines and lines
// that begin with "#". The error wraps ErrKeyLog and names the line, or comes from r.
func ReadKeyLog(r io.Reader) (*KeyLog, error) {
	l := &KeyLog{keys: map[loggedFor][][]byte{}}
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLogLine)
	number, count := 0, 0
	for s.Scan() {
		number++
		line := strings.TrimSpace(s.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if count++; count > maxLoggedKeys {
			return nil, fmt.Errorf("%w: it has more than %d keys", ErrKeyLog, maxLoggedKeys)
		}
		if err := l.add(strings.Fields(line)); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrKeyLog, number, err)
		}
	}
	if err := s.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("%w: line %d is too long", ErrKeyLog, number+1)
	} else if err != nil {
		return nil, err
	}
	if count == 0 {
		return nil, fmt.Errorf("%w: it has no key", ErrKeyLog)
	}
	return l, nil
}

// add adds a key, given the words of its line. No error quotes them, because one is a key.
func (l *KeyLog) add(words []string) error {
	if len(words) != 7 {
		return errors.New("a line has seven words")
	}
	var n [6]uint32
	for i, base := range map[int]int{1: 10, 2: 16, 3: 16, 4: 10, 5: 10} {
		v, err := strconv.ParseUint(words[i], base, 32)
		if err != nil {
			return fmt.Errorf("word %d is not a number", i+1)
		}
		n[i] = uint32(v)
	}
	key, err := hex.DecodeString(words[6])
	if err != nil {
		return errors.New("the key is not written in hexadecimal digits")
	}
	want := AESKeyLen
	switch {
	case words[0] == logMessage && n[1] == v4.Version:
		want = Key4Len
	case words[0] == logAES && (n[1] == v3.Version2 || n[1] == v3.Version3):
	default:
		return errors.New("the first two words are not aes 2, aes 3 or message 4")
	}
	if len(key) != want {
		return fmt.Errorf("the key has %d bytes, not %d", len(key), want)
	}
	id := loggedFor{uint16(n[1]), n[2], n[3], n[4], n[5]}
	l.keys[id] = append(l.keys[id], key)
	return nil
}

// Find returns the key that encrypts and authenticates a data message, if it is in the log.
func (l *KeyLog) Find(m *Message) (key []byte, ok bool) {
	d, err := parseData(m)
	if err != nil {
		return nil, false
	}
	id := loggedFor{version: d.header.Version, sender: d.header.Sender, receiver: d.header.Receiver}
	if d.isFour() {
		id.first, id.second = d.four.RatchetID, d.four.MessageID
	} else {
		id.first, id.second = d.three.SenderKeyID, d.three.RecipientKeyID
	}
	for _, key := range l.keys[id] {
		macKey, err := MACKey(key)
		if err == nil && d.verify(macKey) == nil {
			return key, true
		}
	}
	return nil, false
}
