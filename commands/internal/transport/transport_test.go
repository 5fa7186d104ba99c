package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

func TestAddressesAreReadInTheirCanonicalForm(t *testing.T) {
	for _, test := range []struct{ text, dial, listen string }{
		{"bobs.host:9000", "bobs.host:9000", "bobs.host:9000"},
		{"[::1]:09000", "[::1]:9000", "[::1]:9000"},
		{"127.0.0.1:9000", "127.0.0.1:9000", "127.0.0.1:9000"},
		{"9000", "", ":9000"},
		{":9000", "", ":9000"},
		{"127.0.0.1:0", "", "127.0.0.1:0"},
		{"0", "", ":0"},
		{"", "", ""},
		{"::1:9000", "", ""},
		{"bobs.host", "", ""},
		{"bobs.host:", "", ""},
		{"bobs.host:http", "", ""},
		{"bobs.host:65536", "", ""},
		{"bobs.host:-1", "", ""},
		{"bobs host:9000", "", ""},
	} {
		for want, read := range map[string]func(string) (string, error){"dial " + test.dial: DialAddress, "listen " + test.listen: ListenAddress} {
			kind, want, _ := strings.Cut(want, " ")
			got, err := read(test.text)
			if got != want || (err == nil) != (want != "") {
				t.Errorf("%q to %s: %q, %v; want %q", test.text, kind, got, err, want)
			}
			if again, err := read(got); want != "" && (again != got || err != nil) {
				t.Errorf("%q is read as %q, %v", got, again, err)
			}
		}
	}
}

func TestAnAddressWithoutAPortIsToldWhatItNeeds(t *testing.T) {
	for want, read := range map[string]func(string) (string, error){
		`"90o0" has no port: it needs HOST:PORT`:         DialAddress,
		`"90o0" has no port: it needs PORT or HOST:PORT`: ListenAddress,
	} {
		if _, err := read("90o0"); err == nil || err.Error() != want {
			t.Errorf("%v; want %s", err, want)
		}
	}
}

func TestLocalhostNeedsNoFileOfNames(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost.": true, "a.localhost": true,
		"localhost.example": false, "notlocalhost": false, "": false, "127.0.0.1": false,
	} {
		if got := isLocalhost(host); got != want {
			t.Errorf("isLocalhost(%q) is %v", host, got)
		}
	}
	// No file of names has this one.
	const name = "otrpipe-test.localhost"
	l, _ := listen(t, name+":0")
	if !strings.HasPrefix(l.Address(), "127.0.0.1:") {
		t.Errorf("%s: it listens on %s", name, l.Address())
	}
	listeners := []*Listener{l}
	if probe, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Log("this machine has no IPv6")
	} else {
		probe.Close()
		l, _ := listen(t, "[::1]:0")
		listeners = append(listeners, l)
	}
	for _, l := range listeners {
		_, port, err := net.SplitHostPort(l.Address())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		conn, err := (&Dialer{Address: net.JoinHostPort(name, port)}).Dial(ctx)
		if err != nil {
			t.Errorf("%s, which is %s: %v", name, l.Address(), err)
			continue
		}
		conn.tcp.Close()
	}
}

// A dismissal is what a listener tells of a caller that it turns away.
type dismissal struct {
	why   error
	total int
}

// listen listens on a free port, and yields the callers that are turned away.
func listen(t *testing.T, address string) (*Listener, <-chan dismissal) {
	t.Helper()
	dismissed := make(chan dismissal, 100)
	l, err := Listen(address, func(_ string, why error, total int) { dismissed <- dismissal{why, total} })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l, dismissed
}

// call connects to a listener and says something.
func call(t *testing.T, l *Listener, words string) *Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := (&Dialer{Address: l.Address()}).Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.tcp.Close() })
	if _, err := io.WriteString(conn, words); err != nil {
		t.Fatal(err)
	}
	return conn
}

// accept returns the next caller that speaks OTR.
func accept(t *testing.T, l *Listener) *Caller {
	t.Helper()
	stop := make(chan struct{})
	late := time.AfterFunc(patience, func() { close(stop) })
	defer late.Stop()
	c, err := l.Accept(stop)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func receive[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("nothing happened")
	}
	return v
}

func TestBytesGoBothWaysOverIPv4AndIPv6(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		if probe, err := net.Listen("tcp", host+":0"); err != nil {
			t.Logf("this machine has no %s", host)
			continue
		} else {
			probe.Close()
		}
		l, _ := listen(t, host+":0")
		conn := call(t, l, "?OTRv34?\nand more\n")
		caller := accept(t, l)
		lines := bufio.NewReader(caller)
		for _, want := range []string{"?OTRv34?\n", "and more\n"} {
			if got, err := lines.ReadString('\n'); got != want || err != nil {
				t.Errorf("%s: %q came, %v", host, got, err)
			}
		}
		if _, err := io.WriteString(caller, "?OTR:AAM=.\n"); err != nil {
			t.Error(err)
		}
		go caller.Close()
		if got, err := io.ReadAll(conn); string(got) != "?OTR:AAM=.\n" || err != nil {
			t.Errorf("%s: %q came back, %v", host, got, err)
		}
		if conn.Heard() != 11 || caller.Heard() != 18 || conn.Address() != l.Address() {
			t.Errorf("%d and %d bytes heard, of %s", conn.Heard(), caller.Heard(), conn.Address())
		}
		conn.Close()
	}
}

// TestABrokenConnectionIsToldWithoutItsAddresses resets a connection, as the system does when a
// process is killed before it has read everything.
func TestABrokenConnectionIsToldWithoutItsAddresses(t *testing.T) {
	l, _ := listen(t, "127.0.0.1:0")
	conn := call(t, l, "?OTRv4?\n")
	caller := accept(t, l)
	if err := conn.tcp.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	conn.tcp.Close()
	_, err := io.Copy(io.Discard, caller)
	var number syscall.Errno
	if !errors.As(err, &number) || err.Error() != number.Error() {
		t.Errorf("the reader is told %v", err)
	}
	if _, err := caller.Write([]byte("?OTR:AAM=.\n")); !errors.As(err, &number) || err.Error() != number.Error() {
		t.Errorf("the writer is told %v", err)
	}
}

func TestCallersThatDoNotSpeakOTRAreToldAndTheNextIsHeard(t *testing.T) {
	l, dismissed := listen(t, "127.0.0.1:0")
	for i, words := range []string{"GET / HTTP/1.1\r\n\r\n", "\n\r\nSSH-2.0-scan\n", strings.Repeat("x", maxFirstLine), "?OTR is what I speak of\n"} {
		conn := call(t, l, words)
		if got := receive(t, dismissed); !errors.Is(got.why, ErrNoOTR) || got.total != i+1 {
			t.Errorf("%.20q: %v, %d in all", words, got.why, got.total)
		}
		if got, _ := io.ReadAll(conn); string(got) != turnedAway {
			t.Errorf("%.20q is told %q", words, got)
		}
		l.mu.Lock()
		l.guard.forgive("127.0.0.1") // this test is in a hurry
		l.mu.Unlock()
	}
	for _, words := range []string{"?OTRv34?\n", "\r\n?OTR:AAMK", "?OTR|5a73a599|27e31597,00001,00003,", "hello \t  \t\t\t\t \t \t \t    \t\t  \t there\n"} {
		conn := call(t, l, words)
		caller := accept(t, l)
		got := make([]byte, len(words))
		if _, err := io.ReadFull(caller, got); err != nil || string(got) != words {
			t.Errorf("%q was heard, %v", got, err)
		}
		caller.Pass()
		conn.tcp.Close()
		caller.Close()
	}
}

func TestASilentCallerKeepsNobodyWaiting(t *testing.T) {
	l, dismissed := listen(t, "127.0.0.1:0")
	silent := call(t, l, "")
	call(t, l, "?OTRv4?\n")
	accept(t, l).Pass()
	silent.Close()
	if got := receive(t, dismissed); !errors.Is(got.why, ErrSilent) {
		t.Errorf("the silent caller is turned away because %v", got.why)
	}
	l.mu.Lock()
	l.guard.forgive("127.0.0.1")
	l.mu.Unlock()
	if err := call(t, l, "?OTR").tcp.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, dismissed); !errors.Is(got.why, ErrNoOTR) {
		t.Errorf("a caller that stops in mid-word is turned away because %v", got.why)
	}
}

func TestMoreSilentCallersThanThereArePlacesDoNotKeepTheRightOneOut(t *testing.T) {
	l, _ := listen(t, "127.0.0.1:0")
	for range maxCallers + 5 {
		call(t, l, "")
	}
	call(t, l, "?OTRv4?\n")
	accept(t, l)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) > maxCallers {
		t.Errorf("%d callers wait", len(l.waiting))
	}
}

func TestARefusedCallerIsCountedAndItsAddressWaits(t *testing.T) {
	t.Parallel() // it waits
	l, _ := listen(t, "127.0.0.1:0")
	conn := call(t, l, "?OTRv4?\n")
	caller := accept(t, l)
	conn.tcp.Close()
	if total := caller.Refuse(); total != 1 {
		t.Errorf("%d callers are counted, not one", total)
	}
	begun := time.Now()
	call(t, l, "?OTRv4?\n")
	caller = accept(t, l)
	if waited := time.Since(begun); waited < firstHold {
		t.Errorf("after a failure the next caller waited %v", waited)
	}
	caller.Pass()
	l.mu.Lock()
	wait, ok := l.guard.wait("127.0.0.1", time.Now())
	l.mu.Unlock()
	if wait != 0 || !ok {
		t.Errorf("after a caller that passed the next one waits %v, %v", wait, ok)
	}
}

func TestTheGuardSlowsDownOneAddressAndNotAnother(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	g := newGuard()
	wait := func(host string, want time.Duration, wantOK bool) {
		t.Helper()
		if got, ok := g.wait(host, now); got != want || ok != wantOK {
			t.Errorf("%s waits %v, %v; want %v, %v", host, got, ok, want, wantOK)
		}
	}
	wait("a", 0, true)
	g.fail("a", now)
	wait("b", 0, true)
	wait("a", firstHold, true)
	wait("a", 2*firstHold, true) // those that come at once wait one after another
	now = now.Add(time.Minute)
	for range 20 {
		g.fail("a", now)
	}
	for n := time.Duration(1); n*maxHold <= maxQueue; n++ {
		wait("a", n*maxHold, true)
	}
	wait("a", 0, false)
	wait("b", 0, true)
	now = now.Add(forgetAfter)
	wait("a", 0, true)
	g.fail("a", now)
	g.forgive("a")
	wait("a", 0, true)
	for i := range 2 * maxHosts {
		g.fail(fmt.Sprint(i), now.Add(time.Duration(i)))
	}
	if len(g) != maxHosts {
		t.Errorf("%d addresses are kept", len(g))
	}
	wait(fmt.Sprint(2*maxHosts-1), firstHold+time.Duration(0), true)
}

func TestAnIPv6NetworkCountsAsOneAddress(t *testing.T) {
	host := func(ip string) string { return hostOf(&net.TCPAddr{IP: net.ParseIP(ip), Port: 1}) }
	if host("2001:db8::1") != host("2001:db8::ffff:1") || host("2001:db8::1") == host("2001:db8:0:1::1") {
		t.Error("networks are told apart wrongly")
	}
	if host("192.0.2.1") == host("192.0.2.2") || host("::ffff:192.0.2.1") != host("192.0.2.1") {
		t.Error("IPv4 addresses are told apart wrongly")
	}
}

func TestAListenerThatIsClosedReturnsNobody(t *testing.T) {
	l, _ := listen(t, "127.0.0.1:0")
	conn := call(t, l, "?OTRv4?\n")
	for l.Waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	l.Close()
	if _, err := l.Accept(nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Accept returned %v", err)
	}
	if _, err := io.ReadAll(conn); err == nil {
		t.Log("the caller was told the end")
	}
	l.Close() // a second time does no harm
	l, _ = listen(t, "127.0.0.1:0")
	stop := make(chan struct{})
	close(stop)
	if _, err := l.Accept(stop); !errors.Is(err, ErrClosed) {
		t.Errorf("Accept returned %v", err)
	}
}

func TestAPortThatIsTakenIsAnErrorThatSaysSo(t *testing.T) {
	l, _ := listen(t, "127.0.0.1:0")
	if _, err := Listen(l.Address(), nil); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a second listener: %v", err)
	}
	everywhere, _ := listen(t, ":0")
	if !everywhere.Everywhere() || l.Everywhere() {
		t.Error("which of them listens on every address is told wrongly")
	}
}

func TestDiallingGoesOnUntilTheOtherEndIsThere(t *testing.T) {
	l, _ := listen(t, "127.0.0.1:0")
	address := l.Address()
	l.Close()
	failed := make(chan error, 100)
	type result struct {
		conn *Conn
		err  error
	}
	dialled := make(chan result, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		conn, err := (&Dialer{Address: address, Failed: func(err error) { failed <- err }}).Dial(ctx)
		dialled <- result{conn, err}
	}()
	if err := receive(t, failed); !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), address) {
		t.Errorf("the first attempt failed with %v", err)
	}
	listen(t, address)
	if got := receive(t, dialled); got.err != nil {
		t.Error(got.err)
	} else {
		got.conn.tcp.Close()
	}
}

// TestAnAddressWithNobodyBehindItDoesNotHideTheOthers dials localhost, which has two addresses.
func TestAnAddressWithNobodyBehindItDoesNotHideTheOthers(t *testing.T) {
	first, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no IPv6")
	}
	defer first.Close()
	_, port, err := net.SplitHostPort(first.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	second, err := net.Listen("tcp", net.JoinHostPort(loopback, port))
	if err != nil {
		t.Skipf("another program has the port: %v", err)
	}
	defer second.Close()
	dialer := &Dialer{Address: net.JoinHostPort("localhost", port)}
	// Once every address has turned out to be deserted, all are tried again.
	for _, want := range []net.Listener{first, second, first, second} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		conn, err := dialer.Dial(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if conn.Address() != want.Addr().String() {
			t.Errorf("it has dialled %s instead of %s", conn.Address(), want.Addr())
		}
		conn.tcp.Close()
	}
}

func TestDiallingEndsWithItsContextAndSaysWhyItFailed(t *testing.T) {
	l, _ := listen(t, "127.0.0.1:0")
	address := l.Address()
	l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	dialer := &Dialer{Address: address, Failed: func(error) { cancel() }}
	_, err := dialer.Dial(ctx)
	var unreached *UnreachedError
	if !errors.As(err, &unreached) || !strings.Contains(unreached.Latest.Error(), "refused") {
		t.Errorf("Dial returned %v", err)
	}
	if _, err := dialer.Dial(ctx); !errors.As(err, &unreached) || unreached.Latest != nil {
		t.Errorf("Dial returned %v", err)
	}
}

func TestClosingWakesAReaderAndAWriter(t *testing.T) {
	t.Parallel() // it waits
	l, _ := listen(t, "127.0.0.1:0")
	call(t, l, "?OTRv4?\n") // and never reads
	caller := accept(t, l)
	_, _ = io.ReadFull(caller, make([]byte, len("?OTRv4?\n")))
	woken := make(chan error, 2)
	go func() {
		_, err := caller.Read(make([]byte, 1))
		woken <- err
	}()
	go func() {
		_, err := caller.Write(make([]byte, 64<<20))
		woken <- err
	}()
	closed := make(chan struct{})
	go func() {
		caller.Close() // waits for the other end, which does not close
		close(closed)
	}()
	for range 2 {
		if err := receive(t, woken); err == nil {
			t.Error("a call that was blocked has succeeded")
		}
	}
	if _, err := caller.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a later Read returns %v", err)
	}
	select {
	case <-closed:
		t.Error("the calls were blocked until the connection was closed")
	default:
	}
	receive(t, closed)
}
