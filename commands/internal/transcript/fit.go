package transcript

import (
	"errors"

	"otrpipe/commands/internal/exit"
	"otrpipe/otr/toolkit"
)

// hintParse names the command that shows the contents of the input.
const hintParse = "otrpipe toolkit parse shows the messages with their numbers and kinds"

// fit calls do for each data message of the input until it returns an error. An error that wraps
// toolkit.ErrWrongKey or toolkit.ErrKeyLength means that the key does not fit this message, but
// may fit others. fit returns the number of messages that the key fits. It returns an error if
// there are none, or if a message cannot be read.
func fit(in Input, do func(*toolkit.Message) error) (fitting, others int, err error) {
	c := fitCounts{number: in.Number}
	err = in.each(func(m *toolkit.Message) error {
		if data, err := c.data(m); err != nil || !data {
			return err
		}
		switch err := do(m); {
		case errors.Is(err, toolkit.ErrWrongKey), errors.Is(err, toolkit.ErrKeyLength):
			c.others++
			if c.why == nil {
				c.why = err
			}
			return nil
		case errors.As(err, new(writeError)):
			return err
		case err != nil:
			return exit.Errorf(exit.Failure, "message %d (%v): %w", m.Number, m.Position, exit.Plain(err))
		}
		c.fitting++
		return nil
	})
	if err == nil {
		err = c.err()
	}
	return c.fitting, c.others, err
}

// A writeError is an error of the output, for which no message is to blame.
type writeError struct{ error }

func (e writeError) Unwrap() error { return e.error }

// written returns the error of a write as a writeError, or nil.
func written(_ int, err error) error {
	if err != nil {
		return writeError{err}
	}
	return nil
}

// fitCounts counts the messages that fit reads.
type fitCounts struct {
	number          int // only the message with this number; 0: all
	all             int
	bad             int              // messages that cannot be read
	firstBad        toolkit.Position // the position of the first of these
	fitting, others int              // data messages
	why             error            // why the key does not fit the first of others
}

// data counts a message, and reports whether it is a data message to try.
func (c *fitCounts) data(m *toolkit.Message) (bool, error) {
	if m.Number == 0 && m.Err == nil { // a fragment
		return false, nil
	}
	c.all++
	switch {
	case c.number > 0 && m.Number != c.number:
		return false, nil
	case m.Err != nil:
		if c.bad++; c.bad == 1 {
			c.firstBad = m.ErrAt
		}
		return false, nil
	case m.Name != "data" && c.number > 0:
		return false, exit.Errorf(exit.Failure, "message %d is no data message", c.number).WithHint(hintParse)
	}
	return m.Name == "data", nil
}

// err returns the error for the input as a whole.
func (c *fitCounts) err() error {
	data := c.fitting + c.others
	switch {
	case c.all == 0:
		return errNoMessage()
	case c.bad > 0:
		return unreadable(c.bad, c.firstBad).WithHint("otrpipe toolkit parse says what is wrong with each")
	case c.number > c.all:
		return exit.Errorf(exit.Failure, "the input has %d messages, so there is no message %d", c.all, c.number).WithHint(hintParse)
	case data == 0:
		return exit.Errorf(exit.Failure, "the input has no data message").WithHint(hintParse)
	case c.fitting > 0:
		return nil
	case data > 1:
		return exit.Errorf(exit.Failure, "the key fits none of the %d data messages: %w", data, exit.Plain(c.why)).
			WithHint("a key is for a few messages of one sender; is it of this conversation?")
	}
	return exit.Errorf(exit.Failure, "%w", exit.Plain(c.why))
}
