// Package transport reaches the other end over TCP, without a COMMAND: it dials, and it
// listens for callers.
//
// Dial goes on until the other end is there, and returns a Conn. A Listener returns a Caller for
// each connection that begins to speak OTR. It tells connections that say nothing or something
// else why they are closed, counts them, and never returns them. The user of the Listener
// reports the fate of each Caller: after Refuse, the next connections from the same address
// wait, longer each time, while those from other addresses are accepted at once. So a port scan,
// a wrong key or a wrong secret does not keep the right caller away.
//
// This package does not know who the other end is. Package live runs a session with one caller
// after another until one of them has passed every check; see live.Way.
package transport
