//go:build unix

package testscripts

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// startSSHD starts an sshd on loopback that lets in only a key made for this
// script, and sets VAR to its port: `sshd VAR`. Below $WORK/ssh it leaves config,
// with which `ssh -F ssh/config loopback` logs in. Commands run there find the
// programs and the folders of the script.
func startSSHD(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sshd VAR")
	}
	server, err := findProgram("sshd")
	ts.Check(err)
	server, err = filepath.Abs(server) // sshd runs itself again and insists
	ts.Check(err)
	person, err := user.Current()
	ts.Check(err)
	if person.Uid == "0" {
		// Where no init has made it, its unprivileged half has nowhere to live.
		ts.Check(os.MkdirAll("/run/sshd", 0o755))
	}

	freePort(ts, false, args)
	port := ts.Getenv(args[0])
	folder := ts.MkAbs("ssh")
	ts.Check(os.MkdirAll(folder, 0o700))
	in := func(name string) string { return filepath.Join(folder, name) }
	for _, key := range []string{"host", "client"} {
		made, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", in(key)).CombinedOutput()
		if err != nil {
			ts.Fatalf("ssh-keygen: %v: %s", err, made)
		}
	}
	host, err := os.ReadFile(in("host.pub"))
	ts.Check(err)

	var environment []string
	for _, name := range []string{"PATH", "HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "TMPDIR"} {
		environment = append(environment, fmt.Sprintf("%s=%q", name, ts.Getenv(name)))
	}
	write := func(name string, lines ...string) {
		ts.Check(os.WriteFile(in(name), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	}
	write("known_hosts", fmt.Sprintf("[127.0.0.1]:%s %s", port, strings.TrimSpace(string(host))))
	write("sshd_config",
		"ListenAddress 127.0.0.1:"+port,
		"HostKey "+in("host"),
		"AuthorizedKeysFile "+in("client.pub"),
		"PidFile none",
		"UsePAM no",
		"StrictModes no",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"PermitRootLogin prohibit-password",
		"SetEnv "+strings.Join(environment, " "),
	)
	write("config",
		"Host loopback",
		"HostName 127.0.0.1",
		"Port "+port,
		"User "+person.Username,
		"IdentityFile "+in("client"),
		"IdentitiesOnly yes",
		"IdentityAgent none",
		"BatchMode yes",
		"StrictHostKeyChecking yes",
		"UserKnownHostsFile "+in("known_hosts"),
		"GlobalKnownHostsFile none",
	)

	log, err := os.OpenFile(in("log"), os.O_WRONLY|os.O_CREATE, 0o600)
	ts.Check(err)
	defer log.Close()
	cmd := exec.Command(server, "-D", "-e", "-f", in("sshd_config"))
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ts.Check(cmd.Start())
	one := &process{cmd: cmd, done: make(chan struct{}), out: os.DevNull, errs: in("log")}
	go func() {
		one.err = cmd.Wait()
		close(one.done)
	}()
	ts.Check(ts.Value(processesKey{}).(*processes).add("sshd", one))
	waitPort(ts, false, []string{port})
}
