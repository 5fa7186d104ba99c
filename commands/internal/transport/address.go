package transport

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// DialAddress returns the canonical form of HOST:PORT, an address that can be dialled. An IPv6
// address is in brackets. The error says what is wrong with it.
func DialAddress(text string) (string, error) {
	host, port, err := splitAddress(text, "HOST:PORT")
	switch {
	case err != nil:
		return "", err
	case host == "":
		return "", fmt.Errorf("%q names no host: HOST:PORT", text)
	case port == 0:
		return "", fmt.Errorf("%q: port 0 cannot be dialled", text)
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), nil
}

// ListenAddress returns the canonical form of [HOST:]PORT, an address to listen on. Port 0 means
// any free port. Without HOST, it means every address of this machine.
func ListenAddress(text string) (string, error) {
	if text != "" && strings.Trim(text, "0123456789") == "" {
		text = ":" + text
	}
	host, port, err := splitAddress(text, "PORT or HOST:PORT")
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), nil
}

// splitAddress splits HOST:PORT. form says what is accepted, for the error of a text without a
// port.
func splitAddress(text, form string) (host string, port int, err error) {
	host, digits, err := net.SplitHostPort(text)
	var wrong *net.AddrError
	switch {
	case errors.As(err, &wrong) && strings.Count(text, ":") > 1:
		return "", 0, fmt.Errorf("%q is not HOST:PORT; an IPv6 address stands in brackets, as in [::1]:9000", text)
	case err != nil:
		return "", 0, fmt.Errorf("%q has no port: it needs %s", text, form)
	case strings.ContainsAny(host, " \t\r\n"):
		return "", 0, fmt.Errorf("%q is not a host", host)
	}
	number, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not a port: a number up to 65535", digits)
	}
	return host, int(number), nil
}

// loopback is the address of this machine that localhost stands for, where one is enough.
const loopback = "127.0.0.1"

// isLocalhost reports whether host is a name that always means this machine, and that needs
// neither a file of names nor a name server: RFC 6761, section 6.3.
func isLocalhost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
