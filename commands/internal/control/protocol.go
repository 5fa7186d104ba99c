package control

import "time"

// A Request is what a process asks of the session's host. Exactly one field is set, except that
// Status may be combined with another.
type Request struct {
	Join     *Join     `json:"join,omitempty"`
	Signal   int       `json:"signal,omitempty"` // the signal that told a half to leave
	Status   bool      `json:"status,omitempty"`
	SMP      *SMP      `json:"smp,omitempty"`
	Refresh  bool      `json:"refresh,omitempty"`
	End      bool      `json:"end,omitempty"`
	ExtraKey *ExtraKey `json:"extra_key,omitempty"`
}

// Join adds the other half of an end. Its standard input and output come with the message as
// files, followed by its events if Events is set.
type Join struct {
	Half       string              `json:"half"`  // the command: encrypt-stream or decrypt-stream
	Flags      map[string][]string `json:"flags"` // the given ones, in canonical form
	SMPSecret  []byte              `json:"-"`     // nil: none was given
	Passphrase []byte              `json:"-"`     // likewise
	Events     bool                `json:"events,omitempty"`
	Stderr     string              `json:"stderr"` // identifies the file of standard error
}

// SMP starts the socialist millionaires' protocol, answers the peer's question, or aborts. The
// reply is sent when the result is known.
type SMP struct {
	Secret   []byte        `json:"-"`
	Question string        `json:"question,omitempty"`
	Abort    bool          `json:"abort,omitempty"`
	Timeout  time.Duration `json:"timeout,omitempty"`
	// Run is the Reply.Run of the question that Secret answers; 0: it answers none. Secret is
	// not used for any other question.
	Run uint64 `json:"run,omitempty"`
}

// ExtraKey asks for an extra symmetric key: either a new one, whose use the peer is told, or the
// one that the peer announced last.
type ExtraKey struct {
	Use      uint32 `json:"use"`
	Data     []byte `json:"data,omitempty"`
	Received bool   `json:"received,omitempty"`
}

// A Reply answers a Request. A half gets two: one when it has joined, and one when the session
// has ended.
type Reply struct {
	Code   int    `json:"code"` // the exit code of the process that asked
	Error  string `json:"error,omitempty"`
	Hint   string `json:"hint,omitempty"`
	Silent bool   `json:"silent,omitempty"` // Error has already been printed on the terminal

	Status *Status `json:"status,omitempty"`
	Home   string  `json:"home,omitempty"`
	Waits  string  `json:"waits,omitempty"` // the half that waits for its other half
	Asked  *string `json:"asked,omitempty"` // the question of the peer's SMP that waits for an answer
	Run    uint64  `json:"run,omitempty"`   // identifies that question
	Key    []byte  `json:"-"`
}

// secrets returns pointers to the secrets in r, which are not part of its JSON.
func (r *Request) secrets() (places []*[]byte) {
	if r.Join != nil {
		places = append(places, &r.Join.SMPSecret, &r.Join.Passphrase)
	}
	if r.SMP != nil {
		places = append(places, &r.SMP.Secret)
	}
	return places
}

func (r *Reply) secrets() []*[]byte { return []*[]byte{&r.Key} }

// A State is the state of a session.
type State string

// The states of a session.
const (
	StateWaiting   State = "waiting"   // waiting for the other half, or for a caller
	StateHandshake State = "handshake" // waiting for the peer, the key exchange, or the required checks
	StateEncrypted State = "encrypted"
	StateFinished  State = "finished"
	StateSilent    State = "silent" // the session does not answer
)

// A Status is the answer to the status command. Values that are not known yet are null.
type Status struct {
	Session     string  `json:"session"`
	Identity    string  `json:"identity"`
	Contact     *string `json:"contact"`
	Mode        string  `json:"mode"` // "" if the session does not answer
	State       State   `json:"state"`
	Version     *int    `json:"version"`
	Fingerprint *string `json:"fingerprint"`
	Trust       *string `json:"trust"`
	By          *string `json:"by,omitempty"` // how the key was verified: hand or secret
	SSID        *string `json:"ssid"`
	Instance    *string `json:"instance"`
	PID         int     `json:"pid"`
	Sent        Count   `json:"sent"`
	Received    Count   `json:"received"`
	KeysSince   *string `json:"keys_since"`
}

// A Count is the amount of payload in one direction.
type Count struct {
	Bytes    int64 `json:"bytes"`
	Messages int64 `json:"messages"`
}
