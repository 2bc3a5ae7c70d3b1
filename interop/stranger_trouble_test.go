package interop

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/mqtt"
)

// isRefused has logins that the broker does not take, at the start and later on.
func isRefused(t *testing.T, r *road) {
	for name, password := range map[string]string{"a wrong password": "open barley", "an empty password": ""} {
		s, o := prepare(nextID())
		err := s.start(within(t), r, o, password)
		var e *hubwire.Error
		if !errors.As(err, &e) || e.Code != hubwire.Unauthorized || e.Retryable || e.Outcome != hubwire.Refused || strings.Contains(err.Error(), "barley") {
			t.Errorf("%s: %v", name, err)
		}
		if !errors.Is(err, mqtt.NotAuthorized) && !errors.Is(err, mqtt.BadCredentials) {
			t.Errorf("%s: the CONNACK's code is not in %v", name, err)
		}
	}

	// A login that is refused after it had been accepted gets one more attempt.
	var password atomic.Pointer[string]
	store := func(s string) { password.Store(&s) }
	store(brokerPassword)
	id := nextID()
	_, o := prepare(id)
	var asked atomic.Int64
	s, err := mqtt.StartSession(within(t), r.dial, func(context.Context) (mqtt.Login, error) {
		asked.Add(1)
		return mqtt.Login{ClientID: id, UserName: brokerUser, Password: mqtt.NewSecret([]byte(*password.Load()))}, nil
	}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	store("open barley")
	r.each(reset)
	<-s.Done()
	if err := s.Err(); !errors.Is(err, hubwire.Unauthorized) {
		t.Errorf("the session ended with %v", err)
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("%d attempts, want one that is accepted and two that are refused", n)
	}
}

// subscribesInVain asks for what the broker's rules do not allow.
func subscribesInVain(t *testing.T, r *road) {
	free := nextID()
	s := r.session(t, nextID(), nil)
	err := s.Subscribe(within(t), mqtt.AtLeastOnce, "secret/plans", free, "secret/keys")
	var refused *mqtt.SubscribeError
	if !errors.As(err, &refused) {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff([]string{"secret/plans", "secret/keys"}, refused.Filters); diff != "" {
		t.Errorf("refused filters (-want +got)\n%s", diff)
	}
	s.publish(t, free, "is granted")
	if d := s.next(t); d.Body != "is granted" {
		t.Errorf("got %q", d.Body)
	}
	r.each(reset)
	s.back(t, 2) // the refused filters are not asked for again
	s.publish(t, free, "still")
	if n := r.said(s.id, "Received SUBSCRIBE from it"); n != 1 {
		t.Errorf("%d SUBSCRIBEs", n)
	}
}

// sendsTooMuch has a packet that the broker answers with the end of the connection, each time.
func sendsTooMuch(t *testing.T, r *road) {
	s := r.session(t, nextID(), func(o *mqtt.SessionOptions) {
		o.MaxPacket, o.CloseTimeout = 2*brokerMaxPacket, 2*time.Second
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := make(chan error, 1)
	go func() { failed <- s.Publish(ctx, message(nextID(), strings.Repeat("x", brokerMaxPacket+1))) }()
	s.back(t, 3)
	cancel()
	var e *hubwire.Error
	if err := <-failed; !errors.As(err, &e) || e.Outcome != hubwire.Unknown || !errors.Is(err, context.Canceled) {
		t.Errorf("the publish: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	r.says(t, s.id, 1, "Client it disconnected due to oversize packet")
}

// comesByAnyPath: a broker's WebSocket is where its owner wants it to be.
func comesByAnyPath(t *testing.T, r *road) {
	for _, path := range []string{"/", "/mqtt", "/deep/down/below"} {
		r := r.road(t, r.way)
		r.path = path
		r.session(t, nextID(), nil).publish(t, "x", path)
	}
}

// staysWhenIdle has a keep-alive that the broker is strict about, and that
// takes no more pings than it has to.
func staysWhenIdle(t *testing.T, r *road) {
	const keepAlive = 5 * time.Second // of which the broker gives half more, to a machine that is busy
	start := time.Now()
	s := r.session(t, nextID(), func(o *mqtt.SessionOptions) { o.KeepAlive = keepAlive })
	r.says(t, s.id, 3, "Sending PINGRESP to it")
	pings := r.said(s.id, "Received PINGREQ from it")
	if most := int(time.Since(start)/keepAlive) + 1; pings > most || s.connections() != 1 {
		t.Errorf("%d pings, and at most %d intervals; %d connections", pings, most, s.connections())
	}
	s.publish(t, "x", "still here")
}

// noticesSilence loses what the broker says, and then what the session says,
// which goes on talking all the time. Of the latter the broker may be first to have enough.
func noticesSilence(t *testing.T, r *road) {
	s := r.session(t, nextID(), func(o *mqtt.SessionOptions) { o.KeepAlive = time.Second })
	for _, lose := range []func(){r.loseDown, r.loseUp} {
		before := s.connections()
		lose()
		poll(t, "nobody notices the silence", func() bool {
			p := message("x", "")
			p.QoS = mqtt.AtMostOnce // which nobody acknowledges
			if err := s.PublishAsync(t.Context(), p, nil); err != nil {
				t.Fatal(err)
			}
			return s.connections() > before
		})
		if n := s.lost(mqtt.ErrKeepAlive); n == 0 {
			t.Error("the session did not notice the silence itself")
		}
		s.publish(t, "x", "back again")
	}
}

// willed is a session with a will, and who waits for that.
func willed(t *testing.T, r *road, keepAlive time.Duration) (*ours, *observer, received) {
	t.Helper()
	topic := nextID()
	o := r.observe(t, topic)
	s := r.session(t, nextID(), func(o *mqtt.SessionOptions) {
		o.KeepAlive = keepAlive
		o.Will = mqtt.Will{Topic: []byte(topic), Payload: []byte("gone"), QoS: mqtt.AtLeastOnce}
	})
	return s, o, received{"1", topic, "gone"}
}

// leavesAWill: the broker publishes it for who is cut off, and not for who closes.
func leavesAWill(t *testing.T, r *road) {
	s, o, will := willed(t, r, time.Minute)
	r.each(reset)
	if got := o.next(t); got != will {
		t.Errorf("after a cut came %v", got)
	}
	s.back(t, 2)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	r.says(t, s.id, 1, "Received DISCONNECT from it")
	r.pub(t, nil, "-q", "1", "-t", will.Topic, "-m", "the last")
	if got := o.next(t); got.Body != "the last" {
		t.Errorf("after Close came %v", got)
	}
}

// vanishes leaves the broker with a connection that says nothing any more.
func vanishes(t *testing.T, r *road) {
	s, o, will := willed(t, r, time.Second)
	r.closed.Store(true)
	r.each(orphan)
	if got := o.next(t); got != will {
		t.Errorf("after silence came %v", got)
	}
	r.says(t, s.id, 1, "Client it has exceeded timeout, disconnecting.")
	r.closed.Store(false)
	s.back(t, 2)
}

// fightsOverAnID has two sessions throw each other out. They are told, and do
// not fight faster than their back-off; when one gives in, the other has it.
func fightsOverAnID(t *testing.T, r *road) {
	id, topic := nextID(), nextID()
	slow := func(o *mqtt.SessionOptions) { o.MinBackoff, o.MaxBackoff = 200*time.Millisecond, 2*time.Second }
	first := r.session(t, id, slow)
	second := r.session(t, id, slow)
	start, enough := time.Now(), time.After(1500*time.Millisecond)
	poll(t, "nobody is thrown out", func() bool { return first.lost(mqtt.ErrServerClosed) > 0 && second.lost(mqtt.ErrServerClosed) > 0 })
	<-enough
	if n, took := first.connections()+second.connections(), time.Since(start); n > int(20*took.Seconds()) {
		t.Errorf("%d connections in %v", n, took)
	}
	if r.said(id, "Client it already connected, closing old connection.") == 0 {
		t.Error("the broker knows of no take-over")
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	first.publish(t, topic, "mine")
	poll(t, "the first does not come back", func() bool { return first.State() == mqtt.Connected })
}
