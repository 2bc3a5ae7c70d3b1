package hub

import (
	"time"

	"github.com/hubwire/hubwire/hub/internal/core"
)

// Throttle bounds what a hub takes, as the tiers of IoT Hub do. Rates are
// operations a second, over all devices and services; a zero member bounds nothing.
// A second's worth of each may come at once.
//
// Source: IoT Hub developer guide, "IoT Hub quotas and throttling". What it leaves
// open, MaxDelay and the burst among it, is this hub's own.
type Throttle struct {
	// Connects are new connections of devices and modules, not those that register with
	// DPS. Over MQTT, one more is refused with CONNACK 3, which clients take as worth another
	// try; over AMQP its first link is.
	Connects float64

	// Telemetry is messages from devices and modules. What is over the rate is held back, so
	// that its PUBACK is late, along with whatever the device sends behind it. What would
	// have to wait for longer than MaxDelay is refused: over HTTPS with 429, over AMQP with a
	// rejection, over MQTT, which has no word for that, by closing the connection. Over AMQP
	// the outcome of a message is late, and what is on other links goes on. Wills are not bounded,
	// and do not count for the quota.
	Telemetry float64

	// MaxDelay is how long telemetry is held back at most. 0 means 10 s,
	// negative not at all.
	MaxDelay time.Duration

	// TwinReads and TwinUpdates are those of devices and of services together.
	// Beyond them the answer is 429, code Throttled.
	TwinReads, TwinUpdates float64

	// MethodBytes are bytes a second of the payloads of direct methods, in
	// blocks of 4 KiB, at least one. Beyond them Invoke fails with code Throttled.
	MethodBytes float64

	// Registry are requests to the identity registry and its statistics, Queries
	// those to the query language, C2DSends and C2DReceives those that send cloud-to-device
	// messages and, by devices over HTTPS, ask for them, Uploads the beginnings of file
	// uploads, Configurations what is done with configurations. Of each a minute's
	// worth may come at once; beyond them the answer is 429, over AMQP a rejection, code
	// Throttled. The methods of [Hub] are not bounded.
	Registry, Queries, C2DSends, C2DReceives, Uploads, Configurations float64

	// MessagesADay is the quota of telemetry, in blocks of 4 KiB, at least one
	// for each message. It begins anew at midnight UTC, and with each [Start]. When
	// it is used up, a message closes its connection, and nobody can connect (CONNACK
	// 3); over HTTPS the answer is 403. The code is QuotaExceeded.
	MessagesADay int

	// ActiveJobs is how many jobs run at the same time; one that would start now is refused
	// beyond it, with code TooManyActiveJobs, one that was scheduled waits. 0 means that ten
	// run, and more wait.
	ActiveJobs int
}

// check refuses what is no rate.
func (t *Throttle) check() error {
	for name, rate := range map[string]float64{
		"Connects": t.Connects, "Telemetry": t.Telemetry, "TwinReads": t.TwinReads,
		"TwinUpdates": t.TwinUpdates, "MethodBytes": t.MethodBytes,
		"Registry": t.Registry, "Queries": t.Queries, "C2DSends": t.C2DSends,
		"C2DReceives": t.C2DReceives, "Uploads": t.Uploads, "Configurations": t.Configurations,
	} {
		if !(rate >= 0) { // NaN is none either
			return invalid("Throttle.%s is not a rate", name)
		}
	}
	return nil
}

// core is the throttle as the core takes it.
func (t *Throttle) core() core.Throttle {
	th := core.Throttle{
		Connects: t.Connects, Telemetry: t.Telemetry, MaxDelay: t.MaxDelay,
		TwinReads: t.TwinReads, TwinUpdates: t.TwinUpdates, MethodBytes: t.MethodBytes, MessagesADay: t.MessagesADay, ActiveJobs: t.ActiveJobs,
	}
	th.Metered[core.MeterRegistry] = t.Registry
	th.Metered[core.MeterQueries] = t.Queries
	th.Metered[core.MeterC2DSends] = t.C2DSends
	th.Metered[core.MeterC2DReceives] = t.C2DReceives
	th.Metered[core.MeterUploads] = t.Uploads
	th.Metered[core.MeterConfigurations] = t.Configurations
	return th
}

// S1 returns the throttles of a hub of so many units of tier S1, or of B1; fewer than one count as
// one. Source: "IoT Hub quotas and throttling".
func S1(units int) Throttle {
	n := float64(max(units, 1))
	const minute = 60
	return Throttle{
		Connects: max(100, 12*n), Telemetry: max(100, 12*n),
		TwinReads: 100, TwinUpdates: 50,
		MethodBytes: 160 * 1024 * n, MessagesADay: 400_000 * max(units, 1),
		Registry: 100 * n / minute, Queries: 20 * n / minute,
		C2DSends: 100 * n / minute, C2DReceives: 1000 * n / minute,
		Uploads: 100 * n / minute, Configurations: 20 * n / minute,
		ActiveJobs: 1,
	}
}
