// Package transport reaches the other end over TCP, without a COMMAND: it dials, and it
// listens for callers.
//
// Dial goes on until the other end is there, and returns a Conn. A Listener returns a
// Caller for each connection that has begun to speak OTR; connections that say nothing, or
// something else, are told so, counted, and never returned. The listener's user says what
// became of a Caller: after Refuse, the next connections from the same address wait, longer
// each time, and those from other addresses are heard at once. So a port scan, a wrong key
// or a wrong word does not keep the right caller away.
//
// Nothing here knows who the other end is. Package live runs a session over what this
// package returns, one caller after another, until one of them has met what was asked of
// it; see live.Way.
package transport
