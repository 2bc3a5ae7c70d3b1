package amqpclient

import (
	"cmp"
	"math"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
)

// Options are what a connection is opened with. The zero value of each field means the default.
type Options struct {
	// ContainerID names this end to the peer. Default "hubwire".
	ContainerID string
	// HostName is what the open, and the SASL layer, say that is wanted. Empty is not said.
	HostName string
	// SASL is the mechanism to authenticate with. Nil: there is no SASL layer.
	SASL *SASL

	// MaxFrameSize is the largest frame that is taken, in bytes, at least 512. Default 65536.
	MaxFrameSize uint32
	// ChannelMax is the highest number of a channel: one less than there may be sessions. Default 65535.
	ChannelMax uint16
	// MaxPartial bounds the bytes of messages that have come in part, over all links. Default 16 MiB.
	MaxPartial int

	// IdleTimeout is what the peer is asked to let us hear from it at least as often as: it is given up when
	// it has been silent for one and a half times as long. It is told in milliseconds, 2^32-1 at most. Default 4 minutes; negative: the peer is asked
	// for nothing, and never given up for silence. What the peer asks us for is heeded in any case.
	IdleTimeout time.Duration
	// WriteTimeout is how long the peer may take to take one write (128 KiB or a message). Default 30 s.
	WriteTimeout time.Duration

	// Trace, if set, sees each whole frame of both directions, and the protocol headers, as they are on the wire, but for
	// secrets, which are cut off: the initial response of SASL, and the messages of a [SenderOptions].Secret link.
	// It is the one callback that is called with a lock held: it must not call the connection. frame is good until it returns.
	// Frames of the two directions may come at once.
	Trace func(sent bool, frame []byte)

	// OnEnd, if set, is told once why the connection ended, after all else, when Open has returned without an error: it
	// is the last callback. The reason is an [*Error] of [LevelConn].
	OnEnd func(reason error)
}

// resolved returns o, which may be nil, with the defaults filled in.
func (o *Options) resolved() Options {
	var r Options
	if o != nil {
		r = *o
	}
	r.ContainerID = cmp.Or(r.ContainerID, "hubwire")
	r.MaxFrameSize = max(cmp.Or(r.MaxFrameSize, 64<<10), amqp10.MinMaxFrameSize)
	r.ChannelMax = cmp.Or(r.ChannelMax, 65535)
	r.MaxPartial = cmp.Or(r.MaxPartial, 16<<20)
	r.IdleTimeout = min(cmp.Or(r.IdleTimeout, 4*time.Minute), math.MaxUint32*time.Millisecond)
	r.WriteTimeout = cmp.Or(r.WriteTimeout, 30*time.Second)
	return r
}

// SASL is a mechanism that needs no more than an initial response.
type SASL struct {
	Mechanism string
	Response  []byte `json:"-"` // the initial response; a secret
}

// Anonymous is the mechanism ANONYMOUS (RFC 4505), which proves nothing.
func Anonymous() *SASL { return &SASL{"ANONYMOUS", []byte("anonymous")} }

// External is the mechanism EXTERNAL (RFC 4422, appendix A): what TLS has proved.
func External() *SASL { return &SASL{"EXTERNAL", []byte{}} }

// Plain is the mechanism PLAIN (RFC 4616).
func Plain(user, password string) *SASL {
	return &SASL{"PLAIN", []byte("\x00" + user + "\x00" + password)}
}
