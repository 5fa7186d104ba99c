package editor

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/fatih/color"

	"otrpipe/commands/internal/terminal"
)

const (
	// escapeWait is how long to wait for the rest of a key's sequence.
	escapeWait = 50 * time.Millisecond
	// lendWait is the time between checks whether another program has finished with the
	// terminal.
	lendWait = 50 * time.Millisecond
	// stopWait is how long the process may take to stop after being told to.
	stopWait = 500 * time.Millisecond
	// usualWidth and usualHeight are the assumed size of a terminal that does not report one.
	usualWidth, usualHeight = 80, 24
)

// ErrInterrupted says that Ctrl-C was pressed on an empty line, at a question or at a secret.
var ErrInterrupted = errors.New("editor: interrupted")

// ErrClosed says that the Console is closed.
var ErrClosed = errors.New("editor: closed")

// ErrHeld says that the line was entered while the console was on hold. See Console.Hold.
var ErrHeld = errors.New("editor: on hold")

// A Console controls a terminal. Only one goroutine may read lines and secrets; any goroutine
// may call the other methods.
type Console struct {
	in      *os.File
	out     *os.File
	keys    *terminal.Keys
	colour  bool
	charset *terminal.Charset
	signals chan os.Signal
	decoder decoder // owned by the reading goroutine

	mu      sync.Mutex
	output  output
	prompt  string
	to      any // the recipient that prompt names
	drawnTo any // the recipient that the line was drawn with last
	shownTo any // the recipient that is on the screen
	line    line
	begun   time.Time // when the first character of line was typed
	begunTo any       // shownTo at that time
	history history
	secret  *secret // nil: a line is edited
	hold    *hold   // nil: typed keys go to the line or the secret
	shown   bool
	picture picture // what is on the screen, if shown
	width   int
	height  int
	closed  bool
	closing sync.Once // by which every Close waits for the first one
	past    past
	told    bool // the user knows that something unreadable was entered in this line or secret
	screen  int  // incremented when the rows above the line have moved in an unknown way
	// complete, unless nil, returns the possible continuations of a text; set before ReadLine.
	complete func(before string) []string
	question bool          // Ctrl-C always interrupts; set before ReadLine
	torn     bool          // the screen has been too small for the picture; see resize
	away     bool          // the terminal has been released until the process is continued
	resumed  chan struct{} // sent to by the signal handler when the process is continued
}

// A secret is a secret being entered.
type secret struct {
	prompt string
	text   []byte
	// lost says that the console has been put on hold meanwhile; guarded by Console.mu.
	lost bool
}

// A hold has the prompt to show in place of the line, and what was typed meanwhile.
type hold struct {
	prompt string
	typed  []byte // at most maxHeld bytes
}

// maxHeld is the number of bytes to keep of a line that is entered while the console is on hold.
// It is enough to recognize the commands that are accepted then.
const maxHeld = 16

// Open takes control of the terminal behind in and out, until Close.
func Open(in, out *os.File) (*Console, error) { return open(in, out, terminal.Locale()) }

func open(in, out *os.File, charset *terminal.Charset) (*Console, error) {
	c := &Console{in: in, out: out, colour: terminal.Colour(out), charset: charset, signals: make(chan os.Signal, 8), resumed: make(chan struct{}, 1)}
	if !c.charset.UTF8() {
		c.decoder.charset = c.charset.NewDecoder()
	}
	c.output.taken = sync.NewCond(&c.mu)
	var err error
	if c.keys, err = terminal.TakeKeys(in); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.measure()
	watchTerminal(c.signals)
	go c.heedSignals()
	c.put("\x1b[?2004h")
	return c, nil
}

// Close releases the terminal. An unfinished line stays visible. Keys that were typed but not
// read are discarded, because they were not meant for the shell. If the terminal takes no output,
// Close waits only for a moment.
func (c *Console) Close() { c.closing.Do(c.close) }

func (c *Console) close() {
	c.mu.Lock()
	end := c.erased()
	if c.line.text != "" && !c.away {
		c.dropHold()
		c.line.end()
		end += c.drawn() + "\r\n"
	}
	c.closed = true
	if !c.away {
		c.keys.Discard()
	}
	c.put(end + "\x1b[?2004l")
	signal.Stop(c.signals)
	close(c.signals)
	c.keys.Wake()
	c.mu.Unlock()
	c.awaitTaken()
	c.keys.Restore()
}

// Paint returns text in a colour, if the terminal shows colours.
func (c *Console) Paint(text string, attributes ...color.Attribute) string {
	paint := color.New(attributes...)
	if c.colour {
		paint.EnableColor()
	} else {
		paint.DisableColor()
	}
	return paint.Sprint(text)
}

// SetPrompt changes the prompt, which may be painted.
func (c *Console) SetPrompt(prompt string) { c.Address(prompt, nil) }

// Address is SetPrompt for a prompt that names the recipient of a line. Recipients are compared
// with ==.
func (c *Console) Address(prompt string, to any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	prompt = c.charset.Shown(prompt)
	if c.prompt != prompt || c.to != to {
		c.prompt, c.to = prompt, to
		c.redraw()
	}
}

// Hold shows prompt, which may be painted, in place of the line until Release. Keys typed
// meanwhile are neither shown nor added to the line, which stays as it is. When Enter is
// pressed, ReadLine returns the first few bytes of them with ErrHeld. If a secret is being
// entered, it is lost: what is typed of it until Enter is thrown away, even after Release, so
// that no part of it becomes a line. Then ReadSecret returns ErrInterrupted.
func (c *Console) Hold(prompt string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropHold()
	c.hold = &hold{prompt: c.charset.Shown(prompt), typed: make([]byte, 0, maxHeld)}
	if c.secret != nil {
		c.secret.lost = true
	}
	c.redraw()
}

// Release shows the line again.
func (c *Console) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropHold()
	c.redraw()
}

// dropHold forgets the hold and what was typed meanwhile.
func (c *Console) dropHold() {
	if c.hold != nil {
		clear(c.hold.typed)
		c.hold = nil
	}
}

// isLost reports whether the console is on hold or has been since the secret was asked for.
func (c *Console) isLost(s *secret) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.lost = s.lost || c.hold != nil
	return s.lost
}

// press handles a key while the console is on hold.
func (h *hold) press(k key) (typed string, done bool, err error) {
	switch k.code {
	case keyEnter:
		typed = string(h.typed)
		clear(h.typed)
		h.typed = h.typed[:0]
		return typed, true, ErrHeld
	case keyInterrupt:
		return "", false, ErrInterrupted
	case keyEOF:
		return "", false, io.EOF
	case keyRune:
		h.keep([]byte(string(k.r)))
	case keyPaste:
		h.keep(k.text)
	}
	return "", false, nil
}

// keep keeps what there is room for of what was typed, and wipes it.
func (h *hold) keep(typed []byte) {
	h.typed = append(h.typed, typed[:min(len(typed), maxHeld-len(h.typed))]...)
	clear(typed)
}

// Message prints a text above the line. Its first row begins with lead, which may be painted,
// and all others are indented. Control characters are made visible. The text is painted with the
// attributes.
func (c *Console) Message(lead, text string, attributes ...color.Attribute) {
	c.print(c.layOut(cells(c.charset.Shown(lead)), text, attributes))
}

// layOut returns the lines of a text, of which the first begins with lead.
func (c *Console) layOut(lead []cell, text string, attributes []color.Attribute) []*message {
	var all []*message
	for i, l := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		l = c.charset.Shown(terminal.Visible(strings.ReplaceAll(l, "\t", tab)))
		if len(attributes) > 0 {
			l = c.Paint(l, attributes...)
		}
		row := cells(l)
		if i == 0 {
			row = append(slices.Clone(lead), row...)
		} else {
			row = append(cells(strings.Repeat(" ", widthOf(lead))), row...)
		}
		all = append(all, &message{line: row, indent: widthOf(lead)})
	}
	return all
}

// Write prints whole lines above the line or, after Close, at the cursor. They may be painted,
// but must not contain other control sequences.
func (c *Console) Write(p []byte) (int, error) {
	var all []*message
	for l := range bytes.Lines(p) {
		all = append(all, &message{line: cells(c.charset.Shown(string(bytes.TrimRight(l, "\n")))), indent: 2, whole: true})
	}
	c.print(all)
	return len(p), nil
}

func (c *Console) print(lines []*message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	b.WriteString(c.erased())
	for _, m := range lines {
		m.screen = c.screen
		c.past.add(m)
		for _, row := range m.rows(c.width) {
			b.WriteString(row + "\r\n")
		}
	}
	c.put(b.String() + c.drawn())
	c.awaitRoom()
}

// An Entered is a line that was entered.
type Entered struct {
	Text string
	// Begun is when its first character was typed.
	Begun time.Time
	// BegunTo and To are the recipients that the prompt on the screen named then and when Enter
	// was pressed; nil: none.
	BegunTo, To any
}

// ReadLine returns the next line, without adding it to the history. A pasted text is one line
// that contains its line ends. The error is ErrInterrupted, io.EOF if Ctrl-D was pressed on an
// empty line, ErrHeld, ErrClosed, or the terminal's error.
func (c *Console) ReadLine() (string, error) {
	entered, err := c.ReadEntered()
	return entered.Text, err
}

// ReadEntered is ReadLine for a line that is meant for somebody.
func (c *Console) ReadEntered() (Entered, error) {
	c.show()
	for {
		k, err := c.nextKey()
		if err != nil {
			return Entered{}, err
		}
		c.mu.Lock()
		press := c.pressNoting
		if c.hold != nil {
			press = c.hold.press
		}
		text, done, err := press(k)
		if len(c.decoder.unread) == 0 || done {
			c.redraw()
		}
		entered := Entered{Text: text, Begun: c.begun, BegunTo: c.begunTo, To: c.shownTo}
		c.mu.Unlock()
		if done || err != nil {
			return entered, err
		}
	}
}

// pressNoting is press. It notes when a line is begun.
func (c *Console) pressNoting(k key) (text string, done bool, err error) {
	empty := c.line.text == ""
	text, done, err = c.press(k)
	if empty && c.line.text != "" {
		c.begun, c.begunTo = time.Now(), c.shownTo
	}
	return text, done, err
}

// Remember adds a line to the history.
func (c *Console) Remember(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history.add(text)
}

// edit applies a key that moves the cursor or deletes text. It ignores other keys.
func (l *line) edit(c code) {
	switch c {
	case keyLeft:
		l.left()
	case keyRight:
		l.right()
	case keyHome:
		l.home()
	case keyEnd:
		l.end()
	case keyWordLeft:
		l.wordLeft()
	case keyWordRight:
		l.wordRight()
	case keyBackspace:
		l.backspace()
	case keyDelete:
		l.delete()
	case keyKillStart:
		l.kill(l.home)
	case keyKillEnd:
		l.kill(l.end)
	case keyKillWord:
		l.kill(l.wordLeft)
	case keyKillWordRight:
		l.kill(l.wordRight)
	}
}

// press applies a key to the line.
func (c *Console) press(k key) (text string, done bool, err error) {
	l := &c.line
	fits := true
	switch k.code {
	case keyRune:
		fits = l.insert(string(k.r))
	case keyPaste:
		fits = l.insert(string(k.text))
		clear(k.text)
	case keyTooLong:
		fits = false
	case keyUnreadable, keyUnreadablePaste:
		c.tellUnreadable(k)
	case keyNewline:
		fits = l.insert("\n")
	case keyEnter:
		c.history.back = 0
		c.told = false
		return l.take(), true, nil
	case keyInterrupt:
		if l.text == "" || c.question {
			return "", false, ErrInterrupted
		}
		c.history.back = 0
		l.set("")
	case keyEOF:
		if l.text == "" {
			return "", false, io.EOF
		}
		l.delete()
	case keyTab:
		fits = c.completeLine()
	case keyYank:
		fits = l.yank()
	case keyClear:
		c.clearScreen()
	case keyUp:
		c.history.older(l)
	case keyDown:
		c.history.newer(l)
	default:
		l.edit(k.code)
	}
	if !fits {
		c.complain("The line cannot get that long; nothing was added.")
	}
	return "", false, nil
}

// Question makes Ctrl-C interrupt ReadLine even if something has been typed, because a program
// that asks a question is expected to leave then. It must be called before ReadLine.
func (c *Console) Question() { c.question = true }

// clearScreen clears the screen, unless the terminal takes no output.
func (c *Console) clearScreen() {
	if c.output.unwritten > maxUnwritten {
		return
	}
	c.put("\x1b[H\x1b[2J")
	c.screen++
	c.picture = picture{}
	c.shown = false
}

// Complete makes the Tab key complete the line. candidates returns the possible continuations of
// the text before the cursor. Complete must be called before ReadLine.
func (c *Console) Complete(candidates func(before string) []string) { c.complete = candidates }

// completeLine adds the common beginning of all possible continuations.
func (c *Console) completeLine() (fits bool) {
	l := &c.line
	if c.complete == nil {
		return true
	}
	all := c.complete(l.text[:l.pos])
	if len(all) == 0 {
		c.putUnlessFull("\a")
		return true
	}
	common := all[0]
	for _, one := range all[1:] {
		n := 0
		for n < min(len(common), len(one)) && common[n] == one[n] {
			n++
		}
		common = common[:n]
	}
	if common == "" {
		c.putUnlessFull("\a")
	}
	return l.insert(strings.ToValidUTF8(common, ""))
}

// tellUnreadable tells the user that input cannot be read: every such pasted text, but only the
// first such key of a line.
func (c *Console) tellUnreadable(k key) {
	what := "What this key sends"
	switch {
	case k.code == keyUnreadablePaste:
		what = "The pasted text"
	case c.told:
		return
	default:
		c.told = true
	}
	c.complain(what + " is not " + c.charset.String() + ", so it was left out. LC_ALL, LC_CTYPE or LANG must say what the terminal uses.")
}

// complain prints an error above the line, unless the terminal takes no output.
func (c *Console) complain(text string) {
	if c.output.unwritten > maxUnwritten {
		return
	}
	c.screen++ // the text may take more than one row
	c.put("\a" + c.erased() + c.Paint(text, color.FgYellow) + "\r\n" + c.drawn())
}

// Bell rings the terminal's bell.
func (c *Console) Bell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed && !c.away {
		c.putUnlessFull("\a")
	}
}

// ReadSecret asks for a secret, which is not shown. The caller wipes it. Its errors are those of
// ReadLine.
func (c *Console) ReadSecret(prompt string) ([]byte, error) {
	s := &secret{prompt: prompt}
	c.setSecret(s)
	defer c.setSecret(nil)
	for {
		k, err := c.nextKey()
		if err == nil && c.isLost(s) {
			clear(k.text)
			clear(s.text)
			s.text = s.text[:0]
			switch k.code {
			case keyEnter, keyInterrupt, keyEOF:
				err = ErrInterrupted
			default:
				continue
			}
		}
		if err == nil {
			switch k.code {
			case keyUnreadable, keyUnreadablePaste:
				c.mu.Lock()
				c.tellUnreadable(k)
				c.mu.Unlock()
			case keyEnter:
				return s.text, nil
			case keyInterrupt:
				err = ErrInterrupted
			case keyEOF:
				if len(s.text) == 0 {
					err = io.EOF
				}
			}
		}
		if err != nil {
			clear(s.text)
			return nil, err
		}
		s.press(k)
	}
}

func (c *Console) setSecret(s *secret) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.secret, c.told = s, false
	c.redraw()
}

// press applies a key to a secret. When the secret moves to a larger buffer, the old one is
// wiped.
func (s *secret) press(k key) {
	switch k.code {
	case keyRune:
		s.add([]byte(string(k.r)))
	case keyPaste:
		s.add(k.text)
	case keyBackspace:
		_, n := utf8.DecodeLastRune(s.text)
		clear(s.text[len(s.text)-n:])
		s.text = s.text[:len(s.text)-n]
	case keyKillStart, keyKillWord:
		clear(s.text)
		s.text = s.text[:0]
	}
}

func (s *secret) add(b []byte) {
	if len(s.text)+len(b) <= maxLine {
		grown := make([]byte, 0, len(s.text)+len(b))
		grown = append(append(grown, s.text...), b...)
		clear(s.text)
		s.text = grown
	}
	clear(b)
}

// nextKey waits for a key. While another program reads the terminal's keys, it waits for that
// program to finish.
func (c *Console) nextKey() (key, error) {
	k, err := c.awaitKey()
	if err != nil {
		c.decoder.wipe() // nobody reads it any more
	}
	return k, err
}

func (c *Console) awaitKey() (key, error) {
	wait := -1
	for {
		if k, ok := c.decoder.next(false); ok && k.code == keySuspend {
			c.suspend()
			continue
		} else if ok {
			return k, nil
		}
		if len(c.decoder.unread) > 0 && !c.decoder.pasting {
			wait = int(escapeWait.Milliseconds())
		}
		ready, err := c.poll(wait)
		switch {
		case err != nil:
			return key{}, err
		case !ready:
			if k, ok := c.decoder.next(true); ok {
				return k, nil
			}
		case !c.keys.Ours():
			c.lend()
		default:
			if err := c.read(); err != nil {
				return key{}, err
			}
		}
		wait = -1
	}
}

// poll waits until the terminal has keys, for at most the given number of milliseconds.
func (c *Console) poll(wait int) (ready bool, err error) {
	ready, err = c.keys.Wait(wait)
	if errors.Is(err, terminal.ErrWoken) {
		err = ErrClosed
	}
	return ready, err
}

func (c *Console) read() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed { // and unread keys have been discarded
		return ErrClosed
	}
	var buf [4096]byte
	defer clear(buf[:])
	n, err := c.keys.Read(buf[:])
	if err != nil {
		return err
	}
	c.decoder.feed(buf[:n])
	return nil
}

// lend waits until another program that reads the terminal has finished.
func (c *Console) lend() {
	for !c.keys.Ours() && !c.isClosed() {
		time.Sleep(lendWait)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shown = false // the position of the cursor is unknown
	c.screen++
	c.redraw()
}

func (c *Console) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// suspend releases the terminal and stops the whole process group as Ctrl-Z does elsewhere,
// including the transport, so that neither end loses anything. If there is no shell to continue
// it, nothing stops.
func (c *Console) suspend() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.put(c.erased() + "\x1b[?2004l")
	c.away = true
	c.mu.Unlock()
	c.awaitTaken()
	c.keys.Restore()
	select {
	case <-c.resumed: // left over from an earlier stop
	default:
	}
	stopped := stopGroup()
	if stopped {
		select {
		case <-c.resumed:
			return
		case <-time.After(stopWait):
		}
		// If both have arrived since, the process was stopped.
		select {
		case <-c.resumed:
			return
		case <-time.After(lendWait):
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away && !c.closed {
		c.retake()
		c.put(c.erased() + c.Paint("Ctrl-Z does nothing here: no shell is there to go on from.", color.FgYellow) + "\r\n" + c.drawn())
	}
}

// retake takes control of the terminal again.
func (c *Console) retake() {
	_ = c.keys.Retake() // the terminal is gone, and the next read returns that error
	if c.away {
		c.away = false
		c.put("\x1b[?2004h")
	}
	c.shown = false
	c.screen++
}

// heedSignals redraws when the terminal's size has changed or the process has been continued.
func (c *Console) heedSignals() {
	for s := range c.signals {
		c.mu.Lock()
		if !c.closed {
			if isContinued(s) {
				c.retake()
				select {
				case c.resumed <- struct{}{}:
				default:
				}
			}
			c.resize()
		}
		c.mu.Unlock()
	}
}

// resize redraws after a possible change of the screen's size. Rows that did not fit on a small
// screen are out of reach and may reappear whenever the screen grows, so from then on the whole
// screen is redrawn.
func (c *Console) resize() {
	if c.output.resized = c.output.isBusy(); c.output.resized {
		return // until the terminal has taken what was drawn for the former size
	}
	c.measure()
	c.screen++
	if c.shown && c.picture.height(c.width) > c.height {
		c.torn = true
	}
	if fits := c.paint(); c.torn && len(fits.rows) <= c.height && !c.away {
		c.shown = false
		c.put(page(c.past.rows(c.width, c.height-len(fits.rows)), c.height) + c.drawn())
		return
	}
	c.redraw()
}

// measure asks the terminal for its size.
func (c *Console) measure() {
	w, h, err := c.keys.Size()
	if err != nil || w <= 0 || h <= 0 {
		w, h = usualWidth, usualHeight
	}
	c.width, c.height = w, h
}

// show shows the line, if it is not shown yet.
func (c *Console) show() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.redraw()
}

// redraw draws the line anew, as soon as the terminal has taken what was drawn before.
func (c *Console) redraw() {
	if c.output.isBusy() {
		c.output.stale = true
		return
	}
	c.put(c.erased() + c.drawn())
}

// erased returns the sequences that erase the line, and drawn those that draw it.
func (c *Console) erased() string {
	if c.closed || c.away {
		return ""
	}
	if !c.shown {
		return "\r\x1b[K"
	}
	c.shown = false
	return c.picture.erase(c.width)
}

func (c *Console) drawn() string {
	c.output.stale = false
	if c.closed || c.away {
		return ""
	}
	c.picture = c.paint().window(c.height)
	c.shown = true
	switch {
	case c.hold != nil:
		c.drawnTo = nil
	case c.secret == nil:
		c.drawnTo = c.to
	}
	return c.picture.draw()
}

// paint returns the picture of the line, or of the secret being entered.
func (c *Console) paint() picture {
	prompt, text, pos := c.prompt, c.line.text, c.line.pos
	switch {
	case c.hold != nil:
		prompt, text, pos = c.hold.prompt, "", 0
	case c.secret != nil:
		prompt, text, pos = c.charset.Shown(c.secret.prompt), "", 0
	}
	return paint(cells(prompt), shown(text, c.charset), len(cells(text[:pos])), c.width)
}
