package main

import "time"

const (
	smallRegistry = 1_000
	largeRegistry = 100_000
)

// worstPage is the longest that a page of a query took.
var worstPage = figure{"ms, the worst page", func(s stretch) float64 { return float64(s.client.Worst) / 1e6 }}

// registries: a service asks two hubs for one device after the other, and the larger one for those that have
// a tag, 100 of them, spread evenly.
func registries() *race {
	r := &race{laps: 5, turn: 200 * time.Millisecond}
	small := r.begin("registry", setup{Devices: smallRegistry}, false)
	large := r.begin("registry", setup{Devices: largeRegistry}, false)
	few := r.client("1,000 devices", "registry reader", small, setup{TLS: true, Devices: smallRegistry})
	many := r.client("", "registry reader", large, setup{TLS: true, Devices: largeRegistry})
	pages := r.client("", "registry query", large, setup{TLS: true, Devices: largeRegistry})
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
