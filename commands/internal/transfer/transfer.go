package transfer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"
)

// A Link is one end of the stream between sender and receiver. A write may block until the other
// end reads.
type Link interface {
	io.ReadWriter
	CloseWrite() error // call it when nothing more will be written
}

// A Done item is complete at the receiver, with the sender's checksum.
type Done struct {
	Name  string
	Files int   // 1, or the number of files in the folder
	Bytes int64 // the total size of its files
}

// A Progress is called with the path of the file that is moving, the number of bytes of all
// items moved so far, and the total; -1: the total is unknown.
type Progress func(name string, done, total int64)

// A StoppedError says that the other end has stopped the transfer. It contains the other end's
// reason.
type StoppedError struct {
	Reason   string
	Complete bool // everything had arrived by then
}

func (e *StoppedError) Error() string { return "transfer: " + e.Reason }

var (
	// ErrRefused says that the receiver does not accept the offer.
	ErrRefused = errors.New("transfer: not taken")
	// ErrChecksum says that the received bytes differ from the sent ones.
	ErrChecksum = errors.New("transfer: its checksum is wrong")
	// ErrSameRole says that both ends send or both receive.
	ErrSameRole = errors.New("transfer: both ends do the same")
	// ErrChanged says that files changed while they were sent. Everything has arrived as it was
	// read, but that may be less than the present content, or a mixture.
	ErrChanged = errors.New("transfer: something changed while it was sent")
	// ErrNoReason says that the other end stopped before the transfer was complete without
	// giving a reason.
	ErrNoReason = errors.New("transfer: stopped without giving a reason")
)

// plain returns an error without the path of its file, which the surrounding text names.
func plain(err error) error {
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	var callErr *os.SyscallError
	switch {
	case errors.As(err, &pathErr):
		err = pathErr.Err
	case errors.As(err, &linkErr):
		err = linkErr.Err
	case errors.As(err, &callErr):
		err = callErr.Err
	}
	return err
}

// cannot returns an error of the file system.
func cannot(name, what string, err error) error {
	return fmt.Errorf("transfer: %s cannot be %s: %w", name, what, plain(err))
}

// reason returns the text of an error for the other end.
func reason(err error) string {
	text := strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "transfer: ", ""), "?")
	for len(text) > maxReason {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return text
}

// An end is the common part of sender and receiver.
type end struct {
	link   Link
	role   role
	state  state
	reader reader
	out    []byte // the record being written
}

// A state is the kind of record that an end waits for.
type state int

const (
	awaitingHello  state = iota
	awaitingOffer        // receiver
	awaitingAnswer       // sender: ACCEPT
	awaitingHave         // sender
	awaitingStart        // receiver
	awaitingData         // receiver: DATA or SUM
	sending              // sender: only FAIL can arrive
	awaitingStored       // sender
	awaitingEnd          // the end of the other direction
	numStates
)

var stateNames = [numStates]string{
	"awaiting HELLO", "awaiting OFFER", "awaiting ACCEPT", "awaiting HAVE", "awaiting START", "awaiting DATA",
	"sending", "awaiting STORED", "awaiting the end",
}

func (s state) String() string { return stateNames[s] }

// takes lists the records that can arrive in each state. FAIL can arrive in any state, the end
// of the stream only in the last.
var takes = [numStates][]recordType{
	awaitingHello:  {recordHello},
	awaitingOffer:  {recordOffer},
	awaitingAnswer: {recordAccept},
	awaitingHave:   {recordHave},
	awaitingStart:  {recordStart},
	awaitingData:   {recordData, recordSum},
	awaitingStored: {recordStored},
}

// check refuses a record that is not allowed in the present state.
func (e *end) check(r *record, err error) (*record, error) {
	switch {
	case err == io.EOF && e.state == awaitingEnd:
		return nil, io.EOF
	case err == io.EOF:
		return nil, fmt.Errorf("%w (%v)", ErrNoReason, e.state)
	case err != nil:
		return nil, err
	case r.kind == recordFail:
		return nil, &StoppedError{r.reason, e.state == awaitingEnd}
	}
	for _, t := range takes[e.state] {
		if r.kind == t {
			return r, nil
		}
	}
	return nil, fmt.Errorf("%w: %v while %v", ErrRecord, r.kind, e.state)
}

// checkHello checks that the other end has the opposite role.
func (e *end) checkHello(r *record) error {
	if r.role == e.role {
		return fmt.Errorf("%w: each is the %v", ErrSameRole, e.role)
	}
	return nil
}

func (e *end) write(r *record) error {
	e.out = appendRecord(e.out[:0], r)
	_, err := e.link.Write(e.out)
	return err
}

// fail tells the other end why we stop, unless the other end stopped first.
func (e *end) fail(err error) {
	if stopped := (*StoppedError)(nil); !errors.As(err, &stopped) {
		_ = e.write(&record{kind: recordFail, reason: reason(err)}) // err matters more
	}
	_ = e.link.CloseWrite()
}

// size returns the total number of bytes of items; -1: unknown.
func size(items []described) (total int64) {
	for _, item := range items {
		if item.size < 0 {
			return -1
		}
		total += item.size
	}
	return total
}
