// Command dial joins its standard input and output to a socket: `dial ADDRESS`, a path for a
// Unix socket or host:port for TCP. It passes an end of either direction on, and leaves when
// both have ended.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "usage: dial ADDRESS")
		return 2
	}
	network := "unix"
	if _, _, err := net.SplitHostPort(args[0]); err == nil {
		network = "tcp"
	}
	conn, err := net.Dial(network, args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "dial:", err)
		return 1
	}
	received := make(chan struct{})
	go func() {
		io.Copy(os.Stdout, conn)
		os.Stdout.Close()
		close(received)
	}()
	io.Copy(conn, os.Stdin)
	conn.(interface{ CloseWrite() error }).CloseWrite()
	<-received
	return 0
}
