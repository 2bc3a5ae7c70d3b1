package httpfront

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
)

// Sending cloud-to-device messages is an extension of this hub: the service takes
// them over AMQP alone. It mirrors how devices send over HTTPS, with the body as it
// is and properties as headers:
//
//	POST /devices/{id}[/modules/{mid}]/messages/deviceBound?api-version=…
//	iothub-messageid, iothub-correlationid, iothub-userid, iothub-to
//	iothub-contenttype, iothub-contentencoding, iothub-messageschema
//	iothub-interface-id, dt-subject
//	iothub-creationtimeutc, iothub-expiry    ISO 8601, UTC when there is no zone
//	iothub-ack                               none, positive, negative or full
//	iothub-app-{name}                        application properties
//
// The answer is 204. Names are in lower case then, as HTTP has no case there, and in
// their own order; values are UTF-8. Other headers are ignored.
//
// Purging imitates "Cloud To Device Messages - Purge". Left out: the same of modules.

// appProperty is what stands in front of an application property's name.
const appProperty = "iothub-app-"

func (s *Server) sendC2D(r *request) (*httpsx.Answer, error) {
	m, err := r.message()
	if err != nil {
		return nil, err
	}
	if err := s.core.SendC2D(r.http.Context(), r.Target.Identity, m); err != nil {
		return nil, err
	}
	return noContent, nil
}

// message is the message that the request carries. core checks the rest.
func (r *request) message() (*hubwire.Message, error) {
	body, err := r.body()
	if err != nil {
		return nil, err
	}
	h := r.http.Header
	m := &hubwire.Message{
		Body: body,
		ID:   h.Get("iothub-messageid"), CorrelationID: h.Get("iothub-correlationid"),
		UserID: h.Get("iothub-userid"), To: h.Get("iothub-to"),
		ContentType: h.Get("iothub-contenttype"), ContentEncoding: h.Get("iothub-contentencoding"),
		Schema: h.Get("iothub-messageschema"), InterfaceID: h.Get("iothub-interface-id"), Component: h.Get("dt-subject"),
		Ack: hubwire.Ack(h.Get("iothub-ack")),
	}
	if m.CreationTime, err = r.time("iothub-creationtimeutc", "iothub-creation-time-utc"); err != nil {
		return nil, err
	}
	if m.Expiry, err = r.time("iothub-expiry"); err != nil {
		return nil, err
	}
	for _, header := range slices.Sorted(maps.Keys(h)) {
		name, ok := strings.CutPrefix(strings.ToLower(header), appProperty)
		if !ok {
			continue
		}
		for _, v := range h[header] {
			m.Properties = append(m.Properties, hubwire.Property{Name: name, Value: v})
		}
	}
	return m, nil
}

// time returns the time that the first of these headers holds, or the zero time when
// there is none. .NET and Java spell one of them differently.
func (r *request) time(headers ...string) (time.Time, error) {
	for _, name := range headers {
		v := r.http.Header.Get(name)
		if v == "" {
			continue
		}
		for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} {
			if t, err := time.Parse(layout, v); err == nil {
				return t.UTC(), nil
			}
		}
		return time.Time{}, refuse(r.Op, hubwire.ArgumentInvalid, name+" is not a time such as 2026-01-02T03:04:05Z")
	}
	return time.Time{}, nil
}

func (s *Server) purge(r *request) (*httpsx.Answer, error) {
	id := r.Target.Identity
	n, err := s.core.Purge(r.http.Context(), id)
	if err != nil {
		return nil, err
	}
	return r.with(&httpsx.PurgeResult{Total: n, DeviceID: id.DeviceID, ModuleID: id.ModuleID}, "")
}
