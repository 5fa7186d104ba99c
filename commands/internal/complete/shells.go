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

// The shells that can ask.
const (
	Bash = "bash"
	Zsh  = "zsh"
	Fish = "fish"
)

// Answer answers a shell: args are its name and what has been typed. In bash that
// is the text that completion is to replace and the line up to the cursor, in fish
// that line, in zsh the words after the program's name, the last of them as far
// as it goes. The answer is one line for the shell,
//
//	words            nothing but what follows
//	files PREFIX     a file, behind the prefix
//	folders PREFIX   a folder, behind the prefix
//	command N        a command line of its own, from word N (0 is the first);
//	                 in fish, that line in place of N
//
// and then the words that can come, one a line, a tabulator and its meaning
// behind it except for bash. It is empty for what cannot be understood.
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

// withMeanings is the answer for shells that show what a word means.
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

// bash answers bash, which gives the line as it was typed, and wants
// words as they are to stand there in place of its last part.
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

// programsIn are the programs of $PATH whose names begin with prefix, where
// bash has nothing better to complete a command line with.
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
