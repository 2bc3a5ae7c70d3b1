package device

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/sas"
)

// peer is a hub as far as MQTT goes, on pipes without TLS, that says what a real one would not.
type peer struct {
	t *testing.T

	// publish and subscribed see what the client sends, after its PUBACK or
	// SUBACK. nil means that nothing comes of it.
	publish    func(c *peerConn, topic string, payload []byte)
	subscribed func(c *peerConn, filter string)
	down       atomic.Bool // nobody is reached

	mu      sync.Mutex
	hello   mqtt.Connect // the last CONNECT
	filters []string     // "n:filter" for connection n
	acks    []uint16
	conns   []*peerConn
	running sync.WaitGroup
}

type peerConn struct {
	*mqtt.Conn
	n int
}

// transport is MQTT on the peer's pipes.
func (p *peer) transport() Transport {
	return Transport{name: "peer", open: func(ctx context.Context, cfg *config) (link, error) {
		return openMQTT(ctx, cfg, MQTTOptions{}, p.dial)
	}}
}

func (p *peer) dial(context.Context) (net.Conn, error) {
	if p.down.Load() {
		return nil, errors.New("nobody is there")
	}
	client, server := testkit.Pipe()
	p.mu.Lock()
	c := &peerConn{mqtt.NewConn(server, nil), len(p.conns) + 1}
	p.conns = append(p.conns, c)
	p.mu.Unlock()
	p.running.Go(func() { defer c.Close(); p.serve(c) })
	return client, nil
}

func (p *peer) serve(c *peerConn) {
	for {
		packet, err := c.ReadPacket()
		if err != nil {
			return
		}
		switch packet.Type() {
		case mqtt.TypeConnect:
			hello, err := mqtt.ParseConnect(slices.Clone(packet))
			if err != nil {
				p.t.Error(err)
			}
			p.mu.Lock()
			p.hello = hello
			p.mu.Unlock()
			c.say(&mqtt.Connack{})
		case mqtt.TypePublish:
			m, err := mqtt.ParsePublish(packet)
			if err != nil {
				p.t.Error(err)
			}
			if m.QoS == mqtt.AtLeastOnce {
				c.say(&mqtt.Puback{ID: m.ID})
			}
			if p.publish != nil {
				p.publish(c, string(m.Topic), m.Payload)
			}
		case mqtt.TypeSubscribe:
			p.subscribe(c, packet)
		case mqtt.TypePuback:
			ack, err := mqtt.ParsePuback(packet)
			if err != nil {
				p.t.Error(err)
			}
			p.mu.Lock()
			p.acks = append(p.acks, ack.ID)
			p.mu.Unlock()
		case mqtt.TypePingreq:
			c.say(&mqtt.Pingresp{})
		}
	}
}

func (p *peer) subscribe(c *peerConn, packet mqtt.Packet) {
	m, err := mqtt.ParseSubscribe(packet)
	if err != nil {
		p.t.Error(err)
		return
	}
	var filters []string
	var codes []byte
	for filter, qos := range m.Filters.All() {
		filters, codes = append(filters, string(filter)), append(codes, byte(qos))
	}
	p.mu.Lock()
	for _, f := range filters {
		p.filters = append(p.filters, fmt.Sprintf("%d:%s", c.n, f))
	}
	p.mu.Unlock()
	c.say(&mqtt.Suback{ID: m.ID, Codes: codes})
	for _, f := range filters {
		if p.subscribed != nil {
			p.subscribed(c, f)
		}
	}
}

// say sends packets; the client may have gone.
func (c *peerConn) say(packets ...interface{ AppendTo([]byte) []byte }) {
	for _, p := range packets {
		_ = c.Write(p.AppendTo(nil))
	}
}

// tell sends a PUBLISH; with an id other than 0 at QoS 1.
func (c *peerConn) tell(topic, payload string, id uint16) {
	m := &mqtt.Publish{Topic: []byte(topic), Payload: []byte(payload), ID: id}
	if id != 0 {
		m.QoS = mqtt.AtLeastOnce
	}
	c.say(m)
}

// last returns the newest connection.
func (p *peer) last() *peerConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns[len(p.conns)-1]
}

// client opens a Client of the peer, which the test's cleanup closes.
func (p *peer) client(t *testing.T, cred Credentials, o *Options) *Client {
	t.Helper()
	p.t = t
	c, err := DialCredentials(t.Context(), cred, p.transport(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); p.running.Wait() })
	return c
}

// fixedTokens is a token that does not expire.
type fixedTokens string

func (f fixedTokens) Token(_ context.Context, audience string) (string, time.Time, error) {
	return string(f) + " for " + audience, time.Time{}, nil
}

var (
	peerCredentials   = Credentials{HostName: "hub.example", Identity: hubwire.Identity{DeviceID: "dev"}, Tokens: fixedTokens("token")}
	moduleCredentials = Credentials{HostName: "hub.example", Identity: hubwire.Identity{DeviceID: "dev", ModuleID: "mod"}, Tokens: sas.TokenSource(fixedTokens("token"))}
)

func TestWhatCONNECTSays(t *testing.T) {
	withCertificate := Credentials{HostName: "hub.example", GatewayHostName: "gateway.example", Identity: hubwire.Identity{DeviceID: "dev"}}
	withCertificate.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return nil, nil }
	for name, tt := range map[string]struct {
		cred Credentials
		o    *Options
		want mqtt.Connect
	}{
		"a device with a token": {peerCredentials, nil, mqtt.Connect{
			ClientID: []byte("dev"), UserName: []byte("hub.example/dev/?api-version=2021-04-12&DeviceClientType=hubwire"),
			Password: mqtt.NewSecret([]byte("token for hub.example/devices/dev")), KeepAlive: 240,
		}},
		"a module": {moduleCredentials, &Options{KeepAlive: -1}, mqtt.Connect{
			ClientID: []byte("dev/mod"), UserName: []byte("hub.example/dev/mod/?api-version=2021-04-12&DeviceClientType=hubwire"),
			Password: mqtt.NewSecret([]byte("token for hub.example/devices/dev/modules/mod")),
		}},
		"a device with a certificate, behind a gateway": {withCertificate, nil, mqtt.Connect{
			ClientID: []byte("dev"), UserName: []byte("hub.example/dev/?api-version=2021-04-12&DeviceClientType=hubwire"), KeepAlive: 240,
		}},
		"a product and a model": {peerCredentials, &Options{ProductInfo: "pump/1.0 (ä)", ModelID: "dtmi:com:example:Pump;1", KeepAlive: 90500 * time.Millisecond}, mqtt.Connect{
			ClientID: []byte("dev"),
			UserName: []byte("hub.example/dev/?api-version=2021-04-12&DeviceClientType=hubwire%20pump%2F1.0%20%28%C3%A4%29&model-id=dtmi%3Acom%3Aexample%3APump%3B1"),
			Password: mqtt.NewSecret([]byte("token for hub.example/devices/dev")), KeepAlive: 91,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var p peer
			p.client(t, tt.cred, tt.o)
			if diff := cmp.Diff(fmt.Sprintf("%+q", [][]byte{tt.want.ClientID, tt.want.UserName, tt.want.Password.Reveal()}),
				fmt.Sprintf("%+q", [][]byte{p.hello.ClientID, p.hello.UserName, p.hello.Password.Reveal()})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if p.hello.CleanSession || p.hello.KeepAlive != tt.want.KeepAlive || p.hello.Will.Topic != nil {
				t.Errorf("clean session %v, keep-alive %d", p.hello.CleanSession, p.hello.KeepAlive)
			}
		})
	}
}

func TestFiltersAreSubscribedToOnceAndLazilyAndRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := peer{publish: answerTwin(`{"desired":{"$version":1},"reported":{"$version":1}}`)}
		c := p.client(t, moduleCredentials, nil)
		receive := func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := c.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}
		for range 2 {
			for range c.Desired(t.Context()) {
				break
			}
			if _, err := c.Twin(t.Context()); err != nil {
				t.Error(err)
			}
			receive()
			if err := c.HandleMethod(t.Context(), "m", func(context.Context, hubwire.MethodRequest) (r hubwire.MethodResponse, _ error) { return }); err != nil {
				t.Error(err)
			}
		}
		want := []string{
			"$iothub/twin/PATCH/properties/desired/#", "$iothub/twin/res/#", "devices/dev/modules/mod/messages/devicebound/#",
			"devices/dev/modules/mod/inputs/#", "$iothub/methods/POST/#",
		}
		var both []string
		for n := range 2 {
			for _, f := range want {
				both = append(both, fmt.Sprintf("%d:%s", n+1, f))
			}
		}
		p.last().Close()
		time.Sleep(time.Second) // the first wait of the back-off at most
		synctest.Wait()
		if diff := cmp.Diff(both, p.filters); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// answerTwin answers GETs with a twin.
func answerTwin(body string) func(*peerConn, string, []byte) {
	return func(c *peerConn, topic string, _ []byte) {
		if rid, ok := strings.CutPrefix(topic, "$iothub/twin/GET/?$rid="); ok {
			c.tell("$iothub/twin/res/200/?$rid="+rid, body, 0)
		}
	}
}

func TestWhatMakesNoSenseIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p peer
		var told []error
		c := p.client(t, peerCredentials, &Options{Hooks: &Hooks{Unexpected: func(err error) {
			told = append(told, err)
			panic("which harms nobody")
		}}})
		if err := c.HandleMethod(t.Context(), "", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			t.Error("a method was called")
			return hubwire.MethodResponse{}, nil
		}); err != nil {
			t.Fatal(err)
		}
		topics := []string{
			"free/topic", "$iothub/unknown", "$iothub/twin/res/abc/?$rid=1", "$iothub/twin/res/200", "$iothub/methods/POST/m",
			"$iothub/methods/POST//?$rid=1", "$iothub/twin/PATCH/properties/desired/?v=1", "devices/other/messages/devicebound/a=b",
			"devices/dev/modules/m/inputs/i/", "devices/dev/messages/events/", "$iothub/twin/GET/?$rid=1", "$dps/registrations/res/200/?$rid=1",
		}
		for i, topic := range topics {
			p.last().tell(topic, "{}", uint16(i+1))
		}
		p.last().tell("$iothub/twin/res/200/?$rid=77", "late", 0) // which is nothing to tell of
		synctest.Wait()
		if len(told) != len(topics) || len(p.acks) != len(topics) {
			t.Errorf("%d acknowledged of %d; told of\n%v", len(p.acks), len(topics), errors.Join(told...))
		}
		p.last().tell("devices/dev/messages/devicebound/%24.mid=1&%zz&=v&k&%24.exp=never", "fine", 99)
		m, err := c.Receive(t.Context())
		if err != nil || m.ID != "1" || string(m.Body) != "fine" || c.State() != Connected {
			t.Errorf("%+v, %v, %v", m, err, c.State())
		}
	})
}

func TestAMethodCallThatComesTooEarlyHasNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := peer{publish: func(_ *peerConn, topic string, _ []byte) { t.Errorf("the client sent %s", topic) }}
		var told error
		p.client(t, peerCredentials, &Options{Hooks: &Hooks{Unexpected: func(err error) { told = err }}})
		p.last().tell("$iothub/methods/POST/m/?$rid=1", "{}", 1)
		synctest.Wait()
		if !errors.Is(told, errNoHandler) {
			t.Errorf("Unexpected heard of %v", told)
		}
		if diff := cmp.Diff([]uint16{1}, p.acks); diff != "" {
			t.Errorf("PUBACKs (-want +got):\n%s", diff)
		}
	})
}
