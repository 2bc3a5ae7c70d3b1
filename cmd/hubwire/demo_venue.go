package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/service"
)

// venue is where a demo takes place: the hub, and the way to it.
type venue struct {
	host    string
	way     *reach
	service *service.Client
	run     string // tells this demo's devices from those of another

	limit time.Duration // of one cell, and then
	grace time.Duration // to clear up

	embedded *hub.Hub         // nil for a hub that exists
	root     *tls.Certificate // the embedded hub takes certificates from it
	storage  *http.Transport

	// The back ends over AMQP and AMQP-WS, and what both of them read; nil without --take-feedback.
	amqp, amqpWS *backEnd
	feedback     *desk[service.FeedbackRecord]
	files        *desk[*service.FileNotification]
}

// openVenue starts the embedded hub, or finds the one that exists.
func (f *demoFlags) openVenue(c *cobra.Command) (*venue, error) {
	if c.Flags().Changed("connection-string") {
		return f.findVenue(c)
	}
	v, err := startVenue(c.Context(), new(hub.Config))
	if err != nil {
		return nil, fmt.Errorf("the embedded hub: %w", err)
	}
	return v, nil
}

func (f *demoFlags) findVenue(c *cobra.Command) (*venue, error) {
	text, err := readSecret(c, "--connection-string", f.connectionString)
	if err != nil {
		return nil, err
	}
	cs, err := sas.ParseConnectionString(text.Reveal())
	if err != nil {
		return nil, err
	}
	way, err := reachHub(localPlace(), cs.HostName, f.caFile)
	if err != nil {
		return nil, err
	}
	v, err := newVenue(text.Reveal(), way, f.consumerGroup)
	if err == nil && f.takeFeedback {
		v.openQueues()
	}
	return v, err
}

// startVenue starts a hub with an authority for devices' certificates.
func startVenue(ctx context.Context, cfg *hub.Config) (*venue, error) {
	root, err := issue("hubwire demo root", nil)
	if err != nil {
		return nil, err
	}
	cfg.VerifiedCAs = []*x509.Certificate{root.Leaf}
	h, err := hub.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	p, err := placeOf(h, "")
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	v, err := newVenue(p.owner, &reach{dial: p.dial, tls: h.ClientTLS()}, "")
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	v.embedded, v.root = h, root
	v.openQueues()
	return v, nil
}

// own is whose when the device is one of this demo's, else "": a hub that exists has others.
func (v *venue) own(deviceID, whose string) string {
	if !strings.HasPrefix(deviceID, v.prefix()) {
		return ""
	}
	return whose
}

// prefix is what the ids of this demo's devices begin with.
func (v *venue) prefix() string { return "hubwire-demo-" + v.run + "-" }

func newVenue(owner string, way *reach, group string) (*venue, error) {
	c, err := way.service(owner)
	if err != nil {
		return nil, err
	}
	v := &venue{
		host: c.HostName(), way: way, service: c, run: strings.ToLower(rand.Text()[:8]),
		limit: 2 * time.Minute, grace: 30 * time.Second, // a hub or machine with other work has its own pace
		storage: &http.Transport{DialContext: way.dial, TLSClientConfig: way.tls},
	}
	if v.amqp, err = v.openBackEnd(owner, false, group); err == nil {
		v.amqpWS, err = v.openBackEnd(owner, true, group)
	}
	if err != nil {
		return nil, errors.Join(err, v.close())
	}
	return v, nil
}

func (v *venue) close() error {
	v.feedback.close()
	v.files.close()
	err := errors.Join(v.amqp.close(), v.amqpWS.close(), v.service.Close())
	v.storage.CloseIdleConnections()
	if v.embedded != nil {
		err = errors.Join(err, v.embedded.Close())
	}
	return err
}

func (v *venue) describe() string {
	if v.embedded == nil {
		return "hub " + v.host
	}
	return fmt.Sprintf("embedded hub %s: MQTT on %s, AMQP on %s, HTTPS and WebSockets on %s", v.host, v.embedded.MQTTAddr(), v.embedded.AMQPAddr(), v.embedded.HTTPSAddr())
}
