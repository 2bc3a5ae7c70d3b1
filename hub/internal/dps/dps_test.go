package dps

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/topics"
)

func newService(t *testing.T, register func(*Assignment) error) *Service {
	t.Helper()
	return New(&Config{IDScope: "scope", Hub: "hub.example", Register: func(_ context.Context, a *Assignment) error {
		if register == nil {
			return nil
		}
		return register(a)
	}})
}

// granted enrolls a device and returns a login of its.
func granted(t *testing.T, s *Service, e *Enrollment) *Grant {
	t.Helper()
	if _, err := s.Enroll(e); err != nil {
		t.Fatal(err)
	}
	return &Grant{RegistrationID: e.ID, enrollment: s.candidates(e.ID)[0]}
}

func TestEnrollRefuses(t *testing.T) {
	key := sas.NewSecret("c2l4dGVlbiBieXRlcyAhIQ==")
	for name, e := range map[string]*Enrollment{
		"nil":                                 nil,
		"no id":                               {},
		"an id that is too long":              {ID: strings.Repeat("x", 129)},
		"an id with a slash":                  {ID: "a/b"},
		"an id that ends with a dot":          {ID: "a."},
		"an id beyond ASCII":                  {ID: "ä"},
		"a key that is not base64":            {ID: "a", Primary: sas.NewSecret("!")},
		"a key with a line break":             {ID: "a", Group: true, Primary: sas.NewSecret(key.Reveal() + "\n")},
		"a key that is too short":             {ID: "a", Secondary: sas.NewSecret("YWJj")},
		"a thumbprint that is none":           {ID: "a", PrimaryThumbprint: "abcd"},
		"a thumbprint and a key":              {ID: "a", PrimaryThumbprint: strings.Repeat("a", 40), Primary: key},
		"a thumbprint for a group":            {ID: "a", Group: true, SecondaryThumbprint: strings.Repeat("a", 64)},
		"an authority for one device":         {ID: "a", Authorities: []*x509.Certificate{{}}},
		"an authority that is nil":            {ID: "a", Group: true, Authorities: []*x509.Certificate{nil}},
		"a device id for a group":             {ID: "a", Group: true, DeviceID: "b"},
		"a device id that is none":            {ID: "a", DeviceID: "b/c"},
		"a payload that is not JSON":          {ID: "a", Payload: json.RawMessage("{")},
		"desired properties that are no JSON": {ID: "a", Twin: Twin{Desired: json.RawMessage("x")}},
	} {
		s := newService(t, nil)
		if made, err := s.Enroll(e); made != nil || !errors.Is(err, hubwire.ArgumentInvalid) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "abcd") || strings.Contains(err.Error(), "YWJj") {
			t.Errorf("%s: the error quotes it: %v", name, err)
		}
	}
}

func TestEnrollMakesAndKeepsKeys(t *testing.T) {
	s := newService(t, nil)
	made, err := s.Enroll(&Enrollment{ID: "a.b_c:D-"})
	if err != nil || made.Primary.IsZero() || made.Secondary.IsZero() || made.Primary.Equal(made.Secondary) {
		t.Fatalf("made %+v, %v", made, err)
	}
	again, err := s.Enroll(made)
	if err != nil || !again.Primary.Equal(made.Primary) {
		t.Errorf("it has another key now, or %v", err)
	}
	if !s.Unenroll("A.B_C:d-", false) || s.Unenroll("a.b_c:D-", false) {
		t.Error("Unenroll does not say whether it was there")
	}
}

func TestUnenrollEndsTheRegistration(t *testing.T) {
	s := newService(t, nil)
	g := granted(t, s, &Enrollment{ID: "a"})
	a, err := s.Register(t.Context(), g, &topics.DPSRegistration{})
	if err != nil {
		t.Fatal(err)
	}
	s.Unenroll("a", true) // there is no such group
	if _, err := s.Query(g, a.Result.OperationID); err != nil {
		t.Error(err)
	}
	s.Unenroll("A", false)
	if _, err := s.Query(g, a.Result.OperationID); !errors.Is(err, hubwire.ArgumentInvalid) || len(s.registrations) != 0 {
		t.Errorf("%v, and %d registrations are left", err, len(s.registrations))
	}
}

func TestGroupsAreBounded(t *testing.T) {
	s := newService(t, nil)
	for i := range maxGroups {
		if _, err := s.Enroll(&Enrollment{ID: fmt.Sprint(i), Group: true}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Enroll(&Enrollment{ID: "more", Group: true}); !errors.Is(err, hubwire.TooManyDevices) {
		t.Errorf("one more: %v", err)
	}
	if _, err := s.Enroll(&Enrollment{ID: "1", Group: true}); err != nil {
		t.Errorf("one that is there: %v", err)
	}
}

// TestRegisterFromManySides has one device register on many connections at once:
// each gets an operation, of which the newest can be asked for, and no more are kept.
func TestRegisterFromManySides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, func(*Assignment) error { time.Sleep(time.Second); return nil })
		g := granted(t, s, &Enrollment{ID: "a"})
		var wg sync.WaitGroup
		var mu sync.Mutex
		operations := map[string]bool{}
		for range 20 {
			wg.Go(func() {
				a, err := s.Register(t.Context(), g, &topics.DPSRegistration{})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				operations[a.Result.OperationID] = true
			})
		}
		wg.Wait()
		known := 0
		for op := range operations {
			if _, err := s.Query(g, op); err == nil {
				known++
			}
		}
		if len(operations) != 20 || known != maxOperations {
			t.Errorf("%d operations, of which %d can be asked for", len(operations), known)
		}
	})
}

// TestRegisterTwice has a device ask about the first of two requests, which came while
// that was under way: each has the time and the result of its own.
func TestRegisterTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refusal error
		s := newService(t, func(*Assignment) error { return refusal })
		s.cfg.AssignAfter = 2 * time.Second
		g := granted(t, s, &Enrollment{ID: "a"})
		register := func() string {
			t.Helper()
			a, err := s.Register(t.Context(), g, &topics.DPSRegistration{})
			if err != nil {
				t.Fatal(err)
			}
			return a.Result.OperationID
		}
		query := func(operation, want string) *topics.DPSState {
			t.Helper()
			a, err := s.Query(g, operation)
			if err != nil || a.Result.OperationID != operation || a.Result.Status != want {
				t.Fatalf("%+v, %v; want %s, %s", a, err, operation, want)
			}
			return a.Result.State
		}
		first := register()
		time.Sleep(time.Second)
		refusal = refuse("create", hubwire.TooManyDevices, "full")
		second := register()
		time.Sleep(time.Second)
		query(second, assigning)
		created := query(first, assigned).Created
		time.Sleep(time.Second)
		if got := query(second, failed).Created; got != created {
			t.Errorf("the registration began at %s, and then at %s", created, got)
		}
		query(first, assigned)
	})
}

// TestFailureOfTheRegistry has errors that are the hub's, and one that is not.
func TestFailureOfTheRegistry(t *testing.T) {
	for want, err := range map[int]error{
		413002: refuse("create", hubwire.TooManyDevices, "full"),
		500001: errors.New("some secret of the store"),
	} {
		s := newService(t, func(*Assignment) error { return err })
		g := granted(t, s, &Enrollment{ID: "a"})
		a, err := s.Register(t.Context(), g, &topics.DPSRegistration{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Query(g, a.Result.OperationID)
		if code, text := got.Result.Failure(); err != nil || code != want || text == "" || strings.Contains(text, "secret") {
			t.Errorf("%d %q, %v, want %d", code, text, err, want)
		}
	}
}

// TestThrottledRegistry has a hub that will take the device later: no state says so, since
// all states but "assigning" are for good.
func TestThrottledRegistry(t *testing.T) {
	s := newService(t, func(*Assignment) error { return errors.Join(refuse("patch", hubwire.Throttled, "later"), nil) })
	g := granted(t, s, &Enrollment{ID: "a"})
	if a, err := s.Register(t.Context(), g, &topics.DPSRegistration{}); a != nil || !errors.Is(err, hubwire.Throttled) {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestAGrantEndsWithItsEnrollment(t *testing.T) {
	for name, change := range map[string]func(s *Service){
		"gone":                                 func(s *Service) { s.Unenroll("group", true) },
		"replaced":                             func(s *Service) { s.Enroll(&Enrollment{ID: "GROUP", Group: true, Disabled: true}) },
		"overruled by one of the device's own": func(s *Service) { s.Enroll(&Enrollment{ID: "A", Disabled: true}) },
	} {
		s := newService(t, nil)
		g := granted(t, s, &Enrollment{ID: "group", Group: true})
		g.RegistrationID = "a"
		if _, err := s.Register(t.Context(), g, &topics.DPSRegistration{}); err != nil {
			t.Errorf("before it is %s: %v", name, err)
		}
		change(s)
		if _, err := s.Register(t.Context(), g, &topics.DPSRegistration{}); !errors.Is(err, hubwire.UnauthorizedAccess) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	const key = "c2l4dGVlbiBieXRlcyAhIQ=="
	k := sas.NewSecret(key)
	testkit.Hides(t, "an enrollment", key, Enrollment{Primary: k, Secondary: k})
	testkit.Hides(t, "a login", key, Login{Token: k})
	testkit.Hides(t, "a grant", key, Grant{primary: k, secondary: k})
	testkit.Hides(t, "an assignment", key, Assignment{Primary: k, Secondary: k})
}
