package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
)

// asked are the rows that the demo has to have, whatever else it has, with their cells.
var asked = func() map[string][]string {
	cells := func(line string) []string { return strings.Fields(line) }
	rows := map[string][]string{}
	for _, group := range []struct {
		cells []string
		names []string
	}{
		{cells("ok ok ok ok ok"), []string{
			"telemetry, plain", "telemetry with every system property", "telemetry with awkward property values",
			"telemetry in an asynchronous burst of 1000", "C2D complete, with feedback", "C2D queued while offline",
			"C2D left unsettled comes again", "a wrong key is refused", "reconnect after a cut, nothing lost",
			"token renewal, nothing lost", "file upload, with its notification", "file upload in blocks, cancelled and resumed", "file upload, the 11th at a time, is refused",
		}},
		{cells("ok ok – – –"), []string{"C2D reject and abandon are refused honestly", "telemetry at most once (QoS 0)", "last will"}},
		{cells("ok ok ok ok –"), []string{
			"twin get", "twin reported properties",
			"twin desired properties, as a stream", "method answered", "method unknown to the device: 501",
			"method to an offline device: 404103", "method not answered in time: 504101", "module output and input", "module twin", "module method",
		}},
		{cells("– – ok ok ok"), []string{
			"C2D reject and abandon", "telemetry in batches that are one message", "token renewal on the same connection",
		}},
		{cells("– – ok ok –"), []string{
			"many devices on one connection", "service: messages, with what became of each", "service: messages that the hub does not take",
			"service: events read again, from a place on",
		}},
		{cells("ok – ok – –"), []string{"X.509 by an authority"}},
		{cells("– – – – ok"), []string{
			"service: a device, created to deleted", "service: a module, created to deleted",
			"service: keys made anew", "service: a stale ETag is refused: 412", "service: a policy without the right is refused",
			"service: bulk, with a result for each", "service: list and statistics", "service: query with pages and aggregates",
			"service: twin read, patched and replaced", "service: job that updates twins", "service: job that calls a method",
			"service: job on a schedule, cancelled", "service: configuration applied, with metrics",
			"service: export and import of the registry", "service: method of a device, with time-outs", "service: method of a module",
			"service: digital twin and command", "service: purge of a queue",
		}},
	} {
		for _, name := range group.names {
			rows[name] = group.cells
		}
	}
	return rows
}()

// parseTable reads the printed table back: the status of each cell by feature.
func parseTable(t *testing.T, out string) map[string][]string {
	t.Helper()
	_, body, ok := strings.Cut(out, "\nfeature ")
	if !ok {
		t.Fatalf("there is no table in\n%s", out)
	}
	body, foot, _ := strings.Cut(body, "\n\n")
	if !strings.HasSuffix(foot, " failed\n") {
		t.Errorf("the last line is not that of the counts but %q", foot)
	}
	_, body, _ = strings.Cut(body, "\n")
	rows := map[string][]string{}
	for line := range strings.Lines(body + "\n") {
		if name := strings.TrimSpace(line[:min(featureWidth, len(line))]); !strings.HasPrefix(line, " ") {
			rows[name] = strings.Fields(line[featureWidth:])
		}
	}
	return rows
}

func TestTheWholeTourPassesAndJSONAgrees(t *testing.T) {
	testkit.LeakCheck(t)
	out, err := command(t, "", "demo")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	shown := parseTable(t, out)
	for name, want := range asked {
		if !slices.Equal(shown[name], want) {
			t.Errorf("%q is %q, want %q", name, shown[name], want)
		}
	}
	passed := 0
	for name, cells := range shown { // a test for each cell, which CONFORMANCE.md can name
		for i, cell := range cells {
			if cell == "–" {
				continue
			}
			passed++
			t.Run(name+"/"+protocols[i].name, func(t *testing.T) {
				if cell != "ok" {
					t.Error(cell)
				}
			})
		}
	}
	if end := fmt.Sprintf("\n%d passed, 0 failed\n", passed); !strings.HasSuffix(out, end) {
		t.Errorf("the table does not end with %q but with %q", end, out[strings.LastIndex(out[:len(out)-1], "\n")+1:])
	}

	const part = "twin" // the tour takes long, and says of each part the same in the same way
	maps.DeleteFunc(shown, func(name string, _ []string) bool { return !strings.Contains(name, part) })
	text, err := command(t, "", "demo", "--json", "--only", part)
	if err != nil {
		t.Fatalf("--json: %v\n%s", err, text)
	}
	var got tableJSON
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	told := map[string][]string{}
	passed = 0
	for _, r := range got.Rows {
		for _, c := range r.Cells {
			s := string(c.Status)
			switch c.Status {
			case statusOK:
				passed++
			case statusImpossible:
				s = "–"
			}
			told[r.Feature] = append(told[r.Feature], s)
		}
	}
	if diff := cmp.Diff(shown, told); diff != "" {
		t.Errorf("the table and the JSON do not agree: -table +JSON\n%s", diff)
	}
	if got.Passed != passed || got.Failed != 0 || got.Skipped != 0 {
		t.Errorf("JSON counts %d passed, %d failed, %d skipped; its cells %d", got.Passed, got.Failed, got.Skipped, passed)
	}
}

func TestATourOfAHubThatExists(t *testing.T) {
	h := localHubWith(t, &hub.Config{ConsumerGroups: []string{"tour"}})
	hubtest.Device(t, h, "somebody-else")
	out, err := command(t, "", "demo", "--connection-string", "env:HUBWIRE_CONNECTION_STRING", "--take-feedback", "--consumer-group", "tour")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	shown := parseTable(t, out)
	for name, want := range map[string]string{
		"telemetry, plain": "ok ok ok ok ok", "telemetry at most once (QoS 0)": "ok ok – – –", "last will": "ok ok – – –",
		"C2D complete, with feedback": "ok ok ok ok ok", "module output and input": "ok* ok* ok* ok* –",
		"X.509 by an authority": "skipped – skipped – –", "many devices on one connection": "– – ok ok –",
		"reconnect after a cut, nothing lost": "ok ok ok ok ok", "file upload, with its notification": "ok ok ok ok ok",
		"service: configuration applied, with metrics": "– – – – ok*", "service: export and import of the registry": "– – – – skipped",
		"service: a policy without the right is refused": "– – – – skipped", "service: purge of a queue": "– – – – ok",
		"service: messages, with what became of each": "– – ok ok –",
	} {
		if got := strings.Join(shown[name], " "); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
	for _, want := range []string{
		" skipped: needs a container of blobs\n",
		" ok*: checked is only the output; the rest needs a route into a module, which is IoT Edge's\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if left := h.Devices(1000); len(left) != 1 {
		t.Errorf("%d devices are left on the hub, the first %v", len(left), left[0].Identity)
	}
}

func TestTheTourReadsTheConsumerGroupThatItIsTold(t *testing.T) {
	localHub(t)
	out, err := command(t, "", "demo", "--connection-string", "env:HUBWIRE_CONNECTION_STRING", "--consumer-group", "no", "--only", "telemetry, plain", "--transport", "mqtt")
	if err == nil || !strings.Contains(out, "mqtt: read events: 404") {
		t.Errorf("%v\n%s", err, out)
	}
}

// What others wait for on a hub that exists is theirs.
func TestTheTourLeavesTheFeedbackOfOthersAlone(t *testing.T) {
	h := localHub(t)
	settled(t, h, connectTo(t, h, hubtest.Device(t, h, "dev-1")), "theirs")
	for _, feature := range []string{"C2D complete, with feedback", "file upload, with its notification", "service: messages, with what became of each"} {
		out, err := command(t, "", "demo", "--connection-string", "env:HUBWIRE_CONNECTION_STRING", "--only", feature, "--transport", overAMQP)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got := parseTable(t, out)[feature]; !slices.Equal(got, []string{"ok*"}) {
			t.Errorf("%q is %q, want ok*", feature, got)
		}
	}
	if got := feedback(t, h, 1); !strings.HasPrefix(got, "theirs Success") {
		t.Errorf("there is %s", got)
	}
}

func TestTheTourOfAPart(t *testing.T) {
	testkit.LeakCheck(t)
	out, err := command(t, "", "demo", "--only", "twin get", "--transport", "mqtt-ws")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]string{"twin get": {"ok"}}, parseTable(t, out)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestDemoMistakesGiveOneClearLine(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no such feature", []string{"--only", "teleport"}, `--only "teleport": no feature has that in its name`},
		{"no such protocol", []string{"--transport", "coap"}, `--transport "coap" is none of mqtt, mqtt-ws, amqp, amqp-ws, https`},
		{"an empty connection string", []string{"--connection-string", ""}, "sas: connection string at offset 0 is empty"},
		{"a device's connection string", []string{"--connection-string", deviceCS}, "hubwire: connection string: 400004 ArgumentInvalid, not sent: it is for a device, not for a service"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := command(t, "", append([]string{"demo"}, tt.args...)...); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestCtrlCEndsTheTour(t *testing.T) {
	testkit.LeakCheck(t)
	j := start(t, "", "demo")
	j.await(t, "\ntelemetry, plain")
	if err := j.interrupt(); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if out := j.stdout.String(); strings.Contains(out, " passed, ") {
		t.Errorf("a tour that was broken off has a result:\n%s", out)
	}
}

// playOn runs one feature on a hub of its own and returns its cell, over the first protocol that has it.
func playOn(t *testing.T, cfg *hub.Config, limit time.Duration, x feature) cell {
	t.Helper()
	testkit.LeakCheck(t)
	v, err := startVenue(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := v.close(); err != nil {
			t.Error(err)
		}
	}()
	v.limit, v.grace = limit, limit
	column := slices.DeleteFunc(slices.Clone(protocols), func(p protocol) bool {
		return slices.Contains(x.lacks, p.name) || x.service != nil && !slices.Contains(x.service, p.name)
	})[:1]
	for r := range v.play(t.Context(), []feature{x}, column) {
		return r.cells[0]
	}
	t.Fatal("there is no row")
	return cell{}
}

func featureNamed(t *testing.T, name string) feature {
	t.Helper()
	i := slices.IndexFunc(features, func(x feature) bool { return x.name == name })
	if i < 0 {
		t.Fatalf("there is no feature %q", name)
	}
	return features[i]
}

// A demo is worth what it finds: each of these hubs does one thing wrong.
func TestACellFailsOnAHubThatIsWrong(t *testing.T) {
	verdict := func(kind hub.OpKind, v hub.Verdict) func(context.Context, *hub.Op) hub.Verdict {
		return func(_ context.Context, op *hub.Op) hub.Verdict {
			if op.Kind == kind {
				return v
			}
			return hub.Verdict{}
		}
	}
	const late, later = "it took more than", "it did not end within" // which is for a busy machine to say
	refuse := hub.Verdict{Refuse: hubwire.Throttled}
	// request does v to the HTTPS requests of this method to paths with that in them.
	request := func(method, in string, v hub.Verdict) func(context.Context, *hub.Op) hub.Verdict {
		return func(_ context.Context, op *hub.Op) hub.Verdict {
			if op.Kind == hub.OpRequest && strings.HasPrefix(op.Name, method+" ") && strings.Contains(op.Name, in) {
				return v
			}
			return hub.Verdict{}
		}
	}
	// subscribe refuses links of a back end whose address has that in it.
	subscribe := func(in string, code hubwire.Code) func(context.Context, *hub.Op) hub.Verdict {
		return func(_ context.Context, op *hub.Op) hub.Verdict {
			if op.Kind == hub.OpSubscribe && op.Identity == (hubwire.Identity{}) && strings.Contains(strings.ToLower(op.Name), strings.ToLower(in)) {
				return hub.Verdict{Refuse: code}
			}
			return hub.Verdict{}
		}
	}
	conflict := hub.Verdict{Refuse: hubwire.PreconditionFailed}
	tests := []struct {
		name      string
		feature   string
		intercept func(context.Context, *hub.Op) hub.Verdict
		want      string
	}{
		{"it refuses every write under an ETag", "service: a stale ETag is refused: 412", request("PUT", "/devices/", conflict), "412"},
		{"it deletes nothing", "service: a device, created to deleted", request("DELETE", "/devices/", conflict), "412"},
		{"its methods go nowhere", "service: method of a module", verdict(hub.OpMethod, refuse), late},
		{"its jobs do not reach devices", "service: job that calls a method", verdict(hub.OpMethod, refuse), late},
		{"it tells of no desired properties", "service: twin read, patched and replaced", verdict(hub.OpTwinDesired, refuse), late},
		{"it does not hear that a message is rejected", "C2D reject and abandon", verdict(hub.OpAck, hub.Verdict{Refuse: hubwire.MessageLockLost}), "412002"},
		{"it takes no file", "file upload, with its notification", request("PUT", "/device-uploads/", refuse), "the storage account answers 429"},
		{"it hears of no end of an upload", "file upload, with its notification", request("POST", "/files/notifications", hub.Verdict{SwallowAck: true}), late},
		{"it has no feedback", "service: purge of a queue", subscribe("feedback", hubwire.NotFound), "404"},
		{"it has no notifications of files", "file upload, with its notification", subscribe("filenotifications", hubwire.NotFound), "404"},
		{"it has no events", "service: events read again, from a place on", subscribe("Partitions", hubwire.NotFound), "404"},
		{"it renews no tokens", "token renewal on the same connection", func() func(context.Context, *hub.Op) hub.Verdict {
			var tokens atomic.Int64
			return func(_ context.Context, op *hub.Op) hub.Verdict {
				if op.Kind == hub.OpToken && strings.Contains(op.Name, "hubwire-demo-") && tokens.Add(1) > 1 {
					return hub.Verdict{Refuse: hubwire.Unauthorized}
				}
				return hub.Verdict{}
			}
		}(), "401"},
		{"it has one device on a connection", "many devices on one connection", func() func(context.Context, *hub.Op) hub.Verdict {
			var devices atomic.Int64
			return func(_ context.Context, op *hub.Op) hub.Verdict {
				if op.Kind == hub.OpConnect && devices.Add(1) > 1 {
					return hub.Verdict{Refuse: hubwire.Unauthorized}
				}
				return hub.Verdict{}
			}
		}(), "401"},
		{"it acknowledges no telemetry", "telemetry, plain", verdict(hub.OpPublish, hub.Verdict{SwallowAck: true}), late},
		{"it cuts instead of acknowledging", "telemetry, plain", verdict(hub.OpPublish, hub.Verdict{DropAfter: true}), late},
		{"it keeps messages to itself", "C2D complete, with feedback", verdict(hub.OpC2D, refuse), late},
		{"it does not hear that a message is complete", "C2D complete, with feedback", verdict(hub.OpAck, hub.Verdict{DropBefore: true}), late},
		{"it refuses reports", "twin reported properties", verdict(hub.OpTwinReport, refuse), "429001"},
		{"it tells of no changes", "twin desired properties, as a stream", verdict(hub.OpTwinDesired, refuse), late},
		{"it does not pass methods on", "method answered", verdict(hub.OpMethod, refuse), late},
		{"it drops answers", "method answered", verdict(hub.OpMethodResponse, hub.Verdict{DropBefore: true}), "404104"},
		{"it lets nobody in", "a wrong key is refused", verdict(hub.OpConnect, hub.Verdict{Refuse: hubwire.Unauthorized}), "with its own key: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			limit := time.Minute
			if tt.want == late { // which is all that can come of it
				limit = time.Second / 2
			}
			c := playOn(t, &hub.Config{Intercept: tt.intercept}, limit, featureNamed(t, tt.feature))
			if tt.want == late && strings.Contains(c.reason, later) {
				return
			}
			if c.status != statusFailed || !strings.Contains(c.reason, tt.want) {
				t.Errorf("the cell is %s: %q, want failed: %q", c.status, c.reason, tt.want)
			}
		})
	}
}

func TestACellThatMisbehavesFailsAlone(t *testing.T) {
	released := make(chan struct{})
	defer close(released)
	const soon, never = 50 * time.Millisecond, time.Minute
	tests := []struct {
		name         string
		limit, grace time.Duration
		run          func(context.Context, *stage) error
		want         string
	}{
		{"it panics", never, never, func(context.Context, *stage) error { panic("oh") }, "panic: oh"},
		{"it does not end in time", soon, never, func(ctx context.Context, _ *stage) error { <-ctx.Done(); return ctx.Err() }, "it took more than 50ms"},
		{"it does not heed its context", soon, soon, func(context.Context, *stage) error { <-released; return nil }, "it did not end within 150ms"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := &venue{limit: tt.limit, grace: tt.grace}
			c := v.playCell(t.Context(), feature{name: "x", run: tt.run}, protocols[0])
			if c.status != statusFailed || !strings.HasPrefix(c.reason, tt.want) {
				t.Errorf("the cell is %s: %q, want failed: %q", c.status, c.reason, tt.want)
			}
		})
	}
}
