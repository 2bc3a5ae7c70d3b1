package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/service"
)

var fleetFeatures = []feature{
	{name: "service: bulk, with a result for each", service: byREST, run: fleetBulk},
	{name: "service: list and statistics", service: byREST, run: fleetStatistics},
	{name: "service: query with pages and aggregates", service: byREST, run: fleetQuery},
	{name: "service: twin read, patched and replaced", service: byREST, run: fleetTwin},
}

// fleet registers n devices, with the stage's own mark and a number each as tags.
func (s *stage) fleet(ctx context.Context, n int) ([]string, error) {
	ids := make([]string, n)
	devices := make([]service.ImportDevice, n)
	for i := range n {
		ids[i] = s.newID()
		tags, err := json.Marshal(map[string]any{"fleet": s.prefix, "number": i, "even": i%2 == 0})
		if err != nil {
			return nil, err
		}
		devices[i] = service.ImportDevice{ID: ids[i], ImportMode: service.ImportCreate, Status: service.Enabled, Tags: tags}
	}
	s.later(func(ctx context.Context) error { return s.dismiss(ctx, ids) })
	result, _, err := s.service.BulkAll(ctx, devices)
	if err != nil {
		return nil, err
	}
	return ids, allSucceeded(result)
}

func allSucceeded(r *service.BulkResult) error {
	if !r.IsSuccessful || len(r.Errors) > 0 {
		return fmt.Errorf("%d of a bulk operation failed: %s", len(r.Errors), brief(r.Errors))
	}
	return nil
}

// dismiss removes devices, of which some may have gone.
func (s *stage) dismiss(ctx context.Context, ids []string) error {
	devices := make([]service.ImportDevice, len(ids))
	for i, id := range ids {
		devices[i] = service.ImportDevice{ID: id, ImportMode: service.ImportDelete}
	}
	result, _, err := s.service.BulkAll(ctx, devices)
	if err != nil {
		return err
	}
	result.Errors = slices.DeleteFunc(result.Errors, func(e service.BulkError) bool { return hubwire.Code(e.Code) == hubwire.DeviceNotFound })
	result.IsSuccessful = len(result.Errors) == 0
	return allSucceeded(result)
}

// inFleet is the condition of a query for the stage's fleet.
func (s *stage) inFleet() string { return "tags.fleet = " + service.Quote(s.prefix) }

// awaitFleet waits until queries find so many devices that cond holds for: a hub may be slow to count.
func (s *stage) awaitFleet(ctx context.Context, cond string, want int) error {
	for {
		n := 0
		for _, err := range s.service.Query(ctx, "SELECT deviceId FROM devices WHERE "+cond, nil) {
			if err != nil {
				return err
			}
			n++
		}
		if n == want {
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("a query finds %d devices of %d: %w", n, want, err)
		}
	}
}

func fleetBulk(ctx context.Context, s *stage) error {
	ids, err := s.fleet(ctx, 120) // more than a request takes
	if err != nil {
		return err
	}
	changes := []service.ImportDevice{
		{ID: ids[0], ImportMode: service.ImportCreate, Status: service.Enabled},
		{ID: ids[1], ImportMode: service.ImportUpdate, Status: service.Disabled},
		{ID: ids[2], ImportMode: service.ImportUpdateTwin},
		{ID: ids[3], ImportMode: service.ImportDelete},
		{ID: s.newID(), ImportMode: service.ImportUpdate, Status: service.Enabled},
	}
	changes[2].Properties.Desired = json.RawMessage(`{"interval":5}`)
	result, err := s.service.Bulk(ctx, changes)
	if err != nil {
		return err
	}
	failed := map[string]hubwire.Code{}
	for _, e := range result.Errors {
		failed[e.DeviceID] = hubwire.Code(e.Code)
	}
	if err := errors.Join(
		same("all succeeded", result.IsSuccessful, false),
		same("what failed", failed, map[string]hubwire.Code{ids[0]: hubwire.DeviceAlreadyExists, changes[4].ID: hubwire.DeviceNotFound}),
	); err != nil {
		return err
	}
	d, err := s.service.Device(ctx, ids[1])
	if err != nil {
		return err
	}
	twin, err := s.service.Twin(ctx, hubwire.Identity{DeviceID: ids[2]})
	if err != nil {
		return err
	}
	_, err = s.service.Device(ctx, ids[3])
	return errors.Join(
		same("the status of what was updated", d.Status, service.Disabled),
		sameJSON("desired of whose twin was updated", twin.Desired.JSON, `{"interval":5}`),
		refusedWith(err, "what was deleted", hubwire.DeviceNotFound),
	)
}

// fleetStatistics counts among devices that come and go, so it holds the least against what there is.
func fleetStatistics(ctx context.Context, s *stage) error {
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	off, err := s.service.CreateDevice(ctx, &service.Device{DeviceID: s.newID(), Status: service.Disabled})
	if err != nil {
		return err
	}
	s.removeLater(off.DeviceID)
	if err := s.awaitState(ctx, c.id, service.Connected); err != nil {
		return err
	}
	for {
		d, err := s.service.DeviceStatistics(ctx)
		if err != nil {
			return err
		}
		online, err := s.service.ServiceStatistics(ctx)
		if err != nil {
			return err
		}
		list, err := s.service.Devices(ctx, 0)
		if err != nil {
			return err
		}
		listed := func(id string) bool {
			return slices.ContainsFunc(list, func(d service.Device) bool { return d.DeviceID == id })
		}
		if d.Enabled >= 1 && d.Disabled >= 1 && d.Total == d.Enabled+d.Disabled && online.Connected >= 1 && listed(off.DeviceID) && listed(c.id.DeviceID) {
			return nil
		}
		if err := pause(ctx, time.Second); err != nil {
			return fmt.Errorf("the statistics are %s and %s: %w", brief(d), brief(online), err)
		}
	}
}

func fleetQuery(ctx context.Context, s *stage) error {
	const size, page = 25, 10
	ids, err := s.fleet(ctx, size)
	if err != nil {
		return err
	}
	if err := s.awaitFleet(ctx, s.inFleet(), size); err != nil {
		return err
	}
	type row struct {
		ID     string `json:"deviceId"`
		Number int    `json:"number"`
	}
	seen := map[string]int{}
	rows := service.QueryAs[row](ctx, s.service, "SELECT deviceId, tags.number AS number FROM devices WHERE "+s.inFleet(), &service.QueryOptions{PageSize: page})
	for r, err := range rows {
		if err != nil {
			return err
		}
		seen[r.ID] = r.Number
	}
	want := map[string]int{}
	for i, id := range ids {
		want[id] = i
	}
	first, err := s.service.QueryPage(ctx, "SELECT * FROM devices WHERE "+s.inFleet(), &service.QueryOptions{PageSize: page})
	if err != nil {
		return err
	}
	if err := errors.Join(
		same("the rows", seen, want),
		same("there is another page", first.Continuation != "" && len(first.Rows) <= page, true),
	); err != nil {
		return err
	}
	counts := map[bool]int{}
	type group struct {
		Even bool `json:"even"`
		N    int  `json:"n"`
	}
	const aggregate = "SELECT tags.even AS even, COUNT() AS n FROM devices WHERE "
	for g, err := range service.QueryAs[group](ctx, s.service, aggregate+s.inFleet()+" GROUP BY tags.even", nil) {
		if err != nil {
			return err
		}
		counts[g.Even] = g.N
	}
	if err := errors.Join(same("the even ones", counts[true], 13), same("the odd ones", counts[false], 12)); err != nil {
		return err
	}
	_, err = s.service.QueryPage(ctx, "SELECT * FROM devices WHERE tags.number >", nil)
	return refusedWith(err, "half a query", hubwire.ArgumentInvalid)
}

// fleetTwin writes a twin from the service's side, and follows it from the device's.
func fleetTwin(ctx context.Context, s *stage) error {
	c, err := s.connected(ctx)
	if err != nil {
		return err
	}
	pull, stop := iter.Pull2(c.Desired(ctx))
	defer stop()
	if _, err, _ := pull(); err != nil { // the whole, which is empty
		return err
	}
	tw, err := s.service.Twin(ctx, c.id)
	if err != nil {
		return err
	}
	patch := &service.TwinUpdate{Tags: json.RawMessage(`{"room":"cellar"}`), Desired: json.RawMessage(`{"interval":5,"mode":{"night":true}}`)}
	if tw, err = s.service.PatchTwin(ctx, c.id, patch, tw.ETag); err != nil {
		return err
	}
	change, err, _ := pull()
	if err != nil {
		return err
	}
	if err := errors.Join(
		sameJSON("the patch at the device", change.JSON, string(patch.Desired)),
		same("its version", change.Version, tw.Desired.Version),
		sameJSON("the tags", tw.Tags, `{"room":"cellar"}`),
	); err != nil {
		return err
	}
	if _, err := c.Report(ctx, json.RawMessage(`{"interval":5}`)); err != nil {
		return err
	}
	if _, err := s.service.ReplaceTwin(ctx, c.id, &service.TwinUpdate{Desired: json.RawMessage(`{"only":1}`)}, service.Any); err != nil {
		return err
	}
	now, err := s.service.Twin(ctx, c.id)
	if err != nil {
		return err
	}
	own, err := c.Twin(ctx)
	if err != nil {
		return err
	}
	return errors.Join(
		same("the length of the tags, which were replaced by none", len(now.Tags) > len("{}"), false),
		sameJSON("desired after the replacement", own.Desired.JSON, `{"only":1}`),
		sameJSON("reported, which is the device's", now.Reported.JSON, `{"interval":5}`),
		same("the version at both ends", own.Desired.Version, now.Desired.Version),
	)
}
