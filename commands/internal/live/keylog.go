package live

import (
	"fmt"
	"os"
	"syscall"

	"otrpipe/commands/internal/exit"
	"otrpipe/keyfile"
	"otrpipe/otr"
	"otrpipe/otr/toolkit"
)

// A keyLog is the file that --keylog names. It belongs to the session's owner.
type keyLog struct {
	file   *os.File
	line   []byte
	failed bool // the user knows that the file cannot be written
}

// openKeyLog opens or creates a file for keys. It refuses a file that others can read, and
// anything that is not a regular file, because writing to it could block the session.
func openKeyLog(home *keyfile.Home, path string) (*keyLog, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, notRegular(path)
	}
	// Do not block: a FIFO may have replaced the file since.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, exit.Errorf(exit.KeyFile, "--keylog: %w", exit.Plain(err))
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notRegular(path)
	}
	if err == nil {
		err = home.CheckSecretFile(path, info)
	}
	if err == nil && info.Size() == 0 {
		_, err = fmt.Fprintln(f, toolkit.KeyLogHeader)
	}
	if err != nil {
		f.Close()
		return nil, exit.Key(err)
	}
	return &keyLog{file: f}, nil
}

// notRegular refuses anything but a regular file.
func notRegular(path string) error {
	return exit.Errorf(exit.KeyFile, "--keylog: %s is not a regular file", path).
		WithHint("name a file; it is made if there is none")
}

// logKeys writes keys of the session to the file of --keylog and wipes them.
func (s *Session) logKeys(keys []otr.SessionKey) {
	l := s.keyLog
	for _, k := range keys {
		l.line = toolkit.LoggedKey{
			Version: uint16(k.Version), Sender: k.Sender, Receiver: k.Receiver,
			First: k.First, Second: k.Second, Key: k.Key,
		}.Append(l.line[:0])
		clear(k.Key)
		_, err := l.file.Write(l.line)
		clear(l.line)
		if err != nil && !l.failed {
			l.failed = true
			s.Messages.Warning(fmt.Sprintf("--keylog: the keys are not all in the file: %v", exit.Plain(err)))
		}
	}
}

// announceKeyLog tells the user, even with --quiet, that the keys are written to a file: anybody
// who reads the file can read the session.
func (s *Session) announceKeyLog() {
	s.Messages.Warning(fmt.Sprintf("the keys of this session are being written to %s: anyone who reads it can read, change and forge every message", s.options.KeyLog))
}
