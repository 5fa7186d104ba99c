package exchange

import (
	"fmt"
	"net"
	"os"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/live"
)

// announce prints the code and the whole command for the other end, even with --quiet. command
// is this end's COMMAND; nil: it has none.
func (t *Transfer) announce(way live.Way, command []string, code []byte) {
	say := func(format string, a ...any) { t.IO.Messages.Note(fmt.Sprintf(format, a...)) }
	switch {
	case way.Listener != nil:
		say("on the other machine: %s --code --tcp %s", t.Opposite, reachable(way.Listener.Address(), way.Listener.Everywhere()))
	case way.Dial != "":
		_, port, _ := net.SplitHostPort(way.Dial) // it is in canonical form
		say("on the other machine: %s --code --listen %s", t.Opposite, port)
	default:
		say("on the other machine: %s --code -- COMMAND, the other end of %s", t.Opposite, exit.ShellWord(command[0]))
	}
	say("and this code, for this transfer only: %s", code)
}

// reachable returns an address of this machine that another one can probably dial.
func reachable(address string, everywhere bool) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil || !everywhere {
		return address
	}
	host, _ := os.Hostname()
	addresses, _ := net.InterfaceAddrs() // without them, use the host name
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() && ip.IP.To4() != nil {
			host = ip.IP.String()
			break
		}
	}
	return net.JoinHostPort(host, port)
}
