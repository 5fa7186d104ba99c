package transcript

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/otr/toolkit"
)

// Read writes the texts of the data messages that the keys decrypt to standard output, made safe
// for a terminal.
func Read(in Input, keys Keys, s *terminal.IO) error {
	out := terminal.Output(s.Out)
	return read(in, keys, s, func(m *toolkit.Message, p toolkit.Plaintext) error {
		for _, t := range p.TLVs {
			s.Detail("message %d carries a TLV of type %d with %d bytes", m.Number, t.Type, len(t.Value))
		}
		return written(out.Write(append(bytes.Clone(p.Text), '\n')))
	})
}

// ReadJSON writes the plaintexts of the data messages that the keys decrypt to w, as one JSON
// array, or nothing if there are none.
func ReadJSON(in Input, keys Keys, s *terminal.IO, w io.Writer) error {
	between := "["
	err := read(in, keys, s, func(m *toolkit.Message, p toolkit.Plaintext) error {
		b, err := json.Marshal(toolkit.PlaintextFields(m, p))
		if err != nil {
			return err
		}
		err = written(io.WriteString(w, between+string(terminal.SafeJSON(b))))
		between = ","
		return err
	})
	if between != "[" {
		if _, werr := io.WriteString(w, "]\n"); err == nil {
			err = werr
		}
	}
	return err
}

// read calls do with the plaintext of each data message that the keys decrypt.
func read(in Input, keys Keys, s *terminal.IO, do func(*toolkit.Message, toolkit.Plaintext) error) error {
	return withKeys(in, keys, s, func(m *toolkit.Message, key []byte) error {
		p, err := toolkit.Read(m, key)
		if err != nil {
			return err
		}
		return do(m, p)
	})
}

// Forge writes the data messages that the keys decrypt to w, with text in place of their own.
func Forge(in Input, keys Keys, text string, s *terminal.IO, w io.Writer) error {
	return withKeys(in, keys, s, func(m *toolkit.Message, key []byte) error {
		line, err := toolkit.Forge(m, key, []byte(text))
		return writeLine(w, line, err)
	})
}

// withKeys is fit for messages with different keys. It tells the user how many messages it
// skipped.
func withKeys(in Input, keys Keys, s *terminal.IO, do func(m *toolkit.Message, key []byte) error) error {
	fitting, others, err := fit(in, func(m *toolkit.Message) error {
		key, err := keys.of(m)
		if err != nil {
			return err
		}
		return do(m, key)
	})
	if err == nil && others > 0 {
		s.Note("%d of %d data messages are under other keys", others, fitting+others)
	}
	return err
}

// Modify writes the data messages that a MAC key verifies to w, with text in place of old at an
// offset of their text.
func Modify(in Input, macKey []byte, old, text string, offset int, w io.Writer) error {
	_, _, err := fit(in, func(m *toolkit.Message) error {
		line, err := toolkit.Modify(m, macKey, []byte(old), []byte(text), offset)
		return writeLine(w, line, err)
	})
	return err
}

// Remac writes the data messages to w, authenticated with a MAC key.
func Remac(in Input, macKey []byte, w io.Writer) error {
	_, _, err := fit(in, func(m *toolkit.Message) error {
		line, err := toolkit.Remac(m, macKey)
		return writeLine(w, line, err)
	})
	return err
}

func writeLine(w io.Writer, line []byte, err error) error {
	if err != nil {
		return err
	}
	return written(fmt.Fprintf(w, "%s\n", line))
}

// PartNames lists the parts of a data message of version 3 or 2, in the order in which Make
// takes them.
var PartNames = []string{"SENDER", "RECEIVER", "FLAGS", "SENDER_KEYID", "RECIPIENT_KEYID", "PUBKEY", "COUNTER", "ENCRYPTED", "REVEALED"}

// Make writes a data message to w, made from its parts and authenticated with a MAC key.
func Make(macKey []byte, parts []string, w io.Writer) error {
	p, err := parseParts(parts)
	if err != nil {
		return err
	}
	line, err := toolkit.Make3(p, macKey)
	if err != nil {
		return exit.Errorf(exit.Failure, "%w", exit.Plain(err))
	}
	return writeLine(w, line, nil)
}

func parseParts(parts []string) (p toolkit.Parts3, err error) {
	number := func(i int, most uint64) uint64 {
		v, perr := strconv.ParseUint(parts[i], 0, 64)
		if (perr != nil || v > most) && err == nil {
			err = exit.Errorf(exit.Usage, "%s: %q is not a number from 0 to %d", PartNames[i], parts[i], most)
		}
		return v
	}
	data := func(i int) []byte {
		b, herr := ParseHex(parts[i], PartNames[i])
		if err == nil {
			err = herr
		}
		return b
	}
	p.Sender, p.Receiver = uint32(number(0, math.MaxUint32)), uint32(number(1, math.MaxUint32))
	p.Flags = byte(number(2, math.MaxUint8))
	p.SenderKeyID, p.RecipientKeyID = uint32(number(3, math.MaxUint32)), uint32(number(4, math.MaxUint32))
	p.NextDH = data(5)
	counter := data(6)
	p.Encrypted = data(7)
	p.OldMACKeys = data(8)
	if err == nil && len(counter) > 8 {
		err = exit.Errorf(exit.Usage, "%s has %d bytes, and at most 8 are possible", PartNames[6], len(counter))
	}
	if err == nil {
		for _, b := range counter {
			p.Counter = p.Counter<<8 | uint64(b)
		}
	}
	return p, err
}
