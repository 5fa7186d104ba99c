package transcript

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/otr/toolkit"
	"otrpipe/otr/v3"
)

var testKey = []byte("sixteen bytes ..")

// messageOf returns a data message with a text, encrypted with testKey.
func messageOf(t *testing.T, text string) string {
	t.Helper()
	encrypted := []byte(text)
	(*v3.AESKey)(testKey).Crypt(encrypted, 1)
	macKey, err := toolkit.MACKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	line, err := toolkit.Make3(toolkit.Parts3{
		Sender: 0x100, Receiver: 0x101, SenderKeyID: 1, RecipientKeyID: 1, NextDH: []byte{5}, Counter: 1, Encrypted: encrypted,
	}, macKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(line) + "\n"
}

func nobody(t *testing.T) *terminal.IO {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	return terminal.NewIO("otrpipe", null, null, null)
}

// The texts of a long log do not wait in memory for its end.
func TestTextsAreWrittenAsJSONWhileTheLogIsRead(t *testing.T) {
	in, log := io.Pipe()
	out, w := io.Pipe()
	done := make(chan error)
	go func() {
		err := ReadJSON(Input{R: in}, Key(testKey), nobody(t), w)
		w.Close()
		done <- err
	}()
	read := make(chan string)
	go func() {
		b := make([]byte, 100)
		n, _ := out.Read(b)
		read <- string(b[:n])
		rest, _ := io.ReadAll(out)
		read <- string(rest)
	}()
	line := messageOf(t, "red\u009b31m")
	go func() {
		// The scanner reads some bytes ahead.
		io.WriteString(log, line+strings.Repeat("\n", 1000))
	}()
	var first string
	select {
	case first = <-read:
	case <-time.After(10 * time.Second):
		t.Fatal("nothing is written before the end of the log")
	}
	io.WriteString(log, line)
	log.Close()
	whole := first + <-read
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var texts []struct{ Text string }
	if err := json.Unmarshal([]byte(whole), &texts); err != nil || len(texts) != 2 || texts[1].Text != "red\u009b31m" {
		t.Errorf("%q, %v", whole, err)
	}
	if strings.Contains(whole, "\u009b") {
		t.Errorf("a terminal takes a command from %q", whole)
	}
}

type fullDisk struct{}

var errFull = errors.New("write out: no space left")

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

// An output that cannot be written is not blamed on a message.
func TestAnOutputThatCannotBeWrittenIsNoFaultOfAMessage(t *testing.T) {
	line := messageOf(t, "hello")
	macKey, err := toolkit.MACKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]func(Input) error{
		"read":   func(in Input) error { return ReadJSON(in, Key(testKey), nobody(t), fullDisk{}) },
		"forge":  func(in Input) error { return Forge(in, Key(testKey), "bye", nobody(t), fullDisk{}) },
		"modify": func(in Input) error { return Modify(in, macKey, "hello", "HELLO", 0, fullDisk{}) },
		"remac":  func(in Input) error { return Remac(in, macKey, fullDisk{}) },
	} {
		err := run(Input{R: strings.NewReader(line)})
		if !errors.Is(err, errFull) || exit.As(err).Error() != errFull.Error() {
			t.Errorf("%s: %v", name, err)
		}
	}
}
