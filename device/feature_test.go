package device_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/ws"
)

// five are the transports as a program has them that asks for nothing special.
func five() []device.Transport {
	return []device.Transport{device.MQTT(nil), device.MQTTWebSocket(nil), device.AMQP(nil), device.AMQPWebSocket(nil), device.HTTPS(nil)}
}

// TestTheMatrixIsTrue tries each feature over each transport.
func TestTheMatrixIsTrue(t *testing.T) {
	for _, f := range device.Features() {
		try, ok := trials[f]
		if !ok {
			t.Errorf("nobody tries %v", f)
			continue
		}
		for _, tr := range five() {
			t.Run(fmt.Sprintf("%v over %v", f, tr), func(t *testing.T) {
				over(t, tr, hub.Config{Intercept: quotaExceeded}, func(t *testing.T, b *bench) {
					err := try(b)
					if has := tr.Supports(f).Has; has != (err == nil) {
						t.Errorf("the matrix says %v, and it ends with %v", tr.Supports(f), err)
					}
				})
			})
		}
	}
}

// trials are nil when the transport of b has the feature, and else why not.
var trials = map[device.Feature]func(b *bench) error{
	device.FeatureTelemetry: func(b *bench) error { return b.delivers(&hubwire.Message{Body: []byte("hello")}) },
	device.FeatureBatch:     tryBatch,
	device.FeatureProperties: func(b *bench) error {
		return b.delivers(&hubwire.Message{Properties: []hubwire.Property{{Name: "a", Value: "1"}}})
	},
	device.FeatureAtMostOnce:   tryAtMostOnce,
	device.FeatureWill:         tryWill,
	device.FeatureReceive:      func(b *bench) error { return b.settles(hubwire.Complete) },
	device.FeaturePush:         tryPush,
	device.FeatureReject:       func(b *bench) error { return b.settles(hubwire.Reject) },
	device.FeatureAbandon:      func(b *bench) error { return b.settles(hubwire.Abandon) },
	device.FeatureTwin:         tryTwin,
	device.FeatureMethods:      tryMethods,
	device.FeatureModules:      tryModules,
	device.FeatureInputs:       tryInputs,
	device.FeatureUpload:       tryUpload,
	device.FeatureCertificates: tryCertificates,
	device.FeatureRenewal:      tryRenewal,
	device.FeatureMultiplexing: tryMultiplexing,
	device.FeatureModelID:      tryModelID,
	device.FeaturePresence:     tryPresence,
	device.FeatureReasons:      tryReasons,
	device.FeatureProxy:        tryProxy,
}

var errNo = errors.New("it does not")

// unless is err, and without one errNo when it does not.
func unless(does bool, err error) error {
	if err == nil && !does {
		return errNo
	}
	return err
}

func (b *bench) minute() context.Context {
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	b.t.Cleanup(cancel)
	return ctx
}

func (b *bench) delivers(m *hubwire.Message) error {
	if err := b.dial(b.device, nil).Send(b.minute(), m); err != nil {
		return err
	}
	got := b.next()
	same := cmp.Equal(got.Properties, m.Properties) && string(got.Body) == string(m.Body)
	return unless(same, nil)
}

// tryBatch looks whether messages that are sent together are each a packet, a transfer or a request.
func tryBatch(b *bench) error {
	var packets atomic.Int32
	carries := func(p []byte) bool { return p[0]>>4 == 3 } // PUBLISH
	if strings.HasPrefix(b.transport.String(), "amqp") {
		carries = func(p []byte) bool { return len(p) > 10 && p[5] == 0 && string(p[8:11]) == "\x00\x53\x14" } // transfer
	}
	c := b.dial(b.device, func(o *device.Options) {
		o.Hooks = &device.Hooks{Packet: func(sent bool, p []byte) {
			if sent && carries(p) {
				packets.Add(1)
			}
		}}
	})
	packets.Store(0) // of what Dial sent
	before := requests.Load()
	const messages = 30
	all := make([]*hubwire.Message, messages)
	for i := range all {
		all[i] = new(hubwire.Message)
	}
	if err := c.SendAll(b.minute(), all); err != nil {
		return err
	}
	n := packets.Load() + requests.Load() - before
	return unless(0 < n && n < messages, nil)
}

func tryAtMostOnce(b *bench) error {
	var unacknowledged atomic.Bool
	if !strings.HasPrefix(b.transport.String(), "mqtt") {
		return errNo // their options have nothing of it
	}
	b.adjust(device.MQTTOptions{AtMostOnce: true})
	c := b.dial(b.device, func(o *device.Options) {
		o.Hooks = &device.Hooks{Packet: func(sent bool, p []byte) {
			if sent && p[0]>>4 == 3 && p[0]&6 == 0 {
				unacknowledged.Store(true)
			}
		}}
	})
	err := c.Send(b.minute(), &hubwire.Message{})
	return unless(unacknowledged.Load(), err)
}

func tryWill(b *bench) error {
	if !strings.HasPrefix(b.transport.String(), "mqtt") {
		return errNo // their options have nothing of it
	}
	b.adjust(device.MQTTOptions{Will: &hubwire.Message{ID: "will"}})
	b.dial(b.device, nil)
	b.hub.Disconnect(dev)
	return unless(b.next().ID == "will", nil)
}

func (b *bench) settles(how hubwire.Disposition) error {
	c := b.dial(b.device, nil)
	if err := b.hub.SendC2D(b.t.Context(), dev, &hubwire.Message{}); err != nil {
		return err
	}
	m, err := c.Receive(b.minute())
	if err != nil {
		return err
	}
	err = m.Settle(b.minute(), how)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		b.t.Errorf("%v ended with %v", how, err)
	}
	return err
}

// tryPush has a message come while the device waits for one.
func tryPush(b *bench) error {
	c := b.dial(b.device, nil)
	time.AfterFunc(10*time.Second, func() { b.hub.SendC2D(b.t.Context(), dev, &hubwire.Message{}) })
	_, err := c.Receive(b.minute())
	return err
}

func tryTwin(b *bench) error {
	c := b.dial(b.device, nil)
	_, err := c.Report(b.minute(), map[string]int{"a": 1})
	if _, err2 := c.Twin(b.minute()); (err == nil) != (err2 == nil) || err != nil && !errors.Is(err, errors.ErrUnsupported) {
		b.t.Errorf("report ended with %v, twin with %v", err, err2)
	}
	return err
}

func tryMethods(b *bench) error {
	if err := b.dial(b.device, nil).HandleMethod(b.minute(), "m", echo); err != nil {
		if !errors.Is(err, errors.ErrUnsupported) {
			b.t.Error(err)
		}
		return err
	}
	_, err := b.hub.Invoke(b.minute(), dev, hubwire.MethodRequest{Name: "m"}, nil)
	return err
}

func tryModules(b *bench) error { return b.dial(b.module, nil).Send(b.minute(), &hubwire.Message{}) }

func tryInputs(b *bench) error {
	c := b.dial(b.module, nil)
	time.AfterFunc(10*time.Second, func() { b.hub.SendInput(b.t.Context(), mod, "in", &hubwire.Message{}) })
	_, err := c.Receive(b.minute())
	return err
}

func tryUpload(b *bench) error {
	_, err := b.dial(b.device, nil).InitiateUpload(b.minute(), "file")
	return err
}

func tryCertificates(b *bench) error {
	cert, thumbprint := selfSigned(b.t)
	_, err := b.dialX509(&hub.Device{Auth: hub.AuthSelfSigned, PrimaryThumbprint: thumbprint}, func() *tls.Certificate { return cert }, nil)
	return err
}

// tryRenewal outlasts several tokens.
func tryRenewal(b *bench) error {
	var renewals atomic.Int32
	c := b.dial(b.device, func(o *device.Options) {
		o.TokenTTL = 10 * time.Minute
		o.Hooks = &device.Hooks{State: func(s device.State, _ error) {
			if s != device.Connected && s != device.Closed {
				renewals.Add(1)
			}
		}}
	})
	time.Sleep(time.Hour)
	b.works(c, "later")
	return unless(renewals.Load() == 0, nil)
}

func tryMultiplexing(b *bench) error {
	conn, err := device.NewAMQPConnection("localhost", b.transport, b.options(nil))
	if err != nil {
		return err
	}
	defer conn.Close()
	b.transport = conn.Transport()
	b.works(b.dial(b.device, nil), "device")
	b.works(b.dial(b.module, nil), "module")
	return nil
}

func tryModelID(b *bench) error {
	const model = "dtmi:com:example:Pump;1"
	c := b.dial(b.device, func(o *device.Options) { o.ModelID = model })
	if err := c.Send(b.minute(), &hubwire.Message{}); err != nil {
		return err
	}
	return unless(b.next().ModelID == model, nil)
}

func tryPresence(b *bench) error {
	b.dial(b.device, nil)
	return unless(b.hub.Connected(dev), nil)
}

// tryReasons sends what quotaExceeded refuses.
func tryReasons(b *bench) error {
	err := b.dial(b.device, nil).Send(b.minute(), &hubwire.Message{ID: "too many"})
	return unless(errors.Is(err, hubwire.QuotaExceeded), nil)
}

var requests atomic.Int32 // of HTTPS

// quotaExceeded is a hub's intercept function that counts requests, and refuses one message.
func quotaExceeded(_ context.Context, op *hub.Op) hub.Verdict {
	switch {
	case op.Kind == hub.OpRequest:
		requests.Add(1)
	case op.Kind == hub.OpPublish && op.Message != nil && op.Message.ID == "too many":
		return hub.Verdict{Refuse: hubwire.QuotaExceeded}
	}
	return hub.Verdict{}
}

// tryProxy has a proxy between that lets nothing but port 443 through.
func tryProxy(b *bench) error {
	p := &testkit.Proxy{Up: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if !strings.HasSuffix(addr, ":443") {
			return nil, errNo
		}
		return b.hub.Dial(ctx, network, addr)
	}}
	o := b.options(func(o *device.Options) { o.Dial = ws.ProxyDialer(testkit.ProxyURL(testkit.ProxyUser()), p.Dial) })
	c, err := device.Dial(b.minute(), b.device, b.transport, o)
	if err == nil {
		err = c.Close()
	}
	p.End(b.t)
	return err
}

func TestASupportIsItsText(t *testing.T) {
	for _, f := range device.Features() {
		if f.String() == "" {
			t.Errorf("feature %d has no name", f)
		}
		for _, tr := range five() {
			if s := tr.Supports(f).String(); !strings.HasPrefix(s, "yes") && !strings.HasPrefix(s, "no") || strings.HasSuffix(s, ": ") {
				t.Errorf("%v over %v: %q", f, tr, s)
			}
		}
	}
}

func TestAutoHasWhatTheLeastOfItsTransportsHas(t *testing.T) {
	all := device.Auto(&device.AutoOptions{Transports: []device.Transport{device.MQTT(nil), device.HTTPS(nil)}})
	for f, want := range map[device.Feature]device.Support{
		device.FeatureTelemetry: {Has: true},
		device.FeatureTwin:      {},
		device.FeatureReject:    {},
		device.FeatureUpload:    device.MQTT(nil).Supports(device.FeatureUpload),
		200:                     {},
	} {
		if got := all.Supports(f); got != want {
			t.Errorf("%v: %v, want %v", f, got, want)
		}
	}
	if got := (device.Transport{}).Supports(device.FeatureTelemetry); got != (device.Support{}) {
		t.Errorf("the zero Transport has %v", got)
	}
}

func TestLost(t *testing.T) {
	for _, tt := range []struct {
		name   string
		chosen device.Transport
		others []device.Transport
		want   []string
	}{
		{"nothing to compare with", device.HTTPS(nil), nil, nil},
		{"itself", device.MQTT(nil), []device.Transport{device.MQTT(nil)}, nil},
		{"a tunnel", device.MQTTWebSocket(nil), []device.Transport{device.MQTT(nil)}, []string{"X.509 certificates"}},
		{"the other way round", device.MQTT(nil), []device.Transport{device.MQTTWebSocket(nil)}, []string{"file upload", "HTTP proxy on port 443"}},
		{"HTTPS", device.HTTPS(nil), []device.Transport{device.MQTTWebSocket(nil)}, []string{
			"message properties", "telemetry at most once", "last will", "C2D messages pushed", "twin", "direct methods", "modules", "module inputs", "model id", "presence",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, l := range device.Lost(tt.chosen, tt.others...) {
				got = append(got, l.Feature.String())
				if l.Support != tt.chosen.Supports(l.Feature) || len(l.By) != len(tt.others) {
					t.Errorf("%+v", l)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
