package httpfront

import (
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

func (s *Server) sendC2D(r *request) (*httpsx.Answer, error) {
	m, err := r.message()
	if err != nil {
		return nil, err
	}
	for _, name := range [...]string{"$.exp", "$.ctime"} { // what stands there is no time
		if _, ok := m.Property(name); ok {
			return nil, refuse(r.Op, hubwire.ArgumentInvalid, "expiry or creation time is not a time such as 2026-01-02T03:04:05Z")
		}
	}
	if err := s.core.SendC2D(r.http.Context(), r.Target.Identity, m); err != nil {
		return nil, err
	}
	return noContent, nil
}

func (s *Server) purge(r *request) (*httpsx.Answer, error) {
	id := r.Target.Identity
	n, err := s.core.Purge(r.http.Context(), id)
	if err != nil {
		return nil, err
	}
	return r.with(&httpsx.PurgeResult{Total: n, DeviceID: id.DeviceID, ModuleID: id.ModuleID}, "")
}
