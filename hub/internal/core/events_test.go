package core

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

func TestTelemetryIsStamped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		s, _ := connectWith(t, c, grant(t, c, mod), &ConnectOptions{ModelID: "dtmi:x;1"})
		body := []byte("body")
		m := &hubwire.Message{
			Body: body, ID: "1", CorrelationID: "2", UserID: "3", To: "4", ContentType: "5", ContentEncoding: "6",
			CreationTime: time.Date(1969, 1, 2, 3, 4, 5, 6, time.UTC), Expiry: time.Date(9999, 1, 2, 3, 4, 5, 0, time.UTC),
			Output: "7", Component: "8", InterfaceID: "9", Schema: "10", DiagnosticID: "11", DiagnosticContext: "12", Ack: "full",
			Properties: []hubwire.Property{{Name: "z", Value: ""}, {Name: "a", Value: "1"}, {Name: "z", Value: "again"}},
		}
		must(t, s.Telemetry(ctx, m))
		want := *m
		want.Body = []byte("body")
		body[0] = 'X' // a read buffer is used again
		r, err := c.Events(ctx, c.partitionOf("dev"), Start{})
		must(t, err)
		ev, err := r.Next(ctx)
		must(t, err)
		if diff := cmp.Diff(want, ev.Message); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
		d, _ := c.Device(mod)
		if ev.Source != mod || ev.GenerationID != d.GenerationID || ev.MessageSource != "Telemetry" || ev.ModelID != "dtmi:x;1" ||
			ev.AuthMethod != `{"scope":"module","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}` ||
			!ev.EnqueuedTime.Equal(time.Now()) || ev.SequenceNumber != 0 || ev.Offset != 0 || ev.Partition != c.partitionOf("dev") {
			t.Errorf("stamps = %+v", ev)
		}
	})
}

func TestTelemetryRefusals(t *testing.T) {
	c := newCore(t, nil)
	s, _ := connect(t, c, dev)
	for name, tc := range map[string]struct {
		m    hubwire.Message
		code hubwire.Code
	}{
		"over 256 KiB":            {hubwire.Message{Body: make([]byte, hubwire.MaxTelemetrySize), ID: "1"}, hubwire.MessageTooLarge},
		"not UTF-8":               {hubwire.Message{ContentType: "\xff"}, hubwire.ArgumentInvalid},
		"a property without name": {hubwire.Message{Properties: []hubwire.Property{{Value: "x"}}}, hubwire.ArgumentInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			wantCode(t, "Telemetry", s.Telemetry(ctx, &tc.m), tc.code)
			wantCode(t, "without a session", c.Telemetry(ctx, grant(t, c, dev), &tc.m), tc.code)
		})
	}
	must(t, s.Telemetry(ctx, &hubwire.Message{Body: make([]byte, hubwire.MaxTelemetrySize)}))
	g := grant(t, c, dev)
	must(t, c.Telemetry(ctx, g, &hubwire.Message{}))
	must(t, c.Delete(ctx, dev, "*"))
	wantCode(t, "of a deleted device", c.Telemetry(ctx, g, &hubwire.Message{}), hubwire.DeviceNotFound)
	for _, p := range []int{-2, 4} {
		_, err := c.Events(ctx, p, Start{})
		wantCode(t, "an unknown partition", err, hubwire.PartitionNotFound)
	}
}

// emit sends n messages 0, 1, … as each of the devices, a second apart.
func TestAGrantThatHoldsNoMoreSendsNothing(t *testing.T) {
	update := func(change func(*Device)) func(*testing.T, *Core) {
		return func(t *testing.T, c *Core) {
			d, err := c.Device(dev)
			must(t, err)
			change(d)
			_, err = c.Update(ctx, d, "*")
			must(t, err)
		}
	}
	for _, tc := range []struct {
		name   string
		change func(*testing.T, *Core)
		want   hubwire.Code
	}{
		{"the device is disabled", update(func(d *Device) { d.Disabled = true }), hubwire.DeviceDisabled},
		{"its key is another", update(func(d *Device) { d.Auth.Primary = newKey() }), hubwire.Unauthorized},
		{"it is another device", func(t *testing.T, c *Core) {
			must(t, c.Delete(ctx, dev, "*"))
			_, err := c.Create(ctx, &Device{ID: dev})
			must(t, err)
		}, hubwire.Unauthorized},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCore(t, nil)
			g := grant(t, c, dev)
			must(t, c.Telemetry(ctx, g, &hubwire.Message{}))
			tc.change(t, c)
			wantCode(t, "a message", c.Telemetry(ctx, g, &hubwire.Message{}), tc.want)
			wantCode(t, "a batch", c.TelemetryBatch(ctx, g, make([]hubwire.Message, 2)), tc.want)
		})
	}
}

func emit(t *testing.T, c *Core, n int, names ...string) {
	t.Helper()
	for i := range n {
		for _, name := range names {
			id := hubwire.Identity{DeviceID: name}
			if c.entity(id) == nil {
				create(t, c, &Device{ID: id})
			}
			must(t, c.Telemetry(ctx, grant(t, c, id), &hubwire.Message{ID: fmt.Sprint(i)}))
			time.Sleep(time.Second)
		}
	}
}

func TestEventReadersStartWhereTheyShould(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		start := time.Now()
		emit(t, c, 10, "dev")
		p := c.partitionOf("dev")
		for _, tc := range []struct {
			name  string
			start Start
			want  string // id of the first; empty for none yet
		}{
			{"at the oldest", Start{}, "0"},
			{"at a sequence number", Start{Sequence: 7}, "7"},
			{"at a time", Start{Time: start.Add(3 * time.Second)}, "3"},
			{"between two times", Start{Time: start.Add(3*time.Second + 1)}, "4"},
			{"at what comes", Start{Latest: true}, ""},
		} {
			r, err := c.Events(ctx, p, tc.start)
			must(t, err)
			ev, err := r.TryNext(ctx)
			if err != nil || (ev == nil) != (tc.want == "") || ev != nil && ev.ID != tc.want {
				t.Errorf("%s: %+v, %v; want %q", tc.name, ev, err, tc.want)
			}
		}
		b, err := c.PartitionBounds(ctx, p)
		if err != nil || b.First != 0 || b.Next != 10 || !b.Last.Time.Equal(start.Add(9*time.Second)) {
			t.Errorf("PartitionBounds = %+v, %v", b, err)
		}
		_, err = c.PartitionBounds(ctx, 99)
		wantCode(t, "bounds of no partition", err, hubwire.PartitionNotFound)
	})
}

func TestPartitionsKeepADeviceTogetherAndAreMergedByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
		emit(t, c, 20, names...)
		used := map[int]bool{}
		for _, n := range names {
			used[c.partitionOf(n)] = true
		}
		if len(used) < 3 {
			t.Errorf("8 devices use %d partitions", len(used))
		}
		r, err := c.Events(ctx, AllPartitions, Start{})
		must(t, err)
		for i := range 20 {
			for _, n := range names {
				ev, err := r.Next(ctx)
				if err != nil || ev.Source.DeviceID != n || ev.ID != fmt.Sprint(i) || ev.Partition != c.partitionOf(n) {
					t.Fatalf("event %d of %s = %+v, %v", i, n, ev, err)
				}
			}
		}
		if ev, err := r.TryNext(ctx); ev != nil || err != nil {
			t.Errorf("past the end = %+v, %v", ev, err)
		}
	})
}

func TestASlowReaderGoesOnWithTheOldestThatIsLeft(t *testing.T) {
	s := store.NewMemory(&store.MemoryOptions{LogEntries: 100})
	c := newCoreOn(t, nil, s)
	g := grant(t, c, dev)
	r, err := c.Events(ctx, c.partitionOf("dev"), Start{})
	must(t, err)
	for i := range 300 {
		must(t, c.Telemetry(ctx, g, &hubwire.Message{ID: fmt.Sprint(i)}))
	}
	ev, err := r.Next(ctx)
	if err != nil || ev.ID != "200" || ev.SequenceNumber != 200 {
		t.Errorf("Next = %+v, %v", ev, err)
	}
}

func TestNextWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		g := grant(t, c, dev)
		r, err := c.Events(ctx, AllPartitions, Start{Latest: true})
		must(t, err)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := r.Next(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with the context's end = %v", err)
		}
		got := make(chan error)
		go func() {
			for i := range 3 {
				ev, err := r.Next(ctx)
				if err == nil && ev.ID != fmt.Sprint(i) {
					err = fmt.Errorf("got %q", ev.ID)
				}
				got <- err
			}
			_, err := r.Next(ctx)
			got <- err
		}()
		for i := range 3 {
			synctest.Wait()
			must(t, c.Telemetry(ctx, g, &hubwire.Message{ID: fmt.Sprint(i)}))
			if err := <-got; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		c.Close()
		wantCode(t, "after Close", <-got, hubwire.ServiceUnavailable)
	})
}

func TestManyWritersManyReaders(t *testing.T) {
	c := newCore(t, nil)
	var wg sync.WaitGroup
	for d := range 4 {
		id := hubwire.Identity{DeviceID: fmt.Sprint("d", d)}
		create(t, c, &Device{ID: id})
		s, _ := connectWith(t, c, grant(t, c, id), nil)
		wg.Go(func() {
			for i := range 250 {
				if err := s.Telemetry(ctx, &hubwire.Message{ID: fmt.Sprint(i)}); err != nil {
					t.Errorf("Telemetry: %v", err)
				}
			}
		})
	}
	for range 3 {
		r, err := c.Events(ctx, AllPartitions, Start{})
		must(t, err)
		wg.Go(func() {
			next := map[string]int{}
			for range 1000 {
				ev, err := r.Next(ctx)
				if err != nil || ev.ID != fmt.Sprint(next[ev.Source.DeviceID]) {
					t.Errorf("Next = %+v, %v", ev, err)
					return
				}
				next[ev.Source.DeviceID]++
			}
		})
	}
	wg.Wait()
}

func TestRecordsAreRefusedWhenCut(t *testing.T) {
	m := hubwire.Message{ID: "id", Body: []byte("body"), CreationTime: time.Now(), Properties: []hubwire.Property{{Name: "a", Value: "b"}}}
	q := &queued{msg: m, input: "in", enqueued: time.Now().UTC(), expires: time.Now().UTC(), count: 3}
	whole := q.encode()
	for n := range whole {
		if _, err := decodeQueued(store.Record{Value: whole[:n]}); !errors.Is(err, errRecord) {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
	got, err := decodeQueued(store.Record{Value: whole})
	must(t, err)
	opts := cmp.Options{cmp.AllowUnexported(queued{}), cmpopts.IgnoreFields(queued{}, "holder", "delivered")}
	if diff := cmp.Diff(q, got, opts); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	if err := new(eventDecoder).decode(&Event{Received: &hubwire.Received{}}, &store.Entry{Value: []byte{99}}); !errors.Is(err, errRecord) {
		t.Errorf("an unknown format: %v", err)
	}
}

func FuzzMessageRecord(f *testing.F) {
	f.Add(appendMessage(nil, &hubwire.Message{}))
	f.Add(appendMessage(nil, &hubwire.Message{ID: "x", Body: []byte("y"), Expiry: time.Unix(1, 2), Properties: []hubwire.Property{{Name: "a", Value: "b"}}}))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := recordReader{b: in}
		var m, again hubwire.Message
		r.message(&m)
		if r.err != nil {
			return
		}
		r = recordReader{b: appendMessage(nil, &m)}
		r.message(&again)
		if r.err != nil || !cmp.Equal(m, again, cmpopts.EquateEmpty()) {
			t.Fatalf("%+v -> %+v, %v", m, again, r.err)
		}
	})
}

func BenchmarkTelemetry(b *testing.B) {
	c := newCore(b, nil)
	s, _ := connectWith(b, c, grant(b, c, dev), nil)
	m := &hubwire.Message{ID: "msg-0001", ContentType: "application/json", ContentEncoding: "utf-8", Body: make([]byte, 256),
		Properties: []hubwire.Property{{Name: "temperatureAlert", Value: "true"}, {Name: "room", Value: "kitchen"}}}
	b.SetBytes(256)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Telemetry(ctx, m); err != nil {
			b.Fatal(err)
		}
	}
}
