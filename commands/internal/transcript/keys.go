package transcript

import (
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"

	"otrpipe/commands/internal/exit"
	"otrpipe/otr/toolkit"
)

// maxHexFile bounds a file that is named as @FILE. The longest key is a D-H value, and the
// longest other argument an encrypted message.
const maxHexFile = 4 << 20

// ParseHex reads hexadecimal digits, or those in the file that "@FILE" names. name is the
// argument's name in errors; no error quotes the digits.
func ParseHex(arg, name string) ([]byte, error) {
	code := exit.Usage
	if file, ok := strings.CutPrefix(arg, "@"); ok {
		code = exit.KeyFile
		f, err := os.Open(file)
		if err != nil {
			return nil, exit.Errorf(code, "%s: %w", name, exit.Plain(err))
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, maxHexFile+1))
		if err != nil {
			return nil, exit.Errorf(code, "%s: %w", name, exit.Plain(err))
		}
		if len(b) > maxHexFile {
			return nil, exit.Errorf(code, "%s: %s is longer than %d bytes", name, file, maxHexFile)
		}
		arg = strings.TrimSpace(string(b))
	}
	b, err := hex.DecodeString(arg)
	if errors.Is(err, hex.ErrLength) {
		return nil, exit.Errorf(code, "%s has an odd number of hexadecimal digits: %d", name, len(arg)).
			WithHint("a byte has two digits; write a leading 0 too")
	}
	if err != nil {
		return nil, exit.Errorf(code, "%s is not made of hexadecimal digits", name).
			WithHint("give the digits without spaces, or @FILE to read them from a file")
	}
	return b, nil
}

// Keys holds the keys to decrypt messages with: a single key, or those of a key log.
type Keys struct {
	one []byte
	log *toolkit.KeyLog
}

// Key returns Keys with a single key.
func Key(key []byte) Keys { return Keys{one: key} }

// ReadKeyLog reads the keys that a stream command has written to a file. flag is the flag that
// names the file.
func ReadKeyLog(path, flag string) (Keys, error) {
	f, err := os.Open(path)
	if err != nil {
		return Keys{}, exit.Errorf(exit.KeyFile, "--%s: %w", flag, exit.Plain(err))
	}
	defer f.Close()
	log, err := toolkit.ReadKeyLog(f)
	if err != nil {
		return Keys{}, exit.Errorf(exit.KeyFile, "%s: %w", path, exit.Plain(err)).
			WithHint("give a file that --keylog of a live session has written")
	}
	return Keys{log: log}, nil
}

// of returns the key of a message, or toolkit.ErrWrongKey if the log has none.
func (k Keys) of(m *toolkit.Message) ([]byte, error) {
	if k.log == nil {
		return k.one, nil
	}
	key, ok := k.log.Find(m)
	if !ok {
		return nil, toolkit.ErrWrongKey
	}
	return key, nil
}
