package main

import "time"

// amqpLinks is how many links a gateway holds. The rows are named after it.
const amqpLinks = 10_000

// openAMQP makes the contests of AMQP: the codec in this process, and the hub with its clients, each end in
// a process of its own.
func openAMQP() ([]contest, error) {
	contests, err := eachAlone(amqpCodecRows)()
	if err != nil {
		return contests, err
	}
	races, err := openAll(once(amqpIn), once(amqpOut))
	contests = append(contests, races...)
	if err != nil {
		return contests, err
	}
	return append(contests, amqpIdling(), amqpShared(), renewing()), nil
}

// amqpIn: telemetry comes in from go-amqp, and from the device client, one by one and in
// batches. For the hub the peer is the sender itself.
func amqpIn() *race {
	r := &race{laps: 5, turn: 100 * time.Millisecond, whole: true}
	hub := r.server("AMQP hub")
	bare := r.client("go-amqp", "go-amqp sender", hub, setup{TLS: true})
	async := r.client("one by one", "AMQP device", hub, setup{TLS: true, Rival: 1})
	senders := r.client("", "AMQP senders", hub, setup{TLS: true, Rival: 2})
	batches := r.client("", "AMQP batches", hub, setup{TLS: true, Rival: 3})
	r.of = []*row{
		{
			name: "hub: telemetry in over AMQP, TLS, recorded", figure: serverCPU,
			peer: r.otherEnd("go-amqp, the sender", bare), ours: bare, allocs: uncounted,
			gates: []bound{atLeast(2)}, targets: []bound{atLeast(4)},
		},
		{
			name: "device.SendAsync over AMQP, TLS", figure: clientCPU,
			floor: bare, ours: async, allocs: uncounted,
			gates: []bound{atMost(1.15)},
		},
		{
			name: "device.Send in 1,000 goroutines over AMQP, TLS", figure: clientCPU,
			floor: bare, ours: senders, allocs: uncounted,
		},
		{
			name: "device.SendAll of 100 over AMQP, TLS", figure: wallTime,
			peer: bare, ours: batches, allocs: uncounted,
			gates: []bound{atLeast(5)},
		},
		{
			// Of ours, single sends share writes, too.
			name: "device.SendAll of 100 over AMQP, TLS, beside SendAsync", figure: wallTime,
			peer: async, ours: batches, allocs: uncounted,
		},
	}
	return r
}

// amqpOut: go-amqp reads the log of events, and so does the service client.
func amqpOut() *race {
	r := &race{laps: 3, turn: 300 * time.Millisecond}
	tls := setup{TLS: true}
	hub := r.server("AMQP hub, log")
	if r.err != nil {
		return r
	}
	bare := r.begin("AMQP bare sender", setup{Door: hub.door, TLS: true}, false)
	floor := r.client("do-nothing sender", "go-amqp receiver", bare, tls)
	ours := r.client("go-amqp", "go-amqp receiver", hub, tls)
	service := r.client("", "AMQP events", hub, tls)
	r.of = []*row{
		{
			name: "hub: events out to go-amqp, TLS", figure: wallTime,
			floor: floor, ours: ours, allocs: uncounted,
			gates: []bound{atMost(1.25)}, // 0.8 times as many in the same time
		},
		{
			name: "hub: events out to go-amqp, TLS", figure: clientCPU,
			floor: floor, ours: ours, allocs: uncounted,
		},
		{
			name: "hub: events out to go-amqp, TLS", figure: serverCPU,
			floor: floor, ours: ours, allocs: uncounted,
		},
		{
			name: "service.Events over AMQP, TLS", figure: wallTime,
			floor: ours, ours: service, allocs: uncounted,
			gates: []bound{atMost(1.25)},
		},
		{
			name: "service.Events over AMQP, TLS", figure: clientCPU,
			floor: ours, ours: service, allocs: uncounted,
		},
	}
	return r
}

// amqpIdling: nothing happens on the links of a gateway, of which each device has five, or one.
func amqpIdling() *holding {
	c := &holding{sessions: amqpLinks}
	over := func(name string, devices int) {
		hub := c.client("", "AMQP gateway", setup{TLS: true, Devices: devices, WarmUp: 300})
		c.serve(hub, "AMQP gateway hub")
		gates := []bound{oursAtMost(4)}
		for _, f := range []figure{hubResident, hubHeap, hubGoroutinesInAll} {
			c.of = append(c.of, &row{name: name, figure: f, steady: true, ours: hub, allocs: uncounted, gates: gates})
			gates = nil
		}
	}
	over("10,000 idle links of 2,000 devices", amqpLinks/5)
	over("10,000 idle links of 10,000 devices", amqpLinks)
	return c
}

// amqpShared: nothing happens on the links of a thousand devices either, but what counts is what they take of the
// client. Those of go-amqp have a session each, in which 30 KiB cannot be had: see README.md.
func amqpShared() *holding {
	const devices = 1000
	c := &holding{sessions: devices}
	over := func(name string, links int, gates ...bound) {
		s := setup{TLS: true, Devices: devices, Links: links, WarmUp: 300}
		floor, ours := c.client("go-amqp", "go-amqp devices", s), c.client("", "AMQP devices", s)
		for _, w := range []*work{floor, ours} {
			c.serve(w, "AMQP gateway hub")
		}
		for _, f := range []figure{residentSet, heap, goroutines} {
			c.of = append(c.of, &row{
				name: "1,000 devices on one connection, " + name, figure: f, steady: true,
				floor: floor, ours: ours, allocs: uncounted, gates: gates,
			})
			gates = nil
		}
	}
	over("telemetry and C2D", 2, oursAtMost(30), atMost(1.1))
	over("all links", len(kinds), atMost(1.1))
	return c
}
