package transcript

import (
	"errors"

	"otrpipe/commands/internal/exit"
	"otrpipe/otr/toolkit"
)

// hintParse tells where to see what the input has.
const hintParse = "otrpipe toolkit parse shows the messages with their numbers and kinds"

// fit calls do for each data message of the input until it returns an error. Where do returns
// an error that wraps toolkit.ErrWrongKey or toolkit.ErrKeyLength the key does not fit the
// message, and may fit others; fit returns how many it fitted. If it fitted none, that is an
// error; and so it is when a message cannot be read.
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

// fitCounts counts the messages that fit reads.
type fitCounts struct {
	number          int // only the message with this number; 0: all
	all             int
	bad             int              // messages that cannot be read
	firstBad        toolkit.Position // of them
	fitting, others int              // data messages
	why             error            // why the key does not fit the first of others
}

// data counts a message, and says whether it is a data message to be tried.
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

// err is what is wrong with the whole of the input.
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
