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
	for _, open := range []func() *race{amqpIn, amqpOut} {
		r := open()
		contests = append(contests, r)
		if r.err != nil {
			return contests, r.err
		}
	}
	return append(contests, amqpIdling()), nil
}

// amqpIn: telemetry comes in from go-amqp. The peer is the sender itself.
func amqpIn() *race {
	r := &race{laps: 5, turn: 100 * time.Millisecond, whole: true}
	hub := r.client("", "go-amqp sender", r.server("AMQP hub"), setup{TLS: true})
	r.of = []*row{{
		name: "hub: telemetry in over AMQP, TLS, recorded", figure: serverCPU,
		peer: r.otherEnd("go-amqp, the sender", hub), ours: hub, allocs: uncounted,
		gates: []bound{atLeast(2)}, targets: []bound{atLeast(4)},
	}}
	return r
}

// amqpOut: go-amqp reads the log of events.
func amqpOut() *race {
	r := &race{laps: 5, turn: 100 * time.Millisecond}
	tls := setup{TLS: true}
	hub := r.server("AMQP hub, log")
	if r.err != nil {
		return r
	}
	bare := r.begin("AMQP bare sender", setup{Door: hub.door, TLS: true}, false)
	floor := r.client("do-nothing sender", "go-amqp receiver", bare, tls)
	ours := r.client("", "go-amqp receiver", hub, tls)
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
	}
	return r
}

// amqpIdling: nothing happens on the links of a gateway, of which each device has five, or one.
func amqpIdling() *holding {
	c := &holding{sessions: amqpLinks, times: 3}
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
