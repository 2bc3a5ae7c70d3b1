package amqpfront

import (
	"strings"
	"testing"
	"testing/synctest"

	goamqp "github.com/Azure/go-amqp"
)

// pasted is a key, and what people paste that holds one.
const (
	pasted           = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0Yw=="
	connectionString = "HostName=h;DeviceId=dev;SharedAccessKey=" + pasted
	pastedToken      = "SharedAccessSignature sr=h&sig=" + pasted + "&se=1"
)

// TestLogHasNoSecret has peers put a secret where an id or an address belongs. The log
// tells of that, and not what it was.
func TestLogHasNoSecret(t *testing.T) {
	plain := func(user, password string) func(*front) {
		return func(f *front) {
			c, err := f.client(&goamqp.ConnOptions{SASLType: goamqp.SASLTypePlain(user, password)})
			if err == nil {
				c.Close()
				f.Error("it was let in")
			}
		}
	}
	session := func(do func(f *front, s *goamqp.Session)) func(*front) {
		return func(f *front) {
			c, err := f.client(&goamqp.ConnOptions{SASLType: goamqp.SASLTypePlain("dev@sas.localhost", f.token)})
			if err != nil {
				f.Fatal(err)
			}
			defer c.Close()
			s, err := c.NewSession(f.Context(), nil)
			if err != nil {
				f.Fatal(err)
			}
			do(f, s)
		}
	}
	address := func(target string) func(*front) {
		return session(func(f *front, s *goamqp.Session) {
			if _, err := s.NewSender(f.Context(), target, nil); err == nil {
				f.Error("it was attached")
			}
		})
	}
	put := func(audience, token string) func(*front) {
		return session(func(f *front, s *goamqp.Session) {
			l, err := s.NewSender(f.Context(), "$cbs", nil)
			if err != nil {
				f.Fatal(err)
			}
			m := &goamqp.Message{Value: token, ApplicationProperties: map[string]any{"operation": "put-token", "name": audience}}
			if err := l.Send(f.Context(), m, nil); err != nil {
				f.Error(err)
			}
		})
	}
	tests := []struct {
		name string
		do   func(*front)
		want string
	}{
		{"a connection string as user", plain(connectionString, "x"), "not the key of the policy"},
		{"a key as user", plain(pasted+"@sas.localhost", "x"), "login refused"},
		{"a key as the user's hub", plain("dev@sas."+pasted, "x"), "SASL PLAIN"},
		{"a key as password", plain("dev@sas.localhost", pasted), "login refused"},
		{"a bad token as password", plain("dev@sas.localhost", pastedToken), "login refused"},
		{"a policy's token as password", plain("dev@sas.root.localhost", pastedToken), "service refused"},
		{"a key as address", address(pasted), "amqp:not-found"},
		{"a connection string as address", address(connectionString), "amqp:not-found"},
		{"a key as device", address("/devices/" + pasted + "/messages/events"), "unknownBytes=44"},
		{"a token as token", put("x", pastedToken), "login refused"},
		{"a policy's token as token", put("x", pastedToken+"&skn="+pasted), "service refused"},
		{"a connection string as token", put("x", connectionString), "login refused"},
		{"a connection string as audience", put(connectionString, pastedToken), "login refused"},
		{"a key as the reason of the end", func(f *front) {
			peer := f.dial()
			b := f.hello()
			b = appendFrame(b, 0, closeWith(pasted))
			peer.Write(b)
			peer.CloseWrite()
			listen(f, peer)
		}, "connection closed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := logged(t, tt.do)
				if strings.Contains(log, pasted) || strings.Contains(log, pasted[:8]) || !strings.Contains(log, tt.want) {
					t.Errorf("want %q and no secret in\n%s", tt.want, log)
				}
			})
		})
	}
}
