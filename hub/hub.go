package hub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/amqpfront"
	"github.com/hubwire/hubwire/hub/internal/blob"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/hub/internal/dps"
	"github.com/hubwire/hubwire/hub/internal/httpfront"
	"github.com/hubwire/hubwire/hub/internal/mqttfront"
	"github.com/hubwire/hubwire/hub/internal/pki"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/topics"
	"github.com/hubwire/hubwire/ws"
)

// closePatience bounds Close: how long connections get to end after they were cut.
const closePatience = 10 * time.Second

// Hub is a running hub, from [Start]. Its methods may be called from any goroutine. Of any
// other, nil included, and with a nil context, they fail with ArgumentInvalid.
//
// It owns one goroutine for each listener and one for each connection, and
// momentary ones for timers, for calls of Intercept and for connections that have something to send;
// all are gone when Close returns.
type Hub struct {
	cfg   Config
	ca    *pki.CA
	store store.Store
	core  *core.Core
	dps   *dps.Service
	mqtt  *mqttfront.Server
	amqp  *amqpfront.Server
	https *httpfront.Server
	blobs *blob.Endpoint // nil when devices upload elsewhere
	doors []*door

	serving  sync.WaitGroup // the accept loops
	once     sync.Once
	closeErr error
}

// Start makes a hub and returns when all its doors are open. It keeps neither
// ctx nor cfg. The errors are those of listening (a port that is taken or not
// permitted, as a [net.OpError]), of [Config.DataDir], and code ArgumentInvalid
// for a cfg that makes no sense.
func Start(ctx context.Context, cfg *Config) (*Hub, error) {
	if ctx == nil {
		return nil, invalid("the context is nil")
	}
	h := &Hub{cfg: cfg.withDefaults()}
	if err := h.cfg.check(); err != nil {
		return nil, err
	}
	h.store = store.NewMemory(&store.MemoryOptions{Partitions: h.cfg.Partitions})
	tlsConfig, err := h.openAuthority()
	if err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	storage, err := h.openStorage()
	if err != nil {
		return nil, err
	}
	h.core, err = core.New(ctx, &core.Config{
		HostName:         h.cfg.HostName,
		Skew:             h.cfg.Skew,
		LockTimeout:      h.cfg.LockTimeout,
		MaxDeliveryCount: h.cfg.MaxDeliveryCount,
		DefaultTTL:       h.cfg.DefaultTTL,
		MaxSubscriptions: h.cfg.MaxSubscriptions,
		VerifiedCAs:      h.cfg.VerifiedCAs,
		Throttle:         h.cfg.Throttle.core(),
		Storage:          storage,
		Containers:       blob.NewContainers(storageRoads{h}),
		Lines:            httpfront.Lines(),
		UploadTTL:        h.cfg.Upload.SASTTL,
		ConsumerGroups:   h.cfg.ConsumerGroups,
		EventSources:     h.cfg.EventSources,
		Intercept:        interceptor(h.cfg.Intercept),
		Log:              h.cfg.Log,

		NoFileNotifications: h.cfg.Upload.NoNotifications,
	}, h.store)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("hub: %w", err), h.closeStorage())
	}
	h.dps = h.newProvisioning()
	h.mqtt = mqttfront.New(h.core, &mqttfront.Options{
		ConnectTimeout:    h.cfg.ConnectTimeout,
		WriteTimeout:      h.cfg.WriteTimeout,
		RefuseFilters:     h.cfg.RefuseFilters,
		AllowNoAPIVersion: h.cfg.AllowNoAPIVersion,
		PurgeUnsubscribed: h.cfg.PurgeUnsubscribed,
		GatewayProperties: h.cfg.GatewayProperties,
		Published:         h.published(),
		Provisioning:      h.dps,
		Skew:              h.core.Skew(),
		Log:               h.cfg.Log,
	})
	h.amqp = amqpfront.New(h.core, &amqpfront.Options{
		NoRedirect:     h.cfg.NoRedirect,
		HostName:       h.cfg.HostName,
		ConnectTimeout: h.cfg.ConnectTimeout,
		WriteTimeout:   h.cfg.WriteTimeout,
		Published:      h.published(),
		Log:            h.cfg.Log,
	})
	h.https = httpfront.New(h.core, &httpfront.Options{
		ConnectTimeout: h.cfg.ConnectTimeout,
		WriteTimeout:   h.cfg.WriteTimeout,
		Storage:        h.ownStorage(),
		Tunnels: []httpfront.Tunnel{
			{Subprotocol: ws.MQTT, Protocol: "mqtt-ws", Serve: h.mqtt.Serve},
			{Subprotocol: ws.AMQP, Protocol: "amqp-ws", Serve: h.amqp.Serve},
		},
		Published: h.published(),
		Log:       h.cfg.Log,
	})
	if err := h.openDoors(ctx, tlsConfig); err != nil {
		return nil, errors.Join(fmt.Errorf("hub: %w", err), h.Close())
	}
	return h, nil
}

func (h *Hub) openAuthority() (*tls.Config, error) {
	var err error
	if h.cfg.DataDir != "" {
		h.ca, err = pki.Open(h.cfg.DataDir)
	} else {
		h.ca, err = pki.New()
	}
	if err != nil {
		return nil, err
	}
	certificate, err := h.ca.Serving(h.cfg.HostName)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		GetCertificate: certificate,
		MinVersion:     tls.VersionTLS12,
		// Devices with tokens and devices with certificates share the doors. Who
		// shows one is checked when it says who it is.
		ClientAuth: tls.RequestClientCert,
	}, nil
}

// published returns what carries telemetry along the routes, or nil when there are none.
func (h *Hub) published() func(context.Context, hubwire.Identity, *hubwire.Message) {
	routes := slices.Clone(h.cfg.Routes)
	if len(routes) == 0 {
		return nil
	}
	return func(ctx context.Context, from hubwire.Identity, m *hubwire.Message) {
		for _, r := range routes {
			if r.From != from || r.Output != m.Output {
				continue
			}
			in := *m
			in.Output, in.Ack = "", ""
			in.Properties = append(source(from), m.Properties...)
			if err := h.core.SendInput(ctx, r.To, r.Input, &in); err != nil {
				h.cfg.Log.Warn("route: message dropped", "from", from, "output", r.Output, "to", r.To, "input", r.Input, "error", err)
			}
		}
	}
}

// source returns the system properties that tell an input whom its message is from.
func source(id hubwire.Identity) []hubwire.Property {
	ps := []hubwire.Property{{Name: topics.ConnectionDeviceID.Name(), Value: id.DeviceID}}
	if id.IsModule() {
		ps = append(ps, hubwire.Property{Name: topics.ConnectionModuleID.Name(), Value: id.ModuleID})
	}
	return ps
}

// Close ends all connections and waiting calls, and returns when all
// goroutines are gone: at once, unless an intercept function does not heed its
// context, for which it waits 10 s and then gives an error. Further calls return the same.
// Whatever else is asked of a closed hub, about an identity, a message or an event,
// fails with code ServiceUnavailable, and matches [net.ErrClosed].
func (h *Hub) Close() error {
	if _, err := h.started("close"); err != nil {
		return nil // there is nothing to close
	}
	h.once.Do(func() { h.closeErr = h.close() })
	return h.closeErr
}

func (h *Hub) close() error {
	for _, d := range h.doors {
		d.close()
	}
	err := h.core.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.https.Close()
		h.amqp.Close()
		h.mqtt.Close()
		h.serving.Wait()
		h.https.Wait()
	}()
	t := time.NewTimer(closePatience)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		err = errors.Join(err, fmt.Errorf("hub: connections did not end within %v of being cut", closePatience))
	}
	return errors.Join(err, h.closeStorage(), h.store.Close())
}

// started returns the core, which a Hub that is not from Start lacks.
func (h *Hub) started(op string) (*core.Core, error) {
	if h == nil || h.core == nil {
		return nil, badCall(op, "a Hub comes from Start")
	}
	return h.core, nil
}

// ask is started for a call with a context.
func (h *Hub) ask(ctx context.Context, op string) (*core.Core, error) {
	if ctx == nil {
		return nil, badCall(op, "the context is nil")
	}
	return h.started(op)
}

func badCall(op, message string) error {
	return &hubwire.Error{Op: op, Code: hubwire.ArgumentInvalid, Outcome: hubwire.NotSent, Message: message}
}

// HostName returns the hub's name, as in connection strings.
func (h *Hub) HostName() string {
	if _, err := h.started("host name"); err != nil {
		return ""
	}
	return h.cfg.HostName
}

// CAPEM returns the certificate of the hub's authority. It does not change in the hub's life.
func (h *Hub) CAPEM() []byte {
	if _, err := h.started("CA"); err != nil {
		return nil
	}
	return slices.Clone(h.ca.PEM)
}

// CertPool returns a pool that holds the hub's authority alone.
func (h *Hub) CertPool() *x509.CertPool {
	if _, err := h.started("CA"); err != nil {
		return x509.NewCertPool()
	}
	return h.ca.Pool()
}

// ClientTLS returns a configuration for clients of this hub: its authority, TLS 1.2 or newer.
func (h *Hub) ClientTLS() *tls.Config {
	return &tls.Config{RootCAs: h.CertPool(), MinVersion: tls.VersionTLS12}
}
