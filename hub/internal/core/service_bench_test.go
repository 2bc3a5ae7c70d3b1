package core

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkConfigurations measures, with 100,000 devices, what a new configuration
// costs, and what one change of one device does when there are twenty.
func BenchmarkConfigurations(b *testing.B) {
	c := fleet(b, 100_000)
	add := func(i int) {
		k := forDevice(fmt.Sprint("k", i), fmt.Sprintf("tags.site.floor = %d AND tags.type = 'sensor'", i%10), i, ".led", `{"on":false}`)
		if _, err := c.CreateConfiguration(ctx, k); err != nil {
			b.Fatal(err)
		}
	}
	add(0)
	c.timers.wg.Wait()
	b.Run("sweep", func(b *testing.B) {
		for b.Loop() {
			c.sweepAll()
			c.timers.wg.Wait()
		}
	})
	for i := range 19 {
		add(i + 1)
	}
	c.timers.wg.Wait()
	b.Run("change", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, err := c.PatchTwin(ctx, fleetID(i%100_000), update(fmt.Sprintf(`{"n":%d}`, i), ""), "*"); err != nil {
				b.Fatal(err)
			}
		}
		c.timers.wg.Wait()
	})
}

// BenchmarkJob measures a job that writes the twins of 100,000 devices.
func BenchmarkJob(b *testing.B) {
	c := fleet(b, 100_000)
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		if _, err := c.CreateJob(ctx, twinJob(fmt.Sprint("j", i), "*", fmt.Sprintf(`{"n":%d}`, i))); err != nil {
			b.Fatal(err)
		}
		c.timers.wg.Wait()
		if j, err := c.Job(fmt.Sprint("j", i)); err != nil || j.Statistics.Succeeded != 100_001 { // with dev
			b.Fatalf("after %v: %+v, %v", time.Since(start), j, err)
		}
	}
}
