package mqttfront

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/core"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/sas"
)

// waveSize returns how many connections there are at once.
func waveSize() int {
	if testkit.RaceEnabled {
		return 1000 // for the same takes ten times as long
	}
	return 5000
}

// usage is what a process holds, when all is collected that can be.
type usage struct {
	heap, stacks int64
	goroutines   int
}

func measure() usage {
	for range 3 { // pools and weak pointers take more than one
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{int64(m.HeapAlloc), int64(m.StackInuse), runtime.NumGoroutine()}
}

// crowd is a front with many devices, of which each has a message to get.
type crowd struct {
	*front
	ids      []hubwire.Identity
	connects [][]byte
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{front: newFront(t, core.Config{}, Options{}, store.NewMemory(&store.MemoryOptions{LogEntries: 100}))}
	ctx := context.Background()
	for i := range waveSize() {
		id := hubwire.Identity{DeviceID: fmt.Sprint("device-", i)}
		d, err := c.core.Create(ctx, &core.Device{ID: id})
		if err != nil {
			t.Fatal(err)
		}
		key, err := sas.NewKey(sas.Secret(d.Auth.Primary))
		if err != nil {
			t.Fatal(err)
		}
		token, err := sas.AppendToken(ctx, nil, key, sas.Audience("localhost", id), "", time.Now().Add(24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.core.SendC2D(ctx, id, &hubwire.Message{ID: "m"}); err != nil {
			t.Fatal(err)
		}
		m := c.connect()
		m.ClientID, m.UserName = []byte(id.DeviceID), []byte("localhost/"+id.DeviceID+"/?api-version=2021-04-12")
		m.CleanSession, m.Password = true, mqtt.NewSecret(token)
		c.ids, c.connects = append(c.ids, id), append(c.connects, m.AppendTo(nil))
	}
	return c
}

// login connects the i-th device. It gets its message, again with the identifier that
// it had, and settles it only if it is told to.
func (c *crowd) login(i int, again, settles bool) *device {
	c.Helper()
	d := &device{c.front, mqtt.NewConn(c.dial(), nil)}
	if err := d.c.Write(c.connects[i]); err != nil {
		c.Error(err)
		return d
	}
	want := []mqtt.Type{mqtt.TypeConnack, mqtt.TypePuback, mqtt.TypeSuback, mqtt.TypePublish}
	topic := []byte("devices/" + c.ids[i].DeviceID + "/messages/")
	filters, err := mqtt.AppendFilter(nil, string(topic)+"devicebound/#", mqtt.AtLeastOnce)
	if err != nil {
		c.Error(err)
	}
	event := &mqtt.Publish{Topic: append(topic, "events/"...), QoS: mqtt.AtLeastOnce, ID: 1, Payload: make([]byte, 100)}
	if err := d.c.Write((&mqtt.Subscribe{ID: 2, Filters: filters}).AppendTo(event.AppendTo(nil))); err != nil {
		c.Error(err)
	}
	for _, w := range want {
		p, err := d.c.ReadPacket()
		if err != nil || p.Type() != w {
			c.Errorf("%v came, want %v: %v", p.Type(), w, err)
			return d
		}
		if w != mqtt.TypePublish {
			continue
		}
		if m, err := mqtt.ParsePublish(p); err != nil || m.ID != 2 || m.Dup != again {
			c.Errorf("PUBLISH %d with DUP %v, want 2 and %v: %v", m.ID, m.Dup, again, err)
		}
	}
	if settles {
		if err := d.c.Write((&mqtt.Puback{ID: 2}).AppendTo(nil)); err != nil {
			c.Error(err)
		}
	}
	return d
}

// TestWavesOfThousands has all devices connect and work, and then go in one of the ways
// there are, several times over. What the first wave leaves, of caches and the like, is
// all that is ever left.
func TestWavesOfThousands(t *testing.T) {
	testkit.LeakCheck(t)
	c := newCrowd(t)
	size := len(c.ids)
	before := measure()
	ends := []func(i int, d *device){
		func(_ int, d *device) { d.c.Close() },
		func(_ int, d *device) { d.c.Write((&mqtt.Disconnect{}).AppendTo(nil)) },
		func(i int, _ *device) { c.server.Drop(c.ids[i]) },
		func(_ int, d *device) { d.c.Write([]byte{0, 0}) },
	}
	const waves = 4
	var after []usage
	for wave := range waves {
		devices := make([]*device, size)
		var wg sync.WaitGroup
		for part := range 10 {
			wg.Go(func() {
				for i := part; i < size; i += 10 {
					devices[i] = c.login(i, wave > 0, false)
				}
			})
		}
		wg.Wait()
		up := measure()
		t.Logf("wave %d: %d connections: %d goroutines, %d B of heap and %d B of stack each, both ends",
			wave, size, up.goroutines-before.goroutines, (up.heap-before.heap)/int64(size), (up.stacks-before.stacks)/int64(size))
		if n := up.goroutines - before.goroutines; n > size+size/10 { // some may be about to end, on a busy machine
			t.Errorf("%d connections have %d goroutines", size, n)
		}
		for i, d := range devices {
			ends[i%len(ends)](i, d)
		}
		c.server.conns.Wait()
		for _, d := range devices {
			d.c.Close()
		}
		clear(devices)
		after = append(after, measure())
		t.Logf("         gone: %+v, before the first: %+v", after[wave], before)
	}
	// Timers that were stopped stay for a while, with what they are for; a
	// connection that stays has 5 KiB.
	first, last := max(after[0].heap, after[1].heap), min(after[waves-2].heap, after[waves-1].heap)
	if grown := last - first; grown > int64(size)<<10 {
		t.Errorf("the heap has grown by %d bytes, from wave to wave", grown)
	}
	if c.server.conns.Len()+c.server.current.Len() != 0 {
		t.Errorf("%d connections and %d identities are left", c.server.conns.Len(), c.server.current.Len())
	}
	d := c.login(0, true, true)
	d.write(&mqtt.Disconnect{})
	d.ends(patience)
	if d, err := c.core.Device(c.ids[0]); err != nil || d.C2DCount != 0 {
		t.Errorf("%d messages are left, %v", d.C2DCount, err)
	}
	c.close()
}
