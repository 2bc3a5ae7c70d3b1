package core

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// fleet is a Core of n devices with a twin each, of which every n/100th has the
// tag rare.
func fleet(b *testing.B, n int) *Core {
	b.Helper()
	c := newCoreOn(b, nil, store.NewMemory(nil))
	for i := range n {
		create(b, c, &Device{ID: fleetID(i)})
		tags := fmt.Sprintf(`{"site":{"floor":%d,"building":"B%d"},"type":"sensor"}`, i%10, i%7)
		if i%(n/100) == n/200 {
			tags = fmt.Sprintf(`{"site":{"floor":%d,"building":"B%d"},"type":"sensor","rare":"yes"}`, i%10, i%7)
		}
		u := &TwinUpdate{Tags: json.RawMessage(tags), Desired: json.RawMessage(`{"interval":60,"led":{"on":true}}`)}
		if _, err := c.PatchTwin(ctx, fleetID(i), u, "*"); err != nil {
			b.Fatal(err)
		}
	}
	return c
}

// fleetID is the i-th, in no order.
func fleetID(i int) hubwire.Identity {
	return hubwire.Identity{DeviceID: fmt.Sprintf("device-%08x", uint32(i)*2654435761)}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkRegistry(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		before, start := heap(), time.Now()
		c := fleet(b, n)
		b.Logf("%d devices: made in %v, %d bytes each", n, time.Since(start), (heap()-before)/uint64(n))
		b.Run(fmt.Sprintf("get/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				if _, err := c.Device(fleetID(i % n)); err != nil {
					b.Fatal(err)
				}
			}
		})
		for _, q := range []struct{ name, text string }{
			{"tag", `SELECT * FROM devices WHERE tags.rare = 'yes'`},
			{"deep", `SELECT deviceId FROM devices WHERE tags.site.floor = 11 AND properties.desired.interval > 30`},
			{"state", `SELECT deviceId FROM devices WHERE connectionState = 'Connected'`},
			{"group", `SELECT tags.site.building AS building, COUNT() AS n FROM devices GROUP BY tags.site.building`},
			{"count", `SELECT COUNT() AS n FROM devices`},
			{"all", `SELECT * FROM devices`},
		} {
			b.Run(fmt.Sprintf("%s/%d", q.name, n), func(b *testing.B) { benchQuery(b, c, q.text) })
		}
	}
}

// benchQuery measures whole queries, and reports the longest page.
func benchQuery(b *testing.B, c *Core, text string) {
	b.ReportAllocs()
	pages, worst := 0, time.Duration(0)
	for b.Loop() {
		token := ""
		for {
			start := time.Now()
			p, err := c.Query(ctx, text, 0, token)
			if err != nil {
				b.Fatal(err)
			}
			pages++
			worst = max(worst, time.Since(start))
			if token = p.Continuation; token == "" {
				break
			}
		}
	}
	b.ReportMetric(float64(pages)/float64(b.N), "pages/op")
	b.ReportMetric(float64(worst.Microseconds())/1000, "ms-worst-page")
}

// BenchmarkOrdered measures how long it takes to add n entities in no order.
func BenchmarkOrdered(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		es := make([]entity, n)
		for i := range es {
			es[i].id = fleetID(i)
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var o ordered
				for i := range es {
					o.add(&es[i])
				}
			}
		})
	}
}
