package device

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/topics"
)

// MQTTOptions adjust MQTT. The zero value, and nil, mean the defaults.
type MQTTOptions struct {
	// AtMostOnce sends telemetry with QoS 0: a send is done when it is written,
	// nobody acknowledges it, and what a lost connection cuts off is not sent
	// again. Such an outcome is reported as [hubwire.Unknown] where it is noticed.
	AtMostOnce bool

	// Will is the telemetry that the hub publishes, with the property
	// iothub-MessageType=Will, when a connection ends without a good-bye. nil
	// means none. It must not change while a Client uses it.
	Will *hubwire.Message
}

// MQTT is the MQTT 3.1.1 protocol on TLS, port 8883. o is copied; nil means
// the defaults.
//
// Telemetry goes with QoS 1. [hubwire.Received.Complete] sends the PUBACK;
// reject and abandon, which MQTT lacks, return an error that is [errors.ErrUnsupported],
// and the message stays unacknowledged. PUBACKs go out in the order of delivery, so an
// unacknowledged message holds the completions of later ones back, until the hub
// delivers it again and it is completed, or until the next connection, where all of
// them come again. A message counts as one delivery however often its lock on the hub runs out.
//
// What was queued for a device before it first subscribed (in [Client.Receive]) may be
// lost: IoT Hub is reported to drop it when the device connects. From then on the hub keeps
// the subscription.
//
// A proxy, if need be, goes into [Options].Dial (see package ws).
//
// Source: IoT Hub developer guide, "Communicate with your IoT hub using the MQTT protocol".
func MQTT(o *MQTTOptions) Transport {
	const port = 8883
	opts := optionsOf(o)
	d := door{port, func(ctx context.Context, cfg *config) (net.Conn, error) { return cfg.dialTLS(ctx, port) }, greetMQTT}
	return Transport{name: "mqtt", door: d, open: func(ctx context.Context, cfg *config) (link, error) {
		return openMQTT(ctx, cfg, opts, cfg.through(d))
	}}
}

func optionsOf[T any](o *T) T {
	if o == nil {
		return *new(T)
	}
	return *o
}

// apiVersion is what the dialect of MQTT is named by. Source: the guide's "Using the MQTT protocol directly".
const apiVersion = "2021-04-12"

// product is who connects, in DeviceClientType.
const product = "hubwire"

// mqttLink is the [link] over an MQTT session, with or without a tunnel.
type mqttLink struct {
	cfg      *config
	qos      mqtt.QoS // of telemetry
	userName string
	events   []byte // the topic of telemetry, for a bag to follow

	session   *mqtt.Session // set before anybody has the link
	connected atomic.Bool   // a connection has stood

	messages inbox
	methods  methodCalls
	requests requests
	desired  desiredPatches

	c2d, methodFilter, twinFilter, desiredFilter feature
}

// openMQTT connects.
func openMQTT(ctx context.Context, cfg *config, o MQTTOptions, dial mqtt.DialFunc) (link, error) {
	l := &mqttLink{cfg: cfg, qos: mqtt.AtLeastOnce, userName: userName(cfg), events: topics.AppendTelemetry(nil, cfg.id)}
	if o.AtMostOnce {
		l.qos = mqtt.AtMostOnce
	}
	l.init()
	s := &mqtt.SessionOptions{
		KeepAlive: cfg.KeepAlive, AckTimeout: cfg.AckTimeout, ConnectTimeout: cfg.ConnectTimeout,
		Window: cfg.Window, WindowBytes: cfg.WindowBytes,
		MinBackoff: cfg.MinBackoff, MaxBackoff: cfg.MaxBackoff,
		CloseTimeout: cfg.CloseTimeout - cfg.CloseTimeout/handlerShare,
		DialExpires:  cfg.certificateEnds,
		// The session that the hub has may be another client's, with the same id, which came after the hub forgot ours.
		RestoreAlways: true,
		OnDelivery:    l.deliver, OnState: l.onState, OnPanic: cfg.panicked,
		PublishError: func(err error) error { return withOp("send", err) }, // of sendAsync, the only one with a done function
		Trace:        cfg.trace(),
	}
	if o.Will != nil {
		if err := o.Will.CheckTelemetry(); err != nil {
			return nil, err
		}
		s.Will = mqtt.Will{Topic: mqtt.AppendTelemetryTopic(nil, cfg.id, o.Will), Payload: o.Will.Body, QoS: mqtt.AtLeastOnce}
	}
	var err error
	l.session, err = mqtt.StartSession(ctx, firstDial(dial, &l.connected), l.login, s)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (l *mqttLink) init() {
	id := l.cfg.id
	l.messages.ready = make(chan struct{}, 1)
	l.requests.init()
	filters := []string{string(topics.AppendC2DFilter(nil, id))}
	if id.IsModule() {
		filters = append(filters, string(topics.AppendInputFilter(nil, id)))
	}
	l.c2d.init(mqtt.AtLeastOnce, filters...)
	// What follows is of use only on the connection that it comes by.
	l.methodFilter.init(mqtt.AtMostOnce, topics.MethodFilter)
	l.twinFilter.init(mqtt.AtMostOnce, topics.TwinResponseFilter)
	l.desiredFilter.init(mqtt.AtMostOnce, topics.TwinDesiredFilter)
}

// userName is what each CONNECT says. The gateway's name is not in it.
func userName(c *config) string {
	return string(topics.AppendUserName(nil, &topics.UserName{
		Host: c.cred.HostName, Identity: c.id, APIVersion: apiVersion, ClientType: c.clientType(), ModelID: c.ModelID,
	}))
}

// clientType is who connects, as the hub is told.
func (c *config) clientType() string {
	if c.ProductInfo == "" {
		return product
	}
	return product + " " + c.ProductInfo
}

// login gives each attempt to connect a token of its own.
func (l *mqttLink) login(ctx context.Context) (mqtt.Login, error) {
	login := mqtt.Login{ClientID: l.cfg.id.String(), UserName: l.userName}
	if l.cfg.cred.Tokens == nil {
		return login, nil // a certificate says it
	}
	token, expires, err := l.cfg.cred.Tokens.Token(ctx, sas.Audience(l.cfg.cred.HostName, l.cfg.id))
	if err != nil {
		return login, err
	}
	login.Password, login.Expires = mqtt.NewSecret([]byte(token)), expires
	return login, nil
}

// onState is told by the session of each change of the connection.
func (l *mqttLink) onState(s mqtt.SessionState, reason error) {
	if s == mqtt.Connected {
		l.connected.Store(true)
		l.requests.connected()
		l.desired.reset()
	} else {
		l.messages.lost()
		l.requests.lost()
	}
	l.cfg.state(stateOf(s), reason)
}

func stateOf(s mqtt.SessionState) State {
	switch s {
	case mqtt.Connecting:
		return Connecting
	case mqtt.Connected:
		return Connected
	case mqtt.Renewing:
		return Renewing
	}
	return Closed
}

func (l *mqttLink) state() State { return stateOf(l.session.State()) }

func (l *mqttLink) close() error { return l.session.Close() }

// trace is the Packet hook as a session takes it.
func (c *config) trace() *mqtt.Trace {
	if c.Hooks.Packet == nil {
		return nil
	}
	return &mqtt.Trace{
		Sent:     func(p mqtt.Packet) { c.Hooks.Packet(true, p) },
		Received: func(p mqtt.Packet) { c.Hooks.Packet(false, p) },
	}
}

// feature is filters that are subscribed to on first use; from then on the session keeps them.
type feature struct {
	qos     mqtt.QoS
	filters []string
	on      atomic.Bool
	lock    chan struct{} // whose holder may subscribe; waiting for it can end
}

func (f *feature) init(qos mqtt.QoS, filters ...string) {
	f.qos, f.filters, f.lock = qos, filters, make(chan struct{}, 1)
}

func (l *mqttLink) subscribe(ctx context.Context, f *feature) error {
	if f.on.Load() {
		return nil
	}
	if err := l.mayWait(); err != nil {
		return err
	}
	select {
	case f.lock <- struct{}{}:
		defer func() { <-f.lock }()
	case <-ctx.Done():
		return ended(ctx, l.cfg.life)
	case <-l.cfg.life.Done():
		return ended(ctx, l.cfg.life)
	}
	if f.on.Load() {
		return nil
	}
	if err := l.session.Subscribe(ctx, f.qos, f.filters...); err != nil {
		return err
	}
	f.on.Store(true)
	return nil
}

// insist is subscribe for calls that wait as long as their context lasts. A
// subscription that cost the connection too often is tried again later: it may be the
// network, and where it is the hub, at least it is not asked all the time.
func (l *mqttLink) insist(ctx context.Context, f *feature) error {
	for wait := l.cfg.MinBackoff; ; wait = min(2*wait, l.cfg.MaxBackoff) {
		err := l.subscribe(ctx, f)
		if e, ok := errors.AsType[*hubwire.Error](err); !ok || !e.Retryable {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
			continue
		case <-ctx.Done():
		case <-l.cfg.life.Done():
		}
		timer.Stop()
		return ended(ctx, l.cfg.life)
	}
}

func (l *mqttLink) mayWait() error {
	if l.session.InCallback() {
		return &hubwire.Error{Outcome: hubwire.NotSent, Err: mqtt.ErrWouldDeadlock}
	}
	return nil
}
