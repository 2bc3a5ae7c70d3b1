package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// TestAHubIsClosedWhileItDoesEverything has devices come and go, services write, jobs and
// configurations run, and closes the hub in the middle: whatever fails then says that the
// hub is closed, and a hub on the same store carries on.
func TestAHubIsClosedWhileItDoesEverything(t *testing.T) {
	s := store.NewMemory(nil)
	c, _ := transferCore(t, s)
	ids := append(several(t, c, 10), dev)
	create(t, c, &Device{ID: hubwire.Identity{DeviceID: "edge"}, Edge: true})
	one := func() hubwire.Identity { return ids[rand.IntN(len(ids))] }
	acts := []func(n int) error{
		func(n int) error {
			_, err := c.CreateJob(ctx, twinJob(fmt.Sprint("t", n), fmt.Sprintf("tags.n = %d", n%3), `{"job":1}`))
			return err
		},
		func(n int) error {
			j := methodJob(fmt.Sprint("m", n), time.Time{})
			j.Method.ConnectTimeout = time.Minute
			_, err := c.CreateJob(ctx, j)
			return err
		},
		func(n int) error { _, err := c.CancelJob(fmt.Sprint("m", n-40)); return err },
		func(n int) error {
			_, err := c.CreateConfiguration(ctx, forDevice(fmt.Sprint("k", n%7), fmt.Sprintf("tags.n = %d", n%3), n, ".led", fmt.Sprint(n)))
			return err
		},
		func(n int) error {
			_, err := c.CreateConfiguration(ctx, deployment(fmt.Sprint("d", n%3), "*", n, manifest(fmt.Sprint("m", n%4))))
			return err
		},
		func(n int) error { return c.DeleteConfiguration(ctx, fmt.Sprint("k", n%7), "") },
		func(n int) error { _, err := c.Configurations(ctx, 100); return err },
		func(n int) error {
			_, err := c.PatchTwin(ctx, one(), update(fmt.Sprintf(`{"n":%d}`, n%3), ""), "")
			return err
		},
		func(n int) error { return c.Delete(ctx, one(), "*") },
		func(n int) error {
			_, err := c.Bulk(ctx, []BulkOperation{{Mode: BulkCreateOrUpdate, Device: Device{ID: one()}, Twin: update(fmt.Sprintf(`{"n":%d}`, n%3), "")}})
			return err
		},
		func(n int) error {
			_, err := c.CreateTransfer(ctx, &Transfer{Type: JobExport, Output: export().Output})
			return err
		},
		func(n int) error {
			_, err := c.PatchDigitalTwin(ctx, one().DeviceID, json.RawMessage(`[{"op":"add","path":"/c/p","value":1}]`), "")
			return err
		},
		func(n int) error {
			id := one()
			d, err := c.Device(id)
			if err != nil {
				return err
			}
			g := &Grant{Identity: id, generation: d.GenerationID, by: credential{byKey, d.Auth.Primary}}
			l := &fakeLink{}
			session, err := c.Connect(ctx, g, nil, l)
			if errors.Is(err, hubwire.Unauthorized) { // it was deleted meanwhile, and created again
				return nil
			}
			if err != nil {
				return err
			}
			if err := session.Subscribe(ctx, Subscription{Filter: "m", Feature: FeatureMethods | FeatureDesired}); err != nil {
				return err
			}
			_, err = session.PatchReported(ctx, fmt.Appendf(nil, `{"n":%d}`, n), 0)
			return err
		},
	}
	var wg sync.WaitGroup
	var done atomic.Int32
	enough := make(chan struct{})
	for i, act := range acts {
		wg.Go(func() {
			for n := 0; ; n++ {
				err := act(n)
				if done.Add(1) == 20_000 {
					close(enough)
				}
				var e *hubwire.Error
				switch {
				case err == nil:
				case !errors.As(err, &e):
					t.Errorf("act %d: %v", i, err)
				case errors.Is(err, net.ErrClosed) && e.Code == hubwire.ServiceUnavailable:
					return
				case e.Code.Status() == 500:
					t.Errorf("act %d: %v", i, err)
				}
			}
		})
	}
	<-enough
	c.Close()
	wg.Wait()
	next, _ := transferCore(t, s)
	next.sweepAll()
	if _, _, err := next.Jobs(JobFilter{}, 10, ""); err != nil {
		t.Error(err)
	}
}
