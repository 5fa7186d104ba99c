//go:build unix

package testscripts

import (
	"os"
	"os/exec"
	"regexp"
	"testing"

	"otrpipe/testscripts/slowtest"
)

// TestTheDemoShowsWhatItPromises runs scripts/demo as a newcomer would.
func TestTheDemoShowsWhatItPromises(t *testing.T) {
	slowtest.Skip(t)
	if testing.Short() {
		t.Skip("short: a large tree takes its time")
	}
	t.Parallel()
	folder := t.TempDir()
	cmd := exec.Command("../scripts/demo")
	cmd.Env = append(os.Environ(), "TMPDIR="+folder)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`alice  [0-9A-F]{8}( [0-9A-F]{8}){3}\n( {9}[0-9A-F]{8}( [0-9A-F]{8})+\n){3}`,
		`bob    [0-9A-F]{8}( [0-9A-F]{8}){3}\n( {9}[0-9A-F]{8}( [0-9A-F]{8})+\n){3}`,
		`a tar of [0-9]{3,} MB`,
		`query +\?OTRv4\?\n.*Identity +\?OTR:AAQ1.*\n.*Auth-R +\?OTR:AAQ2.*\n.*Auth-I +\?OTR:AAQ3.*\n`,
		`alice to bob +data message +\?OTR:AAQD.*\n.*bob to alice +data message +\?OTR:AAQD`,
		`tree +([0-9a-f]{64})\n +tree +[0-9a-f]{64}\n +program +[0-9a-f]{64}\n`,
		`Both ways bit for bit`,
	} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("it does not show %s", want)
		}
	}
	left, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("it left %v behind", left)
	}
}

// TestTheTourOfDeniabilityShowsEachStep runs scripts/deniability as a newcomer would.
func TestTheTourOfDeniabilityShowsEachStep(t *testing.T) {
	slowtest.Skip(t)
	long(t)
	t.Parallel()
	folder := t.TempDir()
	cmd := exec.Command("../scripts/deniability")
	cmd.Env = append(os.Environ(), "TMPDIR="+folder)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`the keys of this session are being written to`,
		`3\. With Alice's keys everything can be read\n    Meet me at the bridge at noon\.\n    Come alone\.\n    I will be there\.\n`,
		`\n    Meet me at the bridge at nine\.\n`,
		`\n    I have never met you\.\n`,
		`sigma check +valid\n(.*\n)*.*sigma check +valid\n`,
		`authenticates +message 4\n`,
		`What a judge can conclude`,
	} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("it does not show %s", want)
		}
	}
	if regexp.MustCompile(`invalid|cannot be read`).Match(out) {
		t.Error("a check of the toolkit failed")
	}
	left, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("it left %v behind", left)
	}
}
