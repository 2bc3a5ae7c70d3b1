package interop

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// reader is one of events, which reads a partition of one device.
type reader struct {
	*peer
	id, partition string
	n             int // readings
}

// until reads the bodies of a device's events up to the last.
func (r *reader) until(t *testing.T, where from, last string) string {
	t.Helper()
	r.n++
	name := fmt.Sprint("reading ", r.n)
	r.do(t, "listen", listen{Name: name, Partition: r.partition, From: where})
	var got []string
	for {
		e := nextInto[told](t, r.peer, name)
		if e.System["iothub-connection-device-id"] != r.id {
			continue
		}
		if got = append(got, string(e.Body)); string(e.Body) == last {
			break
		}
	}
	r.do(t, "stop", map[string]string{"name": name})
	for len(r.queue(name)) > 0 { // of what came before it stopped
		<-r.queue(name)
	}
	return strings.Join(got, "")
}

// TestNpmEvents has @azure/event-hubs read from each sort of place. A partition has
// five readers at most, so that this is done by one at a time.
func TestNpmEvents(t *testing.T) {
	p := join(t)
	for _, transport := range amqpTransports {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			p.alone(t, "readers")
			w := &way{p, transport}
			over := func(what string) string { return what + " over " + transport }
			id, c := (&way{p, "mqtt"}).open(t)
			pause := time.NewTicker(20 * time.Millisecond) // so that times differ
			defer pause.Stop()
			var at []told
			for i := range 10 {
				<-pause.C
				c.do(t, "send", sdkMessage{Body: fmt.Append(nil, i)})
				at = append(at, p.events.next(t, id.DeviceID))
			}
			r := &reader{w.services.closing(t, w.services.add(t, "new reader", map[string]string{"connectionString": w.eventHub(t), "transport": transport})), id.DeviceID, at[0].Partition, 0}
			for i := range 9 {
				if at[i+1].Sequence <= at[i].Sequence || at[i+1].Offset == at[i].Offset || at[i+1].Partition != at[i].Partition {
					t.Errorf("event %+v after %+v", at[i+1], at[i])
				}
			}
			for _, tt := range []struct {
				name, want string
				from       from
			}{
				{"the beginning", "0123456789", earliest},
				{"an offset", "6789", from{Offset: at[5].Offset}},
				{"an offset, with the event there", "56789", from{Offset: at[5].Offset, Inclusive: true}},
				{"a sequence number", "6789", from{Sequence: &at[5].Sequence}},
				{"a sequence number, with the event there", "56789", from{Sequence: &at[5].Sequence, Inclusive: true}},
				{"a time", "6789", from{Enqueued: at[5].Enqueued.UnixMilli()}},
			} {
				t.Run(over("events from "+tt.name), func(t *testing.T) {
					if got := r.until(t, tt.from, "9"); got != tt.want {
						t.Errorf("%s, want %s", got, tt.want)
					}
				})
			}
			t.Run(over("events from now on"), func(t *testing.T) {
				r.do(t, "listen", listen{Name: "latest", Partition: r.partition, From: latest})
				for i := 0; ; i++ { // nothing tells when it listens
					c.do(t, "send", sdkMessage{Body: fmt.Append(nil, "new ", i)})
					select {
					case v := <-r.queue("latest"):
						var e told
						if err := json.Unmarshal(v, &e); err != nil {
							t.Fatal(err)
						}
						if e.System["iothub-connection-device-id"] != id.DeviceID {
							continue
						}
						if !strings.HasPrefix(string(e.Body), "new ") {
							t.Errorf("event %q", e.Body)
						}
						r.do(t, "stop", map[string]string{"name": "latest"})
						return
					case <-time.After(100 * time.Millisecond):
					case <-t.Context().Done():
						t.Fatal("no event")
					}
				}
			})
			t.Run(over("the hub and its partitions"), func(t *testing.T) {
				r.gives(t, `["0","1","2","3"]`, "partitions", nil)
				h := answered[struct {
					Name string `json:"name"`
				}](t, r.peer, "hub", nil)
				part := answered[struct {
					Name  string `json:"eventHubName"`
					Last  int    `json:"lastEnqueuedSequenceNumber"`
					Empty bool   `json:"isEmpty"`
				}](t, r.peer, "partition", map[string]string{"partition": r.partition})
				if h.Name != "localhost" || part.Name != h.Name || part.Last < at[9].Sequence || part.Empty {
					t.Errorf("the hub is %+v, the partition %+v", h, part)
				}
			})
		})
	}
}
