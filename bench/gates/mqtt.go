package main

import "time"

// roles are what processes of their own do.
var roles = map[string]role{
	"sink":           sinkRole,
	"mosquitto":      mosquittoRole,
	"floor":          floorRole,
	"floor client":   floorClientRole,
	"raw client":     rawClientRole,
	"mqtt.Session":   sessionRole,
	"device":         deviceAsyncRole,
	"senders":        deviceSendersRole,
	"paho":           pahoRole,
	"paho senders":   pahoSendersRole,
	"serial raw":     serialRawRole,
	"serial session": serialSessionRole,
	"hub":            hubRole,
	"hub, log only":  hubLogRole,
	"hub, C2D":       hubC2DRole,
	"C2D device":     c2dDeviceRole,
	"mochi":          mochiRole,
	"mochi, read":    mochiReadRole,
	"idle floor":     idleFloorRole,
	"idle session":   idleSessionRole,
	"idle paho":      idlePahoRole,
	"fleet hub":      fleetHubRole,
	"fleet":          fleetRole,

	"HTTPS sink":       httpsSinkRole,
	"HTTPS batch sink": httpsBatchSinkRole,
	"HTTPS hub":        httpsHubRole,
	"net/http":         netHTTPRole,
	"raw HTTPS client": httpsRawRole,
	"HTTPS senders":    httpsSendersRole,
	"HTTPS device":     httpsAsyncRole,
	"registry":         registryRole,
	"registry reader":  registryReaderRole,
	"registry query":   registryQueryRole,
	"HTTPS hub, files": filesHubRole,
	"azblob":           azblobRole,
	"upload":           uploadRole,

	"AMQP hub":          amqpHubRole,
	"AMQP hub, log":     amqpLogRole,
	"AMQP gateway hub":  gatewayHubRole,
	"AMQP gateway":      gatewayRole,
	"AMQP bare sender":  bareRole,
	"go-amqp sender":    goamqpSenderRole,
	"go-amqp receiver":  goamqpReceiverRole,
	"go-amqp devices":   bareDevicesRole,
	"AMQP hub, no skew": punctualHubRole,
	"AMQP device":       amqpAsyncRole,
	"AMQP senders":      amqpSendersRole,
	"AMQP batches":      amqpBatchesRole,
	"AMQP devices":      sharedDevicesRole,
	"AMQP events":       eventReaderRole,
	"AMQP renewals":     renewingRole,
}

// openMQTT makes the contests of MQTT: sessions and hub over sockets, each end in
// a process of its own.
func openMQTT() ([]contest, error) {
	contests, err := openAll(once(pipelined), eachRound(serial), once(hubIn), once(hubOut))
	if err != nil {
		return contests, err
	}
	return append(contests, idling()), nil
}

// pipelined: QoS 1, many on their way, to a sink.
func pipelined() *race {
	r := &race{laps: 5, turn: 200 * time.Millisecond}
	sink, floor := r.server("sink"), r.server("floor")
	tcp, tls := setup{}, setup{TLS: true}

	floorTCP := r.client("socket", "floor client", floor, tcp)
	sessionTCP := r.client("", "mqtt.Session", sink, tcp)
	asyncTCP := r.client("", "device", sink, tcp)
	sendersTCP := r.client("", "senders", sink, tcp)
	pahoTCP := r.client("paho", "paho", sink, tcp)
	pahoSenders := r.client("paho", "paho senders", sink, tcp)
	floorTLS := r.client("socket", "floor client", floor, tls)
	sessionTLS := r.client("", "mqtt.Session", sink, tls)
	asyncTLS := r.client("", "device", sink, tls)
	pahoTLS := r.client("paho", "paho", sink, tls)

	r.of = []*row{
		{
			name: "mqtt.Session, asynchronous, TCP", figure: clientCPU,
			floor: floorTCP, peer: pahoTCP, ours: sessionTCP,
			gates: []bound{atMost(4), atLeast(20)}, targets: []bound{atMost(2.2)},
		},
		{
			name: "mqtt.Session, asynchronous, TLS", figure: clientCPU,
			floor: floorTLS, peer: pahoTLS, ours: sessionTLS,
			gates: []bound{atMost(3), atLeast(10)}, targets: []bound{atMost(1.4)},
		},
		{
			name: "device.SendAsync, TCP", figure: clientCPU,
			floor: floorTCP, peer: pahoTCP, ours: asyncTCP,
			gates: []bound{atMost(10)}, targets: []bound{atMost(6)},
		},
		{
			name: "device.SendAsync, TLS", figure: clientCPU,
			floor: floorTLS, peer: pahoTLS, ours: asyncTLS,
		},
		{
			name: "device.Send in 1,000 goroutines, TCP", figure: clientCPU,
			floor: floorTCP, peer: pahoSenders, ours: sendersTCP, allocs: uncounted,
			gates: []bound{atMost(12).ofSwitches()}, targets: []bound{atMost(8)},
		},
	}
	return r
}

// serial: QoS 1, one at a time, everything on one processor: to Mosquitto, with
// which the figures were measured that the gate is from, and to the sink. The
// sink does less, so it has the gate where there is no Mosquitto.
func serial() *race {
	r := &race{laps: 10, turn: 200 * time.Millisecond}
	gates, targets := []bound{atMost(1.06)}, []bound{atMost(1.02)}
	over := func(name string, server *process, s setup) {
		raw := r.client("raw", "serial raw", server, s)
		ours := r.client("", "serial session", server, s)
		control := r.client("raw", "serial raw", server, s)
		r.of = append(r.of, &row{
			name: name, figure: wallTime, floor: raw, ours: ours, allocs: uncounted, control: control,
			gates: gates, targets: targets,
		})
	}
	if mosquittoProgram() != "" {
		mosquitto := r.begin("mosquitto", setup{}, true)
		over("one at a time, on one core, Mosquitto, TCP", mosquitto, setup{})
		over("one at a time, on one core, Mosquitto, TLS", mosquitto, setup{TLS: true})
		gates, targets = nil, nil
	}
	sink := r.begin("sink", setup{}, true)
	over("one at a time, on one core, TCP", sink, setup{})
	over("one at a time, on one core, TLS", sink, setup{TLS: true})
	return r
}

// hubIn: telemetry comes in, from a raw client. In a turn there is less of it
// than the event log can hold, so that a reader need miss nothing.
func hubIn() *race {
	r := &race{laps: 8, turn: 100 * time.Millisecond, whole: true}
	tls := setup{TLS: true}
	logged := r.client("", "raw client", r.server("hub, log only"), tls)
	read := r.client("", "raw client", r.server("hub"), tls)
	mochi := r.client("mochi", "raw client", r.server("mochi"), tls)
	mochiRead := r.client("mochi", "raw client", r.server("mochi, read"), tls)
	r.of = []*row{
		{
			name: "hub: telemetry in, TLS, recorded", figure: serverCPU,
			peer: mochi, ours: logged, allocs: uncounted,
			gates: []bound{atLeast(4)}, targets: []bound{oursAtMost(1)},
		},
		{
			name: "hub: telemetry in, TLS, recorded and read", figure: serverCPU,
			peer: mochiRead, ours: read, allocs: uncounted,
			gates: []bound{atLeast(4)}, targets: []bound{oursAtMost(1)},
		},
	}
	return r
}

// hubOut: messages go out to one device.
func hubOut() *race {
	r := &race{laps: 5, turn: 200 * time.Millisecond}
	hub := r.server("hub, C2D")
	if r.err != nil {
		return r
	}
	tls := setup{TLS: true}
	device := r.begin("C2D device", setup{Door: hub.door, TLS: true}, false)
	ours := r.enter("", hub, device)
	mochi := r.client("mochi, telemetry in", "raw client", r.server("mochi"), tls)
	r.of = []*row{
		{
			name: "hub: C2D out to one device, TLS", figure: rate,
			ours: ours, allocs: uncounted,
			gates: []bound{oursAtLeast(100_000)},
		},
		{
			// This is what a slow or busy machine can say of it.
			name: "hub: C2D out to one device, TLS, CPU", figure: serverCPU,
			peer: mochi, ours: r.otherEnd("", ours), allocs: uncounted,
			gates: []bound{atLeast(1)},
		},
	}
	return r
}

// idling: nothing happens.
func idling() *holding {
	c := &holding{sessions: 1000}
	over := func(name string, s setup, most, target float64) {
		s.WarmUp = 300
		floor := c.client("net.Conn", "idle floor", s)
		peer := c.client("paho", "idle paho", s)
		ours := c.client("", "idle session", s)
		c.of = append(c.of, &row{
			name: "idle mqtt.Session, " + name, figure: residentSet, steady: true,
			floor: floor, peer: peer, ours: ours, allocs: uncounted,
			gates: []bound{oursAtMost(most)}, targets: []bound{oursAtMost(target)},
		}, &row{
			name: "idle mqtt.Session, " + name, figure: goroutines, steady: true,
			floor: floor, peer: peer, ours: ours, allocs: uncounted,
			gates: []bound{oursAtMost(1)},
		})
	}
	over("TCP", setup{}, 6, 5)
	over("TLS", setup{TLS: true}, 16, 15)
	return c
}
