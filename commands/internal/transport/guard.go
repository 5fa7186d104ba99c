package transport

import (
	"net"
	"time"
)

const (
	// firstHold is how long the next connection from an address waits after a failed caller. The
	// wait doubles with each failure, up to maxHold, which leaves an honest caller behind the
	// same address half of the default time limit.
	firstHold = 500 * time.Millisecond
	maxHold   = 30 * time.Second
	// maxQueue bounds the queue of one address. Connections that arrive at the same time wait
	// one after another.
	maxQueue = 2 * time.Minute
	// forgetAfter is how long failures count.
	forgetAfter = time.Hour
	// maxHosts bounds the number of addresses whose failures are kept. If there are more, the
	// one that failed least recently is forgotten.
	maxHosts = 1024
)

// A guard slows down addresses whose callers have failed. Only one goroutine at a time may use
// it.
type guard map[string]*record

// A record is what is known of an address.
type record struct {
	failures int
	last     time.Time // when the latest failed
	free     time.Time // no connection from there is accepted earlier
}

func newGuard() guard { return guard{} }

// wait returns how long a connection from a host must wait; false: the queue is too long.
func (g guard) wait(host string, now time.Time) (time.Duration, bool) {
	r := g[host]
	if r == nil || now.Sub(r.last) >= forgetAfter {
		delete(g, host)
		return 0, true
	}
	start := now
	if r.free.After(start) {
		start = r.free
	}
	start = start.Add(min(firstHold<<min(r.failures-1, 10), maxHold))
	if start.Sub(now) > maxQueue {
		return 0, false
	}
	r.free = start
	return start.Sub(now), true
}

// fail counts a failure of a host.
func (g guard) fail(host string, now time.Time) {
	r := g[host]
	if r == nil {
		if len(g) >= maxHosts {
			g.forgetOldest()
		}
		r = &record{}
		g[host] = r
	}
	r.failures++
	r.last = now
}

func (g guard) forgetOldest() {
	oldest := ""
	for host, r := range g {
		if oldest == "" || r.last.Before(g[oldest].last) {
			oldest = host
		}
	}
	delete(g, oldest)
}

// forgive forgets the failures of a host.
func (g guard) forgive(host string) { delete(g, host) }

// hostOf returns the unit in which an address is counted: an IPv4 address, or the network of an
// IPv6 address, because one machine can have any number of those.
func hostOf(address net.Addr) string {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return address.String()
	}
	if ip4 := tcp.IP.To4(); ip4 != nil {
		return ip4.String()
	}
	return tcp.IP.Mask(net.CIDRMask(64, 128)).String()
}
