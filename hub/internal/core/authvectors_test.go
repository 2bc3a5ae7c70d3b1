package core

import (
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

type authVector struct {
	ID, Token    string
	Now          int64
	Skew         int64  `json:"skew_seconds"`
	Host         string `json:"hub_host"`
	Identity     *hubwire.Identity
	IdentityKeys *vectorKeys `json:"identity_keys"`
	Enabled      bool        `json:"identity_enabled"`
	Policies     map[string]struct {
		vectorKeys
		Rights []string
	}
	Right    string `json:"required_permission"`
	Resource string
	Expect   string
	Reason   string
}

type vectorKeys struct{ Primary, Secondary string }

func (k vectorKeys) secrets() (primary, secondary sas.Secret) {
	return sas.NewSecret(k.Primary), sas.NewSecret(k.Secondary)
}

var rightNames = map[string]Right{
	"RegistryRead": RegistryRead, "RegistryWrite": RegistryWrite, "ServiceConnect": ServiceConnect, "DeviceConnect": DeviceConnect,
}

// verify has a hub with the vector's identity and policies judge its token, at its time.
func (v *authVector) verify(t *testing.T) error {
	time.Sleep(time.Until(time.Unix(v.Now, 0)))
	skew := time.Duration(v.Skew) * time.Second
	if skew == 0 {
		skew = -1 // which is how Config says none
	}
	c := newCore(t, &Config{HostName: v.Host, Skew: skew})
	c.policies = nil
	for name, p := range v.Policies {
		policy := &Policy{Name: name}
		policy.Primary, policy.Secondary = p.secrets()
		for _, r := range p.Rights {
			policy.Rights |= rightNames[r]
		}
		c.policies = append(c.policies, policy)
	}
	if v.Identity == nil {
		_, err := c.checkServiceToken(v.Token, v.Resource, rightNames[v.Right])
		return err
	}
	create(t, c, &Device{ID: hubwire.Identity{DeviceID: v.Identity.DeviceID}})
	if v.Identity.IsModule() {
		create(t, c, &Device{ID: *v.Identity})
	}
	e := c.entity(*v.Identity)
	e.dev.Auth.Primary, e.dev.Auth.Secondary = v.IdentityKeys.secrets()
	e.dev.Disabled = !v.Enabled
	return c.authenticate(&Login{Identity: *v.Identity, Token: sas.NewSecret(v.Token)}, new(Grant), false)
}

// reasonOf gives an error the vectors' name.
func reasonOf(err error) string {
	var syntax *sas.SyntaxError
	switch {
	case err == nil:
		return "accept"
	case errors.As(err, &syntax):
		return "malformed"
	case errors.Is(err, sas.ErrExpired):
		return "expired"
	case errors.Is(err, errNoPolicy):
		return "unknown-policy"
	case errors.Is(err, sas.ErrSignature):
		return "bad-signature"
	case errors.Is(err, errNoRight):
		return "no-permission"
	case errors.Is(err, sas.ErrWrongResource):
		return "wrong-resource"
	case errors.Is(err, errDisabled):
		return "disabled"
	}
	return err.Error()
}

func TestVectorsOfVerification(t *testing.T) {
	var all struct{ Verification []authVector }
	if err := json.Unmarshal(testkit.Vectors(t, "sas.json"), &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Verification) == 0 {
		t.Fatal("there are no vectors of verification: the test would pass for nothing")
	}
	for _, v := range all.Verification {
		t.Run(v.ID, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				want := v.Reason
				if v.Expect == "accept" {
					want = "accept"
				}
				if got := v.verify(t); reasonOf(got) != want {
					t.Errorf("%s (%v), want %s", reasonOf(got), got, want)
				}
			})
		})
	}
}

// Each token has all the faults from one of them on: the first is the one that is told.
func TestTheFirstFaultIsTheReason(t *testing.T) {
	past, next := time.Now().Add(-time.Hour), soon()
	tests := []struct {
		reason                 string
		form, policy, resource string
		expires                time.Time
		right, wrongKey        bool
	}{
		{"malformed", "x", "nobody", "elsewhere", past, false, true},
		{"expired", "", "nobody", "elsewhere", past, false, true},
		{"unknown-policy", "", "nobody", "elsewhere", next, false, true},
		{"bad-signature", "", "service", "elsewhere", next, false, true},
		{"no-permission", "", "service", "elsewhere", next, false, false},
		{"wrong-resource", "", "device", "elsewhere", next, true, false},
		{"disabled", "", "device", host, next, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			c := newCore(t, &Config{HostName: host})
			key := newKey()
			if p := c.policy(tt.policy); p != nil && !tt.wrongKey {
				key = p.Primary
			}
			c.entity(dev).dev.Disabled = true
			text := tt.form + token(key, tt.resource, tt.expires, tt.policy)
			err := c.authenticate(&Login{Identity: dev, Token: sas.NewSecret(text)}, new(Grant), false)
			if got := reasonOf(err); got != tt.reason {
				t.Errorf("%s (%v)", got, err)
			}
			if tt.reason == "disabled" || tt.right {
				return
			}
			if _, err := c.checkServiceToken(text, "/devices", RegistryWrite); reasonOf(err) != tt.reason {
				t.Errorf("for a service: %v", err)
			}
		})
	}
	c := newCore(t, &Config{HostName: host})
	d, _ := c.Device(dev)
	if _, err := c.checkServiceToken(token(d.Auth.Primary, host, next, ""), "/devices", RegistryRead); !errors.Is(err, errNoPolicy) {
		t.Errorf("a device's token for a service: %v", err)
	}
	if err := c.authenticate(&Login{Identity: hubwire.Identity{DeviceID: "nobody"}, Token: sas.NewSecret("x")}, new(Grant), false); reasonOf(err) != "malformed" {
		t.Errorf("a malformed token of nobody: %v", err)
	}
}

// An expiry that no clock reaches must not overflow on its way into a timer.
func TestATokenForeverKeepsItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, at := range []time.Time{time.Unix(253402300799, 0), time.Unix(1<<53+1, 0), time.Unix(1<<63-1, 0)} {
			c := newCore(t, &Config{HostName: host})
			d, err := c.Device(dev)
			must(t, err)
			g, err := c.Authenticate(ctx, &Login{Identity: dev, Token: sas.NewSecret(token(d.Auth.Primary, host, at, ""))})
			must(t, err)
			s, _ := connectWith(t, c, g, nil)
			time.Sleep(24 * time.Hour)
			if err := s.Err(); err != nil {
				t.Errorf("a token until %d: %v", at.Unix(), err)
			}
		}
	})
}
