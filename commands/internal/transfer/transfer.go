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

// A Link is one end of the stream between sender and receiver. A write may be held up
// until the other end reads.
type Link interface {
	io.ReadWriter
	CloseWrite() error // nothing more will be written
}

// A Done item is complete at the receiver, with the checksum that the sender has told.
type Done struct {
	Name  string
	Files int   // 1, or how many are in the folder
	Bytes int64 // of all its files
}

// A Progress is told what moves just now (the path of a file), and how many bytes of all
// items have moved of how many; -1: that is not known.
type Progress func(name string, done, total int64)

// A StoppedError says that the other end has stopped the transfer, and why in its words.
type StoppedError struct {
	Reason string
}

func (e *StoppedError) Error() string { return "transfer: " + e.Reason }

var (
	// ErrRefused says that the receiver does not take what is offered.
	ErrRefused = errors.New("transfer: not taken")
	// ErrChecksum says that what arrived is not what was sent.
	ErrChecksum = errors.New("transfer: its checksum is wrong")
	// ErrSameRole says that both ends send, or both receive.
	ErrSameRole = errors.New("transfer: both ends do the same")
	// ErrNoReason says that the other end stopped before the transfer was complete, and
	// gave no reason.
	ErrNoReason = errors.New("transfer: stopped without giving a reason")
)

// plain is an error without the path of the file that it is about, which the text
// around it names.
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

// cannot is an error of the file system.
func cannot(name, what string, err error) error {
	return fmt.Errorf("transfer: %s cannot be %s: %w", name, what, plain(err))
}

// reason is an error as the other end is told it.
func reason(err error) string {
	text := strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "transfer: ", ""), "?")
	for len(text) > maxReason {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return text
}

// An end is what sender and receiver share.
type end struct {
	link   Link
	role   role
	state  state
	reader reader
	out    []byte // the record that is being written
}

// A state is what an end waits for.
type state int

const (
	awaitingHello  state = iota
	awaitingOffer        // receiver
	awaitingAnswer       // sender: ACCEPT
	awaitingHave         // sender
	awaitingStart        // receiver
	awaitingData         // receiver: DATA or SUM
	sending              // sender: nothing but FAIL can come
	awaitingStored       // sender
	awaitingEnd          // the end of the other direction
	numStates
)

var stateNames = [numStates]string{
	"awaiting HELLO", "awaiting OFFER", "awaiting ACCEPT", "awaiting HAVE", "awaiting START", "awaiting DATA",
	"sending", "awaiting STORED", "awaiting the end",
}

func (s state) String() string { return stateNames[s] }

// takes says which records can come in which state. FAIL can come in any, the end of the
// stream in the last only.
var takes = [numStates][]recordType{
	awaitingHello:  {recordHello},
	awaitingOffer:  {recordOffer},
	awaitingAnswer: {recordAccept},
	awaitingHave:   {recordHave},
	awaitingStart:  {recordStart},
	awaitingData:   {recordData, recordSum},
	awaitingStored: {recordStored},
}

// check refuses a record that cannot come now.
func (e *end) check(r *record, err error) (*record, error) {
	switch {
	case err == io.EOF && e.state == awaitingEnd:
		return nil, io.EOF
	case err == io.EOF:
		return nil, fmt.Errorf("%w (%v)", ErrNoReason, e.state)
	case err != nil:
		return nil, err
	case r.kind == recordFail:
		return nil, &StoppedError{r.reason}
	}
	for _, t := range takes[e.state] {
		if r.kind == t {
			return r, nil
		}
	}
	return nil, fmt.Errorf("%w: %v while %v", ErrRecord, r.kind, e.state)
}

// checkHello finds out whether the other end has the other role.
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

// fail tells the other end why we stop, unless it has told us.
func (e *end) fail(err error) {
	if stopped := (*StoppedError)(nil); !errors.As(err, &stopped) {
		_ = e.write(&record{kind: recordFail, reason: reason(err)}) // err is what counts
	}
	_ = e.link.CloseWrite()
}

// size is the number of bytes of items; -1: that is not known.
func size(items []described) (total int64) {
	for _, item := range items {
		if item.size < 0 {
			return -1
		}
		total += item.size
	}
	return total
}
