package main

import "time"

// worstPage is the longest that a page of a query took.
var worstPage = figure{"ms, the worst page", func(s stretch) float64 { return float64(s.client.Worst) / 1e6 }}

// registries: a service asks two hubs for one device after the other, and the larger one for those that have
// a tag, 100 of them, spread evenly. The rows are named after the numbers of devices that count.
func registries(fewDevices, manyDevices int) *race {
	r := &race{laps: 5, turn: 200 * time.Millisecond}
	small := r.begin("registry", setup{Devices: fewDevices}, false)
	large := r.begin("registry", setup{Devices: manyDevices}, false)
	few := r.client("1,000 devices", "registry reader", small, setup{TLS: true, Devices: fewDevices})
	many := r.client("", "registry reader", large, setup{TLS: true, Devices: manyDevices})
	pages := r.client("", "registry query", large, setup{TLS: true, Devices: manyDevices})
	r.of = []*row{
		{
			name: "registry of 100,000 devices: get by id", figure: wallTime,
			floor: few, ours: many, allocs: uncounted,
			gates: []bound{atMost(1.5)},
		},
		{
			name: "registry of 100,000 devices: get by id", figure: serverCPU,
			floor: few, ours: many, allocs: uncounted,
		},
		{
			name: "registry of 100,000 devices: query for a tag that 100 have", figure: worstPage,
			ours: pages, allocs: uncounted,
			gates: []bound{oursAtMost(50)},
		},
	}
	return r
}
