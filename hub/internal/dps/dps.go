// Package dps is the Device Provisioning Service without a wire: enrollments,
// what devices prove themselves with, and registrations, which end with a device in the
// registry of the one hub that there is.
//
// Imitated: the DPS documentation, api-version 2019-03-31 of the device's side, and
// what the official SDKs rely on. Left out: TPM attestation, which MQTT does not
// have, hubs to choose from, custom allocation, and what would outlive the process.
package dps

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// Bounds of a service.
const (
	maxEnrollments   = 1_000_000
	maxGroups        = 100
	maxRegistrations = 1_000_000
	maxOperations    = 8 // of a registration, that can be asked about
)

// Config says what kind of service a [Service] is.
type Config struct {
	IDScope string        // of all its registrations
	Hub     string        // host name of the hub that devices are assigned to
	Skew    time.Duration // how long after its expiry a token is still taken

	// AssignAfter is how long a registration takes, RetryAfter what devices are
	// told meanwhile to wait before they ask again.
	AssignAfter, RetryAfter time.Duration

	// Register makes or updates the device that a registration is assigned. It
	// is called from any goroutine. The error of a refusal is a [*hubwire.Error].
	Register func(context.Context, *Assignment) error

	Log *slog.Logger // gets why a login was refused
}

// Service is the state of a provisioning service. Its methods may be called from any goroutine.
type Service struct {
	cfg Config

	mu            sync.Mutex
	enrollments   map[string]*Enrollment     // by registration id in lower case
	groups        map[string]*Enrollment     // by name in lower case
	registrations map[string][]*registration // of each device, the newest last
}

// New returns a service without enrollments.
func New(cfg *Config) *Service {
	s := &Service{
		cfg: *cfg, enrollments: map[string]*Enrollment{}, groups: map[string]*Enrollment{}, registrations: map[string][]*registration{},
	}
	if s.cfg.Log == nil {
		s.cfg.Log = slog.New(slog.DiscardHandler)
	}
	return s
}

// IDScope returns the id scope.
func (s *Service) IDScope() string { return s.cfg.IDScope }

// key is what ids are compared by: DPS does not tell cases apart.
func key(id string) string { return strings.ToLower(id) }

// Enroll adds an enrollment, or replaces the one of that id, and returns it with the
// keys that it lacked. Those who registered by the former one stay registered. Codes:
// ArgumentInvalid, TooManyDevices.
func (s *Service) Enroll(e *Enrollment) (*Enrollment, error) {
	const op = "enroll"
	own, err := e.normal(op)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all, limit := s.enrollments, maxEnrollments
	if own.Group {
		all, limit = s.groups, maxGroups
	}
	if all[key(own.ID)] == nil && len(all) >= limit {
		return nil, refuse(op, hubwire.TooManyDevices, "there are %d enrollments of that kind, which is the limit", limit)
	}
	all[key(own.ID)] = own
	return own.clone(), nil
}

// Unenroll removes an enrollment with its registration, or a group, and reports whether
// there was one. Devices that it has led to stay in the hub.
func (s *Service) Unenroll(id string, group bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.enrollments
	if group {
		all = s.groups
	}
	_, ok := all[key(id)]
	delete(all, key(id))
	if ok && !group {
		delete(s.registrations, key(id))
	}
	return ok
}

// candidates returns the enrollments by which a device may log in: the one of its
// own, or else all groups, in no order.
func (s *Service) candidates(registrationID string) []*Enrollment {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.enrollments[key(registrationID)]; e != nil {
		return []*Enrollment{e}
	}
	all := make([]*Enrollment, 0, len(s.groups))
	for _, g := range s.groups {
		all = append(all, g)
	}
	return all
}

// Assignment is a device that the hub is to have.
type Assignment struct {
	DeviceID           string
	Primary, Secondary sas.Secret // or else
	Thumbprint         string     // of the certificate that it showed, SHA-256
	Edge               bool
	Twin               Twin // of a device that is new
}

// refuse is the error for what the service says no to.
func refuse(op string, code hubwire.Code, format string, args ...any) *hubwire.Error {
	return &hubwire.Error{
		Op: op, Code: code, Outcome: hubwire.Refused, Retryable: code.Retryable(), Message: fmt.Sprintf(format, args...),
	}
}

func (c *Config) retryAfter() time.Duration { return cmp.Or(c.RetryAfter, 3*time.Second) }
