package service_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/service"
)

// FuzzText feeds text to everything that takes some from the program. No network is there, so
// whatever is not refused ends as not sent.
func FuzzText(f *testing.F) {
	for _, s := range []string{
		"", connectionString, "HostName=h;SharedAccessKeyName=p;SharedAccessSignature=SharedAccessSignature sr=h&sig=AAAA&se=1", "hub.example",
		"[::1]", "a/b", "a@b", "\xff", "d\x00", "%", "ä=ö;;=", "2021-04-12", "\"*\"", "SELECT * FROM devices", "{", "null",
	} {
		f.Add(s)
	}
	noNetwork := errors.New("no network")
	dial := func(context.Context, string, string) (net.Conn, error) { return nil, noNetwork }
	f.Fuzz(func(t *testing.T, s string) {
		_, err := service.CredentialsFromConnectionString(s)
		notSent(t, err, nil)
		cred := service.Credentials{HostName: s, Tokens: service.Bearer(func(context.Context, string) (string, time.Time, error) {
			return s, time.Now().Add(time.Hour), nil
		})}
		for _, o := range []*service.Options{{ProductInfo: s}, {APIVersion: s}, {}} {
			o.Dial, o.MaxAttempts = dial, 1
			if c, err := service.NewWithCredentials(cred, o); err != nil {
				notSent(t, err, nil)
			} else {
				_, err = c.Twin(t.Context(), dev)
				notSent(t, err, noNetwork)
				c.Close()
			}
		}
		c, err := service.New(connectionString, &service.Options{Dial: dial, MaxAttempts: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		id := hubwire.Identity{DeviceID: s, ModuleID: s}
		for _, call := range []func() error{
			func() error { _, err := c.Device(t.Context(), s); return err },
			func() error { return c.DeleteModule(t.Context(), id, s) },
			func() error {
				_, err := c.PatchTwin(t.Context(), dev, &service.TwinUpdate{Tags: []byte(s)}, s)
				return err
			},
			func() error {
				_, err := c.Invoke(t.Context(), dev, hubwire.MethodRequest{Name: s, Payload: []byte(s)}, nil)
				return err
			},
			func() error {
				_, err := c.InvokeCommand(t.Context(), "d", s, hubwire.MethodRequest{Name: s}, nil)
				return err
			},
			func() error {
				_, err := c.ScheduleTwinUpdate(t.Context(), s, s, &service.TwinUpdate{}, nil)
				return err
			},
			func() error {
				_, err := c.QueryPage(t.Context(), s, &service.QueryOptions{Continuation: s})
				return err
			},
			func() error { _, err := c.Configuration(t.Context(), s); return err },
		} {
			notSent(t, call(), noNetwork)
		}
	})
}

// notSent fails t when err is no error of the toolkit that says so, for what was given or for this
// reason.
func notSent(t *testing.T, err, reason error) {
	t.Helper()
	var e *hubwire.Error
	switch {
	case err == nil && reason == nil:
	case !errors.As(err, &e) || e.Outcome != hubwire.NotSent || e.Op == "":
		t.Errorf("%v", err)
	case e.Code == 0 && !errors.Is(err, reason) && e.Message == "":
		t.Errorf("it does not say why: %v", err)
	}
}
