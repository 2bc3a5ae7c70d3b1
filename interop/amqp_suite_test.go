package interop

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/sas"
)

// trust is what a client in Go needs to trust the hub.
func (s *site) trust(t *testing.T) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(s.caFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: roots}
}

// tunnel opens a WebSocket for AMQP, and ends with the test.
func (s *site) tunnel(t *testing.T, url string) (net.Conn, error) {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: s.trust(t)}
	t.Cleanup(tr.CloseIdleConnections)
	c, res, err := websocket.Dial(within(t), url, &websocket.DialOptions{HTTPClient: &http.Client{Transport: tr}, Subprotocols: []string{"AMQPWSB10"}})
	if err != nil {
		return nil, err
	}
	if p := res.Header.Get("Sec-WebSocket-Protocol"); p != "AMQPWSB10" {
		t.Errorf("sub-protocol %q", p)
	}
	c.SetReadLimit(-1)
	return websocket.NetConn(context.WithoutCancel(t.Context()), c, websocket.MessageBinary), nil
}

// talker is a device, over MQTT, that numbers what it sends.
type talker struct {
	*device.Client
	id        hubwire.Identity
	partition string // of its events
	n         int
}

// talker makes a device and has it say the first word.
func (s *site) talker(t *testing.T) *talker {
	t.Helper()
	id, cs := s.device(t)
	c, err := device.Dial(within(t), cs, device.MQTT(nil), &device.Options{TLSConfig: s.trust(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &talker{Client: c, id: id}
	events := s.events(t, id)
	w.say(t, 1)
	ev, err := events.Next(within(t))
	if err != nil {
		t.Fatal(err)
	}
	w.partition = fmt.Sprint(ev.Partition)
	return w
}

func (w *talker) say(t *testing.T, times int) {
	t.Helper()
	for range times {
		m := &hubwire.Message{ID: fmt.Sprint(w.n), Body: fmt.Append(nil, w.n), Properties: []hubwire.Property{{Name: "of", Value: w.id.DeviceID}}}
		if err := w.Send(within(t), m); err != nil {
			t.Fatal(err)
		}
		w.n++
	}
}

// entity is the hub's name as an event hub.
func (s *site) entity() string { return strings.Split(s.HostName(), ".")[0] }

// eventHub is the connection string of the hub's endpoint for events.
func (s *site) eventHub(t *testing.T) string {
	t.Helper()
	cs, err := s.PolicyConnectionString("service")
	if err != nil {
		t.Fatal(err)
	}
	return eventHubString(t, cs, s.entity())
}

// eventHubString makes the connection string of an event hub of that of the hub, as its owner would by hand.
func eventHubString(t *testing.T, cs, entity string) string {
	t.Helper()
	p, err := sas.ParseConnectionString(cs)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("Endpoint=sb://%s/;SharedAccessKeyName=%s;SharedAccessKey=%s;EntityPath=%s", p.HostName, p.SharedAccessKeyName, p.SharedAccessKey.Reveal(), entity)
}
