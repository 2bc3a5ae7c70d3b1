package amqpserver

import (
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// Config are the bounds of a [Server]'s connections. The zero value of each field, and nil, mean the default.
type Config struct {
	// ContainerID names the server to its peers. Default "amqpserver".
	ContainerID string

	// MaxFrameSize is the largest frame that is taken, in bytes, at least 512. Default 65536.
	MaxFrameSize uint32
	// MaxMessageSize is the largest message that is taken, in bytes of all its sections, on links whose
	// [Attach] does not say otherwise. Default 1 MiB.
	MaxMessageSize uint64
	// MaxPartial bounds the bytes of messages that have come in part, over all links of a
	// connection. Default four times MaxMessageSize.
	MaxPartial int

	// ChannelMax is the highest channel number: one less than there may be sessions. Default 8191.
	ChannelMax uint16
	// HandleMax is the highest handle of a session. Default 262143.
	HandleMax uint32
	// MaxLinks bounds the links of a connection, those included that the peer has not confirmed the end of. Default 32768.
	MaxLinks int
	// MaxUnsettled bounds the deliveries of a session that are not settled, in each direction: no more are sent until
	// the peer settles some, or its window stays closed until nodes do. Default 8192.
	MaxUnsettled int

	// Window is the incoming window of a session, in transfer frames. Default 5000.
	Window uint32
	// Credit is how many deliveries a [Receiver] may have on their way or unsettled, when its [Attach] does not say
	// otherwise. It is topped up at half. Default 1000.
	Credit uint32

	// IdleTimeout is what peers are told: one that is silent for twice as long is closed. Default 240 s, negative
	// for none.
	IdleTimeout time.Duration
	// OpenTimeout is how long a peer may take from its first byte to its open. Default 60 s.
	OpenTimeout time.Duration
	// CloseTimeout is how long a peer may take to answer a close. Default 2 s.
	CloseTimeout time.Duration
	// WriteTimeout is how long a peer may take to take what is written at once, 16 KiB or a message. Default 30 s.
	WriteTimeout time.Duration

	// Mechanisms are the SASL mechanisms in the order in which they are offered. Clients take
	// the first that they know. None means that there is no SASL layer. A peer may always skip it.
	Mechanisms []string
}

// Server is what the connections of one address space share: bounds and buffers. It has no goroutines.
type Server struct {
	cfg     Config
	buffers buffers
}

// NewServer returns a Server. It keeps a copy of cfg, which may be nil.
func NewServer(cfg *Config) *Server {
	s := &Server{}
	if cfg != nil {
		s.cfg = *cfg
	}
	c := &s.cfg
	byDefault(&c.ContainerID, "amqpserver")
	byDefault(&c.MaxFrameSize, 64<<10)
	c.MaxFrameSize = max(c.MaxFrameSize, amqp10.MinMaxFrameSize)
	byDefault(&c.MaxMessageSize, 1<<20)
	byDefault(&c.MaxPartial, int(min(4*c.MaxMessageSize, 1<<30)))
	byDefault(&c.ChannelMax, 8191)
	byDefault(&c.HandleMax, 262143)
	byDefault(&c.MaxLinks, 32<<10)
	byDefault(&c.MaxUnsettled, 8<<10)
	byDefault(&c.Window, 5000)
	c.Window = min(c.Window, uint32(max(c.MaxUnsettled, 1)))
	byDefault(&c.Credit, 1000)
	byDefault(&c.IdleTimeout, 240*time.Second)
	byDefault(&c.OpenTimeout, 60*time.Second)
	byDefault(&c.CloseTimeout, 2*time.Second)
	byDefault(&c.WriteTimeout, 30*time.Second)
	return s
}

func byDefault[T comparable](field *T, v T) {
	var zero T
	if *field == zero {
		*field = v
	}
}
