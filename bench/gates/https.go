package main

import "time"

// openHTTPS makes the contests of HTTPS.
func openHTTPS() ([]contest, error) { return httpsContests(1_000, 100_000, 256) }

func httpsContests(fewDevices, manyDevices, uploadMiB int) ([]contest, error) {
	if err := samePosts(); err != nil {
		return nil, err
	}
	contests, err := eachAlone(httpsxRows)()
	if err != nil {
		return nil, err
	}
	ofRegistry := func() *race { return registries(fewDevices, manyDevices) }
	races, err := openAll(once(httpsOut), once(httpsIn), once(ofRegistry))
	contests = append(contests, races...)
	if err != nil {
		return contests, err
	}
	u := uploading(uploadMiB)
	return append(contests, u), u.err
}

// httpsOut: telemetry goes out, to a handler that does no more than read it.
func httpsOut() *race {
	r := &race{laps: 5, turn: 200 * time.Millisecond}
	tls := setup{TLS: true}
	sink := r.server("HTTPS sink")
	bare := r.client("net/http", "net/http", sink, tls)
	send := r.client("", "HTTPS senders", sink, tls)
	async := r.client("", "HTTPS device", r.server("HTTPS batch sink"), tls)
	r.of = []*row{
		{
			name: "device.Send over HTTPS, 64 connections", figure: clientCPU,
			floor: bare, ours: send, allocs: uncounted,
			gates: []bound{atMost(1.15)},
		},
		{
			name: "device.SendAsync over HTTPS, in batches", figure: clientCPU,
			peer: bare, ours: async, allocs: uncounted,
		},
	}
	return r
}

// httpsIn: telemetry comes in, from a raw client, over 64 connections.
func httpsIn() *race {
	r := &race{laps: 8, turn: 100 * time.Millisecond, whole: true}
	tls := setup{TLS: true}
	bare := r.client("net/http", "raw HTTPS client", r.server("HTTPS sink"), tls)
	hub := r.client("", "raw HTTPS client", r.server("HTTPS hub"), tls)
	r.of = []*row{{
		name: "hub: telemetry by POST, recorded", figure: serverCPU,
		floor: bare, ours: hub, allocs: uncounted,
		gates: []bound{atMost(1.25)},
	}}
	return r
}
