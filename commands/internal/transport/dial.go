package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
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

// A Dialer dials one address.
type Dialer struct {
	Address string // HOST:PORT
	// Failed, unless nil, is called for each failed attempt, before the following pause.
	Failed func(error)

	pause time.Duration // before the next attempt; 0: none has been made
}

// Dial dials until the other end answers, or until ctx ends: then it returns an
// *UnreachedError. A Dialer that has connected once pauses before it dials again, because a port may accept connections with nobody behind it.
func (d *Dialer) Dial(ctx context.Context) (*Conn, error) {
	var latest error
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

func (d *Dialer) once(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, oneDial)
	defer cancel()
	var dialer net.Dialer
	host, port, err := net.SplitHostPort(d.Address)
	if err != nil || !isLocalhost(host) {
		return dialer.DialContext(ctx, "tcp", d.Address)
	}
	if conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort("::1", port)); err == nil {
		return conn, nil
	}
	return dialer.DialContext(ctx, "tcp", net.JoinHostPort(loopback, port))
}

// reason returns why a dial failed, without the address, which the user knows.
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
