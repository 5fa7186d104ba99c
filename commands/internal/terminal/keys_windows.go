package terminal

import (
	"os"

	"golang.org/x/sys/windows"
	"golang.org/x/term"
)

// Keys is a console from which keys are read one by one: nothing is echoed, and no key sends a
// signal. Keys without a character are read as the sequences that Unix terminals send for them.
type Keys struct {
	console
	out             *os.File // the console's screen
	inMode, outMode uint32   // to be restored
	wake            windows.Handle
}

// The console modes for reading keys.
const (
	takenOff = windows.ENABLE_ECHO_INPUT | windows.ENABLE_PROCESSED_INPUT | windows.ENABLE_LINE_INPUT
	takenOn  = windows.ENABLE_VIRTUAL_TERMINAL_INPUT
	screenOn = windows.ENABLE_PROCESSED_OUTPUT | windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING
)

// TakeKeys switches the console f to reading keys one by one, until Restore.
func TakeKeys(f *os.File) (*Keys, error) {
	k := new(Keys)
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	if err := conn.Control(func(fd uintptr) { k.in = windows.Handle(fd) }); err != nil {
		return nil, err
	}
	if err := windows.GetConsoleMode(k.in, &k.inMode); err != nil {
		return nil, err
	}
	if k.out, err = os.OpenFile("CONOUT$", os.O_RDWR, 0); err != nil {
		return nil, err
	}
	err = windows.GetConsoleMode(k.screen(), &k.outMode)
	if err == nil {
		k.wake, err = windows.CreateEvent(nil, 1, 0, nil)
	}
	if err == nil {
		err = k.Retake()
	}
	if err != nil {
		k.out.Close()
		return nil, err
	}
	return k, nil
}

func (k *Keys) screen() windows.Handle { return windows.Handle(k.out.Fd()) }

// Size returns the number of columns and rows of the console.
func (k *Keys) Size() (width, height int, err error) { return term.GetSize(int(k.out.Fd())) }

// Wait waits until there are keys, for at most limit milliseconds; -1 is no limit. It returns
// ErrWoken once Wake has been called. Only one goroutine may call Wait and Read.
func (k *Keys) Wait(limit int) (ready bool, err error) {
	ready, woken, err := k.wait(k.wake, limit)
	if woken {
		err = ErrWoken
	}
	return ready, err
}

// Read reads the keys that are there. It returns an error if the console is gone.
func (k *Keys) Read(p []byte) (int, error) { return k.read(p) }

// Discard throws away what has been typed but not read.
func (k *Keys) Discard() { _ = windows.FlushConsoleInputBuffer(k.in) }

// Wake ends all present and future waits. It must be called at most once.
func (k *Keys) Wake() { _ = windows.SetEvent(k.wake) }

// Retake switches to reading keys one by one again after another program has used the console.
func (k *Keys) Retake() error {
	if err := windows.SetConsoleMode(k.screen(), k.outMode|screenOn); err != nil {
		return err
	}
	return windows.SetConsoleMode(k.in, k.taken())
}

func (k *Keys) taken() uint32 { return k.inMode&^takenOff | takenOn }

// Ours reports whether the console still has our mode. If another program has changed it, that
// program is about to read keys.
func (k *Keys) Ours() bool {
	var mode uint32
	return windows.GetConsoleMode(k.in, &mode) != nil || mode == k.taken()
}

// Restore restores the console's original mode.
func (k *Keys) Restore() {
	_ = windows.SetConsoleMode(k.in, k.inMode)
	_ = windows.SetConsoleMode(k.screen(), k.outMode)
}
