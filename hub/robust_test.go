package hub_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/sas"
)

// TestFloodOfRequestsIsHeldBack has a device that asks and asks and does not
// read. The hub stops reading, instead of piling up answers.
func TestFloodOfRequestsIsHeldBack(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(twinResponses)
		var burst []byte
		for range 1000 {
			burst = (&mqtt.Publish{Topic: []byte(getTopic + "1")}).AppendTo(burst)
		}
		sent := 0
		for p.c.SetWriteDeadline(time.Now().Add(time.Second)) == nil && p.c.Write(burst) == nil {
			if sent++; sent > 10_000 {
				t.Fatal("the hub takes everything")
			}
		}
		start := time.Now()
		for h.Connected(dev) {
			time.Sleep(time.Second)
		}
		if took := time.Since(start); took > 31*time.Second {
			t.Errorf("it took the hub %v to drop it", took)
		}
	})
}

// TestPipeliningClientGetsAllAnswers is the same with a device that reads.
func TestPipeliningClientGetsAllAnswers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		p := connect(t, h, dev, nil)
		p.subscribe(twinResponses)
		const n = 20_000
		go func() {
			for i := range n {
				p.write(&mqtt.Publish{Topic: []byte(getTopic + fmt.Sprint(i))})
			}
		}()
		for i := range n {
			if m := p.publish(); string(m.Topic) != "$iothub/twin/res/200/?$rid="+fmt.Sprint(i) {
				t.Fatalf("answer %d: %q", i, m.Topic)
			}
		}
	})
}

func TestIdleConnectionHasOneGoroutine(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		connect(t, h, other, nil)
		p := connect(t, h, dev, nil)
		p.subscribe(c2dFilter)
		sendC2D(t, h, dev, "hi")
		p.expect("hi", 1, false)
		synctest.Wait()
		if n := goroutinesOf("mqttfront.(*conn)"); n != 2 {
			t.Errorf("two connections have %d goroutines", n)
		}
	})
}

// goroutinesOf counts the goroutines that run some code.
func goroutinesOf(code string) (n int) {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		if strings.Contains(stack, code) {
			n++
		}
	}
	return n
}

func TestWavesOfConnections(t *testing.T) {
	testkit.LeakCheck(t)
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	const n, rounds = 20, 10 // the hub has patience for the handshakes of so many, however busy the machine
	for i := range n {
		create(t, h, hubwire.Identity{DeviceID: fmt.Sprint("d", i)})
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			id := hubwire.Identity{DeviceID: fmt.Sprint("d", i)}
			for round := range rounds {
				p := connect(t, h, id, nil)
				p.subscribe("devices/" + id.DeviceID + "/messages/devicebound/#")
				p.write(&mqtt.Publish{Topic: []byte("devices/" + id.DeviceID + "/messages/events/"), QoS: 1, ID: 1})
				p.puback(1)
				if round%2 == 0 {
					p.bye()
				} else {
					p.cut()
				}
			}
		})
	}
	wg.Wait()
	if got := len(events(t, h)); got != n*rounds {
		t.Errorf("%d events, want %d", got, n*rounds)
	}
}

// TestAHubOutlivesItsServerCertificate, which is good for 397 days.
func TestAHubOutlivesItsServerCertificate(t *testing.T) {
	bubble(t, nil, func(t *testing.T, h *hub.Hub) {
		for range 20 { // nearly all of its authority's life
			time.Sleep(180 * 24 * time.Hour)
			for _, port := range []string{"8883", "5671", "443"} {
				raw, err := h.Dial(t.Context(), "tcp", "localhost:"+port)
				if err != nil {
					t.Fatal(err)
				}
				cfg := h.ClientTLS()
				cfg.ServerName = h.HostName()
				nc := tls.Client(raw, cfg)
				if err := nc.HandshakeContext(t.Context()); err != nil {
					t.Errorf("port %s at %v: %v", port, time.Now(), err)
				} else if cert := nc.ConnectionState().PeerCertificates[0]; time.Until(cert.NotAfter) < 180*24*time.Hour {
					t.Errorf("port %s at %v: the certificate ends at %v", port, time.Now(), cert.NotAfter)
				}
				nc.Close()
			}
			connect(t, h, dev, nil).bye()
		}
	})
}

// TestLogHoldsNoSecret has logins of all sorts succeed and fail.
func TestLogHoldsNoSecret(t *testing.T) {
	var log bytes.Buffer
	cfg := &hub.Config{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	var secrets []string
	bubble(t, cfg, func(t *testing.T, h *hub.Hub) {
		for _, id := range []hubwire.Identity{dev, other, mod} {
			d, err := h.Device(id)
			if err != nil {
				t.Fatal(err)
			}
			secrets = append(secrets, d.PrimaryKey.Reveal(), d.SecondaryKey.Reveal())
		}
		owner := policyKey(t, h, "iothubowner")
		secrets = append(secrets, owner.Reveal(), "sig=", "SharedAccessSignature sr=")
		for _, password := range []string{
			token(sas.NewSecret(secrets[0]), audience(other), "", time.Now().Add(time.Hour)),
			token(sas.NewSecret(secrets[0]), audience(dev), "", time.Now().Add(-time.Hour)),
			token(owner, "localhost", "service", time.Now().Add(time.Hour)),
			secrets[0],
		} {
			m := connectPacket(t, h, dev)
			m.Password = mqtt.NewSecret([]byte(password))
			p := open(t, h, nil)
			p.write(m)
			p.connack()
			p.closed()
			r := newREST(t, h, "iothubowner")
			r.do("GET", "/devices"+version, "", "Authorization", password)
			r.do("PUT", "/devices/x"+version, `{"authentication":{"symmetricKey":{"primaryKey":"`+password+`"}}}`)
		}
		connect(t, h, dev, nil).raw([]byte{0, 0})
		connect(t, h, dev, nil).bye()
	})
	for _, s := range secrets {
		if strings.Contains(log.String(), s) {
			t.Errorf("the log holds a secret:\n%s", &log)
		}
	}
	if n := strings.Count(log.String(), "refused"); n < 8 {
		t.Errorf("the log tells of %d refusals:\n%s", n, &log)
	}
}

func TestNilIsRefused(t *testing.T) {
	h := hubtest.Start(t, &hub.Config{InMemory: true})
	ctx, mod := t.Context(), hubwire.Identity{DeviceID: dev.DeviceID, ModuleID: "m"}
	_, created := h.Create(ctx, nil)
	_, updated := h.Update(ctx, nil, "")
	_, enrolled := h.Enroll(nil)
	for name, err := range map[string]error{
		"Enroll": enrolled, "SendC2D": h.SendC2D(ctx, dev, nil), "SendInput": h.SendInput(ctx, mod, "in", nil), "Create": created, "Update": updated,
	} {
		if !errors.Is(err, hubwire.ArgumentInvalid) {
			t.Errorf("%s of nil: %v, want ArgumentInvalid", name, err)
		}
	}
}
