package httpfront

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// Receiving imitates how devices poll for cloud-to-device messages: GET locks the first
// that waits and hands it out, or answers 204; DELETE of the lock token completes or,
// with the parameter reject, rejects it; POST to abandon gives it back. The token of the path counts
// alone, since SDKs differ in what they say in If-Match.

// maxLock bounds the lock that a device asks for; the documents give 5 to 300 s for others.
const maxLock = 300 * time.Second

func (s *Server) receiveC2D(r *request) (*httpsx.Answer, error) {
	lock, err := r.lockTimeout()
	if err != nil {
		return nil, err
	}
	m, err := s.core.ReceiveC2D(r.http.Context(), r.grant.Identity, lock)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return noContent, nil
	}
	if err := s.interceptMessage(r, core.OpC2D, &m.Message); err != nil {
		return nil, err // the message stays locked, as one that was lost on its way
	}
	writeReceived(r.w.Header(), m)
	return &httpsx.Answer{Status: http.StatusOK, ETag: m.LockToken, ContentType: "application/octet-stream", Body: m.Body}, nil
}

// lockTimeout is how long a message is to be locked, in seconds, which SDKs say in a
// header or in the query; 0 when they do not.
func (r *request) lockTimeout() (time.Duration, error) {
	const name = "iothub-messagelocktimeout"
	v := r.http.Header.Get(name)
	if v == "" {
		v = r.http.URL.Query().Get(name)
	}
	if v == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > int(maxLock/time.Second) {
		return 0, refuse(r.Op, hubwire.ArgumentInvalid, name+" is not 1 to 300 seconds")
	}
	return time.Duration(n) * time.Second, nil
}

// settles returns what ends a delivery so.
func settles(d hubwire.Disposition) func(*Server, *request) (*httpsx.Answer, error) {
	return func(s *Server, r *request) (*httpsx.Answer, error) {
		token := r.Target.Name
		if s.core.Intercepts() {
			if err := s.intercept(r, &core.Op{Kind: core.OpAck, Identity: r.grant.Identity, Name: token}); err != nil {
				return nil, err
			}
		}
		if err := s.core.SettleC2D(r.http.Context(), r.grant.Identity, token, d); err != nil {
			return nil, err
		}
		return noContent, nil
	}
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
