package ws

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/hubwire/hubwire/internal/errtext"
)

// Path is where IoT Hub's tunnel is; the "$" is sent as it is.
const Path = "/$iothub/websocket"

// NoClientCert is the query that tells the service not to ask for a client
// certificate. A device that authenticates with one must not send it.
const NoClientCert = "iothub-no-client-cert=true"

// The subprotocols of IoT Hub. They are compared without case: the C SDK
// offers "MQTT".
const (
	MQTT = "mqtt"
	AMQP = "AMQPWSB10"
)

// What a [HandshakeError], a [ProxyError] or a Read can be matched against.
var (
	ErrSubprotocol = errors.New("no common subprotocol")
	ErrPath        = errors.New("no tunnel on this path")
	ErrTextFrame   = errors.New("ws: text frame in a binary tunnel")
	ErrProtocol    = errors.New("ws: frames that RFC 6455 forbids")
	ErrTooLong     = errors.New("head of the answer is too long")
	ErrMalformed   = errors.New("malformed answer")
	ErrProxyURL    = errors.New("the proxy's URL cannot be used")
)

// noError is the text of an error that is a nil pointer.
const noError = "ws: no error"

// IsRefusal reports whether err is a refusal that will be the same the next time: a status of 4xx, of a proxy
// ([ProxyError]) or in answer to the upgrade ([HandshakeError]), but for 408 and 429, or [ErrProxyURL].
func IsRefusal(err error) bool {
	if errors.Is(err, ErrProxyURL) {
		return true
	}
	status := 0
	if e, ok := errors.AsType[*ProxyError](err); ok && e != nil {
		status = e.Status
	} else if e, ok := errors.AsType[*HandshakeError](err); ok && e != nil {
		status = e.Status
	}
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	}
	return status/100 == 4
}

// HandshakeError is what [Dial] and [Accept] fail with once there is a
// connection to shake hands on.
type HandshakeError struct {
	Host   string // whom the handshake was with, or, on the server's side, for
	Status int    // the HTTP status that was answered, or 0 when none was
	Err    error  // the cause
}

// Error names the host, the status and the cause, on one line of a bounded length.
func (e *HandshakeError) Error() string {
	if e == nil {
		return noError
	}
	var cause any = e.Err
	if e.Err != nil {
		cause = errtext.Line(e.Err.Error()) // it may quote what the peer sent, which is up to 32 KiB, and may be an echo
	}
	if e.Status == 0 {
		return fmt.Sprintf("ws: handshake with %s: %v", e.Host, cause)
	}
	return fmt.Sprintf("ws: handshake with %s: HTTP status %d: %v", e.Host, e.Status, cause)
}

// Unwrap returns the cause.
func (e *HandshakeError) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}

// ProxyError is what a [ProxyDialer] fails with once it has a connection to the
// proxy. It holds no user name and no password.
type ProxyError struct {
	Proxy  string // host and port of the proxy
	Target string // host and port it was asked for
	Status int    // the HTTP status of its answer, or 0 when there was none
	Err    error  // the cause
}

// Error names the proxy, the target, the status and the cause.
func (e *ProxyError) Error() string {
	if e == nil {
		return noError
	}
	if e.Status == 0 {
		return fmt.Sprintf("ws: proxy %s to %s: %v", e.Proxy, e.Target, e.Err)
	}
	return fmt.Sprintf("ws: proxy %s to %s: HTTP status %d: %v", e.Proxy, e.Target, e.Status, e.Err)
}

// Unwrap returns the cause.
func (e *ProxyError) Unwrap() error {
	if e == nil {
		return nil
	}
	return e.Err
}

// CloseError is what a Read gives, and a Write, after the peer closed with a
// status other than "normal" or "going away". It matches [net.ErrClosed].
type CloseError struct {
	Status int    // RFC 6455 section 7.4
	Reason string // at most 123 bytes, the peer's words
}

// Error gives the status and the quoted reason, without what looks like a token or a key.
func (e *CloseError) Error() string {
	if e == nil {
		return noError
	}
	return fmt.Sprintf("ws: closed by the peer with status %d: %q", e.Status, errtext.Line(e.Reason))
}

// Is reports whether target is [net.ErrClosed].
func (e *CloseError) Is(target error) bool { return target == net.ErrClosed }
