//go:build unix

package commands

import (
	"os"
	"path/filepath"
	"testing"

	"otrpipe/commands/internal/exit"
)

// closedPipe is the exit code for an output that nobody reads any more.
const closedPipe = 141

// An unwritable is a standard output that takes nothing.
type unwritable struct {
	code int    // the exit code that it leads to
	says string // what the program says of it
	file *os.File
}

// unwritables are a full disk, and a pipe whose reader has gone.
func unwritables(t *testing.T) []unwritable {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	t.Cleanup(func() { w.Close() })
	all := []unwritable{{closedPipe, "writing the output: broken pipe", w}}
	if full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0); err == nil {
		t.Cleanup(func() { full.Close() })
		all = append(all, unwritable{exit.Failure, "writing the output: no space left on device", full})
	}
	return all
}

func TestACommandThatChangesNothingSaysWhyItsOutputIsNotWritten(t *testing.T) {
	for _, out := range unwritables(t) {
		p := newPerson(t, "default")
		for _, args := range [][]string{{"fingerprint"}, {"keys", "list", "--json"}, {"--help"}, {"completion", "bash"}, {"toolkit", "mackey", "00112233445566778899aabbccddeeff"}} {
			p.writing(out.file, "", args...).is(out.code).says("^otrpipe: " + out.says + "$")
		}
	}
}

// Keys that were made stay, and the user is told so: the command cannot be repeated.
func TestAnIdentityWhoseKeysCannotBePrintedIsThereAndTheUserIsTold(t *testing.T) {
	libotr := newPerson(t, "default").run("keys", "export", "--format", "libotr").is(exit.OK).out
	for _, out := range unwritables(t) {
		p := newPerson(t)
		key := p.file("otr.private_key", libotr)
		p.writing(out.file, "", "keygen").is(out.code).
			says("^otrpipe: " + out.says + `; identity "default" has been made all the same\notrpipe: hint: otrpipe fingerprint shows its keys$`)
		p.run("fingerprint").is(exit.OK).answers("^OTRv3 .*\nOTRv4 ")
		p.writing(out.file, "", "keygen", "-i", "work", "--json").is(out.code).says("hint: otrpipe fingerprint -i work shows its keys$")
		p.run("fingerprint", "-i", "work").is(exit.OK)
		p.writing(out.file, "", "keys", "import", key, "-i", "old").is(out.code).
			says(out.says + `; identity "old" has been imported all the same\notrpipe: hint: otrpipe fingerprint -i old shows its keys$`)
		p.run("fingerprint", "-i", "old").is(exit.OK)
		// This can be repeated.
		p.writing(out.file, "", "keys", "upgrade", "-i", "old").is(out.code).says(out.says + `; identity "old" has its keys of version 4 all the same$`)
		p.run("keys", "upgrade", "-i", "old").is(exit.OK).answers("^OTRv4 ")
	}
}

// Prekeys that nobody got do not count, so publish can be repeated.
func TestPrekeysThatCannotBeWrittenAreNotPublished(t *testing.T) {
	p := newPerson(t, "default")
	p.run("prekeys", "publish", "-n", "1").is(exit.OK)
	for _, out := range unwritables(t) {
		p.writing(out.file, "", "prekeys", "publish", "-n", "3").is(out.code).says("^otrpipe: " + out.says + "; no prekey is published$")
	}
	p.run("prekeys", "publish", "-o", filepath.Join(p.folder, "none", "ensembles")).refused(exit.KeyFile, "no such file or directory; no prekey is published$")
	p.run("prekeys", "list").is(exit.OK).answers("\\A1 prekey for anybody, until .*\n\\z")
}

// An export that fails leaves nothing behind that is in the way of the next one.
func TestAnExportWhoseKeysCannotBeWrittenWritesNoTagsEither(t *testing.T) {
	p := newPerson(t, "default")
	file, tags := filepath.Join(p.folder, "otr.private_key"), filepath.Join(p.folder, "otr.instance_tags")
	export := []string{"keys", "export", "--format", "libotr", "--instance-tags"}
	for _, out := range unwritables(t) {
		p.writing(out.file, "", append(export, tags)...).is(out.code).says("^otrpipe: " + out.says + "$")
	}
	p.run(append(export, tags, "-o", filepath.Join(p.folder, "none", "keys"))...).refused(exit.KeyFile, "no such file or directory")
	p.run(append(export, tags, "-o", p.file("there", ""))...).refused(exit.KeyFile, "there exists already")
	p.run(append(export, p.file("these", ""), "-o", file)...).refused(exit.KeyFile, "these exists already")
	p.run(append(export, filepath.Join(p.folder, "none", "tags"), "-o", file)...).
		refused(exit.KeyFile, `the keys are exported, but not the instance tag: .*\n.*hint: with --force, the same command writes both$`)
	p.run(append(export, tags, "-o", file)...).refused(exit.KeyFile, "exists already")
	p.run(append(export, tags, "-o", file, "--force")...).is(exit.OK)
}
