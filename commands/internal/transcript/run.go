package transcript

import (
	"bufio"
	"encoding/json"
	"io"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/otr/toolkit"
)

// An Input is a transcript with options for reading it.
type Input struct {
	R      io.Reader
	Number int // only this message, as Show counts them; 0: all
	// Account and PeerAccount, unless empty, are account names that version 4 key exchanges may
	// be bound to.
	Account, PeerAccount string
}

func (in Input) parser() *toolkit.Parser {
	p := toolkit.NewParser(in.R)
	if in.Account != "" {
		p.TryAccounts(in.Account, in.PeerAccount)
	}
	return p
}

// each calls do for each message, including fragments, until do returns an error.
func (in Input) each(do func(*toolkit.Message) error) error {
	p := in.parser()
	for {
		m, err := p.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return exit.Errorf(exit.Failure, "reading the transcript: %w", err)
		}
		if m.Err != nil {
			m.Err = exit.Plain(m.Err)
		}
		if err := do(m); err != nil {
			return err
		}
	}
}

// errNoMessage is the error for an input that contains no OTR message.
func errNoMessage() error {
	return exit.Errorf(exit.Failure, "the input has no OTR message").
		WithHint("give a log, or lines such as ?OTR:…, on standard input")
}

// unreadable returns the error for an input of which n messages could not be read, the first of
// them at a position.
func unreadable(n int, first toolkit.Position) *exit.Error {
	if n == 1 {
		return exit.Errorf(exit.Failure, "a message cannot be read: %v", first)
	}
	return exit.Errorf(exit.Failure, "%d messages cannot be read, the first at %v", n, first)
}

// Show writes every message in a readable layout, in colour and in full if asked for. It reports
// an error of the input after everything that could be read.
func Show(in Input, w io.Writer, colour, full bool) error {
	out := bufio.NewWriter(w)
	layout := New(out, colour, full)
	return show(in, out, layout.Message)
}

// ShowJSON writes every message as an object of one JSON array.
func ShowJSON(in Input, w io.Writer) error {
	out := bufio.NewWriter(w)
	between := "[\n"
	err := show(in, out, func(m *toolkit.Message) error {
		b, err := json.Marshal(m)
		if err != nil {
			return err
		}
		_, err = out.WriteString(between + string(terminal.SafeJSON(b)))
		between = ",\n"
		return err
	})
	end := "\n]\n"
	if between == "[\n" {
		end = "[]\n"
	}
	if _, werr := out.WriteString(end); werr == nil {
		werr = out.Flush()
		if err == nil {
			err = werr
		}
	}
	return err
}

func show(in Input, out *bufio.Writer, write func(*toolkit.Message) error) error {
	all, bad := 0, 0
	var first toolkit.Position
	err := in.each(func(m *toolkit.Message) error {
		all++
		if m.Err != nil {
			if bad++; bad == 1 {
				first = m.ErrAt
			}
		}
		return write(m)
	})
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	switch {
	case err != nil:
		return err
	case all == 0:
		return errNoMessage()
	case bad > 0:
		return unreadable(bad, first)
	}
	return nil
}
