package terminal

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

// An IO holds the standard streams of one run of the program and how much the user wants to
// read. It does not change after the program's flags have been read. Several goroutines may call
// its methods.
type IO struct {
	In       *os.File // standard input
	Out      *os.File // standard output
	Messages *Printer // standard error
	Quiet    bool     // print errors only
	Verbose  bool     // print details too
}

// NewIO returns the streams of the program called name.
func NewIO(name string, in, out, messages *os.File) *IO {
	return &IO{In: in, Out: out, Messages: NewPrinter(messages, name)}
}

// Note prints what happened, unless Quiet is set.
func (s *IO) Note(format string, a ...any) {
	if !s.Quiet {
		s.Messages.Note(fmt.Sprintf(format, a...))
	}
}

// Detail prints what only --verbose shows.
func (s *IO) Detail(format string, a ...any) {
	if s.Verbose {
		s.Messages.Note(fmt.Sprintf(format, a...))
	}
}

// Warn prints what the user should know before relying on the rest, unless Quiet is set.
func (s *IO) Warn(format string, a ...any) {
	if !s.Quiet {
		s.Messages.Warning(fmt.Sprintf(format, a...))
	}
}

// Report prints an error that does not end the program, even if Quiet is set.
func (s *IO) Report(format string, a ...any) {
	s.Messages.Error(fmt.Sprintf(format, a...))
}

// Advise prints what the user can do next, unless Quiet is set.
func (s *IO) Advise(format string, a ...any) {
	if !s.Quiet {
		s.Messages.Hint(fmt.Sprintf(format, a...))
	}
}

// Confirm asks a person at a terminal, who must answer yes. Without a terminal it returns true.
func (s *IO) Confirm(question string) bool {
	if !Is(s.In) || !Is(s.Messages.File()) {
		return true
	}
	s.Messages.Ask(question + " [y/N] ")
	answer, _ := bufio.NewReader(s.In).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}
