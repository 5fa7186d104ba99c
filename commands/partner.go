package commands

import (
	"crypto/subtle"
	"fmt"
	"os"
	"syscall"
	"time"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
)

// The roles of the two halves of an end: their commands.
const (
	roleEncrypt = "encrypt-stream"
	roleDecrypt = "decrypt-stream"
)

// otherRole is the role that a half waits for.
func otherRole(role string) string {
	if role == roleEncrypt {
		return roleDecrypt
	}
	return roleEncrypt
}

const (
	// partnerNotice is how long a half waits for the other before it says so.
	partnerNotice = 2 * time.Second
	// seatPause is the time between two tries at a session whose host is just
	// coming or going, and seatPatience how long that may take.
	seatPause    = 10 * time.Millisecond
	seatPatience = 10 * time.Second
)

// A partner is the other half, seen from the half that hosts the session.
type partner struct {
	role       string
	conn       *control.Conn
	in, out    *os.File // its standard input and output
	passphrase []byte
	silent     bool // its standard error is ours: what we print is enough
}

// tell gives the partner the outcome, so that it leaves as we do.
func (p *partner) tell(err error) {
	reply := control.ReplyOf(err)
	reply.Silent = reply.Silent || err != nil && p.silent
	_ = p.conn.Reply(reply) // it has died, or leaves without us
	p.conn.Close()
}

// leaving says that the session is ending: who comes now may have its name in
// a moment.
func (l *live) leaving() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause != nil || l.state == control.StateFinished
}

// admit lets the other half in, or says why not. The files are its streams.
func (l *live) admit(conn *control.Conn, join *control.Join, files []*os.File) (*partner, *exit.Error) {
	want := 2
	if join.Events {
		want++
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.role == "" || l.partner != nil || join.Half != otherRole(l.role):
		return nil, l.taken()
	case len(files) != want:
		return nil, exit.Errorf(exit.Failure, "the other half's streams did not arrive: %d of %d", len(files), want).
			WithHint("one of the halves is out of file descriptors (ulimit -n), or they are not of the same otrpipe")
	}
	if err := l.join(join); err != nil {
		return nil, err
	}
	p := &partner{
		role:       join.Half,
		conn:       conn,
		in:         files[0],
		out:        files[1],
		passphrase: join.Passphrase,
		silent:     join.Stderr == fileID(l.Messages.File()),
	}
	if join.Events {
		if l.events == nil || fileID(l.events) != fileID(files[2]) {
			l.addEvents(files[2])
		} else {
			files[2].Close()
		}
	}
	l.partner = p
	return p, nil
}

// join takes over what the other half was given. The mutex is held.
func (l *live) join(join *control.Join) *exit.Error {
	contradiction := func(flag string) *exit.Error {
		return exit.Errorf(exit.Usage, "--%s contradicts what the other half of session %q was given", flag, l.name.Session).
			WithHint("give a flag to one half only, or to both the same")
	}
	if len(join.SMPSecret) > 0 && len(l.secret) > 0 && subtle.ConstantTimeCompare(join.SMPSecret, l.secret) != 1 {
		return contradiction(flagSMPSecret + "-file")
	}
	together, flag := l.values.Merge(join.Flags)
	if flag != "" {
		return contradiction(flag)
	}
	l.values = together
	if len(l.secret) == 0 {
		l.secret = join.SMPSecret
	}
	return nil
}

// fileID says which file f is, the same in every process.
func fileID(f *os.File) string {
	var id string
	conn, err := f.SyscallConn()
	if err != nil {
		return ""
	}
	_ = conn.Control(func(fd uintptr) {
		var st syscall.Stat_t
		if syscall.Fstat(int(fd), &st) == nil {
			id = fmt.Sprintf("%x:%x:%x", st.Dev, st.Ino, st.Rdev)
		}
	})
	return id
}
