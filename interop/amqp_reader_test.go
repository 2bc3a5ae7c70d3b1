package interop

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
)

// archive is the hub's endpoint for reading events, and who reads it.
type archive struct {
	*site
	judge     *judge
	transport string
}

// TestReader lets @azure/event-hubs read what devices send over each protocol.
func TestReader(t *testing.T) {
	wanted(t)
	s := openSite(t, hub.Config{})
	j := startJudge(t, s.caFile)
	for _, transport := range []string{"amqp", "amqp-ws"} {
		a := &archive{s, j, transport}
		t.Run(transport, func(t *testing.T) {
			t.Run("the hub and its partitions", a.describes)
			t.Run("what each protocol sends", a.reads)
			t.Run("where to start", a.starts)
			t.Run("groups of consumers", a.groups)
			t.Run("all partitions by one subscription", a.everywhere)
			t.Run("owner levels", a.levels)
			t.Run("what is refused", a.refuses)
		})
	}
	t.Run("the redirect from the hub's own connection string", (&archive{s, j, "amqp"}).redirect)
}

// reader makes a consumer, which is closed with the test.
func (a *archive) reader(t *testing.T, connectionString, group string) *peer {
	t.Helper()
	return a.judge.closing(t, a.judge.add(t, "new reader", map[string]string{"connectionString": connectionString, "group": group, "transport": a.transport}))
}

// open makes a consumer of the default group.
func (a *archive) open(t *testing.T) *peer {
	t.Helper()
	return a.reader(t, a.eventHub(t), "")
}

// listen says what to read and from where.
type listen struct {
	Name      string `json:"name"`
	Partition string `json:"partition,omitempty"` // else all of them
	From      from   `json:"from"`
	Level     *int   `json:"level,omitempty"`
	Metrics   bool   `json:"metrics,omitempty"`
}

type from struct {
	Offset    any   `json:"offset,omitempty"`
	Sequence  *int  `json:"sequenceNumber,omitempty"`
	Enqueued  int64 `json:"enqueuedOn,omitempty"`
	Inclusive bool  `json:"isInclusive,omitempty"`
}

var earliest, latest = from{Offset: "-1"}, from{Offset: "@latest"}

// told is an event as the SDK tells it.
type told struct {
	Body       []byte         `json:"body"`
	BodyType   string         `json:"bodyType"`
	Enqueued   time.Time      `json:"enqueuedTimeUtc"`
	Sequence   int            `json:"sequenceNumber"`
	Offset     string         `json:"offset"`
	Properties map[string]any `json:"properties"`
	System     map[string]any `json:"systemProperties"`
	Partition  string         `json:"-"` // of a feed's
	Last       *struct {
		Sequence int       `json:"sequenceNumber"`
		Offset   string    `json:"offset"`
		Enqueued time.Time `json:"enqueuedOn"`
	} `json:"last"`
}

// partitionOf is the partition that a device's events are in.
func (a *archive) partitionOf(t *testing.T, id hubwire.Identity, send func()) string {
	t.Helper()
	events := a.events(t, id)
	send()
	ev, err := events.Next(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(ev.Partition)
}

func (a *archive) describes(t *testing.T) {
	p := a.open(t)
	h := answered[struct {
		Name    string    `json:"name"`
		Created time.Time `json:"createdOn"`
		IDs     []string  `json:"partitionIds"`
	}](t, p, "hub", nil)
	if h.Name != a.entity() || time.Since(h.Created) > time.Hour || h.Created.After(time.Now()) {
		t.Errorf("the hub is %+v", h)
	}
	p.gives(t, `["0","1","2","3"]`, "partitions", nil)
	id, device := (&court{a.site, a.judge, "mqtt"}).open(t)
	n := a.partitionOf(t, id, func() { device.do(t, "send", sdkMessage{}) })
	type partition struct {
		Name     string    `json:"eventHubName"`
		ID       string    `json:"partitionId"`
		First    int       `json:"beginningSequenceNumber"`
		Last     int       `json:"lastEnqueuedSequenceNumber"`
		Offset   string    `json:"lastEnqueuedOffset"`
		Enqueued time.Time `json:"lastEnqueuedOnUtc"`
		Empty    bool      `json:"isEmpty"`
	}
	before := answered[partition](t, p, "partition", map[string]string{"partition": n})
	if before.Name != h.Name || before.ID != n || before.Empty || time.Since(before.Enqueued) > time.Minute {
		t.Errorf("partition %+v", before)
	}
	device.do(t, "sendAll", []sdkMessage{{}, {}, {}})
	after := answered[partition](t, p, "partition", map[string]string{"partition": n})
	if after.Last != before.Last+3 || after.First != before.First || after.Offset == before.Offset {
		t.Errorf("after three more, partition %+v was %+v", after, before)
	}
}

// reads has one message over each protocol, which reads the same.
func (a *archive) reads(t *testing.T) {
	p := a.open(t)
	for _, transport := range []string{"mqtt", "https", "amqp", "amqp-ws"} {
		t.Run(transport, func(t *testing.T) {
			id, device := (&court{a.site, a.judge, transport}).open(t)
			n := a.partitionOf(t, id, func() { device.do(t, "send", sdkMessage{}) })
			p.do(t, "listen", listen{Name: id.DeviceID, Partition: n, From: from{Enqueued: time.Now().Add(-time.Minute).UnixMilli()}})
			to := path(id) + "/messages/events"
			device.do(t, "send", sdkMessage{
				Body: allBytes(), MessageID: "m-1", CorrelationID: "c-1", To: to, ContentType: "application/json", ContentEncoding: "utf-8",
				Expiry: "2030-01-02T03:04:05.678Z", Security: true, Properties: props("dt-subject", "thermostat1", "a", "b", "n", "1"),
			})
			var e told
			for e = nextInto[told](t, p, id.DeviceID); e.System["messageId"] == nil || e.System["iothub-connection-device-id"] != id.DeviceID; {
				e = nextInto[told](t, p, id.DeviceID)
			}
			registered, err := a.Device(id)
			if err != nil {
				t.Fatal(err)
			}
			if string(e.Body) != string(allBytes()) || e.BodyType != "data" || time.Since(e.Enqueued) > time.Minute {
				t.Errorf("event %+v", e)
			}
			sameValue(t, "properties", `{"a":"b","n":"1"}`, e.Properties)
			want := map[string]any{
				"iothub-connection-device-id":          id.DeviceID,
				"iothub-connection-auth-method":        `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`,
				"iothub-connection-auth-generation-id": registered.GenerationID,
				"iothub-enqueuedtime":                  float64(e.Enqueued.UnixMilli()),
				"iothub-message-source":                "Telemetry",
				"iothub-interface-id":                  "urn:azureiot:Security:SecurityAgent:1",
				"dt-subject":                           "thermostat1",
				"messageId":                            "m-1", "correlationId": "c-1", "to": to,
				"contentType": "application/json", "contentEncoding": "utf-8",
				"absoluteExpiryTime": float64(time.Date(2030, 1, 2, 3, 4, 5, 678e6, time.UTC).UnixMilli()),
			}
			if diff := cmp.Diff(want, e.System); diff != "" {
				t.Errorf("system properties (-want +got)\n%s", diff)
			}
			p.do(t, "stop", map[string]string{"name": id.DeviceID})
		})
	}
}

// starts reads ten events from each sort of place.
func (a *archive) starts(t *testing.T) {
	id, device := (&court{a.site, a.judge, "mqtt"}).open(t)
	p := a.open(t)
	n := a.partitionOf(t, id, func() { device.do(t, "send", sdkMessage{Body: []byte("0")}) })
	var at []told
	read := func(t *testing.T, where from, name string, until int) (got []string) {
		t.Helper()
		p.do(t, "listen", listen{Name: name, Partition: n, From: where})
		for {
			e := nextInto[told](t, p, name)
			if e.System["iothub-connection-device-id"] != id.DeviceID {
				continue
			}
			if len(at) < 10 {
				at = append(at, e)
			}
			if got = append(got, string(e.Body)); string(e.Body) == fmt.Sprint(until) {
				p.do(t, "stop", map[string]string{"name": name})
				return got
			}
		}
	}
	pause := time.NewTicker(20 * time.Millisecond) // so that times differ
	defer pause.Stop()
	for i := 1; i < 10; i++ {
		<-pause.C
		device.do(t, "send", sdkMessage{Body: fmt.Append(nil, i)})
	}
	if got := strings.Join(read(t, earliest, "earliest", 9), ""); got != "0123456789" {
		t.Fatalf("from the beginning: %s", got)
	}
	for i := range 9 {
		if at[i+1].Sequence <= at[i].Sequence || at[i+1].Offset == at[i].Offset {
			t.Errorf("event %d after %d, offset %s after %s", at[i+1].Sequence, at[i].Sequence, at[i+1].Offset, at[i].Offset)
		}
	}
	for _, tt := range []struct {
		name, want string
		from       from
	}{
		{"offset", "6789", from{Offset: at[5].Offset}},
		{"offset, inclusive", "56789", from{Offset: at[5].Offset, Inclusive: true}},
		{"sequence number", "6789", from{Sequence: &at[5].Sequence}},
		{"sequence number, inclusive", "56789", from{Sequence: &at[5].Sequence, Inclusive: true}},
		{"time", "6789", from{Enqueued: at[5].Enqueued.UnixMilli()}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(read(t, tt.from, tt.name, 9), ""); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
	t.Run("latest, with what is known of the partition", func(t *testing.T) {
		p.do(t, "listen", listen{Name: "latest", Partition: n, From: latest, Metrics: true})
		seen := false
		for i := 0; !seen; i++ { // nothing tells when it listens
			device.do(t, "send", sdkMessage{Body: fmt.Append(nil, "new ", i)})
			select {
			case v := <-p.queue("latest"):
				var e told
				if err := json.Unmarshal(v, &e); err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(string(e.Body), "new ") {
					t.Errorf("event %q", e.Body)
				}
				if l := e.Last; l == nil || l.Sequence < e.Sequence || l.Offset == "" || l.Enqueued.IsZero() {
					t.Errorf("last is %+v of event %d", l, e.Sequence)
				}
				seen = true
			case <-time.After(100 * time.Millisecond):
			}
		}
		p.do(t, "stop", map[string]string{"name": "latest"})
	})
}

// groups has two consumers, which each read all.
func (a *archive) groups(t *testing.T) {
	id, device := (&court{a.site, a.judge, "mqtt"}).open(t)
	n := a.partitionOf(t, id, func() { device.do(t, "send", sdkMessage{Body: []byte("x")}) })
	for range 2 {
		p := a.open(t)
		p.do(t, "listen", listen{Name: "group", Partition: n, From: earliest})
		for e := nextInto[told](t, p, "group"); e.System["iothub-connection-device-id"] != id.DeviceID; {
			e = nextInto[told](t, p, "group")
		}
		p.silent(t, "group lost")
	}
}

// everywhere has a consumer that names no partition, and is the owner of each by that.
func (a *archive) everywhere(t *testing.T) {
	p := a.open(t)
	p.do(t, "listen", listen{Name: "all", From: latest})
	want := map[string]bool{}
	seen := map[string]bool{}
	for partitions := map[string]bool{}; len(partitions) < 4; {
		id, device := (&court{a.site, a.judge, "mqtt"}).open(t)
		partitions[a.partitionOf(t, id, func() { device.do(t, "send", sdkMessage{Body: []byte("first")}) })] = true
		want[id.DeviceID] = true
		for !seen[id.DeviceID] { // nothing tells when it listens
			device.do(t, "send", sdkMessage{})
			select {
			case v := <-p.queue("all"):
				var e told
				if err := json.Unmarshal(v, &e); err != nil {
					t.Fatal(err)
				}
				seen[e.System["iothub-connection-device-id"].(string)] = true
			case <-time.After(100 * time.Millisecond):
			case <-t.Context().Done():
				t.Fatal("no event")
			}
		}
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("devices (-want +got)\n%s", diff)
	}
	p.silent(t, "all lost")
	p.do(t, "stop", map[string]string{"name": "all"})
}

// levels has readers of one partition take it from each other.
func (a *archive) levels(t *testing.T) {
	id, device := (&court{a.site, a.judge, "mqtt"}).open(t)
	n := a.partitionOf(t, id, func() { device.do(t, "send", sdkMessage{Body: []byte("x")}) })
	reads := func(name string, level *int) *peer {
		p := a.open(t)
		p.do(t, "listen", listen{Name: name, Partition: n, From: earliest, Level: level})
		return p
	}
	zero, one, two := 0, 1, 2
	lost := func(p *peer, name string) {
		t.Helper()
		if e := nextInto[sdkError](t, p, name+" lost"); e.Name != "ReceiverDisconnectedError" {
			t.Errorf("%s: %v", name, &e)
		}
	}
	none := reads("none", nil)
	none.next(t, "none")
	first := reads("first", &one)
	first.next(t, "first")
	lost(none, "none")
	second := reads("second", &two)
	second.next(t, "second")
	lost(first, "first")
	lost(reads("lower", &zero), "lower")
	lost(reads("without", nil), "without")
	second.silent(t, "second lost")
}

func (a *archive) refuses(t *testing.T) {
	cs := a.eventHub(t)
	t.Run("a partition that there is not", func(t *testing.T) {
		p := a.open(t)
		p.do(t, "listen", listen{Name: "r", Partition: "9", From: earliest})
		if e := nextInto[sdkError](t, p, "r lost"); e.Name != "ArgumentOutOfRangeError" {
			t.Error(&e)
		}
		if r, err := a.judge.call(within(t), p.name, "partition", map[string]string{"partition": "9"}); err == nil {
			t.Errorf("its properties: %s", r)
		}
	})
	t.Run("a group that there is not", func(t *testing.T) {
		p := a.reader(t, cs, "nobody")
		p.do(t, "listen", listen{Name: "r", Partition: "0", From: earliest})
		if e := nextInto[sdkError](t, p, "r lost"); e.Name != "ServiceCommunicationError" {
			t.Error(&e)
		}
	})
	t.Run("another key", func(t *testing.T) {
		p := a.reader(t, regexp.MustCompile("SharedAccessKey=[^;]*").ReplaceAllString(cs, "SharedAccessKey=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), "")
		p.fails(t, "MessagingError", "", "hub", nil)
	})
	t.Run("another name", func(t *testing.T) {
		p := a.reader(t, strings.Replace(cs, "EntityPath="+a.entity(), "EntityPath=nothing", 1), "")
		p.fails(t, "MessagingError", "", "hub", nil)
	})
}

// redirect goes the way of Microsoft's sample: with the hub's connection string it
// attaches to the hub's own endpoint, which says where events are.
func (a *archive) redirect(t *testing.T) {
	cs, err := a.PolicyConnectionString("service")
	if err != nil {
		t.Fatal(err)
	}
	host := a.HostName()
	bare := a.judge.bare(t, bareSetup{
		Username: "service@sas.root." + strings.Split(host, ".")[0],
		Password: token(t, cs, host+"/messages", "service", time.Now().Add(5*time.Minute)),
	})
	bare.do(t, "open", nil)
	bare.fails(t, "amqp:link:redirect", "", "attach", attach{Link: "r", Role: "receiver", Address: "amqps://" + host + "/messages/events/$management"})
	e := nextInto[detached](t, bare, "detached")
	found := regexp.MustCompile(`:\d+/(.*)/\$management`).FindStringSubmatch(e.Info.Address)
	if found == nil || e.Info.Hostname == "" || e.Info.Port != 5671 {
		t.Fatalf("redirected to %+v", e.Info)
	}
	p := a.reader(t, eventHubString(t, strings.Replace(cs, host, e.Info.Hostname, 1), found[1]), "")
	p.gives(t, `["0","1","2","3"]`, "partitions", nil)
}
