package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/sas"
)

// venue is where a demo takes place: the hub, and the way to it.
type venue struct {
	host     string
	way      *reach
	registry *registry
	run      string // tells this demo's devices from those of another

	limit time.Duration // of one cell, and then
	grace time.Duration // to clear up

	embedded *hub.Hub         // nil for a hub that exists
	root     *tls.Certificate // the embedded hub takes certificates from it
	feedback *feedbackDesk
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
	return newVenue(cs, way)
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
	cs, err := sas.ParseConnectionString(p.owner)
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	v, err := newVenue(cs, &reach{dial: p.dial, tls: h.ClientTLS()})
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	v.embedded, v.root, v.feedback = h, root, openFeedbackDesk(h)
	return v, nil
}

func newVenue(owner *sas.ConnectionString, way *reach) (*venue, error) {
	r, err := newRegistry(owner, way)
	if err != nil {
		return nil, err
	}
	return &venue{
		host: owner.HostName, way: way, registry: r, run: strings.ToLower(rand.Text()[:8]),
		limit: 30 * time.Second, grace: 5 * time.Second,
	}, nil
}

func (v *venue) close() error {
	v.registry.close()
	if v.embedded == nil {
		return nil
	}
	v.feedback.close()
	return v.embedded.Close()
}

func (v *venue) describe() string {
	if v.embedded == nil {
		return "hub " + v.host
	}
	return fmt.Sprintf("embedded hub %s: MQTT on %s, HTTPS and WebSockets on %s", v.host, v.embedded.MQTTAddr(), v.embedded.HTTPSAddr())
}

// feedbackDesk hands out the hub's feedback, of which there is one queue, to the cells.
type feedbackDesk struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	records map[hubwire.Identity][]hub.Feedback
	arrived chan struct{} // closed and made anew
}

func openFeedbackDesk(h *hub.Hub) *feedbackDesk {
	ctx, cancel := context.WithCancel(context.Background())
	d := &feedbackDesk{cancel: cancel, done: make(chan struct{}), records: map[hubwire.Identity][]hub.Feedback{}, arrived: make(chan struct{})}
	go func() {
		defer close(d.done)
		for {
			records, err := h.Feedback(ctx)
			if err != nil {
				return
			}
			d.put(records)
		}
	}()
	return d
}

func (d *feedbackDesk) put(records []hub.Feedback) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range records {
		d.records[r.Identity] = append(d.records[r.Identity], r)
	}
	close(d.arrived)
	d.arrived = make(chan struct{})
}

// await waits until there are n records for id, and returns them all.
func (d *feedbackDesk) await(ctx context.Context, id hubwire.Identity, n int) ([]hub.Feedback, error) {
	for {
		d.mu.Lock()
		records, arrived := d.records[id], d.arrived
		d.mu.Unlock()
		if len(records) >= n {
			return records, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return records, fmt.Errorf("waiting for feedback: %w", ctx.Err())
		}
	}
}

func (d *feedbackDesk) close() { d.cancel(); <-d.done }
