package main

import "fmt"

// fleet is a contest of one: as many devices as fleetSize in one process, and
// the hub that they are connected to in another, over TLS. They connect once;
// what that takes, and what it leaves, is measured then. In each round all of
// them send telemetry.
type fleet struct {
	of           []*row
	hub, devices *process
	done         map[*work]stretch

	connecting, idle, sending *work
}

const (
	fleetSize  = 10_000
	fleetSends = 5 // of each device, in a round
)

var (
	connectRate   = figure{"connects/s", rate.of}
	hubResident   = figure{"KiB of the hub", func(s stretch) float64 { return float64(s.server.RSS) / 1024 / float64(s.n) }}
	hubGoroutines = figure{"goroutines of the hub", func(s stretch) float64 { return float64(s.server.Goroutines) / float64(s.n) }}
	latency       = figure{"ms, 99th percentile", func(s stretch) float64 { return float64(s.client.P99) / 1e6 }}
)

// openFleet makes the one contest. Most of its rows have no gate: they tell what
// to expect of a process that is a fleet.
func openFleet() ([]contest, error) {
	f := &fleet{connecting: new(work), idle: new(work), sending: new(work), done: make(map[*work]stretch)}
	row := func(name string, w *work, fig figure, gates ...bound) {
		f.of = append(f.of, &row{
			name: fmt.Sprintf("fleet of %d devices, TLS: %s", fleetSize, name), figure: fig,
			ours: w, allocs: uncounted, gates: gates, steady: w == f.idle,
		})
	}
	row("connect", f.connecting, connectRate)
	row("connect", f.connecting, clientCPU)
	row("connect", f.connecting, serverCPU)
	row("idle", f.idle, residentSet, oursAtMost(40))
	row("idle", f.idle, goroutines, oursAtMost(2))
	row("idle", f.idle, hubResident)
	row("idle", f.idle, hubGoroutines)
	row("telemetry", f.sending, rate)
	row("telemetry", f.sending, clientCPU)
	row("telemetry", f.sending, serverCPU)
	row("telemetry", f.sending, latency)
	return []contest{f}, nil
}

func (f *fleet) rows() []*row { return f.of }

// ready connects the fleet. What is held by it is what both processes have more,
// once all garbage is collected, than they had without it.
func (f *fleet) ready(int) (err error) {
	if f.hub, err = launch("fleet hub", setup{}, false); err != nil {
		return err
	}
	if f.devices, err = launch("fleet", setup{Door: f.hub.door, TLS: true}, false); err != nil {
		return err
	}
	hub, err := f.hub.rest()
	if err != nil {
		return err
	}
	devices, err := f.devices.rest()
	if err != nil {
		return err
	}
	opening := stretch{n: fleetSize}
	if opening.client, err = f.devices.run(fleetSize); err != nil {
		return err
	}
	connected, err := f.hub.tell()
	if err != nil {
		return err
	}
	opening.server = connected.since(hub)
	f.done[f.connecting] = opening

	idle := stretch{n: fleetSize}
	if idle.client, err = f.devices.rest(); err != nil {
		return err
	}
	if idle.server, err = f.hub.rest(); err != nil {
		return err
	}
	idle.client, idle.server = idle.client.since(devices), idle.server.since(hub)
	f.done[f.idle] = idle
	return nil
}

// round has the fleet send.
func (f *fleet) round() ([][]sample, error) {
	s := stretch{n: fleetSize * fleetSends}
	before, err := f.hub.tell()
	if err != nil {
		return nil, err
	}
	if s.client, err = f.devices.run(s.n); err != nil {
		return nil, err
	}
	if s.server, err = f.hub.counted(before, int64(s.n)); err != nil {
		return nil, err
	}
	if s.client.Count != int64(s.n) || s.server.Count != int64(s.n) {
		return nil, fmt.Errorf("of %d messages %d were acknowledged and %d came in", s.n, s.client.Count, s.server.Count)
	}
	f.done[f.sending] = s
	var all [][]sample
	for _, r := range f.of {
		all = append(all, []sample{{ours: r.figure.of(f.done[r.ours])}})
	}
	return all, nil
}

func (f *fleet) close() {
	for _, p := range []*process{f.devices, f.hub} {
		if p != nil {
			p.close()
		}
	}
}
