package service

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hubwire/hubwire/httpsx"
)

// Options adjust a Client. The zero value, and nil, mean the defaults.
type Options struct {
	// Dial opens the network connections to the hub, or to Proxy. Tests have their
	// place here. TLS is put on top by the Client. nil means a [net.Dialer] with a time-out of 30 s.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// TLSConfig is the base of the TLS configuration: roots, versions. The
	// Client clones it. One renegotiation is let pass, unless Renegotiation says how many; it cannot be turned off. nil
	// means the system's roots, TLS 1.2 or newer.
	TLSConfig *tls.Config

	// Proxy is an HTTP proxy to go through, by CONNECT, with Basic
	// authentication when it names a user: "http://user:password@proxy:3128"
	// (https works too, and for the REST API, but not AMQP, socks5). The connection to it is opened by Dial. nil
	// means none: no environment variable is looked at.
	Proxy *url.URL

	// Port replaces that of HTTPS, and of AMQP over WebSockets. 0 means 443.
	Port int

	// AMQPWebSocket has AMQP go through WebSockets (wss://{host}/$iothub/websocket), for networks
	// that let nothing else out.
	AMQPWebSocket bool

	// AMQPPort replaces that of AMQP at the hub's host. 0 means 5671.
	AMQPPort int

	// APIVersion is the api-version of the REST API. Empty means "2021-04-12".
	// [Client.RegenerateKeys] is only in "2024-03-31" and later, and asks for that itself.
	APIVersion string

	// ProductInfo goes into User-Agent after the toolkit's own name. Empty: none.
	ProductInfo string

	// TokenTTL is how long the tokens hold that are made from a connection
	// string's key; they are renewed after 80 % of it. 0 means 1 hour.
	TokenTTL time.Duration

	// MaxConns bounds the connections at a time; a call beyond them waits. What is not used for 90
	// s is closed. 0 means 1000: a direct method keeps its connection until its device has
	// answered.
	MaxConns int

	// KeepAlive is the longest silence of either end of an AMQP connection, at most a day. One that brings
	// nothing for half as long again is lost. 0 means 4 minutes; negative turns it off.
	KeepAlive time.Duration

	// RequestTimeout bounds one attempt, from the dial to the last byte of the answer. A direct method
	// gets its own time-outs on top. Over AMQP it bounds each wait for an answer: a message to which the
	// hub says nothing in it costs the session, and the connection if that brings nothing else. 0 means 60 s.
	RequestTimeout time.Duration

	// OperationTimeout bounds a call whose context has no deadline, with all its
	// attempts. Direct methods and [Client.WaitJob] have bounds of their own. 0 means 4 minutes.
	OperationTimeout time.Duration

	// MaxAttempts is how often a request is tried at most, where it may be tried again
	// at all (see the package's comment). 0 means 5, 1 only once.
	MaxAttempts int

	// MinBackoff and MaxBackoff bound the waits between attempts: the n-th, from
	// 0, is random between 0 and min(MaxBackoff, MinBackoff·2ⁿ), beside what the
	// hub asks for with Retry-After. A wait that would outlast the call's
	// deadline is not begun. 0 means 1 s (or MaxBackoff, if less) and 30 s.
	MinBackoff, MaxBackoff time.Duration

	// CloseTimeout bounds Close. 0 means 2 s.
	CloseTimeout time.Duration

	// Hooks are called when things happen. nil means none.
	Hooks *Hooks
}

// Hooks let a program watch its Client. Each may be nil, must return soon, and
// may call the Client's methods, Close included.
type Hooks struct {
	// Attempt tells of each attempt when it is over. It is called by the
	// goroutine of the call, and a panic in it is that call's.
	Attempt func(Attempt)
}

// Attempt is one exchange with the hub. It holds no token, no key and no body.
type Attempt struct {
	Op        string        // as in [hubwire.Error]
	Method    string        // "GET"
	Path      string        // escaped, without the query
	RequestID string        // what was sent as Request-Id
	Number    int           // of the attempt, from 1
	Status    int           // of the answer; 0 when there was none
	Start     time.Time     // when it began
	Duration  time.Duration // until its answer was there, or why not
	Err       error         // nil, or why it failed
	Next      time.Duration // how long until the next attempt; negative when there is none
}

// product is who calls, in User-Agent.
const product = "hubwire"

// maxProductInfo keeps headers far below what the hub takes.
const maxProductInfo = 1024

// maxKeepAlive is a day: AMQP says it in milliseconds, of which it has room for 49.
const maxKeepAlive = 24 * time.Hour

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
	r.Port = cmp.Or(r.Port, 443)
	r.AMQPPort = cmp.Or(r.AMQPPort, amqpPort)
	r.APIVersion = cmp.Or(r.APIVersion, httpsx.APIVersion)
	r.TokenTTL = cmp.Or(r.TokenTTL, time.Hour)
	r.MaxConns = cmp.Or(r.MaxConns, 1000)
	r.KeepAlive = cmp.Or(r.KeepAlive, 4*time.Minute)
	r.RequestTimeout = cmp.Or(r.RequestTimeout, time.Minute)
	r.OperationTimeout = cmp.Or(r.OperationTimeout, 4*time.Minute)
	r.MaxAttempts = cmp.Or(r.MaxAttempts, 5)
	r.MaxBackoff = cmp.Or(r.MaxBackoff, max(30*time.Second, r.MinBackoff))
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
		{"Port", o.Port > 0 && o.Port <= 65535, o.Port, "0 to 65535"},
		{"AMQPPort", o.AMQPPort > 0 && o.AMQPPort <= 65535, o.AMQPPort, "0 to 65535"},
		{"Proxy", isProxy(o.Proxy), redacted(o.Proxy), "of the form http://host:port, https://… or socks5://…"},
		{"APIVersion", isVersion(o.APIVersion), o.APIVersion, "of the form 2021-04-12"},
		{"ProductInfo", len(o.ProductInfo) <= maxProductInfo && isText(o.ProductInfo), o.ProductInfo,
			fmt.Sprintf("printable ASCII of at most %d bytes", maxProductInfo)},
		{"TokenTTL", o.TokenTTL >= time.Second, o.TokenTTL, "at least 1s"},
		{"MaxConns", o.MaxConns > 0, o.MaxConns, "at least 1"},
		{"KeepAlive", o.KeepAlive <= maxKeepAlive, o.KeepAlive, "at most " + maxKeepAlive.String()},
		{"RequestTimeout", o.RequestTimeout > 0, o.RequestTimeout, "more than 0"},
		{"OperationTimeout", o.OperationTimeout > 0, o.OperationTimeout, "more than 0"},
		{"MaxAttempts", o.MaxAttempts > 0, o.MaxAttempts, "at least 1"},
		{"MinBackoff", o.MinBackoff > 0 && o.MinBackoff <= o.MaxBackoff, o.MinBackoff, "more than 0, at most MaxBackoff"},
		{"CloseTimeout", o.CloseTimeout > 0, o.CloseTimeout, "more than 0"},
	} {
		if !c.ok {
			return invalid("new", "Options.%s is %v, not %s", c.name, c.got, c.want)
		}
	}
	return nil
}

// isText reports whether s can stand in a header.
func isText(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func isVersion(s string) bool {
	date, _, _ := strings.Cut(s, "-preview")
	_, err := time.Parse(time.DateOnly, date)
	return err == nil && isText(s)
}

func isProxy(u *url.URL) bool {
	return u == nil || u.Hostname() != "" && slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme)
}

// redacted is a URL without its password.
func redacted(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.Redacted()
}
