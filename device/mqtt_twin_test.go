package device

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/mqtt"
)

func TestATwinRequestThatWasTakenAndNotAnsweredIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		p := peer{publish: func(c *peerConn, topic string, payload []byte) {
			asked = append(asked, fmt.Sprintf("%d %s %s", c.n, topic, payload))
			_, rid, _ := strings.Cut(topic, "$rid=")
			if c.n < 3 {
				c.Close() // with the PUBACK sent
				return
			}
			c.tell("$iothub/twin/res/204/?$rid="+rid+"&$version=7", "", 0)
		}}
		c := p.client(t, peerCredentials, nil)
		version, err := c.Report(t.Context(), map[string]int{"a": 1})
		if err != nil || version != 7 || len(asked) != 3 {
			t.Errorf("version %d, %v: %q", version, err, asked)
		}
	})
}

func TestATwinAnswerCountsThoughItsConnectionIsLostRightBehindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		p := peer{publish: func(c *peerConn, topic string, _ []byte) {
			asked++
			_, rid, _ := strings.Cut(topic, "$rid=")
			c.tell("$iothub/twin/res/204/?$rid="+rid+"&$version=7", "", 0)
			c.Close()
		}}
		c := p.client(t, peerCredentials, nil)
		const n = 50
		for range n {
			if version, err := c.Report(t.Context(), map[string]int{"a": 1}); err != nil || version != 7 {
				t.Fatalf("version %d, %v", version, err)
			}
		}
		if asked != n {
			t.Errorf("%d calls have asked %d times", n, asked)
		}
	})
}

func TestTwinAnswersComeLastFirstAndTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10
		type asked struct{ rid, version string }
		var waiting, told []asked
		p := peer{publish: func(c *peerConn, topic string, payload []byte) {
			_, rid, _ := strings.Cut(topic, "$rid=")
			if waiting = append(waiting, asked{rid, string(payload[len(`{"v":`) : len(payload)-1])}); len(waiting) < n {
				return
			}
			slices.Reverse(waiting)
			for _, a := range slices.Concat(waiting, told, waiting) { // those of the round before, too
				c.tell("$iothub/twin/res/204/?$rid="+a.rid+"&$version="+a.version, "", 0)
			}
			waiting, told = nil, waiting
		}}
		c := p.client(t, peerCredentials, nil)
		for round := range 3 {
			var all sync.WaitGroup
			for i := range n {
				all.Go(func() {
					want := int64(100*(round+1) + i)
					if version, err := c.Report(t.Context(), map[string]int64{"v": want}); err != nil || version != want {
						t.Errorf("version %d, %v, want %d", version, err, want)
					}
				})
			}
			all.Wait()
		}
	})
}

func TestAnAnswerThatMayHaveGoneWithAConnectionIsNotWaitedForWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p peer
		l := p.client(t, peerCredentials, nil).link.(*mqttLink)
		start, one := time.Now(), make(chan struct{}) // a connection that has been replaced
		if _, ok := l.await(t.Context(), nil, one); ok || time.Since(start) != answerTime {
			t.Errorf("%v after %v", ok, time.Since(start))
		}
	})
}

func TestTheOutcomeOfATwinRequestThatMayHaveBeenDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p peer
		p.publish = func(c *peerConn, _ string, _ []byte) {
			p.down.Store(true)
			c.Close()
		}
		c := p.client(t, peerCredentials, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var e *hubwire.Error
		_, err := c.Report(ctx, map[string]int{})
		if !errors.As(err, &e) || e.Outcome != hubwire.Unknown || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("asked once, and then not again: %v", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := c.Report(ctx, map[string]int{}); !errors.As(err, &e) || e.Outcome != hubwire.NotSent {
			t.Errorf("never asked: %v", err)
		}
		p.down.Store(false)
	})
}

func TestTwinAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		status, body string
		want         hubwire.Error // without Op and Message
	}{
		"no body":                     {"412", "", hubwire.Error{Code: hubwire.PreconditionFailed, Outcome: hubwire.Refused}},
		"a body that is no JSON":      {"413", "too large", hubwire.Error{Code: hubwire.MessageTooLarge, Outcome: hubwire.Refused}},
		"throttled, in general":       {"429", "{}", hubwire.Error{Code: hubwire.Throttled, Outcome: hubwire.Refused, Retryable: true}},
		"a code of its own":           {"429", `{"errorCode":429002,"trackingId":"t","message":"slow"}`, hubwire.Error{Code: hubwire.ThrottleBacklogLimitExceeded, Outcome: hubwire.Refused, Retryable: true, TrackingID: "t"}},
		"a code of another status":    {"400", `{"errorCode":500001}`, hubwire.Error{Code: hubwire.ArgumentInvalid, Outcome: hubwire.Refused}},
		"a code that is text":         {"401", `{"errorCode":"Unauthorized"}`, hubwire.Error{Code: hubwire.Unauthorized, Outcome: hubwire.Refused}},
		"forbidden":                   {"403", `{}`, hubwire.Error{Code: hubwire.QuotaExceeded, Outcome: hubwire.Refused, Retryable: true}},
		"not found":                   {"404", `{}`, hubwire.Error{Code: hubwire.DeviceNotFound, Outcome: hubwire.Refused}},
		"a server error":              {"500", `{}`, hubwire.Error{Code: hubwire.ServerError, Outcome: hubwire.Refused, Retryable: true}},
		"a server that is away":       {"503", `{}`, hubwire.Error{Code: hubwire.ServiceUnavailable, Outcome: hubwire.Refused, Retryable: true}},
		"a time-out":                  {"504", `{}`, hubwire.Error{Code: hubwire.GatewayTimeout, Outcome: hubwire.Refused, Retryable: true}},
		"a status nobody knows":       {"418", `{}`, hubwire.Error{Code: 418000, Outcome: hubwire.Refused}},
		"a server error nobody knows": {"599", `{}`, hubwire.Error{Code: 599000, Outcome: hubwire.Refused, Retryable: true}},
		"success with no twin":        {"200", `[]`, hubwire.Error{Code: hubwire.FormatError}},
		"success with half a twin":    {"200", `{"desired":{"$version":1}}`, hubwire.Error{Code: hubwire.FormatError}},
		"success with a bad version":  {"200", `{"desired":{"$version":"x"},"reported":{}}`, hubwire.Error{Code: hubwire.FormatError}},
	} {
		t.Run(name, func(t *testing.T) {
			p := peer{publish: func(c *peerConn, topic string, _ []byte) {
				_, rid, _ := strings.Cut(topic, "$rid=")
				c.tell("$iothub/twin/res/"+tt.status+"/?$rid="+rid, tt.body, 0)
			}}
			c := p.client(t, peerCredentials, nil)
			_, err := c.Twin(t.Context())
			var e *hubwire.Error
			if !errors.As(err, &e) {
				t.Fatal(err)
			}
			if e.Op != "twin get" || e.Code != tt.want.Code || e.Outcome != tt.want.Outcome || e.Retryable != tt.want.Retryable || e.TrackingID != tt.want.TrackingID {
				t.Errorf("%+v, want %+v", e, tt.want)
			}
		})
	}
}

func TestAPatchWithoutAVersionMakesDesiredReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		version := 1
		p := peer{}
		p.publish = func(c *peerConn, topic string, payload []byte) {
			answerTwin(fmt.Sprintf(`{"desired":{"$version":%d},"reported":{}}`, version))(c, topic, payload)
		}
		c := p.client(t, peerCredentials, nil)
		var got []int64
		for d, err := range c.Desired(t.Context()) {
			if err != nil || !d.Full {
				t.Fatalf("%+v, %v", d, err)
			}
			if got = append(got, d.Version); len(got) == 3 {
				break
			}
			version++
			p.last().tell("$iothub/twin/PATCH/properties/desired/?$version="+[]string{"x", "99999999999999999999"}[len(got)-1], "{}", 0)
		}
		if fmt.Sprint(got) != "[1 2 3]" {
			t.Errorf("versions %v", got)
		}
	})
}

func TestWhatWaitsForReceiveIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p peer
		c := p.client(t, peerCredentials, nil)
		const n = maxWaiting + 100
		for i := range n {
			p.last().tell("devices/dev/messages/devicebound/a=b", fmt.Sprint(i), uint16(i+1))
			if i%50 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		for i := range maxWaiting {
			m, err := c.Receive(t.Context())
			if err != nil || string(m.Body) != fmt.Sprint(i) {
				t.Fatalf("%v, %v", m, err)
			}
			if err := m.Complete(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if len(p.acks) != maxWaiting {
			t.Errorf("%d PUBACKs", len(p.acks))
		}
		p.last().say(&mqtt.Publish{ // what had no room comes again
			Topic: []byte("devices/dev/messages/devicebound/a=b"), Payload: []byte("again"), QoS: mqtt.AtLeastOnce, ID: maxWaiting + 1, Dup: true,
		})
		m, err := c.Receive(t.Context())
		if err != nil || string(m.Body) != "again" || m.Complete(t.Context()) != nil {
			t.Errorf("%v, %v", m, err)
		}
		synctest.Wait()
		if len(p.acks) != maxWaiting+1 {
			t.Errorf("%d PUBACKs", len(p.acks))
		}

		large := strings.Repeat("x", 250_000)
		for i := range 2 * maxWaitingBytes / len(large) {
			p.last().tell("devices/dev/messages/devicebound/a=b", large, uint16(10_000+i))
			synctest.Wait()
		}
		in := &c.link.(*mqttLink).messages
		if in.bytes > maxWaitingBytes || len(in.queue) != maxWaitingBytes/len(large) {
			t.Errorf("%d messages of %d bytes wait", len(in.queue), in.bytes)
		}
		p.last().Close()
		synctest.Wait()
		if in.bytes != 0 || len(in.queue) != 0 || len(in.open) != 0 {
			t.Errorf("after the connection %d messages of %d bytes wait", len(in.queue), in.bytes)
		}
	})
}

func TestMessagesWithQoS0OutliveTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p peer
		c := p.client(t, peerCredentials, nil)
		p.last().tell("devices/dev/messages/devicebound/a=b", "acknowledged", 1)
		p.last().tell("devices/dev/messages/devicebound/a=b", "loose", 0)
		synctest.Wait()
		p.last().Close()
		m, err := c.Receive(t.Context())
		if err != nil || string(m.Body) != "loose" || m.Complete(t.Context()) != nil {
			t.Errorf("%v, %v", m, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if m, err := c.Receive(ctx); err == nil {
			t.Errorf("%q came too", m.Body)
		}
	})
}
