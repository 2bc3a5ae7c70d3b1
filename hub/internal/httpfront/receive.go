package httpfront

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Receiving imitates how devices poll for cloud-to-device messages: GET locks the first
// that waits and hands it out, or answers 204; DELETE of the lock token completes or,
// with the parameter reject, rejects it; POST to abandon gives it back. The token of the path counts
// alone, since SDKs differ in what they say in If-Match.

// maxLock bounds the lock that a device asks for; the documents give 5 to 300 s for others.
const maxLock = 300 * time.Second

func (s *Server) receiveC2D(r *request) (response, error) {
	lock, err := r.lockTimeout()
	if err != nil {
		return response{}, err
	}
	id := r.grant.Identity
	m, err := s.core.ReceiveC2D(r.Context(), id, lock)
	if err != nil {
		return response{}, err
	}
	if m == nil {
		return response{status: http.StatusNoContent}, nil
	}
	if s.core.Intercepts() {
		if err := s.intercept(r, &core.Op{Kind: core.OpC2D, Identity: id, Message: &m.Message}); err != nil {
			return response{}, err
		}
	}
	writeReceived(r.w.Header(), m)
	return response{status: http.StatusOK, etag: m.LockToken, raw: append([]byte{}, m.Body...)}, nil
}

// lockTimeout is how long a message is to be locked, in seconds, which SDKs say in a
// header or in the query; 0 when they do not.
func (r *request) lockTimeout() (time.Duration, error) {
	const name = "iothub-messagelocktimeout"
	v := r.Header.Get(name)
	if v == "" {
		v = r.URL.Query().Get(name)
	}
	if v == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > int(maxLock/time.Second) {
		return 0, refuse(hubwire.ArgumentInvalid, "%s is %.20q, not 1 to %d seconds", name, v, int(maxLock/time.Second))
	}
	return time.Duration(n) * time.Second, nil
}

func (s *Server) settleC2D(r *request) (response, error) {
	d := hubwire.Complete
	for name := range r.URL.Query() {
		if name == "reject" || name == "?reject" { // as the Java SDK has it
			d = hubwire.Reject
		}
	}
	return s.settle(r, r.path[len(r.path)-1], d)
}

func (s *Server) abandonC2D(r *request) (response, error) {
	return s.settle(r, r.path[len(r.path)-2], hubwire.Abandon)
}

func (s *Server) settle(r *request, token string, d hubwire.Disposition) (response, error) {
	id := r.grant.Identity
	if s.core.Intercepts() {
		if err := s.intercept(r, &core.Op{Kind: core.OpAck, Identity: id, Name: token}); err != nil {
			return response{}, err
		}
	}
	if err := s.core.SettleC2D(r.Context(), id, token, d); err != nil {
		return response{}, err
	}
	return response{status: http.StatusNoContent}, nil
}

// writeReceived writes what goes with a message into headers.
func writeReceived(h http.Header, m *hubwire.Received) {
	set := func(name, value string) { h[name] = []string{value} }
	set("iothub-messageid", m.ID)
	set("iothub-correlationid", m.CorrelationID)
	set("iothub-userid", m.UserID)
	set("iothub-to", m.To)
	set("iothub-sequencenumber", strconv.FormatInt(m.SequenceNumber, 10))
	set("iothub-deliverycount", strconv.Itoa(m.DeliveryCount))
	set("iothub-enqueuedtime", m.EnqueuedTime.UTC().Format("2006-01-02T15:04:05.9999999Z"))
	set("iothub-ack", string(m.Ack))
	if m.ContentType != "" {
		set("ContentType", m.ContentType)
	}
	if m.ContentEncoding != "" {
		set("ContentEncoding", m.ContentEncoding)
	}
	for _, p := range m.Properties {
		set(appProperty+strings.ToLower(p.Name), p.Value)
	}
}
