package service_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/service"
)

func TestNothingPanicsWhereItsArgumentsAreLeftOut(t *testing.T) {
	withFake(t, []http.HandlerFunc{refuses(hubwire.DeviceNotFound)}, func(t *testing.T, f *fake) {
		testkit.Zeros(t, map[string]any{
			"Bearer":                          service.Bearer,
			"CredentialsFromConnectionString": service.CredentialsFromConnectionString,
			"DeviceIn":                        service.DeviceIn,
			"New":                             service.New,
			"NewWithCredentials":              service.NewWithCredentials,
			"QueryAs":                         service.QueryAs[int],
			"Quote":                           service.Quote,
		}, f.client(nil), service.Credentials{}, &service.DigitalTwin{}, &service.Feedback{}, &service.FileNotification{})
		if n := f.dialled(); n != 0 {
			t.Errorf("%d dials for calls without a context", n)
		}
	})
}

// TestAContextThatIsNilIsRefused has iterators too, which testkit.Zeros does not look into.
func TestAContextThatIsNilIsRefused(t *testing.T) {
	var none context.Context
	withFake(t, []http.HandlerFunc{says(200, "[]")}, func(t *testing.T, f *fake) {
		for _, c := range []*service.Client{f.client(nil), nil, {}} {
			for name, call := range map[string]func() error{
				"twin get": func() error { _, err := c.Twin(none, dev); return err },
				"query": func() (err error) {
					for _, err = range c.Query(none, "SELECT * FROM devices", nil) {
						break
					}
					return err
				},
				"job list": func() (err error) {
					for _, err = range c.Jobs(none, "", "") {
						break
					}
					return err
				},
			} {
				var e *hubwire.Error
				if err := call(); !errors.As(err, &e) || e.Code != hubwire.ArgumentInvalid || e.Outcome != hubwire.NotSent || e.Op != name {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	})
}
