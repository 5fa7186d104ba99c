package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/fatih/color"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/terminal/editor"
	"otrpipe/commands/internal/trust"
	"otrpipe/otr"
	"otrpipe/otr/keys"
)

// A slash is a command that a person enters in a chat.
type slash struct {
	name     string // with its /
	argument string // what it may be followed by; "": nothing
	help     string
	do       func(h *chat, argument string)
}

// slashes are all of them, in the order of /help. It is a function because
// /help is one of them.
func slashes() []slash {
	return []slash{
		{"/smp", "[QUESTION]", "compare a secret, which is asked for and not shown; QUESTION is shown to the other end", (*chat).startSMP},
		{"/answer", "", "answer the other end's question, or compare the secret that it wants to compare", (*chat).answerSMP},
		{"/abort", "", "abort that comparison", (*chat).abort},
		{"/fingerprint", "", "the fingerprints of both ends' keys, to be read to each other", (*chat).fingerprints},
		{"/trust", "", "the fingerprints were compared and are the same: the key is verified", (*chat).trustPeer},
		{"/refresh", "", "new keys; where there is no session, begin one", (*chat).refreshKeys},
		{"/status", "", "how the session stands", (*chat).showStatus},
		{"/end", "", "end the session, and stay for the next", (*chat).endSession},
		{"/quit", "", "end the session and leave; so does Ctrl-D", (*chat).quit},
		{"/help", "", "this", (*chat).help},
	}
}

// An entry is a line that a person has entered: a text, or a command.
type entry struct {
	text     string
	command  string // with its /; "": the line is a text
	argument string
}

// readEntry reads a line. Blanks before a command do not make it a text: what
// stands behind it may not be for the peer.
func readEntry(line string) entry {
	command := strings.TrimLeftFunc(line, unicode.IsSpace)
	switch {
	case strings.HasPrefix(line, "//"):
		return entry{text: line[1:]}
	case !strings.HasPrefix(command, "/"), strings.HasPrefix(command, "//"):
		return entry{text: line}
	}
	argument := ""
	if i := strings.IndexFunc(command, unicode.IsSpace); i >= 0 {
		command, argument = command[:i], strings.TrimSpace(command[i:])
	}
	return entry{command: command, argument: argument}
}

// find is the command of an entry; or why there is none.
func (e entry) find() (slash, error) {
	var names []string
	for _, s := range slashes() {
		if s.name == e.command {
			if s.argument == "" && e.argument != "" {
				return slash{}, exit.Errorf(exit.Usage, "%s takes nothing behind it", s.name)
			}
			return s, nil
		}
		names = append(names, s.name)
	}
	err := exit.Errorf(exit.Usage, "there is no command %s, and nothing was sent", e.command)
	if near := cmdline.Nearest(e.command, names); near != "" {
		return slash{}, err.WithHint("did you mean %s? To send a text that begins with /, begin it with //", near)
	}
	return slash{}, err.WithHint("/help shows the commands; to send a text that begins with /, begin it with //")
}

// enter does what a line is for.
func (h *chat) enter(line string) {
	if strings.TrimSpace(line) == "" {
		return
	}
	h.reconsider()
	e := readEntry(line)
	// What stands behind /answer may well be the secret.
	if e.command != "/answer" || e.argument == "" {
		h.console.Remember(line)
	}
	if e.command == "" {
		h.send(e.text)
		return
	}
	s, err := e.find()
	if err != nil {
		h.refuse(err)
		return
	}
	s.do(h, e.argument)
}

// refuse says why something cannot be done, and what can.
func (h *chat) refuse(err error) {
	h.answers.Error(err.Error())
	if tip := exit.As(err).Hint; tip != "" {
		h.answers.Hint(tip)
	}
}

// errUnencrypted is for what needs a session.
var errUnencrypted error = exit.Errorf(exit.Failure, "there is no encrypted session").
	WithHint("/refresh begins one")

// startSMP compares a secret with the peer's.
func (h *chat) startSMP(text string) {
	name := h.standing().who
	asked := h.asked()
	switch {
	case !h.standing().encrypted:
		h.refuse(errUnencrypted)
	case asked != nil && text != "":
		h.refuse(exit.Errorf(exit.Failure, "%s waits for an answer", name).WithHint("/answer gives it, /abort refuses it"))
	case asked != nil:
		h.answerSMP("")
	case text == "":
		h.compare("Secret to compare with "+name+"'s", "")
	default:
		if _, err := options.Question(text); err != nil {
			h.refuse(err)
			return
		}
		h.console.Message(programName+": "+name+" will be asked: ", text)
		h.compare("Secret that answers it", text)
	}
}

// answerSMP answers the peer.
func (h *chat) answerSMP(string) {
	asked, name := h.asked(), h.standing().who
	switch {
	case !h.standing().encrypted:
		h.refuse(errUnencrypted)
	case asked == nil:
		h.refuse(exit.Errorf(exit.Failure, "%s has asked nothing", name).WithHint("/smp [QUESTION] asks"))
	case *asked == "":
		h.compare("Secret to compare with "+name+"'s", "")
	default:
		h.console.Message(programName+": "+name+" asks: ", *asked)
		h.compare("Secret that answers it", "")
	}
}

// asked is the question that the peer waits with; nil: it does not.
func (l *live) asked() *string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.smp.asked
}

// compare asks for a secret, and has SMP compare it while the chat goes on.
func (h *chat) compare(prompt, question string) {
	asked, run := h.asked(), uint64(0)
	if asked != nil {
		h.mu.Lock()
		run = h.smp.run
		h.mu.Unlock()
	}
	secret, err := h.console.ReadSecret(h.console.Paint(prompt+" (it is not shown): ", color.Bold))
	switch {
	case errors.Is(err, editor.ErrInterrupted), errors.Is(err, io.EOF), err == nil && len(secret) == 0:
		h.refuse(errors.New("no secret was entered"))
		return
	case err != nil:
		return
	case h.asked() != asked:
		clear(secret)
		h.refuse(errors.New("meanwhile it is something else that the other end asks"))
		return
	}
	go func() {
		err := h.runSMP(context.Background(), &control.SMP{Secret: secret, Question: question, Timeout: smpTimeout, Run: run})
		told := errors.Is(err, errSMPFailed) || errors.Is(err, errSMPBrokenOff) || errors.Is(err, errSMPAborted)
		if err != nil && (!told || h.Quiet) {
			h.refuse(err)
		}
	}()
}

func (h *chat) abort(string) {
	if err := h.abortSMP(); err != nil {
		h.refuse(err)
		return
	}
	h.answers.Note("SMP is aborted")
}

// fingerprints shows both ends' keys.
func (h *chat) fingerprints(string) {
	if public, err := publicIdentity(h.c); err == nil {
		for _, fp := range public.Keys {
			h.showKey("your", fp, "")
		}
	}
	s := h.standing()
	if !s.encrypted {
		return
	}
	h.mu.Lock()
	fp := h.session.Fingerprint
	h.mu.Unlock()
	h.compared = fp
	h.showKey(s.who+"'s", fp, " ("+s.word()+")")
}

// showKey speaks as the program does, which no message can: those begin with
// another name.
func (h *chat) showKey(whose string, fp keys.Fingerprint, trust string) {
	h.console.Message(fmt.Sprintf("%s: %s key: ", programName, whose), fmt.Sprintf("OTRv%d %v%s", fp.OTR(), fp, trust))
}

// trustPeer notes that the person has compared the peer's fingerprint.
func (h *chat) trustPeer(string) {
	h.mu.Lock()
	s, trusted := h.session, h.trusted
	h.mu.Unlock()
	switch {
	case !trusted:
		h.refuse(errUnencrypted)
		return
	case h.compared != s.Fingerprint:
		// Somebody in between could have shown one key and then come with another.
		h.refuse(exit.Errorf(exit.Refused, "the key that the session is with has not been shown").
			WithHint("/fingerprint shows it; compare it, and then /trust"))
		return
	}
	h.mu.Lock()
	lk := h.link
	h.mu.Unlock()
	err := lk.Do(func(*otr.Conversation) ([][]byte, error) {
		h.mu.Lock()
		same := h.trusted && h.session.Fingerprint == s.Fingerprint
		h.mu.Unlock()
		if !same {
			return nil, errUnencrypted
		}
		if err := h.keeper.MarkVerified(); err != nil {
			return nil, err
		}
		h.setTrust(trust.Verified)
		return nil, nil
	})
	if err != nil {
		h.refuse(h.refused(err))
		return
	}
	h.answers.Note(fmt.Sprintf("the OTRv%d key of %s is verified", s.Version, h.contactName()))
	if h.options.Contact == "" {
		h.answers.Hint("this is forgotten at the end, for no contact was named: --contact NAME remembers")
	}
}

// refreshKeys makes a new key exchange, or begins a session.
func (h *chat) refreshKeys(string) {
	h.mu.Lock()
	lk, encrypted := h.link, h.trusted
	h.mu.Unlock()
	switch {
	case lk == nil:
		h.refuse(errUnencrypted)
	case encrypted:
		go func() {
			if err := h.refresh(context.Background()); err != nil {
				h.refuse(err)
				return
			}
			h.answers.Note("the keys are new")
		}()
	default:
		err := lk.Do(func(c *otr.Conversation) ([][]byte, error) { return c.Start() })
		if err != nil {
			h.refuse(h.refused(err))
			return
		}
		h.answers.Note("the other end is asked for a session")
	}
}

func (h *chat) showStatus(string) {
	_, _ = io.WriteString(h.console, programName+": session "+statusText(h.status().Status))
}

// endSession ends the session; the peer is told.
func (h *chat) endSession(string) {
	if !h.standing().encrypted {
		h.refuse(errUnencrypted)
		return
	}
	if err := h.channel().EndSession(); err != nil {
		h.refuse(h.refused(err))
		return
	}
	h.answers.Note("the session with " + h.peerName() + " is ended")
}

func (h *chat) quit(string) { h.stop(errQuit, "") }

func (h *chat) help(string) {
	for _, s := range slashes() {
		h.console.Message(fmt.Sprintf("%-15s ", strings.TrimSpace(s.name+" "+s.argument)), s.help)
	}
	h.console.Message("//text          ", "send a text that begins with /")
	h.console.Message("Alt-Enter       ", "a new line in the same message")
}
