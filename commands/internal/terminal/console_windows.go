package terminal

import (
	"os"
	"time"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Open opens the console, to read its keys and to write to it. Both files are to be closed.
func Open() (in, out *os.File, err error) {
	if in, err = os.OpenFile("CONIN$", os.O_RDWR, 0); err != nil {
		return nil, nil, err
	}
	if out, err = os.OpenFile("CONOUT$", os.O_RDWR, 0); err != nil {
		in.Close()
		return nil, nil, err
	}
	return in, out, nil
}

// background reports that the console is ours: Windows has no background.
func background(*os.File) bool { return false }

var (
	kernel32         = windows.NewLazySystemDLL("kernel32.dll")
	peekConsoleInput = kernel32.NewProc("PeekConsoleInputW")
	readConsoleInput = kernel32.NewProc("ReadConsoleInputW")
)

// A consoleEvent is Windows' INPUT_RECORD, as far as it is about keys.
type consoleEvent struct {
	kind uint16 // keyEvent, or something that is not a key
	_    uint16
	down int32 // not 0: the key was pressed
	_    uint16
	key  uint16 // keyMenu: Alt, whose release enters a character that was typed by its number
	_    uint16
	char uint16 // in UTF-16; 0: the key stands for no character
	_    uint32
}

const (
	keyEvent = 1
	keyMenu  = 0x12
)

// isCharacter reports whether ReadConsole has something to read for the event.
func (e *consoleEvent) isCharacter() bool {
	return e.kind == keyEvent && e.char != 0 && (e.down != 0 || e.key == keyMenu)
}

// A console is the input of a console that is read character by character.
type console struct {
	in   windows.Handle
	high uint16 // the first half of a character whose second half has not come yet
}

// wait waits until there is a character, for limit milliseconds at most (-1 is no limit), or
// until wake is set, unless it is 0.
func (c *console) wait(wake windows.Handle, limit int) (ready, woken bool, err error) {
	handles := []windows.Handle{c.in}
	if wake != 0 {
		handles = []windows.Handle{wake, c.in} // of two that are set the first counts
	}
	until := time.Now().Add(time.Duration(limit) * time.Millisecond)
	for {
		pause := uint32(windows.INFINITE)
		if limit >= 0 {
			pause = uint32(max(time.Until(until).Milliseconds(), 0))
		}
		event, err := windows.WaitForMultipleObjects(handles, false, pause)
		switch {
		case err != nil:
			return false, false, err
		case event == uint32(windows.WAIT_TIMEOUT):
			return false, false, nil
		case wake != 0 && event == windows.WAIT_OBJECT_0:
			return false, true, nil
		}
		ready, err = c.skip()
		if ready || err != nil {
			return ready, false, err
		}
	}
}

// skip drops the events that are no character, and reports whether one is behind them.
func (c *console) skip() (ready bool, err error) {
	for {
		var event consoleEvent
		var n uint32
		if ok, _, err := peekConsoleInput.Call(uintptr(c.in), uintptr(unsafe.Pointer(&event)), 1, uintptr(unsafe.Pointer(&n))); ok == 0 {
			return false, err
		}
		if n == 0 {
			return false, nil
		}
		if event.isCharacter() {
			return true, nil
		}
		if ok, _, err := readConsoleInput.Call(uintptr(c.in), uintptr(unsafe.Pointer(&event)), 1, uintptr(unsafe.Pointer(&n))); ok == 0 {
			return false, err
		}
	}
}

// read reads characters as UTF-8. It keeps none of them, which may be of a secret, but for
// half of one.
func (c *console) read(p []byte) (int, error) {
	var units [256]uint16
	defer clear(units[:])
	count := min(len(p)/utf8.UTFMax, len(units))
	var n uint32
	if err := windows.ReadConsole(c.in, &units[0], uint32(count), &n, nil); err != nil {
		return 0, err
	}
	size := 0
	for _, unit := range units[:n] {
		r := rune(unit)
		switch {
		case c.high != 0:
			r = utf16.DecodeRune(rune(c.high), r)
			c.high = 0
		case utf16.IsSurrogate(r):
			c.high = unit
			continue
		}
		size += utf8.EncodeRune(p[size:], r)
	}
	return size, nil
}
