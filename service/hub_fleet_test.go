package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/service"
)

// fleet registers n devices, d000 and so on, with their number and a room of three as tags.
func fleet(t *testing.T, c *service.Client, n int) {
	t.Helper()
	var devices []service.ImportDevice
	for i := range n {
		devices = append(devices, service.ImportDevice{
			ID: fmt.Sprintf("d%03d", i), ImportMode: service.ImportCreate, Status: service.Enabled,
			Tags: json.RawMessage(fmt.Sprintf(`{"n":%d,"room":"it's %d"}`, i, i%3)),
		})
	}
	result, done, err := c.BulkAll(t.Context(), devices)
	if err != nil || done != n || !result.IsSuccessful {
		t.Fatalf("%+v, %d, %v", result, done, err)
	}
}

func TestQueriesOfAFleet(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, _ *hub.Hub, c *service.Client) {
		const n = 250
		fleet(t, c, n)
		type row struct {
			ID string `json:"deviceId"`
			N  int    `json:"n"`
		}
		inRoom := "SELECT deviceId, tags.n AS n FROM devices WHERE tags.room = " + service.Quote("it's 1")
		for _, o := range []*service.QueryOptions{nil, {PageSize: 7}, {PageSize: 1000}} {
			seen := map[string]bool{}
			for r, err := range service.QueryAs[row](t.Context(), c, inRoom, o) {
				if err != nil {
					t.Fatal(err)
				}
				if r.ID != fmt.Sprintf("d%03d", r.N) || r.N%3 != 1 || seen[r.ID] {
					t.Errorf("%+v", r)
				}
				seen[r.ID] = true
			}
			if len(seen) != 83 {
				t.Errorf("%d rows with %+v", len(seen), o)
			}
		}
		twins := 0
		for tw, err := range service.QueryAs[service.Twin](t.Context(), c, "SELECT * FROM devices WHERE "+service.DeviceIn("d003", "d249", "x"), nil) {
			if err != nil || tw.ETag == "" || tw.Desired.Version == 0 {
				t.Errorf("%+v, %v", tw, err)
			}
			twins++
		}
		if twins != 2 {
			t.Errorf("%d twins", twins)
		}
		var counts []string
		for r, err := range c.Query(t.Context(), "SELECT COUNT() AS total FROM devices", nil) {
			if err != nil {
				t.Fatal(err)
			}
			counts = append(counts, string(r))
		}
		if diff := cmp.Diff([]string{`{"total":250}`}, counts); diff != "" {
			t.Errorf("count (-want +got):\n%s", diff)
		}
	})
}

func TestAQueryCanBeResumed(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client) {
		fleet(t, c, 30)
		all := map[string]bool{}
		o := &service.QueryOptions{PageSize: 10}
		for range 3 {
			p, err := c.QueryPage(t.Context(), "SELECT deviceId FROM devices", o)
			if err != nil || len(p.Rows) != 10 || p.ItemType != "Raw" {
				t.Fatalf("%+v, %v", p, err)
			}
			for _, r := range p.Rows {
				all[string(r)] = true
			}
			o.Continuation = p.Continuation
			c = clientOf(t, h, "service", nil) // another program goes on
		}
		if len(all) != 30 {
			t.Errorf("%d devices", len(all))
		}
	})
}

func TestABadQuerySaysWhere(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, _ *hub.Hub, c *service.Client) {
		_, err := c.QueryPage(t.Context(), "SELECT * FROM devices WHERE tags.n >", nil)
		if e := errorOf(t, err); e.Code != hubwire.ArgumentInvalid || e.Outcome != hubwire.Refused || e.Retryable || e.TrackingID == "" || e.Message == "" {
			t.Errorf("%v", err)
		}
		_, err = c.QueryPage(t.Context(), "SELECT * FROM devices", &service.QueryOptions{Continuation: "nonsense"})
		if e := errorOf(t, err); e.Code.Status() != 400 || e.Outcome != hubwire.Refused {
			t.Errorf("a token that is none: %v", err)
		}
		_, err = c.QueryPage(t.Context(), strings.Repeat("x", 9000), nil)
		if e := errorOf(t, err); e.Code.Status() != 400 {
			t.Errorf("a query of 9000 characters: %v", err)
		}
	})
}

func TestBulkNamesThoseThatFailed(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client) {
		fleet(t, c, 120)
		var devices []service.ImportDevice
		for i := range 150 {
			devices = append(devices, service.ImportDevice{ID: fmt.Sprintf("d%03d", i), ImportMode: service.ImportUpdate, Status: service.Disabled})
		}
		result, done, err := c.BulkAll(t.Context(), devices)
		if err != nil || done != 150 || result.IsSuccessful || len(result.Errors) != 30 {
			t.Fatalf("%+v, %d, %v", result, done, err)
		}
		if e := result.Errors[0]; e.DeviceID != "d120" || hubwire.Code(e.Code) != hubwire.DeviceNotFound {
			t.Errorf("%+v", e)
		}
		if d, err := h.Device(hubwire.Identity{DeviceID: "d119"}); err != nil || !d.Disabled {
			t.Errorf("%+v, %v", d, err)
		}
		if stats, err := c.DeviceStatistics(t.Context()); err != nil || stats.Disabled != 120 {
			t.Errorf("%+v, %v", stats, err)
		}
	})
}

func TestKeysAreRegenerated(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client) {
		before := hubtest.Device(t, h, "dev-1")
		result, err := c.RegenerateKeys(t.Context(), service.PrimaryKey, dev, hubwire.Identity{DeviceID: "x"})
		if err != nil || len(result.Rotated) != 1 || len(result.Errors) != 1 || result.Errors[0].ID != "x" {
			t.Fatalf("%+v, %v", result, err)
		}
		after, err := h.ConnectionString(dev)
		if err != nil || after == before || !strings.HasSuffix(after, result.Rotated[0].Primary.Reveal()) {
			t.Errorf("the key is not the new one: %v", err)
		}
	})
}

func TestADigitalTwinFromBothEnds(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client) {
		ctx := t.Context()
		hubtest.Device(t, h, "dev-1")
		twin, err := c.DigitalTwin(ctx, "dev-1")
		if err != nil || !json.Valid(twin.JSON) || twin.ETag == "" {
			t.Fatalf("%+v, %v", twin, err)
		}
		patch := service.JSONPatch{{Op: "add", Path: "/target", Value: json.RawMessage("21")}}
		etag, err := c.PatchDigitalTwin(ctx, "dev-1", patch, twin.ETag)
		if err != nil || etag == "" || etag == twin.ETag {
			t.Errorf("%q, %v", etag, err)
		}
		if _, err := c.PatchDigitalTwin(ctx, "dev-1", patch, twin.ETag); !errors.Is(err, hubwire.PreconditionFailed) {
			t.Errorf("with a stale ETag: %v", err)
		}
		if now, err := c.Twin(ctx, dev); err != nil || string(now.Desired.JSON) != `{"target":21}` {
			t.Errorf("%+v, %v", now, err)
		}
		d := online(t, h, dev)
		if err := d.HandleMethod(ctx, "", func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
			return hubwire.MethodResponse{Status: 203, Payload: json.RawMessage(`"` + r.Name + ` ` + string(r.Payload) + `"`)}, nil
		}); err != nil {
			t.Fatal(err)
		}
		for component, want := range map[string]string{"": `"getReport 5"`, "thermostat1": `"thermostat1*getReport 5"`} {
			r, err := c.InvokeCommand(ctx, "dev-1", component, hubwire.MethodRequest{Name: "getReport", Payload: json.RawMessage("5")}, nil)
			if err != nil || r.Status != 203 || string(r.Payload) != want {
				t.Errorf("component %q: %+v, %v", component, r, err)
			}
		}
	})
}

// TestAThrottledHubIsWaitedFor has as many queries as the smallest tier takes in two minutes, at once.
func TestAThrottledHubIsWaitedFor(t *testing.T) {
	onHub(t, hub.Config{Throttle: hub.Throttle{Queries: 20.0 / 60}}, func(t *testing.T, h *hub.Hub, _ *service.Client) {
		var refused atomic.Int64
		c := clientOf(t, h, "service", func(o *service.Options) {
			o.MaxAttempts = 50
			o.Hooks = &service.Hooks{Attempt: func(a service.Attempt) {
				if errors.Is(a.Err, hubwire.Throttled) {
					refused.Add(1)
				}
			}}
		})
		start := time.Now()
		var queries sync.WaitGroup
		for range 40 {
			queries.Go(func() {
				if _, err := c.QueryPage(t.Context(), "SELECT * FROM devices", nil); err != nil {
					t.Error(err)
				}
			})
		}
		queries.Wait()
		if took := time.Since(start); refused.Load() == 0 || took < 57*time.Second {
			t.Errorf("%d were refused, and all done after %v", refused.Load(), took)
		}
	})
}

// TestWhatIsQuotedIsFound has the hub's query language read back what Quote wrote.
func TestWhatIsQuotedIsFound(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client) {
		hubtest.Device(t, h, "dev-1")
		hubtest.Device(t, h, "dev-2")
		for _, text := range []string{"", "it's", `"`, `a\b\`, `\u0041`, "x' OR tags.s != '", "ü€😀", "a\nb\tc", "[[x]]", "--", "\u007f"} {
			tags, err := json.Marshal(map[string]string{"s": text})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.PatchTwin(t.Context(), dev, &service.TwinUpdate{Tags: tags}, service.Any); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			var found []string
			for r, err := range service.QueryAs[struct{ DeviceID string }](t.Context(), c, "SELECT deviceId FROM devices WHERE tags.s = "+service.Quote(text), nil) {
				if err != nil {
					t.Fatalf("%q: %v", text, err)
				}
				found = append(found, r.DeviceID)
			}
			if diff := cmp.Diff([]string{"dev-1"}, found); diff != "" {
				t.Errorf("%q (-want +got):\n%s", text, diff)
			}
		}
	})
}
