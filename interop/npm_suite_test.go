package interop

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The transports that azure-iot-device has: those with a connection that stays, and HTTPS.
var (
	everyTransport = []string{"mqtt", "mqtt-ws", "amqp", "amqp-ws", "https"}
	stays          = everyTransport[:4]
	amqpTransports = everyTransport[2:4]
)

// way is the program, and a transport to it.
type way struct {
	*program
	transport string
}

// over makes a check of each of these transports, all at the same time.
func (p *program) over(t *testing.T, transports []string, check string, run func(*testing.T, *way)) {
	t.Helper()
	for _, transport := range transports {
		t.Run(check+" over "+transport, func(t *testing.T) {
			t.Parallel()
			run(t, &way{p, transport})
		})
	}
}

// amqp says whether the transport is AMQP, and mqtt whether it is MQTT.
func (w *way) amqp() bool { return strings.HasPrefix(w.transport, "amqp") }
func (w *way) mqtt() bool { return strings.HasPrefix(w.transport, "mqtt") }

// desk is the service over AMQP: over WebSockets when the device is not on TCP.
func (w *way) desk() *peer {
	if slices.Contains([]string{"mqtt", "amqp"}, w.transport) {
		return w.desks["amqp"]
	}
	return w.desks["amqp-ws"]
}

// client makes a client by its connection string.
func (w *way) client(t *testing.T, connectionString string) *peer {
	t.Helper()
	return w.judge.client(t, setup{ConnectionString: connectionString, Transport: w.transport, Module: strings.Contains(connectionString, ";ModuleId=")})
}

// open makes a client of a new device, and connects it.
func (w *way) open(t *testing.T) (address, *peer) {
	t.Helper()
	d := w.register(t, identity{})
	p := w.client(t, deviceString(d))
	p.do(t, "open", nil)
	return address{DeviceID: d.DeviceID}, p
}

// listens has a device listen for messages.
func (w *way) listens(t *testing.T, p *peer) {
	t.Helper()
	if w.transport == "https" {
		p.do(t, "options", polling(0.1, true))
	}
	p.do(t, "messages", nil)
}

// works has a client send something, which arrives.
func (w *way) works(t *testing.T, id string, p *peer) told {
	t.Helper()
	m := sdkMessage{Body: []byte("it works")}
	p.gives(t, `"MessageEnqueued"`, "send", m)
	return w.reads(t, id, m)
}

// look is the device as the registry has it.
func (p *program) look(t *testing.T, id string) identity {
	t.Helper()
	return answered[identity](t, p.office, "get", address{DeviceID: id})
}

// settled waits until no message to the device is left.
func (p *program) settled(t *testing.T, id string) {
	t.Helper()
	poll(t, "cloud-to-device messages are unsettled", func() bool { return p.look(t, id).Waiting == 0 })
}

// feed is all that devices of this run send, as @azure/event-hubs reads it, by device.
type feed struct {
	reader     *peer
	partitions []string

	mu sync.Mutex
	of map[string]chan told
}

// newFeed reads from now on, and until the judge ends.
func (p *program) newFeed(t *testing.T) *feed {
	t.Helper()
	r := p.services.add(t, "new reader", map[string]string{"connectionString": p.eventHub(t), "transport": "amqp"})
	p.leave = append(p.leave, r.leave)
	f := &feed{reader: r, partitions: answered[[]string](t, r, "partitions", nil), of: map[string]chan told{}}
	now := time.Now().UnixMilli()
	for _, n := range f.partitions {
		r.do(t, "listen", listen{Name: n, Partition: n, From: from{Enqueued: now}})
		go f.run(p.run, n)
	}
	return f
}

// eventHub is the connection string of the hub's endpoint for events.
func (p *program) eventHub(t *testing.T) string {
	t.Helper()
	return eventHubString(t, p.env["HUBWIRE_CONNECTION_STRING"], "localhost")
}

func (f *feed) run(prefix, partition string) {
	for {
		select {
		case v := <-f.reader.queue(partition):
			var e told
			if err := json.Unmarshal(v, &e); err != nil {
				panic(err)
			}
			e.Partition = partition
			if id, _ := e.System["iothub-connection-device-id"].(string); strings.HasPrefix(id, prefix) {
				f.queue(id) <- e
			}
		case <-f.reader.judge.done:
			return
		}
	}
}

// losses are why the reader of a partition ended, such as that another one is its owner.
func (f *feed) losses() (all []string) {
	for _, n := range f.partitions {
		select {
		case v := <-f.reader.queue(n + " lost"):
			all = append(all, string(v))
		default:
		}
	}
	return all
}

func (f *feed) queue(id string) chan told {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of[id] == nil {
		f.of[id] = make(chan told, 1024)
	}
	return f.of[id]
}

// next waits for the next event of a device.
func (f *feed) next(t *testing.T, id string) told {
	t.Helper()
	select {
	case e := <-f.queue(id):
		return e
	case <-within(t).Done():
		t.Fatalf("no event; the reader was told: %s", f.losses())
		return told{}
	}
}

// reads waits for the next event of a device, and compares the message.
func (p *program) reads(t *testing.T, id string, want sdkMessage) told {
	t.Helper()
	e := p.events.next(t, id)
	if string(e.Body) != string(want.Body) {
		t.Errorf("a body of %d bytes (%.40q), want %d (%.40q)", len(e.Body), e.Body, len(want.Body), want.Body)
	}
	system := map[string]any{"iothub-connection-device-id": id, "iothub-message-source": "Telemetry"}
	for name, value := range map[string]string{
		"messageId": want.MessageID, "correlationId": want.CorrelationID, "contentType": want.ContentType, "contentEncoding": want.ContentEncoding,
	} {
		if value != "" {
			system[name] = value
		}
	}
	if want.Expiry != "" {
		at, err := time.Parse(time.RFC3339Nano, want.Expiry)
		if err != nil {
			t.Fatal(err)
		}
		system["absoluteExpiryTime"] = float64(at.UnixMilli())
	}
	if want.Security {
		system["iothub-interface-id"] = "urn:azureiot:Security:SecurityAgent:1"
	}
	properties := map[string]any{}
	for _, p := range want.Properties {
		if p.Name == "dt-subject" {
			system[p.Name] = p.Value
		} else {
			properties[p.Name] = p.Value
		}
	}
	got := map[string]any{}
	for name, value := range e.System {
		switch name {
		case "iothub-connection-auth-method", "iothub-connection-auth-generation-id", "iothub-enqueuedtime", "to", "userId", "iothub-connection-module-id":
		default:
			got[name] = value
		}
	}
	if diff := cmp.Diff(system, got); diff != "" {
		t.Errorf("system properties (-want +got)\n%s", diff)
	}
	if e.Properties == nil {
		e.Properties = map[string]any{}
	}
	if diff := cmp.Diff(properties, e.Properties); diff != "" {
		t.Errorf("properties (-want +got)\n%s", diff)
	}
	return e
}

// ear is a service that hears of feedback or of files: of those of all runs, while it has them alone.
type ear struct {
	*peer
	what    string
	records []record
}

// hears opens a service that listens until the test ends.
func (p *program) hears(t *testing.T, transport, what string) *ear {
	t.Helper()
	o := p.services.closing(t, p.services.add(t, "new office", setup{ConnectionString: p.env["HUBWIRE_CONNECTION_STRING"], Transport: transport}))
	o.do(t, "open", nil)
	o.do(t, "hear", map[string]string{"what": what})
	return &ear{peer: o, what: what}
}

// record is the next one of a device's messages.
func (e *ear) record(t *testing.T, id string) record {
	t.Helper()
	for {
		for len(e.records) > 0 {
			r := e.records[0]
			if e.records = e.records[1:]; r.DeviceID == id {
				return r
			}
		}
		if err := json.Unmarshal(nextInto[notice](t, e.peer, e.what).Body, &e.records); err != nil {
			t.Fatal(err)
		}
	}
}

// fileNotice is what the service is told of a file.
type fileNotice struct {
	DeviceID string    `json:"deviceId"`
	URI      string    `json:"blobUri"`
	Name     string    `json:"blobName"`
	Updated  time.Time `json:"lastUpdatedTime"`
	Size     int       `json:"blobSizeInBytes"`
	Enqueued time.Time `json:"enqueuedTimeUtc"`
}

// file is the next one of a device.
func (e *ear) file(t *testing.T, id string) fileNotice {
	t.Helper()
	for {
		var f fileNotice
		if err := json.Unmarshal(nextInto[notice](t, e.peer, e.what).Body, &f); err != nil {
			t.Fatal(err)
		}
		if f.DeviceID == id {
			return f
		}
	}
}
