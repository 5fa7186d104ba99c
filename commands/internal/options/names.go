package options

import "time"

// The names of the flags that stream commands share.
const (
	SessionFlag     = "session"
	ContactFlag     = "contact"
	TrustFlag       = "trust"
	ExpectFlag      = "expect"
	SMPSecretFlag   = "smp-secret"
	SMPQuestionFlag = "smp-question"
	OTRFlag         = "otr"
	ModeFlag        = "mode"
	StayFlag        = "stay"
	AccountFlag     = "account"
	PeerAccountFlag = "peer-account"
	MaxSizeFlag     = "max-size"
	PadFlag         = "pad"
	TimeoutFlag     = "timeout"
	HeartbeatFlag   = "heartbeat"
	ExpireFlag      = "expire"
	DeadFlag        = "dead"
	LingerFlag      = "linger"
	DrainFlag       = "drain"
	RawFlag         = "raw"
	HTMLFlag        = "html"
	ProgressFlag    = "progress"
	EventsFlag      = "events"
	WaitFlag        = "wait"
	SendOnlyFlag    = "send-only"
	ReceiveOnlyFlag = "recv-only"
	EphemeralFlag   = "ephemeral"
	KeyLogFlag      = "keylog"
	TCPFlag         = "tcp"
	ListenFlag      = "listen"
	MaxSessionsFlag = "max-sessions"

	RetryFlag           = "retry"
	BellFlag            = "bell"
	TransportStatusFlag = "transport-status"
)

// The modes of a stream, and what --html does.
const (
	ModeStream = "stream"
	ModeLines  = "lines"

	HTMLRaw  = "raw"
	HTMLText = "text"
)

// The values of --trust: how far the peer's key must be trusted.
const (
	TrustNew      = "new"
	TrustKnown    = "known"
	TrustVerified = "verified"
)

// Defaults.
const (
	DefaultSession   = "default"
	DefaultTimeout   = time.Minute
	DefaultHeartbeat = time.Minute
	DefaultExpire    = 2 * time.Hour
	DefaultDead      = 5 * time.Minute
	DefaultLinger    = time.Second
	DefaultDrain     = time.Minute
	// DefaultMaxSessions is the maximum number of callers that a server serves at once.
	DefaultMaxSessions = 16
)
