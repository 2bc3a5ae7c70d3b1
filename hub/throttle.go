package hub

import "time"

// Throttle bounds what a hub takes, as the tiers of IoT Hub do. Rates are
// operations a second, over all devices and services; a zero member bounds nothing.
// A second's worth of each may come at once.
//
// Source: IoT Hub developer guide, "IoT Hub quotas and throttling". What it leaves
// open, MaxDelay and the burst among it, is this hub's own.
type Throttle struct {
	// Connects are new connections of devices and modules, not those that register with
	// DPS. Over MQTT, one more is refused with CONNACK 3, which clients take as worth another try.
	Connects float64

	// Telemetry is messages from devices and modules. What is over the rate is held
	// back, so that its PUBACK is late, along with whatever the device sends behind it.
	// What would have to wait for longer than MaxDelay is refused: over MQTT, which
	// has no word for that, the connection is closed. Wills are not bounded, and do not
	// count for the quota.
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

	// MessagesADay is the quota of telemetry, in blocks of 4 KiB, at least one
	// for each message. It begins anew at midnight UTC, and with each [Start]. When
	// it is used up, a message closes its connection, and nobody can connect (CONNACK
	// 3); the code is QuotaExceeded.
	MessagesADay int
}

// check refuses what is no rate.
func (t *Throttle) check() error {
	for name, rate := range map[string]float64{
		"Connects": t.Connects, "Telemetry": t.Telemetry, "TwinReads": t.TwinReads,
		"TwinUpdates": t.TwinUpdates, "MethodBytes": t.MethodBytes,
	} {
		if !(rate >= 0) { // NaN is none either
			return invalid("Throttle.%s is not a rate", name)
		}
	}
	return nil
}

// S1 returns the throttles of a hub of so many units of tier S1, or of B1.
func S1(units int) Throttle {
	n := float64(max(units, 1))
	return Throttle{
		Connects: max(100, 12*n), Telemetry: max(100, 12*n),
		TwinReads: 100, TwinUpdates: 50,
		MethodBytes: 160 * 1024 * n, MessagesADay: 400_000 * max(units, 1),
	}
}
