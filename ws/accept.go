package ws

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/coder/websocket"
)

// Accept takes the tunnel that r asks for over from the HTTP server, and tells
// which of the subprotocols r offers was chosen, in r's own spelling; of several
// the one named first in subprotocols, compared without case.
//
// Any query is accepted, and so is any origin: devices send none, and
// credentials travel inside the tunnel. Unless it succeeds it has answered r,
// and returns a [*HandshakeError] with the status: 404 for a path other than
// [Path], 400 when no subprotocol is offered that is in subprotocols, and 400,
// 405 or 426 for a request that is no proper upgrade, 501 when w is no [http.Hijacker].
//
// The connection outlives r and the handler; whoever called Accept closes it.
func Accept(w http.ResponseWriter, r *http.Request, subprotocols ...string) (nc net.Conn, subprotocol string, err error) {
	return accept(w, r, Path, subprotocols)
}

// AcceptAnyPath is [Accept] for a host that has nothing but the tunnel, whatever the
// path: that is how the Device Provisioning Service is dialled, by some SDKs at "/".
func AcceptAnyPath(w http.ResponseWriter, r *http.Request, subprotocols ...string) (nc net.Conn, subprotocol string, err error) {
	return accept(w, r, "", subprotocols)
}

// accept wants that path, if any.
func accept(w http.ResponseWriter, r *http.Request, path string, subprotocols []string) (nc net.Conn, subprotocol string, err error) {
	if w == nil || r == nil || r.URL == nil {
		return nil, "", &HandshakeError{Err: errNoRequest}
	}
	refuse := func(status int, err error) (net.Conn, string, error) {
		http.Error(w, err.Error(), status)
		return nil, "", &HandshakeError{Host: r.Host, Status: status, Err: err}
	}
	if path != "" && r.URL.Path != path {
		return refuse(http.StatusNotFound, ErrPath)
	}
	// The library would accept an upgrade that has no subprotocol.
	if r.Header.Get("Upgrade") != "" && !offers(r.Header, subprotocols) {
		return refuse(http.StatusBadRequest, ErrSubprotocol)
	}
	noted := &statusWriter{ResponseWriter: w}
	h := &hijacker{statusWriter: noted}
	var to http.ResponseWriter = noted
	if canHijack(w) {
		to = h // else the library is to find out before it answers 101
	}
	tunnel := new(conn)
	c, err := websocket.Accept(to, r, &websocket.AcceptOptions{
		Subprotocols:       subprotocols,
		InsecureSkipVerify: true, // that is: no check of the origin
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived:     tunnel.pinged,
	})
	if err != nil {
		return nil, "", &HandshakeError{Host: r.Host, Status: noted.status, Err: err}
	}
	tunnel.start(c, h.tap)
	return tunnel, c.Subprotocol(), nil
}

var errNoRequest = errors.New("there is no request to answer")

// offers reports whether the request offers one of subprotocols.
func offers(h http.Header, subprotocols []string) bool {
	for _, line := range h.Values("Sec-WebSocket-Protocol") {
		for offered := range strings.SplitSeq(line, ",") {
			offered = strings.TrimSpace(offered)
			if slices.ContainsFunc(subprotocols, func(s string) bool { return strings.EqualFold(s, offered) }) {
				return true
			}
		}
	}
	return false
}

// statusWriter notes the status that the library answers.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// hijacker slips a tap under the library.
type hijacker struct {
	*statusWriter
	tap *tap
}

// Hijack implements [http.Hijacker].
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.tap = &tap{Conn: nc, first: unread(rw.Reader)}
	return h.tap, bufio.NewReadWriter(bufio.NewReader(h.tap), rw.Writer), nil
}

// canHijack looks where [http.ResponseController] does.
func canHijack(w http.ResponseWriter) bool {
	for {
		switch over := w.(type) {
		case http.Hijacker:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = over.Unwrap()
		default:
			return false
		}
	}
}
