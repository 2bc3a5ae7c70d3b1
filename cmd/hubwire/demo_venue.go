package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire/httpsx"
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
	rest     *rest
	feedback *feedbackDesk
	files    *fileDesk
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
	return newVenue(text.Reveal(), way)
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
	v, err := newVenue(p.owner, &reach{dial: p.dial, tls: h.ClientTLS()})
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	v.embedded, v.root = h, root
	if v.rest, err = newREST(p.owner, v.way); err != nil {
		return nil, errors.Join(err, v.service.Close(), h.Close())
	}
	v.openDesks()
	return v, nil
}

// openDesks begins to read what the embedded hub has for its service.
func (v *venue) openDesks() {
	v.feedback = openDesk(v.rest.feedback, func(r httpsx.FeedbackRecord) string { return r.DeviceID })
	notification := func(ctx context.Context) ([]*hub.FileNotification, error) {
		n, err := v.embedded.FileNotification(ctx)
		if err != nil {
			return nil, err
		}
		return []*hub.FileNotification{n}, nil
	}
	v.files = openDesk(notification, func(n *hub.FileNotification) string { return n.DeviceID })
}

func newVenue(owner string, way *reach) (*venue, error) {
	c, err := way.service(owner)
	if err != nil {
		return nil, err
	}
	return &venue{
		host: c.HostName(), way: way, service: c, run: strings.ToLower(rand.Text()[:8]),
		limit: 2 * time.Minute, grace: 10 * time.Second, // a hub or machine with other work has its own pace
	}, nil
}

func (v *venue) close() error {
	err := v.service.Close()
	if v.embedded == nil {
		return err
	}
	v.feedback.close()
	v.files.close()
	v.rest.close()
	return errors.Join(err, v.embedded.Close())
}

func (v *venue) describe() string {
	if v.embedded == nil {
		return "hub " + v.host
	}
	return fmt.Sprintf("embedded hub %s: MQTT on %s, HTTPS and WebSockets on %s", v.host, v.embedded.MQTTAddr(), v.embedded.HTTPSAddr())
}
