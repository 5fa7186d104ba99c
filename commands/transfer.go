package commands

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/code"
	"otrpipe/commands/internal/ends"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/secret"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/terminal/editor"
	"otrpipe/commands/internal/transfer"
	"otrpipe/keyfile"
)

// flagCode is the switch that has a code asked for; with -file or -fd behind it, it says
// where one is.
const flagCode = "code"

// madeCodeWait is the default time limit of an end that has made a code: a person has to
// carry it to the other end.
const madeCodeWait = "10m0s"

// transferFlags are the flags that send and receive share; alias is another name for
// --contact.
func transferFlags(alias string) []cli.Flag {
	flags := slices.Concat(identityFlags(), streamFlags(options.Transfer))
	for _, f := range flags {
		if f, ok := f.(*cli.StringFlag); ok && f.Name == flagContact {
			f.Aliases = append(f.Aliases, alias)
		}
	}
	flags = append(flags, &cli.BoolFlag{Name: flagCode, Category: groupPeer, DisableDefaultText: true,
		Usage: "ask for the code that the other end shows"})
	for _, f := range secretFlags(flagCode, "the code of the other end") {
		switch f := f.(type) {
		case *cli.StringFlag:
			f.Category = groupPeer
		case *cli.IntFlag:
			f.Category = groupPeer
		}
		flags = append(flags, f)
	}
	return flags
}

// ownArguments are the command's own arguments, and COMMAND.
func ownArguments(c *cli.Context) (own, command []string) {
	all := c.Args().Slice()
	if i := slices.Index(all, "--"); i >= 0 {
		return all[:i], all[i+1:]
	}
	return all, nil
}

// A verification is how the ends of a transfer know each other.
type verification struct {
	defaults options.Values
	shared   []byte // the code
	made     bool   // by this end
}

// verificationOf finds out how the other end is verified. A transfer has to be.
func verificationOf(c *cli.Context) (v verification, err error) {
	v.defaults = options.Values{}
	secretGiven := c.IsSet(flagSMPSecret+secret.FileFlag) || c.IsSet(flagSMPSecret+secret.FDFlag)
	source := secretSource(c, flagCode)
	codeGiven := c.Bool(flagCode) || source.FromFlags()
	switch {
	case codeGiven && (secretGiven || c.IsSet(flagContact) || c.IsSet(flagExpect)):
		return v, exit.Errorf(exit.Usage, "a code verifies the other end alone: without --contact, --expect and --smp-secret-file")
	case codeGiven && c.Bool(flagCode) && source.FromFlags():
		return v, exit.Errorf(exit.Usage, "--%s asks for the code, which --%s-file and --%s-fd give", flagCode, flagCode, flagCode)
	case c.IsSet(flagContact):
		if !secretGiven && !c.IsSet(flagExpect) {
			if c.IsSet(flagTrust) && c.String(flagTrust) == trustNew {
				return v, exit.Errorf(exit.Usage, "--trust new lets the first comer in, and a file is for nobody else").
					WithHint("--smp-secret-file, or a key that is on file: otrpipe contacts add")
			}
			v.defaults[flagTrust] = []string{trustKnown}
		}
		return v, nil
	case secretGiven || c.IsSet(flagExpect):
		if !hasIdentity(c) {
			v.defaults[options.EphemeralFlag] = []string{"true"}
		}
		return v, nil
	}
	if err := checkEphemeral(c); err != nil {
		return v, err
	}
	v.defaults[options.EphemeralFlag] = []string{"true"}
	switch {
	case !codeGiven:
		v.made = true
		v.defaults[flagTimeout] = []string{madeCodeWait}
		v.shared, err = code.New(rand.Reader)
	case source.FromFlags():
		v.shared, err = givenCode(source)
	default:
		v.shared, err = askCode()
	}
	return v, err
}

// hasIdentity says whether there is an identity, or one is asked for.
func hasIdentity(c *cli.Context) bool {
	choice := identityOf(c)
	if choice.Flag != nil || choice.File != nil || choice.Env != "" {
		return true
	}
	_, err := choice.Public()
	return !errors.Is(err, keyfile.ErrNotFound)
}

func givenCode(source *secret.Source) ([]byte, error) {
	typed, _, err := source.Read()
	if err != nil {
		return nil, err
	}
	defer clear(typed)
	parsed, err := code.Parse(typed)
	if err != nil {
		return nil, exit.Errorf(exit.KeyFile, "the code: %w", exit.Plain(err))
	}
	return parsed, nil
}

// askCode asks for a code at the terminal until one is entered. It is shown: it is good for
// one connection only.
func askCode() ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, exit.Errorf(exit.KeyFile, "there is no terminal to ask for the code on").WithHint("give it with --code-file or --code-fd")
	}
	defer tty.Close()
	console, err := editor.Open(tty, tty)
	if err != nil {
		return nil, exit.Errorf(exit.KeyFile, "the terminal cannot be asked for the code: %w", err)
	}
	defer console.Close()
	var ended atomic.Int32 // by a signal
	signals, asked := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	defer close(asked)
	go func() {
		select {
		case s := <-signals:
			ended.Store(int32(s.(syscall.Signal)))
			console.Close()
		case <-asked:
		}
	}()
	console.SetPrompt("Code, three words: ")
	console.Complete(code.Complete)
	for {
		line, err := console.ReadLine()
		switch {
		case ended.Load() != 0:
			return nil, exit.Silently(128 + int(ended.Load()))
		case errors.Is(err, editor.ErrInterrupted):
			return nil, exit.Silently(128 + int(syscall.SIGINT))
		case errors.Is(err, io.EOF), err == nil && strings.TrimSpace(line) == "":
			return nil, exit.Errorf(exit.KeyFile, "no code was entered")
		case err != nil:
			return nil, exit.Errorf(exit.KeyFile, "the code cannot be read: %w", exit.Plain(err))
		}
		typed := []byte(line)
		parsed, err := code.Parse(typed)
		clear(typed)
		if err == nil {
			return parsed, nil
		}
		console.Message("", fmt.Sprintf("%v; the Tab key completes a word", exit.Plain(err)))
	}
}

// announce tells the person the code, and the whole command for the other end.
func announce(c *cli.Context, e *ends.End, v verification, command []string) {
	other := commandReceive
	if c.Command.Name == commandReceive {
		other = commandSend + " FILE"
	}
	say := func(format string, a ...any) { ioOf(c).Messages.Note(fmt.Sprintf(format, a...)) } // with --quiet too
	way := e.Way()
	switch {
	case way.Listener != nil:
		say("on the other machine: %s %s --code --tcp %s", programName, other, reachable(way.Listener.Address(), way.Listener.Everywhere()))
	case way.Dial != "":
		_, port, _ := net.SplitHostPort(way.Dial) // it is in its canonical form
		say("on the other machine: %s %s --code --listen %s", programName, other, port)
	default:
		say("on the other machine: %s %s --code -- COMMAND, the other end of %s", programName, other, exit.ShellWord(command[0]))
	}
	say("and this code, for one connection: %s", v.shared)
}

// reachable is an address of this machine that another one can probably dial.
func reachable(address string, everywhere bool) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || !everywhere {
		return address
	}
	host, _ = os.Hostname()
	addresses, _ := net.InterfaceAddrs() // without them the name has to do
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() && ip.IP.To4() != nil {
			host = ip.IP.String()
			break
		}
	}
	return net.JoinHostPort(host, port)
}

// A pipeLink is the transfer's end of the pipes to its session.
type pipeLink struct {
	in  *io.PipeReader
	out *io.PipeWriter
}

func (l *pipeLink) Read(p []byte) (int, error) { return l.in.Read(p) }

func (l *pipeLink) Write(p []byte) (int, error) { return l.out.Write(p) }

func (l *pipeLink) CloseWrite() error { return l.out.Close() }

// A transferResult is what a transfer has come to.
type transferResult struct {
	done []transfer.Done
	err  error
}

// errSessionOver ends a transfer whose session has ended.
var errSessionOver = errors.New("the session has ended")

// A transferring is what a command does inside its session.
type transferring struct {
	verb  string // what is done to files: sent or received
	where string // they have arrived, for people
	run   func(transfer.Link, transfer.Progress) ([]transfer.Done, error)
	// arrived, unless nil, is told of the files that are here.
	arrived func([]transfer.Done) error
}

// over runs a transfer inside a session over COMMAND, or over what the flags say.
func (t *transferring) over(c *cli.Context, command []string) error {
	v, err := verificationOf(c)
	if err != nil {
		return err
	}
	e, err := newSharing(c, v.defaults, v.shared)
	if err != nil {
		return err
	}
	if err := e.FindWay(command); err != nil {
		return err
	}
	if v.made {
		announce(c, e, v, command)
	}
	fromSession, toUs := io.Pipe()
	toSession, fromUs := io.Pipe()
	link := &pipeLink{fromSession, fromUs}
	finished := make(chan transferResult, 1)
	begun, started := false, time.Now()
	sessionErr := e.RunOver(live.Config{OwnProgress: true}, nil, func(s *live.Session) (*live.Payload, error) {
		begun, started = true, time.Now()
		go func() {
			meter := newMeter(ioOf(c), t.verb)
			done, err := t.run(link, meter.progress)
			meter.end()
			finished <- transferResult{done, err}
		}()
		return &live.Payload{In: toSession, Out: toUs, DoneOut: toUs.Close}, nil
	})
	if !begun {
		return sessionErr
	}
	toUs.CloseWithError(errSessionOver)
	toSession.CloseWithError(errSessionOver)
	result := <-finished
	var told error
	if t.arrived != nil {
		told = t.arrived(result.done)
	}
	if err := t.conclude(c, result, sessionErr, time.Since(started)); err != nil {
		return err
	}
	return told
}

// conclude says in one line what a transfer has come to.
func (t *transferring) conclude(c *cli.Context, result transferResult, sessionErr error, took time.Duration) error {
	stopped := (*transfer.StoppedError)(nil)
	if len(result.done) > 0 {
		ioOf(c).Note("%s", closingLine(t.where, result.done, took))
	}
	switch err := result.err; {
	case err == nil:
		return sessionErr
	case errors.Is(err, errSessionOver) || errors.Is(err, io.ErrClosedPipe):
		return sessionErr
	case errors.As(err, &stopped) && t.verb == "sent":
		return exit.Errorf(exit.Failure, "the receiver stopped: %s", stopped.Reason)
	case stopped != nil:
		return exit.Errorf(exit.Failure, "the sender stopped: %s", stopped.Reason)
	default:
		return exit.Failed(err)
	}
}

// closingLine says what has arrived, and where.
func closingLine(where string, done []transfer.Done, took time.Duration) string {
	files, bytes := 0, int64(0)
	for _, d := range done {
		files += d.Files
		bytes += d.Bytes
	}
	what := done[0].Name
	switch n := len(done) - 1; {
	case n == 1:
		what += " and 1 more"
	case n > 1:
		what += fmt.Sprintf(" and %d more", n)
	}
	if files != 1 || len(done) > 1 {
		what += fmt.Sprintf(" (%d files)", files)
	}
	return fmt.Sprintf("%s has arrived %s: %s in %v, checksum right", what, where, terminal.Size(bytes), took.Round(100*time.Millisecond))
}

// A meter shows on the terminal how far a transfer is. Its progress is called by the
// transfer's goroutine, and what it is told is read by the one that draws.
type meter struct {
	latest atomic.Pointer[moved]
	stop   chan struct{}
	over   chan struct{}
}

// moved is what a meter was told last.
type moved struct {
	name        string
	done, total int64
}

// meterEvery is how often the line is drawn anew.
const meterEvery = 200 * time.Millisecond

func newMeter(p *terminal.IO, verb string) *meter {
	m := &meter{stop: make(chan struct{}), over: make(chan struct{})}
	if p.Quiet || !terminal.Is(p.Messages.File()) {
		close(m.over)
		return m
	}
	go func() {
		defer close(m.over)
		tick := time.NewTicker(meterEvery)
		defer tick.Stop()
		var line *terminal.Progress
		for {
			select {
			case now := <-tick.C:
				latest := m.latest.Load()
				if latest == nil {
					continue
				}
				if line == nil {
					line = p.Messages.TransferProgress(now, verb, max(latest.total, 0))
					defer line.End()
				}
				line.Show(now, latest.done, 0, latest.name)
			case <-m.stop:
				return
			}
		}
	}()
	return m
}

// progress is the transfer's Progress.
func (m *meter) progress(name string, done, total int64) { m.latest.Store(&moved{name, done, total}) }

// end takes the line away; a terminal that takes nothing holds up no end.
func (m *meter) end() {
	close(m.stop)
	select {
	case <-m.over:
	case <-time.After(meterEvery):
	}
}
