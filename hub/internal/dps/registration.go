package dps

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/systemtime"
	"github.com/hubwire/hubwire/topics"
)

// Registrations imitate the flow of the documents: a request is answered with an
// operation that is under way, about which the device asks until it is done. A device
// that registers again gets a new operation, with a result of its own, and may still ask
// about the ones before: when a request went out twice, the device asks about the one
// whose answer it saw. Which substatus it has then is not documented for a service with
// one hub: here it is the first one.

// Words of the service.
const (
	assigning = "assigning"
	assigned  = "assigned"
	failed    = "failed"
	disabled  = "disabled"

	initialAssignment = "initialAssignment"
)

// registration is what has become of one of a device's requests.
type registration struct {
	operation string
	done      time.Time
	state     topics.DPSState
}

// Answer is what a device is told.
type Answer struct {
	Result     topics.DPSResult
	RetryAfter time.Duration // when to ask again; 0 when it is done
}

// Register begins a registration. Codes: UnauthorizedAccess when the enrollment of the
// login is another by now, ArgumentInvalid for a registration that is not the connection's,
// TooManyDevices, and those of the hub that are worth another try.
func (s *Service) Register(ctx context.Context, g *Grant, r *topics.DPSRegistration) (*Answer, error) {
	const op = "register"
	if r.RegistrationID != "" && key(r.RegistrationID) != key(g.RegistrationID) {
		return nil, refuse(op, hubwire.ArgumentInvalid, "the registration id of the body is not the connection's")
	}
	if !slices.Contains(s.candidates(g.RegistrationID), g.enrollment) {
		return nil, s.unauthorized(op, errors.New("the enrollment has changed since the login"))
	}
	now := time.Now().UTC()
	s.mu.Lock()
	full := s.registrations[key(g.RegistrationID)] == nil && len(s.registrations) >= maxRegistrations
	s.mu.Unlock()
	if full {
		return nil, refuse(op, hubwire.TooManyDevices, "there are %d registrations, which is the limit", maxRegistrations)
	}
	state, err := s.assign(ctx, g, now)
	if err != nil {
		return nil, err
	}
	reg := &registration{operation: newOperation(), done: now.Add(s.cfg.AssignAfter), state: state}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.registrations[key(g.RegistrationID)]
	if len(all) > 0 {
		reg.state.Created = all[0].state.Created
	}
	if len(all) == maxOperations {
		all = slices.Delete(all, 0, 1)
	}
	s.registrations[key(g.RegistrationID)] = append(all, reg)
	return s.underWay(reg), nil
}

// Query tells how an operation is going. The code for one that is not among the newest
// [maxOperations] of this device is ArgumentInvalid.
func (s *Service) Query(g *Grant, operation string) (*Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.registrations[key(g.RegistrationID)]
	at := slices.IndexFunc(all, func(r *registration) bool { return r.operation == operation })
	if at < 0 {
		return nil, refuse("query registration", hubwire.ArgumentInvalid, "no such operation is known of the registration")
	}
	reg := all[at]
	if time.Now().Before(reg.done) {
		a := s.underWay(reg)
		a.Result.State = &topics.DPSState{RegistrationID: reg.state.RegistrationID, Status: assigning}
		return a, nil
	}
	state := reg.state
	return &Answer{Result: topics.DPSResult{OperationID: reg.operation, Status: state.Status, State: &state}}, nil
}

func (s *Service) underWay(reg *registration) *Answer {
	return &Answer{Result: topics.DPSResult{OperationID: reg.operation, Status: assigning}, RetryAfter: s.cfg.retryAfter()}
}

// assign gives the device to the hub, and returns what it is told of that. The error is
// of a hub that may take it later: to devices, a state is for good.
func (s *Service) assign(ctx context.Context, g *Grant, now time.Time) (topics.DPSState, error) {
	e, at := g.enrollment, now.Format(systemtime.Layout)
	state := topics.DPSState{RegistrationID: g.RegistrationID, Created: at, LastUpdated: at, ETag: newETag(), Payload: e.Payload}
	if g.thumbprint != "" {
		state.X509 = json.RawMessage("{}")
	}
	if e.Disabled {
		state.Status, state.Payload = disabled, nil
		return state, nil
	}
	a := &Assignment{
		DeviceID: g.deviceID(), Primary: g.primary, Secondary: g.secondary,
		Thumbprint: g.thumbprint, Edge: e.Edge, Twin: e.Twin,
	}
	if err := s.cfg.Register(ctx, a); err != nil {
		s.cfg.Log.Warn("provisioning: no device", "registration", g.RegistrationID, "error", err)
		state.Status, state.Payload = failed, nil
		state.ErrorCode, state.ErrorMessage = int(hubwire.ServerError), "the device could not be registered"
		he := new(hubwire.Error)
		switch errors.As(err, &he); {
		case he.Outcome == hubwire.Refused && he.Retryable:
			return state, he
		case he.Code != 0:
			state.ErrorCode, state.ErrorMessage = int(he.Code), cmp.Or(he.Message, state.ErrorMessage)
		}
		return state, nil
	}
	state.Status, state.Substatus = assigned, initialAssignment
	state.AssignedHub, state.DeviceID = s.cfg.Hub, a.DeviceID
	return state, nil
}

// newOperation returns an id in the form of the service's.
func newOperation() string {
	var b [24]byte
	rand.Read(b[:])
	b[14], b[16] = b[14]&0x0f|0x40, b[16]&0x3f|0x80 // RFC 9562 version 4
	return fmt.Sprintf("4.%x.%x-%x-%x-%x-%x", b[:8], b[8:12], b[12:14], b[14:16], b[16:18], b[18:])
}

func newETag() string {
	var b [12]byte
	rand.Read(b[:])
	return base64.StdEncoding.EncodeToString(b[:])
}
