package control

import "time"

// A Request is what a process asks of the session's host. Exactly one field
// is set, besides Status, which may stand alone.
type Request struct {
	Join     *Join     `json:"join,omitempty"`
	Signal   int       `json:"signal,omitempty"` // a half was told to leave by this signal
	Status   bool      `json:"status,omitempty"`
	SMP      *SMP      `json:"smp,omitempty"`
	Refresh  bool      `json:"refresh,omitempty"`
	End      bool      `json:"end,omitempty"`
	ExtraKey *ExtraKey `json:"extra_key,omitempty"`
}

// Join brings the other half of an end: its standard input and output come
// with the message as files, and then its events, if Events is set.
type Join struct {
	Half       string              `json:"half"`  // the command: encrypt-stream or decrypt-stream
	Flags      map[string][]string `json:"flags"` // those that were given, in canonical form
	SMPSecret  []byte              `json:"-"`     // nil: none was given
	Passphrase []byte              `json:"-"`     // likewise
	Events     bool                `json:"events,omitempty"`
	Stderr     string              `json:"stderr"` // which file standard error is
}

// SMP starts the socialist millionaires' protocol, or answers the peer's
// question, or aborts it. The reply comes with the result.
type SMP struct {
	Secret   []byte        `json:"-"`
	Question string        `json:"question,omitempty"`
	Abort    bool          `json:"abort,omitempty"`
	Timeout  time.Duration `json:"timeout,omitempty"`
	// Run is Reply.Run of the question that Secret was given for; 0: for none. It is not
	// used for another question.
	Run uint64 `json:"run,omitempty"`
}

// ExtraKey asks for the extra symmetric key: for a new one, and tells the
// peer its use, or for the one the peer last announced.
type ExtraKey struct {
	Use      uint32 `json:"use"`
	Data     []byte `json:"data,omitempty"`
	Received bool   `json:"received,omitempty"`
}

// A Reply answers a Request. A half gets two: one when it is let in, and one
// when the session has ended.
type Reply struct {
	Code   int    `json:"code"` // exit code for the process that asked
	Error  string `json:"error,omitempty"`
	Hint   string `json:"hint,omitempty"`
	Silent bool   `json:"silent,omitempty"` // Error is on the terminal already

	Status *Status `json:"status,omitempty"`
	Home   string  `json:"home,omitempty"`
	Waits  string  `json:"waits,omitempty"` // the half that waits for the other one
	Asked  *string `json:"asked,omitempty"` // the question the peer's SMP waits with
	Run    uint64  `json:"run,omitempty"`   // which question that is
	Key    []byte  `json:"-"`
}

// secrets are the places of the secrets in r, which are not in its JSON.
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

// A State says how far a session is.
type State string

// The states of a session.
const (
	StateWaiting   State = "waiting"   // for the other half, or for a caller
	StateHandshake State = "handshake" // for the peer, the key exchange, the checks asked for
	StateEncrypted State = "encrypted"
	StateFinished  State = "finished"
	StateSilent    State = "silent" // it does not answer
)

// A Status is the answer of the command status. What is not known yet is
// null.
type Status struct {
	Session     string  `json:"session"`
	Identity    string  `json:"identity"`
	Contact     *string `json:"contact"`
	Mode        string  `json:"mode"` // "" where the session does not answer
	State       State   `json:"state"`
	Version     *int    `json:"version"`
	Fingerprint *string `json:"fingerprint"`
	Trust       *string `json:"trust"`
	By          *string `json:"by,omitempty"` // of a verified key: hand or secret
	SSID        *string `json:"ssid"`
	Instance    *string `json:"instance"`
	PID         int     `json:"pid"`
	Sent        Count   `json:"sent"`
	Received    Count   `json:"received"`
	KeysSince   *string `json:"keys_since"`
}

// A Count is how much payload went one way.
type Count struct {
	Bytes    int64 `json:"bytes"`
	Messages int64 `json:"messages"`
}
