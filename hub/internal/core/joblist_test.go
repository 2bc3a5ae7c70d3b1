package core

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

func TestJobsAreListedByTypeAndStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		later := time.Now().Add(time.Hour)
		createJob(t, c, twinJob("t1", "*", `{"a":1}`))
		createJob(t, c, methodJob("m1", later))
		createJob(t, c, twinJob("t2", "*", `{"a":1}`))
		createJob(t, c, methodJob("m2", time.Time{}))
		synctest.Wait()
		for _, tt := range []struct {
			name  string
			f     JobFilter
			limit int
			want  string
		}{
			{"all", JobFilter{}, 10, "t1 m1 t2 m2"},
			{"all, page by page", JobFilter{}, 1, "t1|m1|t2|m2"},
			{"all, three to a page", JobFilter{}, 3, "t1 m1 t2|m2"},
			{"no limit is one", JobFilter{}, 0, "t1|m1|t2|m2"},
			{"a type", JobFilter{Type: JobUpdateTwin}, 1, "t1|t2"},
			{"a state", JobFilter{Status: JobCompleted}, 10, "t1 t2 m2"},
			{"both", JobFilter{Type: JobDeviceMethod, Status: JobScheduled}, 10, "m1"},
			{"none", JobFilter{Status: JobRunning}, 10, ""},
		} {
			var pages []string
			for token := ""; ; {
				js, next, err := c.Jobs(tt.f, tt.limit, token)
				must(t, err)
				var ids []string
				for _, j := range js {
					ids = append(ids, j.ID)
				}
				pages = append(pages, strings.Join(ids, " "))
				if token = next; token == "" {
					break
				}
			}
			if got := strings.Join(pages, "|"); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
			}
		}
		_, _, err := c.Jobs(JobFilter{}, 1, "x")
		wantCode(t, "a foreign token", err, hubwire.ArgumentInvalid)
	})
}

func TestJobsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		answering(t, c, dev, 200, 10*time.Second)
		for i := range maxRunningJobs + 2 {
			createJob(t, c, methodJob(fmt.Sprint("j", i), time.Time{}))
		}
		synctest.Wait()
		if js, _, _ := c.Jobs(JobFilter{Status: JobQueued}, 100, ""); len(js) != 2 {
			t.Errorf("%d jobs wait, want 2", len(js))
		}
		_, err := c.CancelJob(fmt.Sprint("j", maxRunningJobs))
		must(t, err)
		time.Sleep(25 * time.Second)
		synctest.Wait()
		if js, _, _ := c.Jobs(JobFilter{Status: JobCompleted}, 100, ""); len(js) != maxRunningJobs+1 {
			t.Errorf("%d jobs are done, want all but the one that was cancelled", len(js))
		}
	})
}

func TestAJobThatIsCancelledInItsTurnIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		answering(t, c, dev, 200, 10*time.Second)
		for i := range maxRunningJobs {
			createJob(t, c, methodJob(fmt.Sprint("j", i), time.Time{}))
		}
		synctest.Wait()
		for i := range 2 * maxJobs {
			createJob(t, c, methodJob(fmt.Sprint("q", i), time.Time{}))
			_, err := c.CancelJob(fmt.Sprint("q", i))
			must(t, err)
		}
		c.jobs.mu.Lock()
		defer c.jobs.mu.Unlock()
		if n := len(c.jobs.queue); n != 0 {
			t.Errorf("%d jobs that were cancelled wait for their turn", n)
		}
	})
}

func TestQueriesSeeWhatBecameOfDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		several(t, c, 40)
		answering(t, c, dev, 200, 0)
		createJob(t, c, twinJob("a", "*", `{"a":1}`))
		createJob(t, c, methodJob("b", time.Time{}))
		synctest.Wait()
		p, err := c.Query(ctx, "SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'b' AND devices.jobs.status = 'completed'", 10, "")
		if err != nil || p.Type != ItemDeviceJob || len(p.Jobs) != 1 || p.Jobs[0].ID != dev || p.Jobs[0].Response.Status != 200 {
			t.Errorf("Query = %+v, %v", p, err)
		}
		n := 0
		for token := ""; ; {
			p, err := c.Query(ctx, "SELECT * FROM devices.jobs", 25, token)
			must(t, err)
			n += len(p.Jobs)
			if token = p.Continuation; token == "" {
				break
			}
		}
		if n != 2*41 {
			t.Errorf("%d rows, want %d", n, 2*41)
		}
	})
}

func TestAThrottledHubRefusesASecondJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, &Config{Throttle: Throttle{ActiveJobs: 1, TwinUpdates: 2}})
		several(t, c, 4)
		createJob(t, c, methodJob("scheduled", time.Now().Add(time.Second)))
		createJob(t, c, twinJob("t", "*", `{"a":1}`))
		_, err := c.CreateJob(ctx, methodJob("now", time.Time{}))
		wantCode(t, "a second job", err, hubwire.TooManyActiveJobs)
		time.Sleep(time.Second)
		synctest.Wait()
		wantJob(t, c, "scheduled", JobQueued, JobStatistics{})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		wantJob(t, c, "t", JobCompleted, JobStatistics{Devices: 5, Succeeded: 5})
		wantJob(t, c, "scheduled", JobCompleted, JobStatistics{Devices: 5, Failed: 5})
		createJob(t, c, methodJob("now", time.Time{}))
	})
}

// TestAJobThatIsOverIsNotActive starts the next job as soon as the hub says that the last one is over.
func TestAJobThatIsOverIsNotActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, &Config{Throttle: Throttle{ActiveJobs: 1}})
		for i := range 100 {
			id := fmt.Sprint("j", i)
			waits := methodJob(id, time.Time{})
			waits.Method.ConnectTimeout = time.Minute
			createJob(t, c, waits)
			synctest.Wait()
			wantJob(t, c, id, JobRunning, JobStatistics{Devices: 1, Running: 1})
			_, err := c.CancelJob(id)
			must(t, err)
		}
	})
}

func TestJobsAreKeptForThirtyDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory(nil)
		c := newCoreOn(t, nil, s)
		createJob(t, c, methodJob("future", time.Now().Add(2*JobHistory)))
		createJob(t, c, twinJob("old", "*", `{"a":1}`))
		time.Sleep(JobHistory - time.Second)
		if _, err := c.Job("old"); err != nil || len(rows(c, "old")) != 1 {
			t.Errorf("a second before: %v, %v", err, rows(c, "old"))
		}
		time.Sleep(time.Second)
		_, err := c.Job("old")
		wantCode(t, "after thirty days", err, hubwire.JobNotFound)
		synctest.Wait()
		if rs, _ := s.Scan(ctx, store.Key{Kind: store.DeviceJobs}, 10); len(rs) != 0 || len(rows(c, "old")) != 0 {
			t.Errorf("rows are left: %v", rs)
		}
		wantJob(t, c, "future", JobScheduled, JobStatistics{})
	})
}

func TestTheOldestJobThatIsOverMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		later := time.Now().Add(time.Hour)
		createJob(t, c, methodJob("first", later))
		createJob(t, c, twinJob("over", "*", `{"a":1}`))
		synctest.Wait()
		for i := range maxJobs - 2 {
			createJob(t, c, methodJob(fmt.Sprint("j", i), later))
		}
		createJob(t, c, methodJob("more", later))
		_, err := c.Job("over")
		wantCode(t, "the one that was over", err, hubwire.JobNotFound)
		_, err = c.CreateJob(ctx, methodJob("too-many", later))
		wantCode(t, "one too many", err, hubwire.JobQuotaExceeded)
	})
}

func TestAJobKeepsABoundedSizeOfAnswers(t *testing.T) {
	j := &job{}
	big := &hubwire.MethodResponse{Status: 200, Payload: make([]byte, maxJobPayloads)}
	if got := j.keep(big); got != big {
		t.Error("the first answer was not kept")
	}
	if got := j.keep(&hubwire.MethodResponse{Status: 201, Payload: []byte("1")}); got.Status != 201 || got.Payload != nil {
		t.Errorf("the next one: %+v", got)
	}
}

func TestTheOldestAnswersMakeRoom(t *testing.T) {
	c := newCore(t, nil)
	const room = maxPayloads / maxJobPayloads
	for i := range uint64(room + 2) {
		j := &job{core: c, seq: i + 1, info: Job{ID: fmt.Sprint("j", i), Status: JobCompleted, End: time.Now()}, payloads: maxJobPayloads}
		j.rows = []*deviceJob{{DeviceJob: DeviceJob{JobID: j.info.ID, ID: dev, Status: deviceJobCompleted}}}
		c.jobs.list, c.jobs.byID[j.info.ID] = append(c.jobs.list, j), j
	}
	if got := len(allDeviceJobs(c)); got != room {
		t.Errorf("%d jobs have their answers, there is room for %d", got, room)
	}
	if len(rows(c, "j0")) != 0 || len(rows(c, "j2")) != 1 {
		t.Error("it was not the oldest that made room")
	}
}

func TestAJobGoesOnInTheNextHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory(nil)
		old := newCoreOn(t, nil, s)
		several(t, old, 2)
		away := hubwire.Identity{DeviceID: "f0000"}
		answering(t, old, dev, 200, time.Second)
		answering(t, old, hubwire.Identity{DeviceID: "f0001"}, 200, time.Hour)
		createJob(t, old, twinJob("done", "*", `{"a":1}`))
		createJob(t, old, methodJob("scheduled", time.Now().Add(time.Hour)))
		j := methodJob("running", time.Time{})
		j.Method.ConnectTimeout, j.MaxExecution = 5*time.Minute, time.Hour
		createJob(t, old, j)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		wantJob(t, old, "running", JobRunning, JobStatistics{Devices: 3, Succeeded: 1, Running: 1, Pending: 1})
		before, _ := old.Job("done")
		old.Close()

		c := newCoreOn(t, nil, s)
		answering(t, c, dev, 500, 0) // must not be called again
		answering(t, c, away, 201, 0)
		synctest.Wait()
		wantJob(t, c, "running", JobCompleted, JobStatistics{Devices: 3, Succeeded: 2, Failed: 1})
		wantRows(t, c, "running", `dev completed 200 {"lockTime":"10m"}`, `f0000 completed 201 {"lockTime":"10m"}`, "f0001 failed GenericTimeout")
		after, err := c.Job("done")
		if diff := cmp.Diff(before, after, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("a job that was over (-old +new), %v:\n%s", err, diff)
		}
		wantRows(t, c, "done", "dev completed", "f0000 completed", "f0001 completed")
		time.Sleep(time.Hour)
		synctest.Wait()
		wantJob(t, c, "scheduled", JobCompleted, JobStatistics{Devices: 3, Succeeded: 2, Failed: 1})
	})
}

func TestAJobThatWaitsInTheNextHubKnowsItsDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory(nil)
		old := newCoreOn(t, nil, s)
		several(t, old, 1)
		answering(t, old, dev, 200, time.Hour)
		first := methodJob("first", time.Time{})
		first.Method.ConnectTimeout = time.Minute // for the one that is away, in either hub
		createJob(t, old, first)
		createJob(t, old, methodJob("second", time.Time{}))
		synctest.Wait()
		old.Close()

		c := newCoreOn(t, &Config{Throttle: Throttle{ActiveJobs: 1}}, s)
		_, err := c.CancelJob("second") // before its turn
		must(t, err)
		synctest.Wait()
		wantJob(t, c, "second", JobCancelled, JobStatistics{Devices: 2, Failed: 2})
	})
}

func TestJobsAtTheSameTimeAgree(t *testing.T) {
	c := newCore(t, nil)
	several(t, c, 20)
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for i := range 20 {
				id := fmt.Sprintf("j-%d-%d", n, i)
				if _, err := c.CreateJob(ctx, twinJob(id, "*", fmt.Sprintf(`{"j%d":%d}`, n, i))); err != nil {
					t.Error(err)
				}
				if i%3 == 0 {
					c.CancelJob(id)
				}
				c.Jobs(JobFilter{Status: JobRunning}, 10, "")
				rows(c, id)
			}
		})
	}
	wg.Go(func() {
		for i := range 20 {
			id := hubwire.Identity{DeviceID: fmt.Sprintf("f%04d", i)}
			if err := c.Delete(ctx, id, "*"); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	c.Close()
	for _, j := range c.jobs.list {
		if s := j.snapshot(); s.Status.Over() && s.Statistics.Succeeded+s.Statistics.Failed != s.Statistics.Devices {
			t.Errorf("%s: %+v", s.ID, s.Statistics)
		}
	}
}
