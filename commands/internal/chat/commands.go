package chat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fatih/color"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	fingerprints "otrpipe/commands/internal/fingerprint"
	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/terminal/editor"
	"otrpipe/otr/keys"
)

// A slash is a command that a person enters in a chat.
type slash struct {
	name     string // including its /
	argument string // describes its argument; "": it takes none
	help     string
	do       func(h *Chat, argument string)
}

// The commands that ask for a secret.
const (
	smpCommand    = "/smp"
	answerCommand = "/answer"
)

// slashes returns all commands, in the order of /help. It is a function because /help itself is
// one of them.
func slashes() []slash {
	return []slash{
		{"/me", "ACTION", "say what you do: if bob enters /me waves, you see * bob waves", (*Chat).act},
		{smpCommand, "[QUESTION]", "compare a secret, which is asked for and not shown; QUESTION is shown to the other end", (*Chat).startSMP},
		{answerCommand, "", "answer the other end's question, or compare the secret that it wants to compare", (*Chat).answerSMP},
		{"/abort", "", "abort that comparison", (*Chat).abort},
		{"/fingerprint", "", "the fingerprints of both ends' keys, to be read to each other", (*Chat).fingerprints},
		{"/trust", "", "the fingerprints were compared and are the same: the key is verified", (*Chat).trustPeer},
		{"/refresh", "", "new keys; where there is no session, begin one", (*Chat).refreshKeys},
		{"/status", "", "how the session stands", (*Chat).showStatus},
		{"/end", "", "end the session, and stay for the next", (*Chat).endSession},
		{"/quit", "", "end the session and leave; so does Ctrl-D", (*Chat).quit},
		{"/help", "", "this", (*Chat).help},
	}
}

// An entry is a line that a person has entered: a text, or a command.
type entry struct {
	text     string
	command  string // including its /; "": the line is a text
	argument string
}

// readEntry reads a line. A command after blanks is still a command, because its argument may be
// something that the peer must not see.
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

// find returns the command of an entry, or an error that says why there is none.
func (e entry) find(suggest func(string, []string) string) (slash, error) {
	for _, s := range slashes() {
		if s.name == e.command {
			if s.argument == "" && e.argument != "" {
				return slash{}, exit.Errorf(exit.Usage, "%s takes no argument", s.name)
			}
			return s, nil
		}
	}
	err := exit.Errorf(exit.Usage, "there is no command %s, and nothing was sent", e.command)
	if near := e.near(suggest); near != "" {
		return slash{}, err.WithHint("did you mean %s? To send a text that begins with /, begin it with //", near)
	}
	return slash{}, err.WithHint("/help shows the commands; to send a text that begins with /, begin it with //")
}

// near returns the command that an unknown one is probably meant for; "": unknown.
func (e entry) near(suggest func(string, []string) string) string {
	switch word := strings.ToLower(e.command); word {
	case "/exit", "/bye": // in other programs
		return "/quit"
	case "/verify":
		return "/smp"
	default:
		if slices.Contains(Commands(), word) {
			return word
		}
		return suggest(word, Commands())
	}
}

// enter sends a line, or runs it as a command.
func (h *Chat) enter(entered editor.Entered) {
	h.entered = entered
	line := entered.Text
	if strings.TrimSpace(line) == "" {
		return
	}
	h.reconsider()
	e := readEntry(line)
	if e.command == "" && h.refusal.isUnread(entered.Begun) {
		h.refuse(errBlindSecret)
		return
	}
	if !h.hasSecret(e) {
		h.console.Load().Remember(line)
	}
	if e.command == "" {
		h.send(e.text)
		return
	}
	s, err := e.find(h.cfg.Suggest)
	if err != nil {
		h.refuse(err)
		if h.asksForSecret(e.command) {
			h.expectBlindSecret()
		}
		return
	}
	s.do(h, e.argument)
}

// hasSecret reports whether a line may contain the secret. It must not come back with Up. The
// argument of /answer, misspelled or not, may well be the secret.
func (h *Chat) hasSecret(e entry) bool {
	return e.command != "" && e.argument != "" && h.meantCommand(e.command) == answerCommand
}

// asksForSecret reports whether a person who enters a command, misspelled or not, may expect to be
// asked for a secret next. A command that resembles none may be any.
func (h *Chat) asksForSecret(command string) bool {
	if command == "" {
		return false
	}
	switch h.meantCommand(command) {
	case smpCommand, answerCommand, "":
		return true
	}
	return false
}

// meantCommand returns the command that a person means who enters command; "" if none is like it.
func (h *Chat) meantCommand(command string) string {
	if slices.Contains(Commands(), command) {
		return command
	}
	return h.cfg.Suggest(command, Commands())
}

// readingTime is how long a person may take to see that they are not asked for a secret.
const readingTime = 2 * time.Second

// errBlindSecret refuses a text that may be a secret.
var errBlindSecret error = exit.Errorf(exit.Failure, "that is not sent: no secret was asked for, and you may have typed it as one").
	WithHint("if it was meant as a message, type it again")

// A refusal is the time when a person could see that a command does not ask for the secret that
// they may have begun to type.
type refusal struct {
	shown chan struct{} // closed when the refusal is on the screen; nil: it needs not be
	at    time.Time     // when that was
}

// isUnread reports whether a line was begun before the person could read the refusal.
func (r *refusal) isUnread(begun time.Time) bool {
	if r.shown != nil {
		select {
		case <-r.shown:
		default:
			return true
		}
	}
	return begun.Before(r.at.Add(readingTime))
}

// refuseSecret is refuse for a command that asks for a secret.
func (h *Chat) refuseSecret(err error) {
	h.refuse(err)
	h.expectBlindSecret()
}

// expectBlindSecret keeps what was typed before the person could read the last message from being
// sent as a text.
func (h *Chat) expectBlindSecret() {
	shown := make(chan struct{})
	r := &refusal{shown: shown}
	h.refusal = r
	go func() {
		defer close(shown)
		h.answers.Flush(math.MaxInt64)
		h.console.Load().Sync()
		r.at = time.Now()
	}()
}

// refuse tells the person why something cannot be done, and what they can do instead.
func (h *Chat) refuse(err error) {
	tip := exit.As(err).Hint
	if errors.Is(err, live.ErrUnencrypted) {
		tip = h.nextSession(h.session.Running())
	}
	h.answers.Error(err.Error())
	if tip != "" {
		h.answers.Hint(tip)
	}
}

// nextSession tells the person how there will be a session where there is none. running is whether
// the other end is connected.
func (h *Chat) nextSession(running bool) string {
	if !running {
		return h.otherEnd() + " is not there yet"
	}
	return "/refresh begins a new session"
}

// act sends an action.
func (h *Chat) act(action string) {
	if action == "" {
		h.refuse(exit.Errorf(exit.Usage, "/me needs an action, as in /me waves; nothing was sent"))
		return
	}
	h.send(actionPrefix + action)
}

// complete returns the possible rests of the command before the cursor.
func complete(before string) (rests []string) {
	begun := strings.TrimLeftFunc(before, unicode.IsSpace)
	if !strings.HasPrefix(begun, "/") {
		return nil
	}
	for _, s := range slashes() {
		if rest, ok := strings.CutPrefix(s.name, begun); ok {
			if s.argument != "" {
				rest += " "
			}
			rests = append(rests, rest)
		}
	}
	return rests
}

// startSMP compares a secret with the peer's.
func (h *Chat) startSMP(text string) {
	now := h.session.Snapshot()
	s := h.standingOf(now)
	switch {
	case !s.encrypted:
		h.refuseSecret(live.ErrUnencrypted)
	case now.Asked != nil && text != "":
		h.refuseSecret(exit.Errorf(exit.Failure, "%s waits for an answer", s.who).WithHint("/answer gives it, /abort refuses it"))
	case now.Asked != nil:
		h.answer(now)
	case text != "" && h.changesPeer():
		h.refuseSecret(errOtherPeer)
	case text == "":
		h.compare(now, "Secret to compare with "+s.who+"'s", "")
	default:
		if err := h.cfg.CheckQuestion(text); err != nil {
			h.refuseSecret(err)
			return
		}
		h.message(h.cfg.Program+": "+s.who+" will be asked: ", text)
		h.compare(now, "Secret that answers it", text)
	}
}

// answerSMP answers the peer.
func (h *Chat) answerSMP(string) { h.answer(h.session.Snapshot()) }

// answer answers the question that a snapshot shows.
func (h *Chat) answer(now live.Snapshot) {
	s := h.standingOf(now)
	switch {
	case !s.encrypted:
		h.refuseSecret(live.ErrUnencrypted)
	case now.Asked == nil:
		h.refuseSecret(exit.Errorf(exit.Failure, "%s has asked nothing", s.who).WithHint("/smp [QUESTION] asks"))
	case *now.Asked == "":
		h.compare(now, "Secret to compare with "+s.who+"'s", "")
	default:
		h.message(h.cfg.Program+": "+s.who+" asks: ", *now.Asked)
		h.compare(now, "Secret that answers it", "")
	}
}

// compare asks for a secret and compares it by SMP while the chat goes on. now is what the person
// has been shown: neither the secret nor the question is used in a session that begins later,
// because that may be with another peer, nor for a question that is asked later.
func (h *Chat) compare(now live.Snapshot, prompt, question string) {
	run := uint64(0)
	if now.Asked != nil {
		run = now.Run
	}
	secret, err := h.console.Load().ReadSecret(h.paint(prompt+" (it is not shown): ", color.Bold))
	switch {
	case errors.Is(err, editor.ErrInterrupted), errors.Is(err, io.EOF), err == nil && len(secret) == 0:
		h.refuseSecret(errors.New("no secret was entered"))
		return
	case err != nil:
		return
	case !h.inSession(now), now.Session != h.recipient().session:
		clear(secret)
		h.refuse(errors.New("meanwhile the session has ended; nothing was compared"))
		return
	case h.session.Snapshot().Asked != now.Asked:
		clear(secret)
		h.refuse(errors.New("meanwhile another question was asked"))
		return
	}
	go func() {
		err := h.session.CompareSecretIn(context.Background(), now.Session, &control.SMP{Secret: secret, Question: question, Timeout: live.AnswerTime, Run: run})
		told := errors.Is(err, live.ErrSMPFailed) || errors.Is(err, live.ErrSMPBrokenOff) || errors.Is(err, live.ErrSMPAborted)
		if err != nil && (!told || h.cfg.IO.Quiet) {
			h.refuse(err)
		}
	}()
}

// inSession reports whether the session is still the one that a snapshot of this connection
// shows.
func (h *Chat) inSession(then live.Snapshot) bool {
	now := h.session.Snapshot()
	return now.Trusted && now.Session == then.Session
}

func (h *Chat) abort(string) {
	if err := h.session.AbortSMP(); err != nil {
		h.refuse(err)
		return
	}
	h.answers.Warning(live.ErrSMPAborted.Error()) // in the words that the peer sees, and in which a failure is told
}

// fingerprints shows both ends' keys of the session's version, or all of our keys if there is no
// session.
func (h *Chat) fingerprints(string) {
	now := h.session.Snapshot()
	s := h.standingOf(now)
	for _, fp := range h.cfg.Keys() {
		if !s.encrypted || fp.OTR() == now.Fingerprint.OTR() {
			h.showKey("your", fp, "")
		}
	}
	if s.encrypted {
		h.compared = now.Fingerprint
		h.showKey(s.who+"'s", now.Fingerprint, s.word())
	}
}

// showKey prints under the program's name. No message of the peer can look like that, because
// messages begin with another name.
func (h *Chat) showKey(whose string, fp keys.Fingerprint, trust string) {
	lead := fmt.Sprintf("%s: %s key: ", h.cfg.Program, whose)
	for row := range strings.Lines(fingerprints.Block(fp, "", trust)) {
		h.message(lead, strings.TrimSuffix(row, "\n"))
		lead = strings.Repeat(" ", utf8.RuneCountInString(lead))
	}
}

// trustPeer notes that the person has compared the peer's fingerprint.
func (h *Chat) trustPeer(string) {
	now := h.session.Snapshot()
	switch {
	case !now.Trusted:
		h.refuse(live.ErrUnencrypted)
		return
	case h.compared != now.Fingerprint:
		// An attacker in the middle could have shown one key and then switched to another.
		h.refuse(exit.Errorf(exit.Refused, "/fingerprint has not shown the session's key yet").
			WithHint("enter /fingerprint, compare what it shows, and then enter /trust"))
		return
	}
	if err := h.session.MarkVerified(h.compared); err != nil {
		h.refuse(err)
		return
	}
	h.answers.Note(fmt.Sprintf("the OTRv%d key of %s is verified", now.Version, h.contactName()))
	if h.cfg.Contact == "" {
		h.answers.Hint("this is forgotten at the end, for no contact was named: --contact NAME remembers")
	}
}

func (h *Chat) contactName() string {
	if h.cfg.Contact == "" {
		return "the peer"
	}
	return terminal.Visible(h.cfg.Contact)
}

// otherEnd is what messages call the other end before it is known who is there.
func (h *Chat) otherEnd() string {
	if h.cfg.Contact == "" {
		return "the other end"
	}
	return terminal.Visible(h.cfg.Contact)
}

// refreshKeys makes a new key exchange, or begins a session.
func (h *Chat) refreshKeys(string) {
	if h.session.Snapshot().Trusted {
		go func() {
			if err := h.session.Refresh(context.Background()); err != nil {
				h.refuse(err)
				return
			}
			h.answers.Note("the keys are new")
		}()
		return
	}
	if err := h.session.Query(); err != nil {
		h.refuse(err)
		return
	}
	h.answers.Note(h.otherEnd() + " is asked for a session")
}

func (h *Chat) showStatus(string) {
	_, _ = io.WriteString(h.console.Load(), h.cfg.Program+": session "+h.cfg.StatusText(h.session.Status()))
}

// endSession ends the session; the peer is told.
func (h *Chat) endSession(string) {
	if !h.standing().encrypted {
		h.refuse(live.ErrUnencrypted)
		return
	}
	name := "the peer"
	if h.session.Snapshot().Passed {
		name = h.contactName()
	}
	if err := h.session.End(); err != nil {
		h.refuse(err)
		return
	}
	h.answers.Note("the session with " + name + " is ended")
}

func (h *Chat) quit(string) { h.session.Stop(live.ErrQuit, "") }

func (h *Chat) help(string) {
	for _, s := range slashes() {
		h.message(fmt.Sprintf("%-15s ", strings.TrimSpace(s.name+" "+s.argument)), s.help)
	}
	h.message("//text          ", "send a text that begins with /")
	h.message("Alt-Enter       ", "a new line in the same message")
}

// Commands returns the names of all commands, in the order of /help.
func Commands() []string {
	var names []string
	for _, s := range slashes() {
		names = append(names, s.name)
	}
	return names
}
