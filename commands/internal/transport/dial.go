package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"time"
)

// The pause between two attempts to dial: short at first, since the other end may be about to
// listen, and never so long that a person would notice.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 2 * time.Second
	// oneDial bounds a single attempt, because a host that is switched off never answers, and
	// may be switched on meanwhile.
	oneDial = 15 * time.Second
	// otherDial bounds the attempt to reach only the other addresses of a host, so that one of
	// them that never answers does not hold up the one that does.
	otherDial = 3 * time.Second
)

// ErrHost says that there is no host of that name. Other failures may be temporary, so Dial
// tries again.
var ErrHost = errors.New("transport: no such host")

// An UnreachedError says that the other end did not answer in time.
type UnreachedError struct {
	Latest error // why the latest attempt failed; nil: none had failed yet
}

func (e *UnreachedError) Error() string {
	if e.Latest == nil {
		return "transport: not reached"
	}
	return fmt.Sprintf("transport: not reached: %v", e.Latest)
}

func (e *UnreachedError) Unwrap() error { return e.Latest }

// A Dialer dials one HOST:PORT. HOST may have several addresses.
type Dialer struct {
	Address string
	// Failed, unless nil, is called for each failed attempt, before the following pause.
	Failed func(error)

	pause time.Duration // before the next attempt; 0: none has been made
	// deserted holds the addresses that have accepted a connection with nobody behind it, each as
	// IP:PORT, until all of them are tried again.
	deserted []string
	latest   string // the address of the latest connection; "": there was none
}

// Dial dials until the other end answers, or until ctx ends: then it returns an
// *UnreachedError. Another call means that nobody was behind the last connection. It pauses, and
// tries the other addresses of the host first.
func (d *Dialer) Dial(ctx context.Context) (*Conn, error) {
	var latest error
	if d.latest != "" {
		d.deserted = append(d.deserted, d.latest)
	}
	for {
		if d.pause > 0 {
			select {
			case <-time.After(d.pause):
			case <-ctx.Done():
				return nil, &UnreachedError{latest}
			}
		}
		d.pause = min(max(2*d.pause, firstPause), maxPause)
		conn, err := d.once(ctx)
		var dns *net.DNSError
		switch {
		case err == nil:
			d.latest = conn.RemoteAddr().String()
			return &Conn{tcp: conn}, nil
		case ctx.Err() != nil || isPast(ctx): // either of the two timers may be first
			return nil, &UnreachedError{latest}
		case errors.As(err, &dns) && dns.IsNotFound:
			return nil, fmt.Errorf("%w: %s", ErrHost, dns.Name)
		}
		latest = reason(err)
		if d.Failed != nil {
			d.Failed(latest)
		}
	}
}

// once makes one attempt. It avoids the deserted addresses unless no other one answers.
func (d *Dialer) once(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, oneDial)
	defer cancel()
	if len(d.deserted) > 0 {
		others, cancel := context.WithTimeout(ctx, otherDial)
		conn, err := d.dial(others, d.deserted)
		cancel()
		if err == nil {
			return conn, nil
		}
		d.deserted = nil
	}
	return d.dial(ctx, nil)
}

// errDeserted keeps a net.Dialer from an address.
var errDeserted = errors.New("transport: nobody is behind this address")

// dial dials all addresses of the host except those to avoid.
func (d *Dialer) dial(ctx context.Context, avoid []string) (net.Conn, error) {
	dialer := net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		if slices.Contains(avoid, address) {
			return errDeserted
		}
		return nil
	}}
	host, port, err := net.SplitHostPort(d.Address)
	if err != nil || !isLocalhost(host) {
		return dialer.DialContext(ctx, "tcp", d.Address)
	}
	if conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort("::1", port)); err == nil {
		return conn, nil
	}
	return dialer.DialContext(ctx, "tcp", net.JoinHostPort(loopback, port))
}

// reason returns why a call of a connection failed, without the addresses, which tell a user
// nothing. It returns nil for nil.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer")
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return err
}

// isPast reports whether the deadline of ctx has passed.
func isPast(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline)
}
