package otrv4

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otrpipe/testscripts/peers/python"
)

// A pythonPeer is one process of serve.py, which runs commands of offline.py in its folder.
// It is for one goroutine.
type pythonPeer struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
	cmd *exec.Cmd
}

func newPythonPeer(t *testing.T, folder string) *pythonPeer {
	t.Helper()
	script, err := filepath.Abs("serve.py")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python.Need(t), script)
	cmd.Dir, cmd.Stderr = folder, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		kill := time.AfterFunc(peerTime, func() { cmd.Process.Kill() })
		defer kill.Stop()
		cmd.Wait()
	})
	return &pythonPeer{t: t, in: in, out: bufio.NewReader(out), cmd: cmd}
}

// run runs one command of offline.py. The events are what it wrote to standard error.
func (p *pythonPeer) run(input []byte, args ...string) (outcome, []event) {
	p.t.Helper()
	kill := time.AfterFunc(peerTime, func() { p.cmd.Process.Kill() })
	defer kill.Stop()
	request, err := json.Marshal(map[string]any{"args": args, "input": string(input)})
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.in.Write(append(request, '\n')); err != nil {
		p.t.Fatal(err)
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		p.t.Fatalf("offline.py %s: %v", strings.Join(args, " "), err)
	}
	var answer struct {
		Status         int
		Stdout, Stderr string
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		p.t.Fatal(err)
	}
	var events []event
	for _, line := range strings.Split(strings.TrimSpace(answer.Stderr), "\n") {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err == nil {
			events = append(events, e)
		}
	}
	return outcome{answer.Status, []byte(answer.Stdout), answer.Stderr}, events
}
