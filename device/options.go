package device

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"math"
	"net"
	"time"
	"unicode/utf8"
)

// Options adjust a Client. The zero value, and nil, mean the defaults.
type Options struct {
	// Dial opens the network connections: to the hub, and for what goes over
	// HTTPS beside it. Proxies and tests have their place here. TLS is put on
	// top by the Client. nil means a [net.Dialer] with a time-out of 30 s.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// TLSConfig is the base of each TLS configuration: roots, versions. The
	// Client clones it and sets ServerName, where that is empty, and
	// GetClientCertificate, with which no session is resumed: that would be one
	// of an earlier certificate. A renegotiation, by which the service asks for a certificate in TLS 1.2, is
	// let pass, once, unless Renegotiation says how often; it cannot be turned off. nil means the system's roots, TLS 1.2 or newer.
	TLSConfig *tls.Config

	// Port replaces the protocol's own port (8883, 443, 5671). 0 means that port.
	Port int

	// HTTPSPort replaces 443 for what goes over HTTPS beside another protocol: file uploads, and a module's [Client.Invoke].
	// 0 means 443, or Port where the protocol itself has the port of HTTPS.
	HTTPSPort int

	// ModelID is the Plug and Play model that the device announces, "dtmi:…". Empty: none.
	ModelID string

	// ProductInfo goes into DeviceClientType after the toolkit's own name. Empty: none.
	ProductInfo string

	// TokenTTL is how long the tokens hold that are made from a connection
	// string's key; they are renewed after 80 % of it. 0 means 1 hour.
	TokenTTL time.Duration

	// KeepAlive is the longest silence before a ping, in whole seconds, at most
	// 1177 s. A connection that answers nothing for half as long again is lost.
	// 0 means 4 minutes; negative turns pings off (the hub then drops silent connections).
	KeepAlive time.Duration

	// Window bounds the messages sent and not yet acknowledged, at most 30000. 0 means 1000.
	Window int

	// WindowBytes bounds their size on the wire together; a single larger
	// message still passes, alone. 0 means 4 MiB.
	WindowBytes int

	// MaxMethods bounds the direct methods that run at a time: while so many
	// handlers have not returned, further calls get status 429. 0 means 1000.
	MaxMethods int

	// ConnectTimeout bounds one attempt to connect, from dialling to the hub's
	// answer. 0 means 30 s.
	ConnectTimeout time.Duration

	// AckTimeout is how long the hub may take to acknowledge the oldest message before
	// the connection counts as dead. 0 means 60 s; negative means no bound.
	AckTimeout time.Duration

	// OperationTimeout bounds a twin operation whose context has no deadline.
	// 0 means 4 minutes.
	OperationTimeout time.Duration

	// MinBackoff and MaxBackoff bound the waits between attempts to connect: the
	// n-th, from 0, is random between 0 and min(MaxBackoff, MinBackoff·2ⁿ). There is
	// one after each loss too, because the hub may have cut off a whole fleet, which
	// must not come back in step; for a large one choose a larger MinBackoff. n starts
	// from 0 again after a connection that stood for MaxBackoff. A renewal of
	// the token does not wait. 0 means 1 s (or MaxBackoff, if less) and 1 minute.
	MinBackoff, MaxBackoff time.Duration

	// CloseTimeout bounds Close. 0 means 2 s.
	CloseTimeout time.Duration

	// Hooks are called when things happen. nil means none.
	Hooks *Hooks
}

// Hooks let a program watch its Client. Each may be nil, must return soon, and
// may call the Client's methods, Close included. But where such a call would
// have to wait for what the hook itself holds up (a send, in State), it
// returns an error at once. A panic in a hook is contained, and goes to HandlerPanic.
type Hooks struct {
	// State tells of each change of the connection, one at a time and in order,
	// with its reason: nil for Connected and for a Close, for Renewing that token or certificate are due,
	// else why the connection was lost or why the last attempt failed. MQTT has no
	// word for a take-over by another Client of the same device: the reason then matches [mqtt.ErrServerClosed].
	State func(s State, reason error)

	// HandlerPanic tells of a function of the program that panicked (a handler,
	// a done function, a hook, one of TLSConfig); the Client lives on. stack is as
	// [runtime/debug.Stack] gives it. It may be called from several goroutines at once.
	HandlerPanic func(value any, stack []byte)

	// Unexpected tells of something that came from the hub and was passed over, as it
	// made no sense: an unknown topic, a message for somebody else, a method call
	// before the first HandleMethod.
	Unexpected func(err error)

	// Packet sees each packet as it is on the wire, without the secrets of CONNECT. It must not keep b,
	// nor call the Client. HTTPS has no packets.
	Packet func(sent bool, b []byte)
}

// State is the state of a Client's connection.
type State uint8

// The states. A Client starts out Connecting.
const (
	Connecting State = iota // dialling, or waiting to dial
	Connected               // the hub accepted the connection
	Renewing                // reconnecting with a fresh token, on purpose
	Closed                  // for good: Close, or an error that waiting cannot mend
)

// String returns the state in lower case.
func (s State) String() string {
	switch s {
	case Connecting:
		return "connecting"
	case Connected:
		return "connected"
	case Renewing:
		return "renewing"
	}
	return "closed"
}

// maxKeepAlive is the longest that IoT Hub can make use of: it drops a
// connection that is silent for 1767 s or 1.5 times the keep-alive.
// Source: "Communicate with an IoT hub using the MQTT protocol", default keep-alive time-out.
const maxKeepAlive = 1177 * time.Second

// maxProductInfo keeps user names far below what the protocols allow.
const maxProductInfo = 1024

// resolve returns o with the defaults filled in.
func (o *Options) resolve() (Options, error) {
	var r Options
	if o != nil {
		r = *o
	}
	if r.Dial == nil {
		r.Dial = (&net.Dialer{Timeout: 30 * time.Second}).DialContext
	}
	if r.Hooks == nil {
		r.Hooks = new(Hooks)
	}
	r.TokenTTL = cmp.Or(r.TokenTTL, time.Hour)
	r.KeepAlive = cmp.Or(r.KeepAlive, 4*time.Minute)
	r.Window = cmp.Or(r.Window, 1000)
	r.WindowBytes = cmp.Or(r.WindowBytes, 4<<20)
	r.MaxMethods = cmp.Or(r.MaxMethods, 1000)
	r.ConnectTimeout = cmp.Or(r.ConnectTimeout, 30*time.Second)
	r.AckTimeout = cmp.Or(r.AckTimeout, 60*time.Second)
	r.OperationTimeout = cmp.Or(r.OperationTimeout, 4*time.Minute)
	r.MaxBackoff = cmp.Or(r.MaxBackoff, max(time.Minute, r.MinBackoff))
	r.MinBackoff = cmp.Or(r.MinBackoff, min(time.Second, r.MaxBackoff))
	r.CloseTimeout = cmp.Or(r.CloseTimeout, 2*time.Second)
	return r, r.check()
}

// check holds o, with its defaults, against its limits.
func (o *Options) check() error {
	for _, c := range []struct {
		name string
		ok   bool
		got  any
		want string
	}{
		{"Port", o.Port >= 0 && o.Port <= 65535, o.Port, "0 to 65535"},
		{"HTTPSPort", o.HTTPSPort >= 0 && o.HTTPSPort <= 65535, o.HTTPSPort, "0 to 65535"},
		{"ProductInfo", len(o.ProductInfo) <= maxProductInfo && utf8.ValidString(o.ProductInfo), excerpt(o.ProductInfo), fmt.Sprintf("UTF-8 of at most %d bytes", maxProductInfo)},
		{"ModelID", len(o.ModelID) <= maxProductInfo && utf8.ValidString(o.ModelID), excerpt(o.ModelID), fmt.Sprintf("UTF-8 of at most %d bytes", maxProductInfo)},
		{"TokenTTL", o.TokenTTL >= time.Second, o.TokenTTL, "at least 1s"},
		{"KeepAlive", o.KeepAlive <= maxKeepAlive, o.KeepAlive, "at most " + maxKeepAlive.String()},
		{"Window", o.Window > 0 && o.Window <= 30000, o.Window, "1 to 30000"},
		{"WindowBytes", o.WindowBytes > 0 && o.WindowBytes <= math.MaxInt32, o.WindowBytes, "1 to 2 GiB"},
		{"MaxMethods", o.MaxMethods > 0, o.MaxMethods, "at least 1"},
		{"ConnectTimeout", o.ConnectTimeout > 0, o.ConnectTimeout, "more than 0"},
		{"OperationTimeout", o.OperationTimeout > 0, o.OperationTimeout, "more than 0"},
		{"MinBackoff", o.MinBackoff > 0 && o.MinBackoff <= o.MaxBackoff, o.MinBackoff, "more than 0, at most MaxBackoff"},
		{"CloseTimeout", o.CloseTimeout > 0, o.CloseTimeout, "more than 0"},
	} {
		if !c.ok {
			return invalid("dial", "Options.%s is %v, not %s", c.name, c.got, c.want)
		}
	}
	return nil
}

// excerpt is as much of a text as an error has room for, on one line.
func excerpt(s string) string { return fmt.Sprintf("%.60q", s) }
