package complete

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/urfave/cli/v2"
)

// The supported shells.
const (
	Bash = "bash"
	Zsh  = "zsh"
	Fish = "fish"
)

// Answer returns the completions for a shell. args are the shell's name and what has been typed:
// in bash, the text that completion will replace, and the line up to the cursor; in fish, that
// line; in zsh, the words after the program's name, of which the last may be unfinished. The
// answer begins with one line for the shell,
//
//	words            nothing but what follows
//	files PREFIX     a file, behind the prefix
//	folders PREFIX   a folder, behind the prefix
//	command N        a command line of its own, from word N (0 is the first);
//	                 in fish, that line in place of N
//
// and goes on with the possible words, one per line, each followed by a tab and its description
// except for bash. The answer is empty if the input cannot be understood.
func (tables Tables) Answer(c *cli.Context, args []string) []byte {
	if len(args) < 2 {
		return nil
	}
	switch args[0] {
	case Bash:
		return bash(tables, c, args[1], strings.Join(args[2:], " "))
	case Zsh:
		return tables.next(c, args[1:]).withMeanings()
	case Fish:
		return fish(tables, c, args[1])
	}
	return nil
}

// fish answers fish, which quotes words itself.
func fish(tables Tables, c *cli.Context, line string) []byte {
	words, last := splitCommand(line)
	if len(words) == 0 {
		return nil
	}
	completion := tables.next(c, append(texts(words[1:]), last.text))
	if completion.command >= 0 {
		at := len(line) - len(last.raw)
		if i := completion.command + 1; i < len(words) {
			at = words[i].at
		}
		completion.Action = Command + " " + line[at:]
	}
	return completion.withMeanings()
}

func texts(words []lineWord) []string {
	var list []string
	for _, w := range words {
		list = append(list, w.text)
	}
	return list
}

// withMeanings returns the answer for shells that show descriptions of words.
func (completion Completion) withMeanings() []byte {
	answer := fmt.Appendf(nil, "%s\n", completion.Action)
	for _, w := range completion.Words {
		answer = append(answer, w.Text...)
		if w.Means != "" {
			answer = append(append(answer, '\t'), w.Means...)
		}
		answer = append(answer, '\n')
	}
	return answer
}

// bash returns the answer for bash, which passes the line as typed and inserts the words as they
// are in place of the line's last part.
func bash(tables Tables, c *cli.Context, part, line string) []byte {
	words, last := splitCommand(line)
	if len(words) == 0 || !strings.HasSuffix(last.raw, part) {
		return nil
	}
	completion := tables.next(c, append(texts(words[1:]), last.text))
	if completion.command >= 0 && completion.command == len(words)-1 && !strings.Contains(last.text, "/") {
		completion.Words = programsIn(last.text)
	}
	answer := fmt.Appendf(nil, "%s\n", completion.Action)
	before := unquoted(last.raw[:len(last.raw)-len(part)])
	for _, w := range completion.Words {
		rest, ok := strings.CutPrefix(w.Text, before)
		if !ok {
			continue
		}
		if rest, ok = quotedAs(last.quote, rest); ok {
			answer = append(append(answer, rest...), '\n')
		}
	}
	return answer
}

// programsIn lists the programs in $PATH whose names begin with prefix. It is for bash without a
// better completion for command lines.
func programsIn(prefix string) []Word {
	var words []Word
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		entries, _ := os.ReadDir(folder)
		for _, entry := range entries {
			if strings.HasPrefix(entry.Name(), prefix) && isProgram(filepath.Join(folder, entry.Name())) {
				words = append(words, Word{entry.Name(), ""})
			}
		}
	}
	slices.SortFunc(words, func(a, b Word) int { return strings.Compare(a.Text, b.Text) })
	return slices.Compact(words)
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&fs.FileMode(0o111) != 0 &&
		!strings.ContainsFunc(path, unicode.IsControl)
}
