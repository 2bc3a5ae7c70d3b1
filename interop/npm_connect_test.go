package interop

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestNpmConnect has devices come with everything that lets one in, and with what does not.
func TestNpmConnect(t *testing.T) {
	p := join(t)
	audience := func(d identity) string { return "localhost/devices/" + d.DeviceID }
	who := func(d identity) string { return "HostName=localhost;DeviceId=" + d.DeviceID + ";" }
	soon := time.Now().Add(time.Hour)
	for _, login := range []struct {
		name, auth string
		secret     func(*testing.T, identity) string
	}{
		{"the primary key", "device", func(_ *testing.T, d identity) string {
			return "SharedAccessKey=" + d.Authentication.SymmetricKey.Primary
		}},
		{"the secondary key", "device", func(_ *testing.T, d identity) string {
			return "SharedAccessKey=" + d.Authentication.SymmetricKey.Secondary
		}},
		{"a token of its own", "device", func(t *testing.T, d identity) string {
			return "SharedAccessSignature=" + token(t, deviceString(d), audience(d), "", soon)
		}},
		{"a token of a policy", "hub", func(t *testing.T, d identity) string {
			return "SharedAccessSignature=" + token(t, p.env["HUBWIRE_CONNECTION_STRING"], audience(d), "iothubowner", soon)
		}},
	} {
		p.over(t, everyTransport, "connects with "+login.name, func(t *testing.T, w *way) {
			d := w.register(t, identity{})
			e := w.works(t, d.DeviceID, w.client(t, who(d)+login.secret(t, d)))
			sameJSON(t, "auth method", `{"scope":"`+login.auth+`","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`, []byte(e.System["iothub-connection-auth-method"].(string)))
		})
	}
	p.over(t, everyTransport, "connects with a certificate", func(t *testing.T, w *way) {
		d, cert, key := w.certified(t)
		c := w.client(t, who(d)+"x509=true")
		c.do(t, "options", w.showing(cert, key))
		e := w.works(t, d.DeviceID, c)
		sameJSON(t, "auth method", `{"scope":"device","type":"x509","issuer":"iothub","acceptingIpFilterRule":null}`, []byte(e.System["iothub-connection-auth-method"].(string)))
	})
	p.over(t, everyTransport, "refused: another certificate of the same name", func(t *testing.T, w *way) {
		d, _, _ := w.certified(t)
		cert, key, _ := certificate(t, d.DeviceID)
		c := w.client(t, who(d)+"x509=true")
		c.do(t, "options", w.showing(cert, key))
		w.denied(t, c)
	})
	p.over(t, everyTransport, "refused: a key that is not the device's", func(t *testing.T, w *way) {
		d, other := w.register(t, identity{}), w.register(t, identity{})
		w.denied(t, w.client(t, swapKey(deviceString(d), deviceString(other))))
	})
	p.over(t, everyTransport, "refused: a device that there is not", func(t *testing.T, w *way) {
		d := w.register(t, identity{})
		w.denied(t, w.client(t, strings.Replace(deviceString(d), d.DeviceID, w.id("nobody"), 1)))
	})
	p.over(t, everyTransport, "refused: a device that is disabled", func(t *testing.T, w *way) {
		w.denied(t, w.client(t, deviceString(w.register(t, identity{Status: "disabled"}))), "IotHubQuotaExceededError")
	})
	p.over(t, everyTransport, "refused: a token that expired an hour ago", func(t *testing.T, w *way) {
		d := w.register(t, identity{})
		w.denied(t, w.client(t, who(d)+"SharedAccessSignature="+token(t, deviceString(d), audience(d), "", time.Now().Add(-time.Hour))))
	})
	p.over(t, everyTransport, "refused: a token for another device", func(t *testing.T, w *way) {
		d, other := w.register(t, identity{}), w.register(t, identity{})
		w.denied(t, w.client(t, who(d)+"SharedAccessSignature="+token(t, deviceString(d), audience(other), "", soon)))
	})
}

// certified is a device that has a certificate.
func (w *way) certified(t *testing.T) (d identity, cert, key string) {
	t.Helper()
	d.DeviceID = w.id("x509")
	cert, key, thumbprint := certificate(t, d.DeviceID)
	d.Authentication.Type, d.Authentication.X509.Primary = "selfSigned", thumbprint
	return w.register(t, d), cert, key
}

// showing are the options for a certificate. Over HTTPS they are answered only with a policy for messages.
func (w *way) showing(cert, key string) map[string]any {
	o := map[string]any{"cert": cert, "key": key}
	if w.transport == "https" {
		o["http"] = polling(1, true)["http"]
	}
	return o
}

// denied has a client that gets nowhere: it is refused when it connects, or when
// it shows itself first, which is later over AMQP and with each request over HTTPS,
// where there is another class for 403.
func (w *way) denied(t *testing.T, p *peer, forbidden ...string) {
	t.Helper()
	if w.mqtt() {
		p.fails(t, "UnauthorizedError", refusal, "open", nil)
		return
	}
	class := "UnauthorizedError"
	if w.transport == "https" && len(forbidden) > 0 {
		class = forbidden[0]
	}
	_, err := w.judge.call(within(t), p.name, "open", nil)
	if err == nil {
		_, err = w.judge.call(within(t), p.name, "send", sdkMessage{})
	}
	if e, ok := err.(*sdkError); !ok || e.Name != class {
		t.Errorf("the error is %v, want %s", err, class)
	}
}

// TestNpmRevoke has devices lose their right while they are connected, or to another connection.
func TestNpmRevoke(t *testing.T) {
	p := join(t)
	for name, revoke := range map[string]func(*testing.T, identity){
		"is disabled": func(t *testing.T, d identity) {
			d.Status = "disabled"
			p.office.do(t, "update", d)
		},
		"is deleted": func(t *testing.T, d identity) { p.office.do(t, "delete", address{DeviceID: d.DeviceID}) },
		"gets other keys": func(t *testing.T, d identity) {
			d.Authentication.SymmetricKey.Primary = swapped(d.Authentication.SymmetricKey.Primary)
			d.Authentication.SymmetricKey.Secondary = swapped(d.Authentication.SymmetricKey.Secondary)
			p.office.do(t, "update", d)
		},
	} {
		p.over(t, everyTransport, "a device that "+name+" is let go", func(t *testing.T, w *way) {
			d := w.register(t, identity{})
			c := w.client(t, deviceString(d))
			w.works(t, d.DeviceID, c)
			revoke(t, d)
			if w.transport == "https" {
				class := "UnauthorizedError"
				if name == "is disabled" {
					class = "IotHubQuotaExceededError"
				}
				c.fails(t, class, "", "send", sdkMessage{})
				return
			}
			c.next(t, "disconnect")
			if w.mqtt() { // the class of all but first connections
				c.fails(t, "NotConnectedError", "Connection refused: Not authorized", "open", nil)
			} else {
				w.denied(t, c)
			}
		})
	}
	p.over(t, stays, "a second connection takes the device over", func(t *testing.T, w *way) {
		d := w.register(t, identity{})
		first := w.client(t, deviceString(d))
		w.works(t, d.DeviceID, first)
		second := w.client(t, deviceString(d))
		w.works(t, d.DeviceID, second)
		first.next(t, "disconnect")
		second.silent(t, "disconnect")
		if got := w.look(t, d.DeviceID).ConnectionState; got != "Connected" {
			t.Errorf("the registry says %q", got)
		}
		w.works(t, d.DeviceID, second)
	})
	p.over(t, stays, "a connection of another transport takes the device over", func(t *testing.T, w *way) {
		d := w.register(t, identity{})
		first := w.client(t, deviceString(d))
		w.works(t, d.DeviceID, first)
		other := &way{w.program, stays[(slices.Index(stays, w.transport)+1)%len(stays)]}
		second := other.client(t, deviceString(d))
		w.works(t, d.DeviceID, second)
		first.next(t, "disconnect")
		w.works(t, d.DeviceID, (&way{w.program, "https"}).client(t, deviceString(d))) // which takes nothing over
		w.works(t, d.DeviceID, second)
		second.silent(t, "disconnect")
	})
	p.over(t, stays, "who closes is disconnected for the registry", func(t *testing.T, w *way) {
		id, c := w.open(t)
		w.works(t, id.DeviceID, c)
		if got := w.look(t, id.DeviceID).ConnectionState; got != "Connected" {
			t.Errorf("the registry says %q", got)
		}
		c.do(t, "close", nil)
		poll(t, "the registry says that it is connected", func() bool { return w.look(t, id.DeviceID).ConnectionState == "Disconnected" })
	})
}

// swapped is another key of the same length.
func swapped(key string) string { return key[4:40] + key[:4] + key[40:] }

// TestNpmProxy has devices come through an HTTP proxy, which those on port 443 can.
func TestNpmProxy(t *testing.T) {
	p := join(t)
	p.over(t, []string{"mqtt-ws", "amqp-ws", "https"}, "through a proxy", func(t *testing.T, w *way) {
		port, asked := openProxy(t)
		d := w.register(t, identity{})
		c := w.client(t, deviceString(d))
		c.do(t, "proxy", map[string]int{"port": port})
		w.works(t, d.DeviceID, c)
		select {
		case to := <-asked:
			if to != "localhost:443" {
				t.Errorf("it was asked for %q", to)
			}
		default:
			t.Error("nobody asked the proxy")
		}
	})
}

// openProxy listens for CONNECT, and tells for what.
func openProxy(t *testing.T) (port int, asked <-chan string) {
	t.Helper()
	hosts := make(chan string, 100)
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		hosts <- r.Host
		to, err := net.Dial("tcp", r.Host)
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadGateway)
			return
		}
		defer to.Close()
		c, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			io.Copy(to, c)
			to.Close()
		}()
		io.Copy(c, to)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).Port, hosts
}

// TestNpmRenewal has tokens replaced before they expire.
func TestNpmRenewal(t *testing.T) {
	p := join(t)
	p.over(t, everyTransport, "the SDK renews the token of a key", func(t *testing.T, w *way) {
		d := w.register(t, identity{})
		c := w.client(t, deviceString(d))
		// Over HTTPS options need company to be answered; they say when to poll.
		o := polling(3600, true)
		o["tokenRenewal"] = map[string]int{"tokenValidTimeInSeconds": 63, "tokenRenewalMarginInSeconds": 60}
		c.do(t, "options", o)
		first := w.works(t, d.DeviceID, c)
		state := w.look(t, d.DeviceID).ConnectionUpdated
		switch {
		case w.mqtt(): // there is no way to renew it but to connect anew
			poll(t, "the SDK does not connect with a new token", func() bool {
				now := w.look(t, d.DeviceID)
				return now.ConnectionState == "Connected" && now.ConnectionUpdated != state
			})
		default:
			time.Sleep(4 * time.Second) // which is past the margin
		}
		last := w.works(t, d.DeviceID, c)
		if diff := cmp.Diff(first.System["iothub-connection-auth-method"], last.System["iothub-connection-auth-method"]); diff != "" {
			t.Error(diff)
		}
		if w.amqp() && w.look(t, d.DeviceID).ConnectionUpdated != state {
			t.Error("the device was connected anew")
		}
		c.silent(t, "disconnect")
		c.silent(t, "error")
	})
	p.over(t, everyTransport, "the program gives another token", func(t *testing.T, w *way) {
		d := w.register(t, identity{})
		fresh := func(life time.Duration) string {
			return token(t, deviceString(d), "localhost/devices/"+d.DeviceID, "", time.Now().Add(life))
		}
		c := w.client(t, "HostName=localhost;DeviceId="+d.DeviceID+";SharedAccessSignature="+fresh(time.Minute))
		c.do(t, "open", nil)
		w.listens(t, c)
		for i, life := range []time.Duration{time.Hour, 2 * time.Hour} {
			w.works(t, d.DeviceID, c)
			c.do(t, "renew", map[string]string{"token": fresh(life)})
			w.works(t, d.DeviceID, c)
			w.desk().do(t, "sendMessage", sending{d.DeviceID, sdkMessage{Body: []byte("still here?")}})
			c.next(t, "message")
			c.do(t, "settle", settling("complete", i))
		}
		w.settled(t, d.DeviceID)
		c.silent(t, "disconnect")
	})
}
