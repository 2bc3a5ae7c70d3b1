package interop

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/mqtt"
)

// TestStranger lets a broker that nobody here wrote judge [mqtt.Session].
func TestStranger(t *testing.T) {
	wanted(t)
	testkit.LeakCheck(t)
	b := startBroker(t)
	for _, way := range []string{"tls", "wss"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			for name, test := range strangerTests(way) {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, b.road(t, way))
				})
			}
		})
	}
}

func strangerTests(way string) map[string]func(*testing.T, *road) {
	tests := map[string]func(*testing.T, *road){
		"publishes":                       publishes,
		"many at once":                    publishesMany,
		"subscriptions":                   subscribes,
		"receipts in any order":           acknowledgesInAnyOrder,
		"a full window":                   acknowledgesLate,
		"refused logins":                  isRefused,
		"refused subscriptions":           subscribesInVain,
		"resend after a cut":              resends,
		"messages while away":             isRemembered,
		"messages that come again":        getsAgain,
		"a storm of cuts":                 outlastsAStorm,
		"idle":                            staysWhenIdle,
		"silence":                         noticesSilence,
		"will":                            leavesAWill,
		"two sessions with one client id": fightsOverAnID,
		"a broker that forgot":            isForgotten,
	}
	if way == "wss" {
		tests["any path"] = comesByAnyPath
	} else { // where Mosquitto 2.0 is less strict through a WebSocket
		tests["a packet too large"] = sendsTooMuch
		tests["a client that vanished"] = vanishes
	}
	return tests
}

// publishes has an observer see each message as it was sent.
func publishes(t *testing.T, r *road) {
	root := nextID() + "/"
	o := r.observe(t, root+"#")
	s := r.session(t, nextID(), nil)
	tests := []struct {
		name string
		p    mqtt.Publish
	}{
		{"QoS 0", mqtt.Publish{Topic: []byte("a"), Payload: []byte("hi")}},
		{"QoS 1", mqtt.Publish{Topic: []byte("a"), Payload: []byte("hi"), QoS: 1}},
		{"no body", mqtt.Publish{Topic: []byte("a"), QoS: 1}},
		{"every byte", mqtt.Publish{Topic: []byte("a"), Payload: allBytes(), QoS: 1}},
		{"levels without a name", mqtt.Publish{Topic: []byte("//a/"), QoS: 1}},
		{"a topic of two, three and four bytes a letter", mqtt.Publish{Topic: []byte("grün/日本/😀"), Payload: []byte("日本"), QoS: 1}},
		{"a long topic", mqtt.Publish{Topic: bytes.Repeat([]byte("x"), 60_000), QoS: 1}},
	}
	for _, n := range []int{1, 100, 127, 128, 16_000, 16_383, 16_384, 65_535, 65_536, 256 << 10} {
		p := mqtt.Publish{Topic: []byte("size"), Payload: bytes.Repeat([]byte("x"), n), QoS: 1}
		tests = append(tests, struct {
			name string
			p    mqtt.Publish
		}{fmt.Sprintf("%d bytes", n), p})
	}
	for _, tt := range tests {
		tt.p.Topic = append([]byte(root), tt.p.Topic...)
		if spare := mqtt.DefaultMaxPacket - tt.p.Size(); tt.name == "262144 bytes" { // as large as may be
			tt.p.Payload = tt.p.Payload[:len(tt.p.Payload)+min(spare, 0)]
		}
		if err := s.Publish(within(t), &tt.p); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		want := received{strconv.Itoa(int(tt.p.QoS)), string(tt.p.Topic), string(tt.p.Payload)}
		if got := o.next(t); got != want {
			t.Errorf("%s: got QoS %s, topic %.100q, %d bytes", tt.name, got.QoS, got.Topic, len(got.Body))
		}
	}
	over := mqtt.Publish{Topic: []byte(root + "x"), Payload: make([]byte, mqtt.DefaultMaxPacket), QoS: 1}
	if err := s.Publish(within(t), &over); !errors.Is(err, hubwire.MessageTooLarge) {
		t.Errorf("a packet over the limit: %v", err)
	}
}

// publishesMany pipelines, and every message arrives once and in order.
func publishesMany(t *testing.T, r *road) {
	const n = 20_000
	topic := nextID()
	o := r.observe(t, topic)
	s := r.session(t, nextID(), nil)
	failed := make(chan error, n)
	acknowledged := make(chan struct{}, n)
	go func() {
		for i := range n {
			err := s.PublishAsync(t.Context(), message(topic, strconv.Itoa(i)), func(err error) {
				if err != nil {
					failed <- err
				}
				acknowledged <- struct{}{}
			})
			if err != nil {
				failed <- err
				return
			}
		}
	}()
	for i := range n {
		if got, want := o.next(t), (received{"1", topic, strconv.Itoa(i)}); got != want {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	for range n {
		select {
		case <-acknowledged:
		case <-within(t).Done():
			t.Fatal("not all are acknowledged")
		}
	}
	select {
	case err := <-failed:
		t.Error(err)
	default:
	}
	if n := s.connections(); n != 1 {
		t.Errorf("it took %d connections", n)
	}
}

func subscribes(t *testing.T, r *road) {
	root := nextID() + "/"
	r.pub(t, nil, "-q", "1", "-r", "-t", root+"kept", "-m", "retained")
	s := r.session(t, nextID(), nil)
	for qos, filters := range map[mqtt.QoS][]string{0: {root + "zero/#"}, 1: {root + "kept", root + "+/one", root + "grün/日本"}} {
		if err := s.Subscribe(within(t), qos, filters...); err != nil {
			t.Fatal(err)
		}
	}
	big := strings.Repeat("0123456789abcdef", 16_000)
	for _, args := range [][]string{
		{"-q", "0", "-t", root + "x/one", "-m", "0 to 1"},
		{"-q", "1", "-t", root + "x/one", "-m", "1 to 1"},
		{"-q", "2", "-t", root + "x/one", "-m", "2 to 1"},
		{"-q", "1", "-t", root + "zero", "-m", "1 to 0"},
		{"-q", "1", "-t", root + "zero/a/b", "-n"},
		{"-q", "1", "-t", root + "nobody", "-m", "x"},
		{"-q", "1", "-t", root + "grün/日本", "-m", "日本"},
		{"-q", "1", "-t", root + "x/one", "-s"},
	} {
		r.pub(t, strings.NewReader(big), args...)
	}
	want := []received{
		{"1", root + "kept", "retained"},
		{"0", root + "x/one", "0 to 1"}, {"1", root + "x/one", "1 to 1"}, {"1", root + "x/one", "2 to 1"},
		{"0", root + "zero", "1 to 0"}, {"0", root + "zero/a/b", ""}, {"1", root + "grün/日本", "日本"}, {"1", root + "x/one", big},
	}
	for i, want := range want {
		got := s.next(t)
		if got.received != want || got.Retain != (i == 0) || got.Dup {
			t.Errorf("message %d: got %.200v, want %.200v", i, got, want)
		}
		ack(t, got)
	}
	if err := s.Unsubscribe(within(t), root+"+/one"); err != nil {
		t.Fatal(err)
	}
	r.pub(t, nil, "-q", "1", "-t", root+"x/one", "-m", "not for us")
	r.pub(t, nil, "-q", "1", "-t", root+"kept", "-m", "the last")
	if got := s.next(t); got.Body != "the last" {
		t.Errorf("after Unsubscribe came %q", got.Body)
	}
}

func ack(t *testing.T, d delivery) {
	t.Helper()
	if err := d.receipt.Ack(); err != nil {
		t.Errorf("ack of %.100q: %v", d.Body, err)
	}
}

// lines is n messages for mosquitto_pub -l, numbered.
func lines(n int) *strings.Reader {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d\n", i)
	}
	return strings.NewReader(b.String())
}

// acknowledgesInAnyOrder lets the broker wait for its PUBACKs, which come in the
// order of its messages whatever the order of the receipts.
func acknowledgesInAnyOrder(t *testing.T, r *road) {
	const n = 3 * brokerWindow
	topic := nextID()
	s := r.session(t, nextID(), nil)
	if err := s.Subscribe(within(t), mqtt.AtLeastOnce, topic); err != nil {
		t.Fatal(err)
	}
	r.pub(t, lines(n), "-q", "1", "-t", topic, "-l")
	var held []delivery
	for i := range n {
		d := s.next(t)
		if want := strconv.Itoa(i); d.Body != want || d.Dup {
			t.Fatalf("got %q (DUP %v), want %q", d.Body, d.Dup, want)
		}
		held = append(held, d)
		switch len(held) {
		case brokerWindow: // it sends no more without a PUBACK, and has none until the last of these
			slices.Reverse(held)
		case n - brokerWindow:
			slices.SortStableFunc(held, func(a, b delivery) int { return mixed(a) - mixed(b) })
		default:
			continue
		}
		for _, d := range held {
			if len(s.got) > 0 && i < brokerWindow {
				t.Fatal("the broker goes on without a PUBACK")
			}
			ack(t, d)
		}
		held = nil
	}
	r.says(t, s.id, n, "Received PUBACK from it")
	if diff := cmp.Diff(packetIDs(r.log.of(s.id, "Sending PUBLISH to it (")), packetIDs(r.log.of(s.id, "Received PUBACK from it ("))); diff != "" {
		t.Errorf("packet identifiers of PUBLISH and PUBACK differ in order (-PUBLISH +PUBACK)\n%s", diff)
	}
}

// mixed is a place for d in an order that is neither its own nor the reverse.
func mixed(d delivery) int {
	n, _ := strconv.Atoi(d.Body)
	return n * 7 % brokerWindow
}

// packetIDs returns the packet identifiers in lines such as
//
//	Sending PUBLISH to ours-1 (d0, q1, r0, m7, 'topic', ... (5 bytes))
//	Received PUBACK from ours-1 (Mid: 7, RC:0)
func packetIDs(lines []string) (ids []string) {
	for _, f := range lines {
		for _, v := range strings.Split(f, ", ") {
			if id, ok := strings.CutPrefix(v, "m"); ok {
				ids = append(ids, id)
				break
			}
			if id, ok := strings.CutPrefix(v, "Mid: "); ok {
				ids = append(ids, id)
				break
			}
		}
	}
	return ids
}

// acknowledgesLate leaves a window full for as long as it takes the broker to
// deliver something else.
func acknowledgesLate(t *testing.T, r *road) {
	root := nextID() + "/"
	s := r.session(t, nextID(), nil)
	if err := s.Subscribe(within(t), mqtt.AtLeastOnce, root+"full"); err != nil {
		t.Fatal(err)
	}
	if err := s.Subscribe(within(t), mqtt.AtMostOnce, root+"free"); err != nil {
		t.Fatal(err)
	}
	r.pub(t, lines(brokerWindow+1), "-q", "1", "-t", root+"full", "-l")
	var held []delivery
	for range brokerWindow {
		held = append(held, s.next(t))
	}
	r.pub(t, nil, "-q", "1", "-t", root+"free", "-m", "passes")
	if got := s.next(t); got.Body != "passes" {
		t.Errorf("while the window is full came %q", got.Body)
	}
	s.publish(t, root+"nobody", "x") // and the other direction is free
	ack(t, held[0])
	last := s.next(t)
	if want := strconv.Itoa(brokerWindow); last.Body != want {
		t.Errorf("after one acknowledgement came %q, want %q", last.Body, want)
	}
	for _, d := range append(held, last) { // the first for the second time
		ack(t, d)
	}
	r.says(t, s.id, brokerWindow+1, "Received PUBACK from it")
	if n := r.said(s.id, "Received PUBACK from it ("); n != brokerWindow+1 {
		t.Errorf("%d PUBACKs for %d messages", n, brokerWindow+1)
	}
}
