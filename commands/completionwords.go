package commands

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/session"
	"otrpipe/keyfile"
	"otrpipe/otr/keys"
)

// completionWait is how long completion waits for a live session to say its
// name: less than a person notices. One that was stopped says nothing.
const completionWait = 200 * time.Millisecond

// What a shell is to offer besides words; see completeCommand.
const (
	actionWords   = "words"
	actionFiles   = "files"
	actionFolders = "folders"
	actionCommand = "command"
)

// A found completion is what can come next.
type completion struct {
	action  string
	command int // index of the word that begins a command line of its own; -1: none
	words   []completionWord
}

type completionWord struct{ text, means string }

// complete reads all words but the last and returns what the last can become.
func complete(c *cli.Context, words []string) completion {
	t := typed{c: c, app: c.App, commands: c.App.Commands, nested: -1, given: map[string]bool{}}
	last := words[len(words)-1]
	for i, word := range words[:len(words)-1] {
		if !t.read(i, word) {
			return completion{action: actionWords, command: -1}
		}
	}
	found := t.next(len(words)-1, last)
	found.words = slices.DeleteFunc(found.words, func(w completionWord) bool { return !strings.HasPrefix(w.text, last) })
	return found
}

// typed is a command line as far as it has been typed. Like an ordering it
// takes flags wherever they stand, but it refuses nothing.
type typed struct {
	c        *cli.Context
	app      *cli.App
	path     []string
	command  *cli.Command
	commands []*cli.Command

	given   map[string]bool // flags by first name
	home    string
	waits   cli.Flag // it has no value yet
	dashes  bool     // no flag comes any more
	help    bool
	rest    []string // arguments
	nested  int      // where COMMAND begins; -1: nowhere yet
	contact string
}

// read takes word i; false: it means nothing here.
func (t *typed) read(i int, word string) bool {
	switch {
	case t.nested >= 0:
	case t.waits != nil:
		t.value(t.waits, word)
		t.waits = nil
	case t.dashes:
		t.rest = append(t.rest, word)
	case word == "--":
		t.dashes = true
		if t.takesCommand() {
			t.nested = i + 1
		}
	case len(word) > 1 && word[0] == '-':
		name, value, hasValue := strings.Cut(word, "=")
		f := t.flag(strings.TrimLeft(name, "-"))
		if f == nil {
			return false
		}
		t.given[f.Names()[0]] = true
		if takesValue(f) && hasValue {
			t.value(f, value)
		} else if takesValue(f) {
			t.waits = f
		}
	case word == "help" && t.namesCommand():
		t.help = true
	case t.namesCommand():
		return t.name(word)
	case t.takesCommand():
		t.nested = i
	default:
		t.rest = append(t.rest, word)
	}
	return true
}

func (t *typed) takesCommand() bool { return t.command != nil && t.command.ArgsUsage == ownArguments }

func (t *typed) namesCommand() bool { return len(t.commands) > 0 && len(t.rest) == 0 }

// name takes the name of a command.
func (t *typed) name(name string) bool {
	for _, c := range t.commands {
		if c.HasName(name) {
			t.command, t.commands = c, c.Subcommands
			t.path = append(t.path, c.Name)
			return true
		}
	}
	return false
}

// value notes what other completions depend on.
func (t *typed) value(f cli.Flag, value string) {
	if f.Names()[0] == flagHome {
		t.home = value
	}
}

func (t *typed) flags() []cli.Flag {
	flags := globalFlags(t.app)
	if t.command != nil {
		flags = append(slices.Clone(t.command.Flags), flags...)
	}
	return flags
}

func (t *typed) flag(name string) cli.Flag {
	for _, f := range t.flags() {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// next is what word i can become.
func (t *typed) next(i int, last string) completion {
	nothing := completion{action: actionWords, command: -1}
	switch {
	case t.nested >= 0:
		return completion{action: fmt.Sprintf("%s %d", actionCommand, t.nested), command: t.nested}
	case t.waits != nil:
		return t.valueOf(t.waits, "")
	case t.dashes:
		found, _ := t.argument()
		return found
	case strings.HasPrefix(last, "-") && strings.Contains(last, "="):
		name, _, _ := strings.Cut(last, "=")
		if f := t.flag(strings.TrimLeft(name, "-")); f != nil && takesValue(f) {
			return t.valueOf(f, name+"=")
		}
		return nothing
	case strings.HasPrefix(last, "-"):
		nothing.words = t.flagWords()
		return nothing
	case t.namesCommand():
		nothing.words = commandWords(t.commands)
		if !t.help {
			nothing.words = append(nothing.words, completionWord{"help", "explain a command"})
		}
		return nothing
	case t.help:
		return nothing
	case t.takesCommand() && last != "":
		return completion{action: fmt.Sprintf("%s %d", actionCommand, i), command: i}
	}
	found, known := t.argument()
	if !known && last == "" {
		found.words = t.flagWords()
	}
	return found
}

func commandWords(commands []*cli.Command) []completionWord {
	var words []completionWord
	for _, c := range commands {
		if !c.Hidden {
			words = append(words, completionWord{c.Name, c.Usage})
		}
	}
	return words
}

// flagWords are the flags that can still be given, by their long names.
func (t *typed) flagWords() []completionWord {
	var words []completionWord
	for _, f := range t.flags() {
		if !visible(f) || t.given[f.Names()[0]] && !repeats(f) {
			continue
		}
		_, usage := placeholder(f.(cli.DocGenerationFlag).GetUsage())
		for _, name := range f.Names() {
			if len(name) > 1 {
				words = append(words, completionWord{dashed(name), usage})
			}
		}
	}
	if t.takesCommand() {
		words = append(words, completionWord{"--", "COMMAND follows"})
	}
	return words
}

// What can stand as a value or an argument.
type completer func(t *typed) completion

func theseWords(texts ...string) completer {
	return func(*typed) completion {
		found := completion{action: actionWords, command: -1}
		for _, text := range texts {
			found.words = append(found.words, completionWord{text, ""})
		}
		return found
	}
}

func files(*typed) completion { return completion{action: actionFiles, command: -1} }

func folders(*typed) completion { return completion{action: actionFolders, command: -1} }

func theWords(list func(t *typed) []completionWord) completer {
	return func(t *typed) completion {
		return completion{action: actionWords, command: -1, words: list(t)}
	}
}

// flagValueWords says of every flag what its value can be; nil is what only the
// user knows.
var flagValueWords = map[string]completer{
	flagHome:                    folders,
	flagIdentity:                theWords((*typed).identities),
	flagIdentityFile:            files,
	flagPassphrase + "-file":    files,
	flagPassphrase + "-fd":      nil,
	flagNewPassphrase + "-file": files,
	flagNewPassphrase + "-fd":   nil,
	flagSMPSecret + "-file":     files,
	flagSMPSecret + "-fd":       nil,
	flagSMPQuestion:             nil,
	flagSecret + "-file":        files,
	flagSecret + "-fd":          nil,
	flagQuestion:                nil,
	flagSession:                 theWords((*typed).sessions),
	flagContact:                 theWords((*typed).contacts),
	flagTrust:                   theseWords(trustNew, trustKnown, trustVerified),
	flagExpect:                  theWords((*typed).fingerprints),
	flagOTR:                     theWords((*typed).versions),
	flagMode:                    theseWords(modeStream, modeLines),
	flagHTML:                    theseWords(htmlRaw, htmlText),
	flagAccount:                 nil,
	flagPeerAccount:             nil,
	flagProtocol:                nil,
	flagMaxSize:                 nil,
	flagPad:                     nil,
	flagTimeout:                 nil,
	flagHeartbeat:               nil,
	flagExpire:                  nil,
	flagDead:                    nil,
	flagLinger:                  nil,
	flagEvents:                  files,
	flagFormat:                  theseWords(keyfile.FormatLibotr, keyfile.FormatOTRPipe),
	flagOutput:                  files,
	flagInstanceTags:            files,
	flagUse:                     nil,
	flagData:                    nil,
}

// argumentWords says of a command, by its path, what its arguments can be.
var argumentWords = map[string][]completer{
	"keys remove":       {theWords((*typed).identities)},
	"keys import":       {files},
	"contacts add":      {theWords((*typed).contacts)},
	"contacts trust":    {theWords((*typed).contacts), theWords((*typed).fingerprints)},
	"contacts distrust": {theWords((*typed).contacts), theWords((*typed).fingerprints)},
	"contacts remove":   {theWords((*typed).contacts), theWords((*typed).fingerprints)},
	"contacts rename":   {theWords((*typed).contacts)},
	"contacts import":   {files},
	"contacts export":   {files},
	"completion":        {theseWords(shellBash, shellZsh, shellFish)},
}

// valueOf is what the value of f can be; prefix is what stands before it in the
// same word.
func (t *typed) valueOf(f cli.Flag, prefix string) completion {
	what := flagValueWords[f.Names()[0]]
	if what == nil {
		return completion{action: actionWords, command: -1}
	}
	found := what(t)
	for i := range found.words {
		found.words[i].text = prefix + found.words[i].text
	}
	if found.action != actionWords && prefix != "" {
		found.action += " " + prefix
	}
	return found
}

// argument is what the next argument can be; false: there is none that is known.
func (t *typed) argument() (completion, bool) {
	list := argumentWords[strings.Join(t.path, " ")]
	if len(t.rest) >= len(list) {
		return completion{action: actionWords, command: -1}, false
	}
	if len(t.rest) > 0 {
		t.contact = t.rest[0]
	}
	return list[len(t.rest)](t), true
}

// homeOf is the home that the command line names.
func (t *typed) homeOf() *keyfile.Home {
	home := openHome(t.c)
	if rest, ok := strings.CutPrefix(t.home, "~/"); ok {
		if user, err := os.UserHomeDir(); err == nil {
			t.home = filepath.Join(user, rest)
		}
	}
	if t.home != "" {
		home = keyfile.Open(t.home)
	}
	home.Warn = nil
	return home
}

func (t *typed) identities() []completionWord {
	list, _ := t.homeOf().Publics()
	var words []completionWord
	for _, public := range list {
		words = append(words, completionWord{public.Name, "an identity"})
	}
	return words
}

func (t *typed) contacts() []completionWord {
	list, _ := t.homeOf().Contacts()
	var words []completionWord
	for _, contact := range list {
		words = append(words, completionWord{contact.Name, "a contact"})
	}
	return words
}

// fingerprints are those of the contact that the first argument names, or of
// all contacts.
func (t *typed) fingerprints() []completionWord {
	list, _ := t.homeOf().Contacts()
	var words []completionWord
	for _, contact := range list {
		if t.contact != "" && t.contact != contact.Name {
			continue
		}
		for _, key := range contact.Keys {
			words = append(words, completionWord{key.Fingerprint.Hex(), keyMeans(contact.Name, key.Fingerprint, key.Trust)})
		}
	}
	return words
}

func keyMeans(contact string, fp keys.Fingerprint, trust keyfile.Trust) string {
	return fmt.Sprintf("%s, OTRv%d, %v", contact, fp.OTR(), trust)
}

// versions are the usual values of --otr, of which a fingerprint has one only.
func (t *typed) versions() []completionWord {
	if len(t.path) > 0 && t.path[0] == "fingerprint" {
		return []completionWord{{"3", ""}, {"4", ""}}
	}
	return []completionWord{{"4", ""}, {"34", ""}, {"3", ""}, {"23", ""}, {"2", ""}, {"234", ""}}
}

// sessions are the live sessions that a command can have to do with: a half
// those that wait for it, a controller all of the home. Other ends need a name
// that no session has.
func (t *typed) sessions() []completionWord {
	role := ""
	switch name := t.command.Name; {
	case name == roleEncrypt || name == roleDecrypt:
		role = name
	case t.command.Category != groupCommandsLive:
		return nil
	}
	dir, err := session.Dir()
	if err != nil {
		return nil
	}
	home, err := realHome(t.homeOf().Dir())
	if err != nil {
		return nil
	}
	conns, _ := session.All(dir)
	var words []completionWord
	for _, conn := range conns {
		conn.SetDeadline(time.Now().Add(completionWait))
		if conn.Send(session.Request{Status: true}) == nil {
			reply, err := receiveReply(conn)
			if err == nil && reply.Status != nil && reply.Home == home && (role == "" || reply.Waits == otherRole(role)) {
				words = append(words, completionWord{reply.Status.Session, string(reply.Status.State)})
			}
		}
		conn.Close()
	}
	slices.SortFunc(words, func(a, b completionWord) int { return strings.Compare(a.text, b.text) })
	return slices.Compact(words)
}

// programsIn are the programs of $PATH whose names begin with prefix, where
// bash has nothing better to complete a command line with.
func programsIn(prefix string) []completionWord {
	var words []completionWord
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		entries, _ := os.ReadDir(folder)
		for _, entry := range entries {
			if strings.HasPrefix(entry.Name(), prefix) && isProgram(filepath.Join(folder, entry.Name())) {
				words = append(words, completionWord{entry.Name(), ""})
			}
		}
	}
	slices.SortFunc(words, func(a, b completionWord) int { return strings.Compare(a.text, b.text) })
	return slices.Compact(words)
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&fs.FileMode(0o111) != 0 &&
		!strings.ContainsFunc(path, unicode.IsControl)
}
