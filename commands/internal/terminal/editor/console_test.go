//go:build unix

package editor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/fatih/color"
	"github.com/rivo/uniseg"
	"golang.org/x/sys/unix"

	"otrpipe/commands/internal/terminal"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// A display is a terminal's screen: what the Console has written to it, as a person sees it.
type display struct {
	mu            sync.Mutex
	width, height int
	rows          [][]string // cells; "" is the second column of a wide one
	row, column   int
	bells         int
	rest          []byte // the beginning of a sequence
}

func newDisplay(width, height int) *display {
	return &display{width: width, height: height, rows: make([][]string, height)}
}

var escape = regexp.MustCompile(`^\x1b\[(\??[0-9;]*)([A-Za-z])`)

// Write shows what a program writes.
func (d *display) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := append(d.rest, p...)
	for len(b) > 0 {
		n := d.show(b)
		if n == 0 {
			break // more is to come
		}
		b = b[n:]
	}
	d.rest = bytes.Clone(b)
	return len(p), nil
}

// show shows the first character or sequence of b, and returns its length.
func (d *display) show(b []byte) int {
	switch b[0] {
	case '\r':
		d.column = 0
		return 1
	case '\n':
		d.down()
		return 1
	case '\a':
		d.bells++
		return 1
	case 0x1b:
		m := escape.FindSubmatch(b)
		if m == nil {
			return 0
		}
		d.control(string(m[1]), m[2][0])
		return len(m[0])
	}
	cluster, _, width, _ := uniseg.FirstGraphemeCluster(b, -1)
	if d.column+width > d.width {
		d.column = 0
		d.down()
	}
	row := d.rows[d.row]
	for len(row) < d.column+width {
		row = append(row, " ")
	}
	row[d.column] = string(cluster)
	for i := 1; i < width; i++ {
		row[d.column+i] = ""
	}
	d.rows[d.row] = row
	d.column += width
	return len(cluster)
}

func (d *display) down() {
	if d.row++; d.row == d.height {
		d.rows = append(d.rows[1:], nil)
		d.row--
	}
}

func (d *display) control(parameters string, command byte) {
	n, err := strconv.Atoi(parameters)
	if err != nil {
		n = 1
	}
	switch command {
	case 'A':
		d.row = max(0, d.row-n)
	case 'B':
		d.row = min(d.height-1, d.row+n)
	case 'C':
		d.column = min(d.width-1, d.column+n)
	case 'H':
		d.row, d.column = 0, 0
	case 'K':
		d.rows[d.row] = d.rows[d.row][:min(d.column, len(d.rows[d.row]))]
	case 'J':
		first := d.row
		if parameters == "2" {
			first = 0
		}
		for i := first; i < d.height; i++ {
			d.rows[i] = nil
		}
	case 'm', 'h', 'l': // colours and modes
	default:
		panic(fmt.Sprintf("unknown sequence %s%c", parameters, command))
	}
}

// text is what the screen shows, with ‸ where the cursor is.
func (d *display) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var lines []string
	for i, row := range d.rows {
		line := strings.Join(row, "")
		if i == d.row {
			for len(row) < d.column {
				row = append(row, " ")
			}
			line = strings.Join(row[:d.column], "") + "‸" + strings.Join(row[d.column:], "")
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

// A desk is a person at a Console.
type desk struct {
	t       *testing.T
	person  *os.File // the person's side of the terminal
	program *os.File
	*display
	console *Console
}

func newDesk(t *testing.T, width, height int) *desk {
	t.Helper()
	person, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(person, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)}); err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, person: person, program: program, display: newDisplay(width, height)}
	if d.console, err = Open(program, program); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(d.display, person)
	}()
	t.Cleanup(func() {
		d.console.Close()
		program.Close()
		person.Close()
		<-read
	})
	return d
}

func (d *desk) press(keys string) {
	d.t.Helper()
	if _, err := io.WriteString(d.person, keys); err != nil {
		d.t.Fatal(err)
	}
}

// shows waits until the screen is this.
func (d *desk) shows(want string) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); d.text() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Fatalf("the screen shows\n%s\nnot\n%s", d.text(), want)
		}
	}
}

// A reading is what ReadLine or ReadSecret has returned.
type reading struct {
	text string
	err  error
}

// begin reads in the background.
func begin(read func() (string, error)) <-chan reading {
	done := make(chan reading, 1)
	go func() {
		text, err := read()
		done <- reading{text, err}
	}()
	return done
}

func (d *desk) gets(done <-chan reading, text string, err error) {
	d.t.Helper()
	select {
	case got := <-done:
		if got.text != text || !errors.Is(got.err, err) {
			d.t.Errorf("read %q, %v; not %q, %v", got.text, got.err, text, err)
		}
	case <-time.After(patience):
		d.t.Fatalf("nothing was read; the screen shows\n%s", d.text())
	}
}

func TestALineIsEditedWithTheUsualKeys(t *testing.T) {
	d := newDesk(t, 80, 24)
	for _, test := range []struct{ keys, line string }{
		{"helo\x1b[Dl\x06!\r", "hello!"},
		{"ab\x01x\x05y\r", "xaby"},
		{"ab\x02\x02\x1b[Cx\r", "axb"},
		{"one two\x17three\r", "one three"},
		{"one two\x15three\r", "three"},
		{"one two\x01\x0bthree\r", "three"},
		{"one two\x17\x19\r", "one two"},
		{"one two\x01\x1bd\r", " two"},
		{"one two\x1bbX\r", "one Xtwo"},
		{"one two\x01\x1bfX\r", "oneX two"},
		{"abc\x01\x1b[3~\r", "bc"},
		{"abc\x01\x04\r", "bc"},
		{"abc\x7f\x08\r", "a"},
		{"abc\x03def\r", "def"},
		{"\x1b[200~one\rtwo\x1b[201~\r", "one\ntwo"},
		{"one\x1b\rtwo\r", "one\ntwo"},
		{"a\x0cb\r", "ab"},
		{"a\x1b[99~b\r", "ab"},
		{"é你🧅\x7f\r", "é你"},
	} {
		done := begin(d.console.ReadLine)
		d.press(test.keys)
		d.gets(done, test.line, nil)
	}
	done := begin(d.console.ReadLine)
	d.press("\x03")
	d.gets(done, "", ErrInterrupted)
	done = begin(d.console.ReadLine)
	d.press("\x04")
	d.gets(done, "", io.EOF)
}

func TestUpAndDownBringFormerLinesBack(t *testing.T) {
	d := newDesk(t, 80, 24)
	for _, line := range []string{"first", "second", "second"} {
		d.console.Remember(line)
	}
	for _, test := range []struct{ keys, line string }{
		{"\x1b[A\r", "second"},
		{"\x10\x10\r", "first"},
		{"mine\x1b[A\x1b[A\x1b[B\x1b[B\r", "mine"},
		{"\x1b[A\x0e\r", ""},
		{"\x1b[A!\r", "second!"},
	} {
		done := begin(d.console.ReadLine)
		d.press(test.keys)
		d.gets(done, test.line, nil)
	}
}

func TestWhatArrivesIsShownAboveTheLine(t *testing.T) {
	d := newDesk(t, 20, 8)
	d.console.SetPrompt("[bob] ")
	done := begin(d.console.ReadLine)
	d.press("hello\x1b[D")
	d.shows("[bob] hell‸o")
	d.console.Message("bob: ", "a text of several words\nand a second line")
	d.shows("bob: a text of\n     several words\n     and a second\n     line\n[bob] hell‸o")
	d.console.SetPrompt("[bob verified] ")
	d.press(" w")
	d.shows("bob: a text of\n     several words\n     and a second\n     line\n[bob verified] hell\nw‸o")
	d.press("\x05!\r")
	d.gets(done, "hell wo!", nil)
	fmt.Fprintf(d.console, "a whole line of the program's\n")
	if d.console.Paint("plain", color.FgRed) != "plain" && os.Getenv("NO_COLOR") != "" {
		t.Error("colour where none is wanted")
	}
	// A peer's text moves no cursor.
	d.console.Message("", "\x1b[2Jgone\a")
	d.shows("bob: a text of\n     several words\n     and a second\n     line\na whole line of the\n  program's\n" + `\x1b[2Jgone\a` + "\n[bob verified] ‸")
	if d.bells != 0 {
		t.Error("a text rang the bell")
	}
}

func TestATextThatIsTooLongForALineIsRefusedWithABell(t *testing.T) {
	d := newDesk(t, 80, 24)
	done := begin(d.console.ReadLine)
	d.press("a\x1b[200~")
	for range maxLine/1000 + 1 {
		d.press(strings.Repeat("x", 1000))
	}
	d.press("\x1b[201~")
	d.shows("The line cannot get that long; nothing was added.\na‸")
	d.press("b\r")
	d.gets(done, "ab", nil)
}

func TestTheLineIsDrawnAnewOnAScreenOfAnotherSize(t *testing.T) {
	d := newDesk(t, 40, 10)
	done := begin(d.console.ReadLine)
	d.console.Message("bob: ", "hello")
	d.press(strings.Repeat("x", 30))
	d.shows("bob: hello\n" + strings.Repeat("x", 30) + "‸")
	// Lower than the line, then as it was: nothing of the line is left over.
	resize := func(width, height int) {
		t.Helper()
		if err := pty.Setsize(d.person, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)}); err != nil {
			t.Fatal(err)
		}
		d.display.mu.Lock()
		d.display.width, d.display.height = width, height
		d.display.rows, d.display.row, d.display.column = make([][]string, height), 0, 0
		d.display.mu.Unlock()
		if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil {
			t.Fatal(err)
		}
	}
	resize(10, 2)
	d.shows("xxxxxxxxxx\n‸")
	resize(40, 10)
	d.shows("bob: hello\n" + strings.Repeat("x", 30) + "‸")
	d.press("\r")
	d.gets(done, strings.Repeat("x", 30), nil)
}

func TestASecretIsNotShown(t *testing.T) {
	d := newDesk(t, 80, 24)
	d.console.SetPrompt("> ")
	secret := func() (string, error) {
		s, err := d.console.ReadSecret("secret: ")
		return string(s), err
	}
	for _, test := range []struct {
		keys, secret string
		err          error
	}{
		{"sesame\r", "sesame", nil},
		{"wrong\x15sésamé\x7fe\r", "sésame", nil},
		{"\x1b[200~pasted\x1b[201~\r", "pasted", nil},
		{"\r", "", nil},
		{"half\x03", "", ErrInterrupted},
		{"\x04", "", io.EOF},
	} {
		done := begin(secret)
		d.shows("secret: ‸")
		d.press(test.keys)
		d.gets(done, test.secret, test.err)
		d.shows("> ‸")
	}
}

func TestAnotherProgramMayAskAtTheTerminal(t *testing.T) {
	d := newDesk(t, 80, 24)
	d.console.SetPrompt("> ")
	done := begin(d.console.ReadLine)
	d.shows("> ‸")
	// It turns the echo of line feeds off, as those do that ask for a password.
	stty := func(mode string) {
		t.Helper()
		cmd := exec.Command("stty", mode)
		cmd.Stdin = d.program
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("stty: %v: %s", err, out)
		}
	}
	stty("-echonl")
	d.press("password")
	buf := make([]byte, 8)
	if n, err := io.ReadFull(d.program, buf); err != nil || string(buf) != "password" {
		t.Fatalf("the other program reads %q, %v", buf[:n], err)
	}
	stty("echonl")
	d.press("line\r")
	d.gets(done, "line", nil)
}

func TestAClosedConsoleGivesTheTerminalBack(t *testing.T) {
	d := newDesk(t, 80, 24)
	done := begin(d.console.ReadLine)
	d.press("begun")
	d.shows("begun‸")
	d.console.Close()
	d.gets(done, "", ErrClosed)
	d.shows("begun\n‸")
	d.console.Close()
	d.console.SetPrompt("not shown")
	fmt.Fprintln(d.console, "the last word")
	d.shows("begun\nthe last word\n‸")
	if _, err := d.console.ReadSecret("secret: "); !errors.Is(err, ErrClosed) {
		t.Errorf("a secret is asked for: %v", err)
	}
	keys, err := terminal.TakeKeys(d.program)
	if err != nil || !keys.Ours() {
		t.Errorf("the terminal cannot be taken again: %v", err)
	}
	keys.Restore()
}

func TestATerminalThatIsGoneEndsTheReading(t *testing.T) {
	person, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	console, err := Open(program, program)
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()
	done := begin(console.ReadLine)
	person.Close()
	select {
	case got := <-done:
		if got.err == nil {
			t.Errorf("read %q", got.text)
		}
	case <-time.After(patience):
		t.Fatal("it goes on reading")
	}
}

func TestWhatIsNoTerminalIsNotOpened(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, err := Open(null, null); err == nil {
		t.Error("a console of /dev/null")
	}
}

func TestWhatIsTypedOnHoldIsNeitherShownNorAddedToTheLine(t *testing.T) {
	d := newDesk(t, 40, 6)
	d.console.SetPrompt("[bob] ")
	done := begin(d.console.ReadLine)
	d.press("half a li")
	d.shows("[bob] half a li‸")
	d.console.Hold("[cut] Enter connects again ")
	d.shows("[cut] Enter connects again ‸")
	d.console.SetPrompt("[bob away] ")
	d.press("ne, and much more of it\x1b[200~pasted\x1b[201~\r")
	d.gets(done, "ne, and much mor", ErrHeld)
	d.shows("[cut] Enter connects again ‸")
	done = begin(d.console.ReadLine)
	d.press("\r")
	d.gets(done, "", ErrHeld)
	done = begin(d.console.ReadLine)
	d.press("x\x04") // whatever has been typed before
	d.gets(done, "", io.EOF)
	done = begin(d.console.ReadLine)
	d.press("x\x03")
	d.gets(done, "", ErrInterrupted)
	done = begin(d.console.ReadLine)
	d.console.Release()
	d.shows("[bob away] half a li‸")
	d.press("ne\r")
	d.gets(done, "half a line", nil)
}

// TestAColouredMarkTakesOneColumn marks a message whose first row has only just room for the mark,
// and redraws it.
func TestAColouredMarkTakesOneColumn(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	d := newDesk(t, 20, 6)
	begin(d.console.ReadLine)
	m := d.console.Marked("12:30 ", " you: ", "goodbye")
	d.shows("12:30   you: goodbye\n‸")
	if !d.console.Set(m, "✓", "+", color.FgGreen) {
		t.Error("a message on the screen is not marked")
	}
	if text := m.message.line[m.column].text; text != "\x1b[32m✓\x1b[0m" {
		t.Errorf("the mark is %q", text)
	}
	d.shows("12:30 ✓ you: goodbye\n‸")
	if !d.console.Set(m, "x", "x", color.FgRed) {
		t.Error("a marked message is not marked again")
	}
	d.shows("12:30 x you: goodbye\n‸")
}

func TestASecretIsGivenUpOnHold(t *testing.T) {
	d := newDesk(t, 40, 6)
	done := begin(func() (string, error) {
		secret, err := d.console.ReadSecret("secret: ")
		return string(secret), err
	})
	d.press("sesa")
	d.shows("secret: ‸")
	d.console.Hold("[cut] ")
	d.shows("[cut] ‸")
	d.press("m\r")
	d.gets(done, "", ErrInterrupted)
}

// TestTheRestOfASecretThatAHoldCutsOffIsNoLine releases the console before the secret has been
// typed to its end, by a person who does not look at the screen.
func TestTheRestOfASecretThatAHoldCutsOffIsNoLine(t *testing.T) {
	for _, meanwhile := range []string{"", "m\x1b[200~pasted\x1b[201~"} {
		d := newDesk(t, 40, 6)
		done := begin(func() (string, error) {
			secret, err := d.console.ReadSecret("secret: ")
			if err != nil {
				return string(secret), err
			}
			return "", errors.New("a secret that was cut off is used")
		})
		d.press("sesa")
		d.shows("secret: ‸")
		d.console.Hold("[cut] ")
		d.press(meanwhile)
		d.shows("[cut] ‸")
		d.console.Release()
		d.shows("secret: ‸")
		d.press("me\r")
		d.gets(done, "", ErrInterrupted)
		done = begin(d.console.ReadLine)
		d.press("line\r")
		d.gets(done, "line", nil)
	}
}

func TestAClosedConsoleLeavesNothingTypedForTheShell(t *testing.T) {
	d := newDesk(t, 40, 6)
	d.press("in confidence\r") // and nobody reads it
	poll := []unix.PollFd{{Fd: int32(d.program.Fd()), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, int(patience.Milliseconds())); n != 1 || err != nil {
		t.Fatalf("nothing has been typed: %d, %v", n, err)
	}
	d.console.Close()
	if n, err := unix.Poll(poll, 0); n != 0 || err != nil {
		t.Errorf("what was typed is still there: %d, %v", n, err)
	}
}

func TestAMarkIsSetInAMessageThatIsOnTheScreen(t *testing.T) {
	d := newDesk(t, 20, 8)
	d.console.SetPrompt("[bob] ")
	done := begin(d.console.ReadLine)
	first := d.console.Marked("12:30 ", " you: ", "one two three four")
	second := d.console.Marked("", " ", "at the edge")
	d.press("half")
	d.shows("12:30   you: one\n          two three\n          four\n  at the edge\n[bob] half‸")
	if !d.console.Set(first, "✓", "+") || !d.console.Set(second, "✓", "+") {
		t.Error("a message on the screen is not marked")
	}
	d.shows("12:30 ✓ you: one\n          two three\n          four\n✓ at the edge\n[bob] half‸")
	d.press(" a line\r")
	d.gets(done, "half a line", nil)
	for i := range 4 {
		fmt.Fprintf(d.console, "%d\n", i)
	}
	if d.console.Set(first, "x", "x") {
		t.Error("a message that has left the screen is marked")
	}
	if !d.console.Set(second, "x", "x") {
		t.Error("a message on the first row is not marked")
	}
	d.shows("          two three\n          four\nx at the edge\n0\n1\n2\n3\n[bob] ‸")
	begin(d.console.ReadLine)
	d.press("\x0c") // an empty screen
	d.shows("[bob] ‸")
	if d.console.Set(second, "x", "x") {
		t.Error("a message that was cleared away is marked")
	}
}
