package torture

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A usage is what a process uses at one moment.
type usage struct{ memory, descriptors, threads int } // memory in KiB, of the machine's

func usageOf(pid int) (u usage, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	for line := range bytes.Lines(status) {
		fmt.Sscanf(string(line), "VmRSS: %d kB", &u.memory)
		fmt.Sscanf(string(line), "Threads: %d", &u.threads)
	}
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	u.descriptors = len(descriptors)
	return u, err
}

// A meter measures a process again and again.
type meter struct {
	process *process
	stop    chan struct{}
	done    sync.WaitGroup
	samples []usage // valid after end
}

// measure begins to measure a process, 200 times within the time of a test.
func measure(p *process) *meter {
	m := &meter{process: p, stop: make(chan struct{})}
	m.done.Go(func() {
		tick := time.NewTicker(max(*duration/200, 20*time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if u, err := usageOf(p.cmd.Process.Pid); err == nil && u.memory > 0 {
					m.samples = append(m.samples, u)
				}
			case <-m.stop:
				return
			}
		}
	})
	return m
}

// How much more a process may use in the last third of a test than in the one before. Memory that
// is freed is given back to the system after minutes, and every system call that takes long may
// need a thread.
const (
	maxMoreMemory      = 12 << 10 // KiB
	maxMoreDescriptors = 4
	maxMoreThreads     = 6
)

// fewestSamples are enough to compare.
const fewestSamples = 12

// end ends measuring.
func (m *meter) end() {
	close(m.stop)
	m.done.Wait()
}

// flat checks that the process does not use more and more.
func (m *meter) flat() {
	t := m.process.w.t
	t.Helper()
	if len(m.samples) < fewestSamples {
		t.Errorf("%s was measured only %d times", m.process.name, len(m.samples))
		return
	}
	median := func(samples []usage, what func(usage) int) int {
		values := make([]int, len(samples))
		for i, u := range samples {
			values[i] = what(u)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	third := len(m.samples) / 3
	for _, what := range []struct {
		name string
		more int
		of   func(usage) int
	}{
		{"KiB of memory", maxMoreMemory, func(u usage) int { return u.memory }},
		{"descriptors", maxMoreDescriptors, func(u usage) int { return u.descriptors }},
		{"threads", maxMoreThreads, func(u usage) int { return u.threads }},
	} {
		before, after := median(m.samples[third:2*third], what.of), median(m.samples[2*third:], what.of)
		t.Logf("%s: %d %s, later %d", m.process.name, before, what.name, after)
		if after > before+what.more {
			t.Errorf("%s: %d %s in the second third of the time, %d in the last", m.process.name, before, what.name, after)
		}
	}
}

// A flow is what one end has to say to the other, and checks that it arrives.
type flow struct {
	mu      sync.Mutex
	pending []byte // has been sent, and has not arrived
	total   int
}

// feed writes lines until stop is closed, and closes the input.
func (f *flow) feed(input io.WriteCloser, random *rand.Rand, stop <-chan struct{}) error {
	defer input.Close()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return nil
		case <-time.After(time.Duration(random.IntN(50)) * time.Millisecond):
		}
		var text []byte
		for range 1 + random.IntN(20) {
			text = fmt.Appendf(text, "%s line %d %0*x\n", marker, n, random.IntN(200), random.Uint64())
		}
		f.mu.Lock()
		f.pending = append(f.pending, text...)
		f.total += len(text)
		f.mu.Unlock()
		if _, err := input.Write(text); err != nil {
			return err
		}
	}
}

// Write takes what has arrived.
func (f *flow) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !bytes.HasPrefix(f.pending, p) {
		return 0, fmt.Errorf("%.100q arrived, %.100q was sent", p, f.pending)
	}
	f.pending = append([]byte(nil), f.pending[len(p):]...)
	return len(p), nil
}

var ssid = regexp.MustCompile(`"ssid": *"[0-9a-f]+"`)

// TestLongSessionsUseNoMoreAndMore lets sessions run in which both ends talk all the time, and
// asks random things of them.
func TestLongSessionsUseNoMoreAndMore(t *testing.T) {
	t.Parallel()
	for _, session := range []struct {
		name  string
		flags []string
	}{
		{"stream in version 4", []string{"--otr", "4"}},
		{"stream in version 3", []string{"--otr", "3"}},
		{"lines", []string{"--mode", "lines", "--linger", "3s"}},
	} {
		t.Run(session.name, func(t *testing.T) {
			t.Parallel()
			soak(t, newWorld(t), session.flags)
		})
	}
}

func soak(t *testing.T, w *world, flags []string) {
	t.Logf("seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	w.write("secret", []byte("Lisbon"))
	w.write("other", []byte("Porto"))
	relay := newRelay(t)
	addresses := relay.join()
	var ends [2]*process
	var flows [2]flow
	var meters [2]*meter
	var inputs [2]io.WriteCloser
	stop := make(chan struct{})
	for i, name := range []string{"alice", "bob"} {
		cmd := w.command(append([]string{"connect", "-i", name, "-s", name, "--heartbeat", "300ms", "--tcp", addresses[i]}, flags...)...)
		cmd.Stdout = &flows[1-i]
		var err error
		if inputs[i], err = cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		ends[i] = w.start(name, cmd)
	}
	for _, end := range ends {
		if !w.says(end, "secure with") {
			t.Fatal(end.describe())
		}
	}
	var fed sync.WaitGroup
	for i := range ends {
		choices := rand.New(rand.NewPCG(*seed, uint64(i+1)))
		fed.Go(func() {
			if err := flows[i].feed(inputs[i], choices, stop); err != nil {
				t.Errorf("%s takes nothing more: %v", ends[i].name, err)
			}
		})
		meters[i] = measure(ends[i])
	}

	done := make(map[string]int)
	wrong := false // the last comparison has failed, which delays the next until one succeeds
	for begun := time.Now(); time.Since(begun) < *duration && !t.Failed(); time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond) {
		i := random.IntN(2)
		us, them := ends[i].name, ends[1-i].name
		what := []string{"status", "refresh", "extra-key", "smp", "other secrets", "abort"}[random.IntN(6)]
		if wrong && what == "other secrets" {
			what = "smp"
		}
		done[what]++
		asks := func(want int, args ...string) {
			p := w.run("request", w.command(args...))
			if p.code != want {
				t.Errorf("%s: exit %d instead of %d", p.describe(), p.code, want)
			}
		}
		switch what {
		case "status":
			asks(0, "status", "-i", us, "-s", us, "--json")
		case "refresh":
			asks(0, "refresh", "-i", us, "-s", us)
			// The other end may have the new keys a moment later, and a comparison that begins before that is aborted.
			sessionOf := func(name string) string {
				return string(ssid.Find(w.must("status", "-i", name, "-s", name, "--json")))
			}
			for late := time.Now().Add(patience); sessionOf(us) != sessionOf(them); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(late) {
					t.Fatal("after a refresh the two ends have different sessions")
				}
			}
		case "extra-key":
			asks(0, "extra-key", "-i", us, "-s", us, "--use", fmt.Sprint(random.Uint32()))
		case "smp", "other secrets":
			secrets, want := [2]string{"secret", "secret"}, 0
			if what != "smp" {
				secrets[1], want = "other", 4
			}
			asking := w.start("asking", w.command("smp", "-i", us, "-s", us, "--secret-file", w.path(secrets[0])))
			answering := w.start("answering", w.command("smp", "-i", them, "-s", them, "--secret-file", w.path(secrets[1])))
			for _, p := range []*process{asking, answering} {
				if p.finish() != want {
					t.Errorf("%s: exit %d instead of %d", p.describe(), p.code, want)
				}
			}
			wrong = what != "smp"
		case "abort":
			p := w.run("abort", w.command("smp", "-i", us, "-s", us, "--abort"))
			if p.code > 8 {
				t.Error(p.describe())
			}
		}
		// What has been carried so far has been looked at.
		for _, wire := range relay.wires {
			wire.check(t, false)
		}
	}
	close(stop)
	fed.Wait()
	for _, m := range meters {
		m.end()
		m.flat()
	}
	for _, end := range ends {
		if end.finish() != 0 {
			t.Error(end.describe())
		}
	}
	for i := range flows {
		if n := len(flows[i].pending); n != 0 {
			t.Errorf("%d of %d bytes from %s have not arrived", n, flows[i].total, ends[i].name)
		}
		t.Logf("%s has sent %d bytes", ends[i].name, flows[i].total)
	}
	t.Logf("what was asked for: %v", done)
	relay.check(false)
}

// says waits until a program says something. It returns false if it ends without that.
func (w *world) says(p *process, text string) bool {
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(10 * time.Millisecond) {
		ended := p.ended()
		if bytes.Contains([]byte(p.errors()), []byte(text)) {
			return true
		}
		if ended {
			return false
		}
	}
	return false
}

// mostCallers is how many callers come at once.
const mostCallers = 3

// TestAServerOfManyCallersUsesNoMoreAndMore has callers come and go all the time.
func TestAServerOfManyCallersUsesNoMoreAndMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := w.start("server", w.command("serve", "-i", "bob", "--listen", "127.0.0.1:0",
		"--events", w.path("events"), "--", "sh", "-c", `exec cat "$0" -`, w.write("greeting", []byte("hello\n"))))
	address := w.listening("events", server)
	meter := &meter{process: server}
	idle, err := usageOf(server.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	callers := 0
	rounds(t, 1, func(n int, random *rand.Rand) {
		var some []*process
		for i := range 1 + random.IntN(mostCallers) {
			name := fmt.Sprintf("caller-%d", i)
			w.write("sent-"+name, []byte("how are you?\n"))
			some = append(some, w.start(name, w.from("sent-"+name,
				w.command("connect", "--ephemeral", "--tcp", address, "--otr", []string{"3", "4"}[random.IntN(2)]))))
		}
		for _, caller := range some {
			callers++
			if caller.finish() != 0 || string(caller.output()) != "hello\nhow are you?\n" {
				t.Errorf("%s: %q", caller.describe(), caller.output())
			}
		}
		// Without callers it uses as many descriptors as before, but for the pipes that Go
		// keeps for its next copies, two for each direction of a caller.
		for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			now, err := usageOf(server.cmd.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			if now.descriptors <= idle.descriptors+4*mostCallers {
				meter.samples = append(meter.samples, now)
				break
			}
			if time.Since(begun) > patience {
				t.Fatalf("%s: %d descriptors, before the first caller %d", server.describe(), now.descriptors, idle.descriptors)
			}
		}
	})
	if len(meter.samples) >= fewestSamples {
		meter.flat()
	}
	t.Logf("%d callers", callers)
	syscall.Kill(server.cmd.Process.Pid, syscall.SIGTERM)
	if code := server.finish(); code != 143 {
		t.Errorf("%s: exit code %d after SIGTERM", server.describe(), code)
	}
}
