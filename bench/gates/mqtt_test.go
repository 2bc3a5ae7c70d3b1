package main

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Issue 3's table: what each row is held to. A quarter of what mochi costs is
// four times as fast.
func TestTheGatesOfMQTT(t *testing.T) {
	broker := ""
	if mosquittoProgram() != "" {
		broker = ", Mosquitto"
	}
	want := map[string][]bound{
		"mqtt.Session, asynchronous, TCP":               {atMost(4), atLeast(20)},
		"mqtt.Session, asynchronous, TLS":               {atMost(3), atLeast(10)},
		"device.SendAsync, TCP":                         {atMost(10)},
		"device.Send in 1,000 goroutines, TCP":          {atMost(12).ofSwitches()},
		"one at a time, on one core" + broker + ", TCP": {atMost(1.06)},
		"one at a time, on one core" + broker + ", TLS": {atMost(1.06)},
		"idle mqtt.Session, TCP, in KiB":                {oursAtMost(6)},
		"idle mqtt.Session, TCP, in goroutines":         {oursAtMost(1)},
		"idle mqtt.Session, TLS, in KiB":                {oursAtMost(16)},
		"idle mqtt.Session, TLS, in goroutines":         {oursAtMost(1)},
		"hub: telemetry in, TLS, recorded":              {atLeast(4)},
		"hub: telemetry in, TLS, recorded and read":     {atLeast(4)},
		"hub: C2D out to one device, TLS":               {oursAtLeast(100_000)},
		"hub: C2D out to one device, TLS, CPU":          {atLeast(1)}, // which is not the issue's
	}
	allocs := map[string]int{
		"mqtt.Session, asynchronous, TCP": 0, "mqtt.Session, asynchronous, TLS": 0,
		"device.SendAsync, TCP": 0, "device.SendAsync, TLS": 0,
	}
	contests, err := openMQTT()
	defer func() {
		for _, c := range contests {
			c.close()
		}
	}()
	if err != nil {
		t.Fatal(err)
	}
	holdTo(t, contests, want, allocs)
	tryAll(t, contests, window*3/2)
}

// holdTo compares the rows' bounds and limits of allocations with a table.
func holdTo(t *testing.T, contests []contest, bounds map[string][]bound, allocs map[string]int) {
	t.Helper()
	got, counted := map[string][]bound{}, map[string]int{}
	for _, c := range contests {
		for _, r := range c.rows() {
			name := r.name
			if r.steady {
				name += ", in " + r.unit()
			}
			if len(r.gates) > 0 {
				got[name] = r.gates
			}
			if r.allocs != uncounted {
				counted[name] = r.allocs
			}
		}
	}
	if d := cmp.Diff(bounds, got, cmp.AllowUnexported(bound{})); d != "" {
		t.Errorf("gates (-want +got):\n%s", d)
	}
	if d := cmp.Diff(allocs, counted); d != "" {
		t.Errorf("allocations (-want +got):\n%s", d)
	}
}

// tryAll has every process do a little, n messages where it sends some, and the counts compared.
func tryAll(t *testing.T, contests []contest, n int) {
	for _, c := range contests {
		switch c := c.(type) {
		case *race:
			tryRace(t, c, n)
		case *anew:
			tryRace(t, c.next, n)
		case *uploads:
			if err := c.ready(1); err != nil {
				t.Error(err)
				continue
			}
			samples, err := c.round()
			if err != nil {
				t.Error(err)
			}
			for i, s := range samples {
				if s[0].ours <= 0 {
					t.Errorf("%s, in %s: %+v", c.of[i].name, c.of[i].unit(), s[0])
				}
			}
		case *renewals:
			c.n = 3
			if err := c.ready(1); err != nil {
				t.Error(err)
			}
			if got := c.done.client; got.Renewals < 3 || got.Sent == 0 || got.Sent != got.Count {
				t.Errorf("renewals: used %+v", got)
			}
		case *holding:
			c.sessions = 3
			for w, h := range c.works {
				h.s.WarmUp = 2
				c.works[w] = h
			}
			if err := c.ready(1); err != nil {
				t.Error(err)
			}
			for w, s := range c.done[0] {
				// A sink's clients have a connection and a goroutine each.
				if s.client.Count != 3 || s.client.Goroutines < 3 && c.works[w].server == "sink" {
					t.Errorf("%s: used %+v", c.works[w].client, s)
				}
			}
		}
	}
}

func tryRace(t *testing.T, r *race, n int) {
	for _, w := range r.runners {
		w.n = n
		if s, err := w.stretch(); err != nil {
			t.Error(err)
		} else if s.client.CPU <= 0 || s.client.Wall <= 0 || s.server.CPU <= 0 && w.server.door.Pid == 0 {
			t.Errorf("%s with %s: used %+v", w.client.name, w.server.name, s)
		}
	}
}

func TestTally(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name     string
		outcomes []error
		refused  error
		count    int64
		want     error
	}{
		{"all acknowledged", []error{nil, nil, nil}, nil, 3, nil},
		{"one failed", []error{nil, broken, nil}, nil, 2, broken},
		{"the last one failed", []error{nil, nil, broken}, nil, 2, broken},
		{"not taken", []error{nil}, broken, 0, broken},
	} {
		ta := newTally()
		i := 0
		err := ta.wait(len(tt.outcomes), func() error {
			if tt.refused != nil {
				return tt.refused
			}
			go ta.done(tt.outcomes[i])
			i++
			return nil
		})
		if !errors.Is(err, tt.want) || ta.count() != tt.count {
			t.Errorf("%s: %d acknowledged, %v, want %d, %v", tt.name, ta.count(), err, tt.count, tt.want)
		}
	}
}
