package interop

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
)

// atOnce runs a command of a client so many times, with what make gives for each, and waits for all.
func atOnce(t *testing.T, p *peer, n int, action string, make func(int) any) (answers []string) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			r, err := p.judge.call(within(t), p.name, action, make(i))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("%s %d: %v", action, i, err)
			}
			answers = append(answers, string(r))
		})
	}
	all.Wait()
	return answers
}

// TestNpmLife has clients that come and go, and that do many things at once.
func TestNpmLife(t *testing.T) {
	p := join(t)
	p.over(t, everyTransport, "a client that is closed and opened again", func(t *testing.T, w *way) {
		id, c := w.open(t)
		for range 5 {
			w.works(t, id.DeviceID, c)
			c.do(t, "close", nil)
			c.do(t, "open", nil)
		}
		w.works(t, id.DeviceID, c)
	})
	p.over(t, everyTransport, "a client that is opened twice, and closed twice", func(t *testing.T, w *way) {
		id, c := w.open(t)
		c.do(t, "open", nil)
		w.works(t, id.DeviceID, c)
		c.do(t, "close", nil)
		c.do(t, "close", nil)
	})
	p.over(t, everyTransport, "a client that sends before it is opened", func(t *testing.T, w *way) {
		d := w.register(t, identity{})
		w.works(t, d.DeviceID, w.client(t, deviceString(d)))
	})
	p.over(t, everyTransport, "twenty devices at once", func(t *testing.T, w *way) {
		var ids []string
		var all sync.WaitGroup
		m := sdkMessage{Body: []byte("one of twenty")}
		for range 20 {
			d := w.register(t, identity{})
			ids = append(ids, d.DeviceID)
			c := w.client(t, deviceString(d))
			all.Go(func() {
				if _, err := w.judge.call(within(t), c.name, "send", m); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, id := range ids {
			w.reads(t, id, m)
		}
	})
	p.over(t, everyTransport, "who stops listening, and listens again", func(t *testing.T, w *way) {
		id, c := w.open(t)
		for i := range 3 {
			w.listens(t, c)
			w.sends(t, id, sdkMessage{MessageID: fmt.Sprint(i)})
			if m := w.receives(t, c); m.MessageID != fmt.Sprint(i) {
				t.Errorf("message %q", m.MessageID)
			}
			c.do(t, "settle", settling("complete", i))
			w.settled(t, id.DeviceID)
			c.do(t, "noMessages", nil)
			w.works(t, id.DeviceID, c) // until when the SDK takes itself for subscribed
		}
		c.silent(t, "message")
	})
	p.over(t, stays, "thirty reports at once", func(t *testing.T, w *way) {
		id, c := w.open(t)
		c.do(t, "twin", nil)
		atOnce(t, c, 30, "report", func(i int) any { return map[string]int{fmt.Sprint("k", i): i} })
		want := map[string]any{"$version": 31}
		for i := range 30 {
			want[fmt.Sprint("k", i)] = i
		}
		b, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		w.holds(t, id, "{}", `{"$version":1}`, string(b))
	})
	p.over(t, stays, "everything at once", func(t *testing.T, w *way) {
		id, c := w.open(t)
		w.watches(t, c)
		w.listens(t, c)
		w.answers(t, c, "echo", 200, nil)
		const n = 10
		var all sync.WaitGroup
		all.Go(func() { atOnce(t, c, n, "send", func(i int) any { return sdkMessage{MessageID: fmt.Sprint(i)} }) })
		all.Go(func() { atOnce(t, c, n, "report", func(i int) any { return map[string]int{"i": i} }) })
		all.Go(func() {
			atOnce(t, w.desk(), n, "sendMessage", func(i int) any { return sending{id.DeviceID, sdkMessage{MessageID: fmt.Sprint(i)}} })
		})
		all.Go(func() {
			for _, r := range atOnce(t, w.office, n, "invoke", func(i int) any { return id.calls("echo", i, 10, 60) }) {
				if len(r) != len(`{"status":200,"payload":0}`) {
					t.Errorf("answer %s", r)
				}
			}
		})
		all.Go(func() {
			atOnce(t, w.office, n, "updateTwin", func(i int) any {
				return address{DeviceID: id.DeviceID, ETag: "*", Patch: json.RawMessage(fmt.Sprintf(`{"properties":{"desired":{"i":%d}}}`, i))}
			})
		})
		all.Wait()
		for i := range n {
			w.receives(t, c)
			c.do(t, "settle", settling("complete", i))
			c.next(t, "desired")
			c.next(t, "method")
		}
		w.settled(t, id.DeviceID)
		tw := answered[twinOfService](t, w.office, "twin", id)
		if d, r := tw.Properties.Desired["$version"], tw.Properties.Reported["$version"]; d != float64(n+1) || r != float64(n+1) {
			t.Errorf("versions %v and %v, want %d", d, r, n+1)
		}
		c.silent(t, "error")
		c.silent(t, "disconnect")
	})
}

// TestNpmHaste has clients that are closed while they do something. Over AMQP the SDK
// throws, when the link comes that it has given up, and waits for 45 seconds.
func TestNpmHaste(t *testing.T) {
	p := join(t)
	p.over(t, []string{"mqtt", "mqtt-ws", "https"}, "a client that is closed while it sends", func(t *testing.T, w *way) {
		id, c := w.open(t)
		c.do(t, "haste", sdkMessage{Body: []byte("perhaps")})
		c.do(t, "open", nil)
		m := sdkMessage{Body: []byte("after that")}
		c.do(t, "send", m)
		for string(w.events.next(t, id.DeviceID).Body) != string(m.Body) {
		}
	})
}
