package main

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
)

func fleetDevice(i int64) hubwire.Identity {
	return hubwire.Identity{DeviceID: fmt.Sprintf("dev-%05d", i)}
}

// fleetHubRole is a hub that knows the fleet. It counts telemetry.
func fleetHubRole(setup) (*actor, error) {
	fleet := make([]hubwire.Identity, fleetSize)
	for i := range fleet {
		fleet[i] = fleetDevice(int64(i))
	}
	return readHub(fleet...)
}

const (
	fleetDialers = 64    // how many devices connect at a time
	fleetWindow  = 1_000 // how many messages of all devices are on their way
)

// fleetRole is the devices. The first run connects that many; those after it send
// that many messages, each from the next device, and count acknowledgements.
func fleetRole(s setup) (*actor, error) {
	o, err := s.deviceOptions()
	if err != nil {
		return nil, err
	}
	var clients []*device.Client
	t, late := newTally(), new(latencies)
	return &actor{
		count: t.count,
		p99:   func() time.Duration { return late.percentile(0.99) },
		run: func(n int) error {
			if clients == nil {
				clients = make([]*device.Client, n)
				var next atomic.Int64
				return together(fleetDialers, n, func() (err error) {
					i := next.Add(1) - 1
					clients[i], err = s.dialAs(fleetDevice(i), device.MQTT(nil), o)
					return err
				})
			}
			for _, c := range clients {
				if state := c.State(); state != device.Connected {
					return fmt.Errorf("%v is %v", c.Identity(), state)
				}
			}
			*late = latencies{}
			return sendAll(clients, n, t, late)
		},
	}, nil
}

// sendAll sends n messages, from one client after the other.
func sendAll(clients []*device.Client, n int, t *tally, late *latencies) error {
	window := make(chan struct{}, fleetWindow)
	next := 0
	return t.wait(n, func() error {
		c := clients[next%len(clients)]
		next++
		window <- struct{}{}
		sent := time.Now()
		return c.SendAsync(context.Background(), telemetryMessage, func(err error) {
			late.add(time.Since(sent))
			<-window
			t.done(err)
		})
	})
}

// latencies are counts of times, in classes of which each is an eighth of a power
// of two wide: 1 µs or 12 %, whichever is more.
type latencies [64 * 8]atomic.Int64

func (l *latencies) add(d time.Duration) { l[latencyClass(uint64(max(0, d.Microseconds())))].Add(1) }

func latencyClass(us uint64) int {
	if us < 8 {
		return int(us)
	}
	shift := bits.Len64(us) - 4 // four bits stay, of which the first is set
	return shift*8 + int(us>>shift)
}

// percentile returns a time that so much of all did not exceed.
func (l *latencies) percentile(p float64) time.Duration {
	var all int64
	for i := range l {
		all += l[i].Load()
	}
	left := int64(math.Ceil(p * float64(all)))
	for i := range l {
		if left -= l[i].Load(); left <= 0 {
			return latencyLimit(i)
		}
	}
	return 0
}

// latencyLimit is the upper end of a class.
func latencyLimit(class int) time.Duration {
	us := uint64(class) + 1
	if shift := class/8 - 1; shift > 0 {
		us = uint64(class-shift*8+1) << shift
	}
	return time.Duration(us) * time.Microsecond
}
