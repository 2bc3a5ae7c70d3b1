package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/service"
)

var twinFeatures = []feature{
	{name: "twin get", lacks: notHTTPS, run: twinGet},
	{name: "twin reported properties", lacks: notHTTPS, run: twinReported},
	{name: "twin desired properties, as a stream", lacks: notHTTPS, run: twinDesired},
	{name: "twin over its limits is refused", lacks: notHTTPS, run: twinTooLarge},
}

func (s *stage) setDesired(ctx context.Context, id hubwire.Identity, patch string) error {
	_, err := s.service.PatchTwin(ctx, id, &service.TwinUpdate{Desired: json.RawMessage(patch)}, service.Any)
	return err
}

func twinGet(ctx context.Context, s *stage) error {
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	const desired = `{"interval":30,"place":{"name":"Zürich","floor":[1,2,3]},"on":true}`
	written, err := s.service.PatchTwin(ctx, c.id, &service.TwinUpdate{
		Tags: json.RawMessage(`{"secret":1}`), Desired: json.RawMessage(desired),
	}, service.Any)
	if err != nil {
		return err
	}
	got, err := c.Twin(ctx)
	if err != nil {
		return err
	}
	return errors.Join(
		sameJSON("desired", got.Desired.JSON, desired),
		sameJSON("reported", got.Reported.JSON, `{}`),
		same("the version of desired", got.Desired.Version, written.Desired.Version),
		same("the length of the tags, which are the service's", len(got.Tags), 0),
	)
}

func twinReported(ctx context.Context, s *stage) error {
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	before, err := c.Report(ctx, map[string]any{"connectivity": "cellular", "battery": map[string]any{"level": 0.5, "charging": true}})
	if err != nil {
		return err
	}
	version, err := c.Report(ctx, json.RawMessage(`{"battery":{"charging":null},"näme":"ü"}`))
	if err != nil {
		return err
	}
	const want = `{"connectivity":"cellular","battery":{"level":0.5},"näme":"ü"}`
	own, err := c.Twin(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(
		same("the version of the second report", version, before+1),
		sameJSON("reported, as the device reads it", own.Reported.JSON, want),
	); err != nil {
		return err
	}
	at, err := s.service.Twin(ctx, c.id)
	if err != nil {
		return err
	}
	return errors.Join(
		sameJSON("reported, at the hub", at.Reported.JSON, want),
		same("the version at the hub", at.Reported.Version, version),
	)
}

// twinDesired follows the properties over a cut, during which they change.
func twinDesired(ctx context.Context, s *stage) error {
	a, err := s.device(ctx)
	if err != nil {
		return err
	}
	if err := s.setDesired(ctx, a.id, `{"a":1,"b":{"c":2}}`); err != nil {
		return err
	}
	c, err := s.connect(ctx, a)
	if err != nil {
		return err
	}
	pull, stop := iter.Pull2(c.Desired(ctx))
	defer stop()
	next := func() (hubwire.DesiredChange, error) {
		change, err, _ := pull() // it ends only with an error
		return change, err
	}
	first, err := next()
	if err != nil {
		return err
	}
	if err := errors.Join(same("the first is whole", first.Full, true), sameJSON("the whole", first.JSON, `{"a":1,"b":{"c":2}}`)); err != nil {
		return err
	}
	for i, patch := range []string{`{"a":2}`, `{"b":{"c":null,"d":[1]}}`, `{"e":"ü"}`} {
		if err := s.setDesired(ctx, a.id, patch); err != nil {
			return err
		}
		change, err := next()
		if err != nil {
			return err
		}
		if err := errors.Join(
			same("a patch is whole", change.Full, false),
			same("the version", change.Version, first.Version+int64(i)+1),
			sameJSON("the patch", change.JSON, patch),
		); err != nil {
			return err
		}
	}
	return s.desiredAfterCut(ctx, c, next)
}

func (s *stage) desiredAfterCut(ctx context.Context, c *party, next func() (hubwire.DesiredChange, error)) error {
	c.wire.cut()
	if err := c.states.await(ctx, device.Connected, device.Connecting); err != nil {
		return err
	}
	if err := s.setDesired(ctx, c.id, `{"a":null,"f":true}`); err != nil {
		return err
	}
	at, err := s.service.Twin(ctx, c.id)
	if err != nil {
		return err
	}
	for {
		change, err := next()
		if err != nil {
			return err
		}
		if change.Version < at.Desired.Version {
			continue // the whole, read before the change
		}
		want := `{"a":null,"f":true}`
		if change.Full {
			want = string(at.Desired.JSON)
		}
		return errors.Join(
			same("the version after the cut", change.Version, at.Desired.Version),
			sameJSON("what came after the cut", change.JSON, want),
		)
	}
}

func twinTooLarge(ctx context.Context, s *stage) error {
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	version, err := c.Report(ctx, json.RawMessage(`{"small":1}`))
	if err != nil {
		return err
	}
	large := map[string]string{}
	for i := range 10 {
		large[fmt.Sprintf("p%d", i)] = strings.Repeat("x", 4000)
	}
	_, err = c.Report(ctx, large)
	var refused *hubwire.Error
	if !errors.As(err, &refused) || refused.Outcome != hubwire.Refused {
		return fmt.Errorf("40 kB of reported properties ended with %v, which is no refusal", err)
	}
	own, err := c.Twin(ctx)
	if err != nil {
		return err
	}
	return errors.Join(
		sameJSON("reported, after the refusal", own.Reported.JSON, `{"small":1}`),
		same("its version", own.Reported.Version, version),
	)
}
