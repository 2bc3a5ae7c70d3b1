package core

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

func TestAStoreThatFailsRefusesAndLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bs := &brokenStore{Store: store.NewMemory(nil)}
		c, _ := transferCore(t, bs)
		edge(t, c)
		configure(t, c, forDevice("k", "", 1, ".a", "1"))
		synctest.Wait()
		before, _ := c.Device(dev)
		bs.broken = true
		for _, tt := range []struct {
			name string
			do   func() error
		}{
			{"a job", func() error { _, err := c.CreateJob(ctx, methodJob("j", time.Time{})); return err }},
			{"a configuration", func() error { _, err := c.CreateConfiguration(ctx, forDevice("new", "*", 1, ".a", "1")); return err }},
			{"a change of one", func() error { _, err := c.UpdateConfiguration(ctx, forDevice("k", "*", 9, ".a", "1"), "*"); return err }},
			{"the end of one", func() error { return c.DeleteConfiguration(ctx, "k", "") }},
			{"an export", func() error { _, err := c.CreateTransfer(ctx, export()); return err }},
			{"content", func() error {
				return c.ApplyConfigurationContent(ctx, "edge", &ConfigurationContent{Modules: manifest("m")})
			}},
			{"a digital twin", func() error {
				_, err := c.PatchDigitalTwin(ctx, "dev", []byte(`[{"op":"add","path":"/a","value":1}]`), "")
				return err
			}},
			{"new keys", func() error {
				_, failed, err := c.RegenerateKeys(ctx, BothKeys, []hubwire.Identity{dev})
				if err != nil || len(failed) != 1 {
					t.Fatalf("RegenerateKeys = %v, %v", failed, err)
				}
				return failed[0].Err
			}},
		} {
			wantCode(t, tt.name, tt.do(), hubwire.ServerError)
		}
		bs.broken = false
		synctest.Wait()
		js, _, _ := c.Jobs(JobFilter{}, 10, "")
		ts, _ := c.Transfers()
		k, err := c.Configuration(ctx, "k")
		ks, _ := c.Configurations(ctx, 10)
		if len(js)+len(ts) != 0 || len(ks) != 1 || err != nil || k.Priority != 1 || k.ETag != "MQ==" {
			t.Errorf("%d jobs, %d transfers, %d configurations, %+v, %v", len(js), len(ts), len(ks), k, err)
		}
		if after, _ := c.Device(dev); !after.Auth.Primary.Equal(before.Auth.Primary) || after.ETag != before.ETag {
			t.Error("the keys are new")
		}
		if got := moduleNames(t, c, "edge"); got != "$edgeAgent $edgeHub" || twinText(c, dev) != "{}{}" {
			t.Errorf("modules %s, twin %s", got, twinText(c, dev))
		}
		_, err = c.UpdateConfiguration(ctx, forDevice("k", "*", 9, ".a", "1"), "MQ==")
		must(t, err)
		createJob(t, c, methodJob("j", time.Time{}))
		transferred(t, c, export())
	})
}

func TestRowsOfOldJobsMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory(nil)
		c := newCoreOn(t, nil, s)
		createJob(t, c, twinJob("old", "*", `{"a":1}`))
		synctest.Wait()
		wantRows(t, c, "old", "dev completed")
		big := &job{core: c, seq: 2, info: Job{ID: "big", Status: JobCompleted, End: time.Now()}, rows: make([]*deviceJob, maxDeviceJobs)}
		c.jobs.mu.Lock()
		c.jobs.list, c.jobs.seq = append(c.jobs.list, big), 2
		c.jobs.mu.Unlock()
		wantJob(t, c, "old", JobCompleted, JobStatistics{Devices: 1, Succeeded: 1})
		synctest.Wait()
		if rs, _ := s.Scan(ctx, store.Key{Kind: store.DeviceJobs}, 10); len(rs) != 0 {
			t.Errorf("rows are left in the store: %v", rs)
		}
		if n, _, _ := c.jobs.byID["old"].kept(); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}

func TestAJobGoesAtThePaceOfTheThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, &Config{Throttle: Throttle{MethodBytes: meterBlock}}) // one call a second
		for _, id := range append(several(t, c, 4), dev) {
			answering(t, c, id, 200, 0)
		}
		createJob(t, c, methodJob("j", time.Time{}))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		wantJob(t, c, "j", JobCompleted, JobStatistics{Devices: 5, Succeeded: 5})
	})
}

func TestOldTransfersMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sh := transferCore(t, store.NewMemory(nil))
		sh.full = true
		first := transferred(t, c, export())
		if first.Status != JobFailed || first.FailureReason != "a blob cannot be written" {
			t.Errorf("an export that cannot be written: %+v", first)
		}
		sh.full = false
		for range maxTransfers {
			transferred(t, c, export())
		}
		if ts, err := c.Transfers(); err != nil || len(ts) != maxTransfers {
			t.Errorf("%d transfers, %v", len(ts), err)
		}
		_, err := c.Transfer(first.ID)
		wantCode(t, "the oldest", err, hubwire.JobNotFound)
	})
}
