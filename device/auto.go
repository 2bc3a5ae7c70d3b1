package device

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/backoff"
)

// AutoOptions say what to choose among, and what for. The zero value, and nil, mean the defaults.
type AutoOptions struct {
	// Transports are tried in this order, each with a way to the hub of its own. nil means MQTT,
	// MQTTWebSocket, AMQP, AMQPWebSocket and HTTPS, with their defaults.
	Transports []Transport

	// Needs are the features that the program cannot do without: a transport that lacks one is
	// not tried. What Options and Credentials ask for is needed, too: a model id, and for a module
	// its inputs.
	Needs []Feature

	// Patience bounds the time until a transport has an answer of the hub, before it is the
	// next one's turn. When none has one it is doubled, up to Options.ConnectTimeout. 0 means 10 s.
	Patience time.Duration
}

// Auto chooses a transport when a Client is dialled: the first that has what is needed and
// by which the hub answers. o is copied; nil means the defaults.
//
// Their order follows what the service's guide recommends. MQTT is made for a device with a connection of its
// own. Where a network lets nothing out at port 8883, the same in a WebSocket goes by 443, and nothing of
// weight is lost. AMQP comes after them: it is made for gateways, which put many devices on one connection
// ([AMQPConnection]), and is of help where a network meddles with WebSockets alone. HTTPS has no twins and no methods, and is for when all else fails.
//
// It turns to the next transport for what that can mend: a port that is closed or a firewall
// that swallows, a proxy that refuses, a certificate of somebody who looks into TLS, a WebSocket that
// is not let through, a connection that is cut off before an answer. A refusal by the hub, of
// credentials above all, is the same by all of them and ends Dial, as ever; that the hub is busy makes it
// wait. While no transport gets an answer, Dial goes on until its context ends, unless nothing of what is in the
// way would pass: the error wraps a [*NoDoorError].
//
// Once chosen, a protocol stays: the Client keeps its queue and its subscriptions. Only the way of a later
// connection may change between the same protocol with and without WebSocket, when one fails before the hub
// has answered, under the options of that chosen first. Nothing is remembered beyond the Client.
// [Client.Choice] has what was chosen, what was in the way of others, and what is lost by it.
//
// Options.Port has no meaning here and is refused. The guide: "Choose a device communication protocol".
func Auto(o *AutoOptions) Transport {
	opts := optionsOf(o)
	opts.Needs = slices.Clone(opts.Needs)
	leaves, err := withDoors("dial", opts.Transports)
	return Transport{name: "auto", choosing: leaves, open: func(ctx context.Context, cfg *config) (link, error) {
		opts := opts
		opts.Patience = cmp.Or(opts.Patience, 10*time.Second)
		switch {
		case err != nil:
			return nil, err
		case cfg.Port != 0:
			return nil, invalid("dial", "Options.Port is for one transport, and Auto has %d", len(leaves))
		case opts.Patience < 0:
			return nil, invalid("dial", "AutoOptions.Patience is %v, not more than 0", opts.Patience)
		}
		c := chooser{cfg: cfg, all: leaves, patience: opts.Patience}
		if err := c.sort(append(opts.Needs, cfg.needs()...)); err != nil {
			return nil, err
		}
		return c.choose(ctx)
	}}
}

// needs are the features that what a Client is to be cannot do without.
func (c *config) needs() (needs []Feature) {
	if c.ModelID != "" {
		needs = append(needs, FeatureModelID)
	}
	if c.id.IsModule() {
		needs = append(needs, FeatureInputs)
	}
	return needs
}

// Choice is what a Client speaks, and why.
type Choice struct {
	// Transport is what the Client speaks, or spoke last: never [Auto] itself.
	Transport Transport

	// Passed are those that [Auto] would have preferred, with what was in the way.
	Passed []Door

	// Lost is what others that Auto could choose among would have.
	Lost []Loss
}

// NoDoorError is why [Auto] has found no way to the hub.
type NoDoorError struct {
	Doors []Door // those that were tried, in their order, none of them open
}

// Error names each with what is in its way.
func (e *NoDoorError) Error() string {
	if e == nil {
		return "device: no error"
	}
	reasons := make([]string, len(e.Doors))
	for i, d := range e.Doors {
		reasons[i] = fmt.Sprintf("%v: %v: %v", d.Transport, d.Obstacle, d.Err)
	}
	return "device: no way to the hub; " + strings.Join(reasons, "; ")
}

// Unwrap returns the errors of the doors.
func (e *NoDoorError) Unwrap() []error {
	if e == nil {
		return nil
	}
	errs := make([]error, len(e.Doors))
	for i, d := range e.Doors {
		errs[i] = d.Err
	}
	return errs
}

// chooser chooses for one Client.
type chooser struct {
	cfg      *config
	patience time.Duration
	all      []Transport

	lacks []error // which of all lacks something that is needed
}

// sort parts those that have what is needed from the others.
func (c *chooser) sort(needs []Feature) error {
	var lacking []Door
	c.lacks = make([]error, len(c.all))
	for i, t := range c.all {
		missing := slices.DeleteFunc(slices.Clone(needs), func(f Feature) bool { return t.Supports(f).Has })
		if len(missing) > 0 {
			c.lacks[i] = fmt.Errorf("it lacks %s: %w", names(missing), errors.ErrUnsupported)
			lacking = append(lacking, c.lacking(i))
		}
	}
	if len(lacking) < len(c.all) {
		return nil
	}
	e := invalid("dial", "no transport has all of %s", names(needs))
	e.Err = &NoDoorError{lacking}
	return e
}

// lacking is the door of the i-th, which lacks something.
func (c *chooser) lacking(i int) Door {
	return c.cfg.knocking(c.all[i]).closed(ObstacleFeature, c.lacks[i])
}

// names lists features for people.
func names(features []Feature) string {
	texts := make([]string, len(features))
	for i, f := range features {
		texts[i] = f.String()
	}
	return strings.Join(slices.Compact(texts), ", ")
}

// choose tries one after the other, until one has an answer of the hub, or ctx ends.
func (c *chooser) choose(ctx context.Context) (link, error) {
	for n := 0; ; n++ {
		var passed []Door
		hopeless := true
		for i := range c.all {
			if c.lacks[i] != nil {
				passed = append(passed, c.lacking(i))
				continue
			}
			l, d, err := c.try(ctx, i, passed)
			if d.Err == nil {
				return l, err
			}
			passed = append(passed, d)
			if ctx.Err() != nil {
				break
			}
			hopeless = hopeless && badWay(d.Err)
			c.cfg.state(Connecting, noWay(nil, true, d))
		}
		if ctx.Err() == nil && !hopeless && c.pause(ctx, n) {
			c.patience = min(2*c.patience, max(c.patience, c.cfg.ConnectTimeout))
			continue
		}
		err := noWay(ctx.Err(), ctx.Err() != nil, passed...)
		c.cfg.state(Closed, err)
		return nil, err
	}
}

// noWay is the error of doors that were in vain, when ended is not nil because a context ended.
func noWay(ended error, retryable bool, doors ...Door) error {
	var err error = &NoDoorError{doors}
	if ended != nil {
		err = &gaveUpError{ended, err}
	}
	return &hubwire.Error{Op: "connect", Outcome: hubwire.NotSent, Retryable: retryable, Err: err}
}

// pause waits before the next round, and reports whether there is to be one.
func (c *chooser) pause(ctx context.Context, n int) bool {
	timer := time.NewTimer(backoff.Wait(n, c.cfg.MinBackoff, c.cfg.MaxBackoff))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
