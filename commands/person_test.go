package commands

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	_ "unsafe" // for go:linkname

	"otrpipe/commands/internal/exit"
)

// usualWorkFactor is the cost of guessing a passphrase of a new identity, which the tests
// lower from one second to a millisecond. A test of package keyfile holds the real one.
//
//go:linkname usualWorkFactor otrpipe/keyfile.usualWorkFactor
var usualWorkFactor int

func init() { usualWorkFactor = 8 }

// A person is a home, and a folder for what the program reads and writes.
type person struct {
	t      *testing.T
	home   string
	folder string
}

// newPerson has identities with these names.
func newPerson(t *testing.T, identities ...string) *person {
	t.Helper()
	for _, variable := range []string{"OTRPIPE_IDENTITY", "OTRPIPE_PASSPHRASE", "OTRPIPE_NEW_PASSPHRASE", "OTRPIPE_HOME"} {
		t.Setenv(variable, "")
	}
	// The path of a socket has a hundred bytes or so, which t.TempDir may exceed.
	sockets, err := os.MkdirTemp("", "otr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sockets) })
	t.Setenv("XDG_RUNTIME_DIR", sockets)
	p := &person{t, filepath.Join(t.TempDir(), "home"), t.TempDir()}
	for _, name := range identities {
		p.run("keygen", "-i", name).is(exit.OK)
	}
	return p
}

// file writes a private file and returns its path.
func (p *person) file(name, content string) string {
	p.t.Helper()
	path := filepath.Join(p.folder, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// A result is what a run of the program came to.
type result struct {
	t           *testing.T
	line        string
	code        int
	out, errors string
}

// run runs the program with nothing to read.
func (p *person) run(args ...string) *result {
	p.t.Helper()
	return p.reading("", args...)
}

// reading runs the program with a file of this content as its standard input.
func (p *person) reading(input string, args ...string) *result {
	p.t.Helper()
	return p.writing(nil, input, args...)
}

// writing is reading with this standard output; nil: a file, whose content is the answer.
func (p *person) writing(out *os.File, input string, args ...string) *result {
	p.t.Helper()
	var files [3]*os.File
	for i := range files {
		f, err := os.Create(filepath.Join(p.t.TempDir(), "stream"))
		if err != nil {
			p.t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	if _, err := io.WriteString(files[0], input); err != nil {
		p.t.Fatal(err)
	}
	if _, err := files[0].Seek(0, io.SeekStart); err != nil {
		p.t.Fatal(err)
	}
	if out == nil {
		out = files[1]
	}
	code := Run(append([]string{programName, "--home", p.home}, args...), 0, files[0], out, files[2])
	r := &result{t: p.t, line: strings.Join(args, " "), code: code}
	for i, text := range []*string{&r.out, &r.errors} {
		b, err := os.ReadFile(files[i+1].Name())
		if err != nil {
			p.t.Fatal(err)
		}
		*text = string(b)
	}
	return r
}

// is fails the test unless the exit code is this one.
func (r *result) is(code int) *result {
	r.t.Helper()
	if r.code != code {
		r.t.Errorf("otrpipe %s: exit code %d, not %d; %s", r.line, r.code, code, r.errors)
	}
	return r
}

// answers fails the test unless standard output matches.
func (r *result) answers(pattern string) *result {
	r.t.Helper()
	if !regexp.MustCompile("(?m)" + pattern).MatchString(r.out) {
		r.t.Errorf("otrpipe %s answers %q, without a match for %s", r.line, r.out, pattern)
	}
	return r
}

// says fails the test unless standard error matches.
func (r *result) says(pattern string) *result {
	r.t.Helper()
	if !regexp.MustCompile("(?m)" + pattern).MatchString(r.errors) {
		r.t.Errorf("otrpipe %s says %q, without a match for %s", r.line, r.errors, pattern)
	}
	return r
}

// saysNothing fails the test unless standard error is empty.
func (r *result) saysNothing() *result {
	r.t.Helper()
	if r.errors != "" {
		r.t.Errorf("otrpipe %s says %q", r.line, r.errors)
	}
	return r
}

// refused fails the test unless nothing was answered and the exit code is this one.
func (r *result) refused(code int, pattern string) {
	r.t.Helper()
	r.is(code).says(pattern)
	if r.out != "" {
		r.t.Errorf("otrpipe %s is refused and answers %q", r.line, r.out)
	}
}

// json reads the answer, which is one JSON document.
func (r *result) json(into any) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(r.out), into); err != nil {
		r.t.Fatalf("otrpipe %s answers %q: %v", r.line, r.out, err)
	}
}
