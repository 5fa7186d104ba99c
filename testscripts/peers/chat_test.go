//go:build unix

package peers

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A chatter is a person at a terminal of tmux's, in a chat with a peer.
type chatter struct {
	t      *testing.T
	tmux   string
	socket string
	home   *home
}

// chat begins a chat in which a peer is the transport.
func (h *home) chat(version string, r *remote) *chatter {
	h.t.Helper()
	return h.chatOver(append([]string{h.program, "chat", "--otr", version, "--"}, r.argv...)...)
}

// chatOver begins a chat by a command.
func (h *home) chatOver(command ...string) *chatter {
	h.t.Helper()
	folder, err := shortFolder()
	if err != nil {
		h.t.Fatal(err)
	}
	c := &chatter{t: h.t, tmux: program(h.t, "tmux", "tmux"), socket: filepath.Join(folder, "tmux"), home: h}
	h.t.Cleanup(func() {
		c.run("kill-server")
		os.RemoveAll(folder)
	})
	c.run(append([]string{"-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "40", "sh", "-c",
		`"$@"; echo "left with $?"; exec cat`, "sh"}, command...)...)
	return c
}

func (c *chatter) run(args ...string) string {
	cmd := exec.Command(c.tmux, append([]string{"-S", c.socket}, args...)...)
	cmd.Env = append(slices.Clone(c.home.env), "TERM=xterm", "LC_ALL=C.UTF-8")
	out, _ := cmd.CombinedOutput()
	return string(out)
}

func (c *chatter) enters(line string) {
	c.run("send-keys", "-l", line)
	c.run("send-keys", "Enter")
}

func (c *chatter) screen() string {
	return strings.TrimRight(c.run("capture-pane", "-p", "-S", "-"), "\n ")
}

func (c *chatter) sees(text string) {
	c.t.Helper()
	eventually(c.t, strconv.Quote(text)+" on the screen", func() bool { return strings.Contains(c.screen(), text) }, c.screen)
}

// prompted waits until the last line is an empty one behind this prompt.
func (c *chatter) prompted(prompt string) {
	c.t.Helper()
	eventually(c.t, "the prompt "+prompt, func() bool { return strings.HasSuffix(c.screen(), "\n"+prompt) }, c.screen)
}

// A person chats with every peer: texts both ways, other clients' HTML as text,
// a question that is answered; the peer ends the session, nothing is sent then,
// and another session follows.
func TestAPersonChatsWithEveryPeer(t *testing.T) {
	long(t)
	t.Parallel()
	eachPeer(t, func(t *testing.T, k *kind, version string) {
		h, r := newHome(t), newRemote(t, k, "--versions", version)
		c := h.chat(version, r)
		c.prompted("[peer new]")
		c.enters("Grüße, 你好, 🧅")
		c.sees("you: Grüße, 你好, 🧅")
		r.wait("text", 1)
		r.do("say", "cp <a> <b> &amp;") // it has sent no HTML so far
		c.sees("peer: cp <a> <b> &amp;")
		r.do("say", `<font color="red">it is</font> &lt;late&gt;`)
		c.sees("peer: it is <late>")
		r.do("say", "use #include <stdio.h> and a<b && c>d &amp; <Enter> <b>it</b>")
		c.sees("peer: use #include <stdio.h> and a<b && c>d & <Enter> it")
		r.do("say", `see <a href="https://example.com/">here</a> <img src="s.png" alt=":)">`)
		c.sees("peer: see here (https://example.com/) :)")
		c.enters("use #include <stdio.h> and a<b && c>d &amp; <Enter> <b>")
		r.wait("text", 2)
		r.do("say", "two\nlines \x1b[31m")
		c.sees("peer: two\n              lines \\x1b[31m")

		c.enters("/smp")
		c.sees("(it is not shown):")
		c.enters("sesame")
		r.wait("smp_asked", 1)
		r.do("answer", "sesame")
		c.prompted("[peer verified]")

		r.do("end")
		c.sees("the peer ended the session")
		c.prompted("[peer unencrypted]")
		c.enters("in confidence")
		c.sees("not sent: there is no session")
		c.enters("/refresh")
		r.wait("secure", 2)
		c.prompted("[peer verified]") // with the key that was proved
		c.enters("the last word")
		r.wait("text", 3)
		if got, want := r.texts(), []string{"Grüße, 你好, 🧅", "use #include &lt;stdio.h&gt; and a&lt;b &amp;&amp; c&gt;d &amp;amp; &lt;Enter&gt; &lt;b&gt;", "the last word"}; !slices.Equal(got, want) {
			t.Errorf("%s received %q", k.name, got)
		}
		c.enters("/quit")
		r.wait("ended", 1)
		c.sees("left with 0")
	})
}
