package main

import "time"

// roles are what processes of their own do.
var roles = map[string]role{
	"sink":         sinkRole,
	"floor":        floorRole,
	"floor client": floorClientRole,
	"raw client":   rawClientRole,
	"mqtt.Session": sessionRole,
}

// openMQTT makes the contests of MQTT: sessions and hub over sockets, each end in
// a process of its own.
func openMQTT() ([]contest, error) {
	var contests []contest
	for _, open := range []func() (contest, error){openPipelined} {
		c, err := open()
		if c != nil {
			contests = append(contests, c)
		}
		if err != nil {
			return contests, err
		}
	}
	return contests, nil
}

// openPipelined: QoS 1, many on their way, to a sink.
func openPipelined() (contest, error) {
	r := &race{laps: 5, turn: 200 * time.Millisecond}
	sink, floorServer := r.server("sink", false), r.server("floor", false)
	floorTCP := r.runner("socket", "floor client", floorServer, setup{})
	sessionTCP := r.runner("", "mqtt.Session", sink, setup{})
	r.of = []*row{{
		name:   "mqtt.Session, asynchronous, TCP",
		figure: clientCPU,
		floor:  floorTCP, ours: sessionTCP,
		gates: []bound{atMost(4)}, targets: []bound{atMost(2.2)},
	}}
	return r, r.err
}
