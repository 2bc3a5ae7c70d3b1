package core

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// ids drains what the session can get and returns the message ids.
func ids(s *Session) (got []string) {
	for r := s.NextOf(anyC2D); r != nil; r = s.NextOf(anyC2D) {
		got = append(got, r.ID)
	}
	return got
}

func TestC2DIsFirstInFirstOut(t *testing.T) {
	c := newCore(t, nil)
	for i := range 5 {
		send(t, c, dev, hubwire.Message{ID: fmt.Sprint(i)})
	}
	s, _ := connect(t, c, dev)
	if got, want := ids(s), []string{"0", "1", "2", "3", "4"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestC2DDeliveryCarriesWhatTheHubKnows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		m := hubwire.Message{
			ID: "m1", Body: []byte("hello"), Ack: hubwire.AckFull,
			Properties: []hubwire.Property{{Name: "a", Value: "1"}},
		}
		send(t, c, dev, m)
		m.Body[0], m.Properties[0].Name = 'X', "changed" // the hub must have its own
		s, _ := connect(t, c, dev)
		r := s.NextOf(anyC2D)
		if r == nil {
			t.Fatal("no message")
		}
		want := hubwire.Message{
			ID: "m1", Body: []byte("hello"), Ack: hubwire.AckFull, To: "/devices/dev/messages/devicebound",
			Properties: []hubwire.Property{{Name: "a", Value: "1"}},
		}
		if diff := cmp.Diff(want, r.Message); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
		if r.SequenceNumber != 1 || !r.EnqueuedTime.Equal(time.Now()) || r.DeliveryCount != 0 || len(r.LockToken) != 36 || r.Redelivered {
			t.Errorf("delivery = %d %v %d %q %v", r.SequenceNumber, r.EnqueuedTime, r.DeliveryCount, r.LockToken, r.Redelivered)
		}
	})
}

func TestC2DRefusals(t *testing.T) {
	c := newCore(t, nil)
	for range hubwire.MaxC2DQueue {
		send(t, c, dev, hubwire.Message{})
	}
	cases := []struct {
		name string
		to   hubwire.Identity
		m    hubwire.Message
		code hubwire.Code
	}{
		{"the 51st message", dev, hubwire.Message{}, hubwire.QueueDepthExceeded},
		{"an unknown device", hubwire.Identity{DeviceID: "nobody"}, hubwire.Message{}, hubwire.DeviceNotFound},
		{"an unknown module", hubwire.Identity{DeviceID: "dev", ModuleID: "nobody"}, hubwire.Message{}, hubwire.ModuleNotFound},
		{"a module of an unknown device", hubwire.Identity{DeviceID: "nobody", ModuleID: "m"}, hubwire.Message{}, hubwire.DeviceNotFound},
		{"a message over 64 KiB", mod, hubwire.Message{Body: make([]byte, hubwire.MaxC2DSize+1)}, hubwire.MessageTooLarge},
		{"an unknown ack", mod, hubwire.Message{Ack: "maybe"}, hubwire.ArgumentInvalid},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) { wantCode(t, "SendC2D", c.SendC2D(ctx, tc.to, &tc.m), tc.code) })
	}
	s, _ := connect(t, c, dev)
	must(t, s.Settle(ctx, s.NextOf(anyC2D).LockToken, hubwire.Complete))
	send(t, c, dev, hubwire.Message{}) // there is room again
	wantCode(t, "an input of a device", c.SendInput(ctx, dev, "in", &hubwire.Message{}), hubwire.ArgumentInvalid)
	wantCode(t, "an input without a name", c.SendInput(ctx, mod, "", &hubwire.Message{}), hubwire.ArgumentInvalid)
}

func TestC2DLockEndsAndDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		s, l := connect(t, c, dev)
		send(t, c, dev, hubwire.Message{ID: "m"})
		if l.takeReady() != 1 {
			t.Error("no C2DReady for a new message")
		}
		first := s.NextOf(anyC2D)
		if s.NextOf(anyC2D) != nil {
			t.Error("a locked message was delivered twice")
		}
		time.Sleep(time.Minute - time.Nanosecond)
		synctest.Wait()
		if l.takeReady() != 0 || s.NextOf(anyC2D) != nil {
			t.Error("the lock ended too early")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if l.takeReady() != 1 {
			t.Error("no C2DReady at the end of the lock")
		}
		wantCode(t, "settling after the lock", s.Settle(ctx, first.LockToken, hubwire.Complete), hubwire.MessageLockLost)
		again := s.NextOf(anyC2D)
		if again == nil || again.DeliveryCount != 0 || !again.Redelivered || again.LockToken == first.LockToken {
			t.Errorf("second delivery = %+v", again)
		}
		must(t, s.Settle(ctx, again.LockToken, hubwire.Complete))
		wantCode(t, "settling twice", s.Settle(ctx, again.LockToken, hubwire.Complete), hubwire.MessageLockLost)
		wantCode(t, "an empty lock token", s.Settle(ctx, "", hubwire.Complete), hubwire.MessageLockLost)
	})
}

func TestC2DAbandonCountsAndKeepsThePlace(t *testing.T) {
	c := newCore(t, &Config{MaxDeliveryCount: 3})
	s, _ := connect(t, c, dev)
	send(t, c, dev, hubwire.Message{ID: "first", Ack: hubwire.AckFull})
	send(t, c, dev, hubwire.Message{ID: "second"})
	for count := range 3 {
		r := s.NextOf(anyC2D)
		if r.ID != "first" || r.DeliveryCount != count || r.Redelivered != (count > 0) {
			t.Fatalf("delivery %d = %q, count %d, redelivered %v", count, r.ID, r.DeliveryCount, r.Redelivered)
		}
		must(t, s.Settle(ctx, r.LockToken, hubwire.Abandon))
	}
	if got := ids(s); !slices.Equal(got, []string{"second"}) {
		t.Errorf("after the last abandon got %v", got)
	}
	if b := c.Feedback(10); b == nil || len(b.Records) != 1 || b.Records[0].Status != StatusDeliveryCountExceeded {
		t.Errorf("feedback = %+v", b)
	}
}

func TestC2DUnsettledIsVisibleWhenTheSessionEnds(t *testing.T) {
	c := newCore(t, nil)
	s, _ := connect(t, c, dev)
	for _, id := range []string{"a", "b", "c"} {
		send(t, c, dev, hubwire.Message{ID: id})
	}
	r := s.NextOf(anyC2D)
	s.NextOf(anyC2D)
	must(t, s.Settle(ctx, r.LockToken, hubwire.Complete))
	s.Disconnect()
	if s.NextOf(anyC2D) != nil {
		t.Error("a session that is over got a message")
	}
	if err := s.Settle(ctx, r.LockToken, hubwire.Complete); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Settle on a session that is over = %v", err)
	}
	s2, _ := connect(t, c, dev)
	b, last := s2.NextOf(anyC2D), s2.NextOf(anyC2D)
	if b.ID != "b" || !b.Redelivered || b.DeliveryCount != 0 || last.ID != "c" || last.Redelivered {
		t.Errorf("next session got %q (redelivered %v, count %d), %q (redelivered %v)", b.ID, b.Redelivered, b.DeliveryCount, last.ID, last.Redelivered)
	}
}

func TestC2DExpires(t *testing.T) {
	cases := []struct {
		name   string
		expiry time.Duration // from now; 0 for none
		life   time.Duration
	}{
		{"after the default when it names none", 0, time.Hour},
		{"when it says so", time.Minute, time.Minute},
		{"at once when it is in the past", -time.Minute, 0},
		{"after two days at the latest", 1000 * time.Hour, 48 * time.Hour},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCore(t, nil)
				m := hubwire.Message{ID: "m", Ack: hubwire.AckNegative}
				if tc.expiry != 0 {
					m.Expiry = time.Now().Add(tc.expiry)
				}
				send(t, c, dev, m)
				if tc.life > 0 {
					time.Sleep(tc.life - time.Nanosecond)
					if d, _ := c.Device(dev); d.C2DCount != 1 {
						t.Errorf("count %d just before the end", d.C2DCount)
					}
					time.Sleep(time.Nanosecond)
				}
				synctest.Wait()
				if b := c.Feedback(1); b == nil || b.Records[0].Status != StatusExpired || b.Records[0].OriginalMessageID != "m" {
					t.Errorf("feedback = %+v", b)
				}
				if d, _ := c.Device(dev); d.C2DCount != 0 {
					t.Errorf("count %d after the end", d.C2DCount)
				}
			})
		})
	}
}

func TestC2DLockedMessageCanBeCompletedAfterItsExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		s, _ := connect(t, c, dev)
		for _, id := range []string{"completed", "left"} {
			send(t, c, dev, hubwire.Message{ID: id, Expiry: time.Now().Add(10 * time.Second), Ack: hubwire.AckFull})
		}
		r := s.NextOf(anyC2D)
		s.NextOf(anyC2D)
		time.Sleep(30 * time.Second)
		must(t, s.Settle(ctx, r.LockToken, hubwire.Complete))
		time.Sleep(30 * time.Second)
		synctest.Wait()
		var got []FeedbackStatus
		for _, r := range c.Feedback(10).Records {
			got = append(got, r.Status)
		}
		if !slices.Equal(got, []FeedbackStatus{StatusSuccess, StatusExpired}) {
			t.Errorf("feedback %v", got)
		}
	})
}

func TestC2DGoesOnlyToSessionsThatAskedForIt(t *testing.T) {
	c := newCore(t, nil)
	s, l := connectWith(t, c, grant(t, c, mod), nil)
	send(t, c, mod, hubwire.Message{ID: "c2d"})
	must(t, c.SendInput(ctx, mod, "in1", &hubwire.Message{ID: "input"}))
	if l.takeReady() != 0 || s.NextOf(anyC2D) != nil {
		t.Error("a session without a subscription got a message")
	}
	must(t, s.Subscribe(ctx, Subscription{Filter: "inputs", Feature: FeatureInputs}))
	r := s.NextOf(anyC2D)
	if r == nil || r.ID != "input" || r.Input != "in1" || r.To != "" || s.NextOf(anyC2D) != nil {
		t.Errorf("with inputs only got %+v", r)
	}
	must(t, s.Subscribe(ctx, Subscription{Filter: "c2d", Feature: FeatureC2D}))
	if r := s.NextOf(anyC2D); r == nil || r.ID != "c2d" || r.To != "/devices/dev/modules/mod/messages/devicebound" {
		t.Errorf("with C2D got %+v", r)
	}
	must(t, s.Unsubscribe(ctx, "c2d", "unknown"))
	send(t, c, mod, hubwire.Message{})
	if l.takeReady() != 0 {
		t.Error("C2DReady after Unsubscribe")
	}
}

func TestC2DWithoutASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		send(t, c, dev, hubwire.Message{ID: "m"})
		r, err := c.ReceiveC2D(ctx, dev, 5*time.Second)
		if err != nil || r == nil {
			t.Fatalf("ReceiveC2D = %v, %v", r, err)
		}
		if again, err := c.ReceiveC2D(ctx, dev, 0); again != nil || err != nil {
			t.Errorf("a locked message = %v, %v", again, err)
		}
		s, _ := connect(t, c, dev)
		s.Disconnect() // must not release what it does not hold
		if again, _ := c.ReceiveC2D(ctx, dev, 0); again != nil {
			t.Error("a session's end released a lock without a session")
		}
		time.Sleep(5 * time.Second)
		r, err = c.ReceiveC2D(ctx, dev, 0)
		if err != nil || r == nil {
			t.Fatalf("after the lock = %v, %v", r, err)
		}
		must(t, c.SettleC2D(ctx, dev, r.LockToken, hubwire.Reject))
		wantCode(t, "SettleC2D twice", c.SettleC2D(ctx, dev, r.LockToken, hubwire.Reject), hubwire.MessageLockLost)
		_, err = c.ReceiveC2D(ctx, hubwire.Identity{DeviceID: "nobody"}, 0)
		wantCode(t, "ReceiveC2D of nobody", err, hubwire.DeviceNotFound)
		if d, _ := c.Device(dev); d.Connected {
			t.Error("receiving without a session made the device connected")
		}
	})
}

func TestPurge(t *testing.T) {
	c := newCore(t, nil)
	s, _ := connect(t, c, dev)
	for _, ack := range []hubwire.Ack{"", hubwire.AckNone, hubwire.AckPositive, hubwire.AckNegative, hubwire.AckFull} {
		send(t, c, dev, hubwire.Message{ID: "m-" + string(ack), Ack: ack})
	}
	s.NextOf(anyC2D)
	if n, err := c.Purge(ctx, dev); n != 5 || err != nil {
		t.Errorf("Purge = %d, %v", n, err)
	}
	var got []string
	for _, r := range c.Feedback(10).Records {
		got = append(got, r.OriginalMessageID+" "+string(r.Status))
	}
	want := []string{"m-positive Purged", "m-negative Purged", "m-full Purged"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("feedback (-want +got):\n%s", diff)
	}
	_, err := c.Purge(ctx, hubwire.Identity{DeviceID: "nobody"})
	wantCode(t, "Purge of nobody", err, hubwire.DeviceNotFound)
}

func TestC2DSurvivesAStoreThatFails(t *testing.T) {
	bs := &brokenStore{Store: store.NewMemory(nil)}
	c := newCoreOn(t, nil, bs)
	s, _ := connect(t, c, dev)
	send(t, c, dev, hubwire.Message{ID: "m"})
	r := s.NextOf(anyC2D)
	bs.broken = true
	err := c.SendC2D(ctx, dev, &hubwire.Message{})
	wantCode(t, "SendC2D", err, hubwire.ServerError)
	if !errors.Is(err, errDisk) || strings.Contains(err.Error(), string(r.LockToken)) {
		t.Errorf("error %v", err)
	}
	wantCode(t, "Complete", s.Settle(ctx, r.LockToken, hubwire.Complete), hubwire.ServerError)
	wantCode(t, "Abandon", s.Settle(ctx, r.LockToken, hubwire.Abandon), hubwire.ServerError)
	bs.broken = false
	must(t, s.Settle(ctx, r.LockToken, hubwire.Abandon))
	if r := s.NextOf(anyC2D); r == nil || r.DeliveryCount != 1 {
		t.Errorf("after the store recovered got %+v", r)
	}
}

// TestC2DSenderWaitsForRoom has a sender meet a full queue.
func TestC2DSenderWaitsForRoom(t *testing.T) {
	cases := []struct {
		name    string
		connect bool
		during  func(t *testing.T, c *Core, s *Session) // while the sender waits
		took    time.Duration
		code    hubwire.Code // 0 for none
	}{
		{"of a device that is not there", false, nil, 0, hubwire.QueueDepthExceeded},
		{"of a device that settles nothing", true, nil, roomPatience, hubwire.QueueDepthExceeded},
		{"of a device that settles", true, func(t *testing.T, _ *Core, s *Session) {
			must(t, s.Settle(ctx, s.NextOf(anyC2D).LockToken, hubwire.Complete))
		}, 0, 0},
		{"that is purged", true, func(t *testing.T, c *Core, _ *Session) {
			if _, err := c.Purge(ctx, dev); err != nil {
				t.Error(err)
			}
		}, 0, 0},
		{"of a device that is deleted", true, func(t *testing.T, c *Core, _ *Session) {
			must(t, c.Delete(ctx, dev, "*"))
		}, 0, hubwire.DeviceNotFound},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCore(t, nil)
				for range hubwire.MaxC2DQueue {
					send(t, c, dev, hubwire.Message{})
				}
				var s *Session
				if tc.connect {
					s, _ = connect(t, c, dev)
				}
				start, done := time.Now(), make(chan error, 1)
				go func() { done <- c.SendC2D(ctx, dev, &hubwire.Message{}) }()
				synctest.Wait()
				if tc.during != nil {
					tc.during(t, c, s)
				}
				err := <-done
				if took := time.Since(start); took != tc.took {
					t.Errorf("it took %v, want %v", took, tc.took)
				}
				if tc.code == 0 {
					must(t, err)
				} else {
					wantCode(t, "SendC2D", err, tc.code)
				}
			})
		})
	}
}

// TestReleaseGivesBackWhatALinkHeld has a session lose one of its two links.
func TestReleaseGivesBackWhatALinkHeld(t *testing.T) {
	c := newCore(t, nil)
	send(t, c, mod, hubwire.Message{ID: "c2d"})
	must(t, c.SendInput(ctx, mod, "in", &hubwire.Message{ID: "input"}))
	s, _ := connect(t, c, mod)
	must(t, s.Subscribe(ctx, Subscription{Filter: "a", Feature: FeatureC2D}, Subscription{Filter: "b", Feature: FeatureInputs}))
	input := s.NextOf(FeatureInputs)
	if input == nil || input.ID != "input" || s.NextOf(FeatureInputs) != nil {
		t.Fatalf("of the input came %v", input)
	}
	m := s.NextOf(FeatureC2D)
	if m == nil || m.ID != "c2d" {
		t.Fatalf("of C2D came %v", m)
	}
	s.Release(FeatureC2D)
	wantCode(t, "settling what was given back", s.Settle(ctx, m.LockToken, hubwire.Complete), hubwire.MessageLockLost)
	again := s.NextOf(FeatureC2D)
	if again == nil || again.ID != "c2d" || again.DeliveryCount != 0 || !again.Redelivered {
		t.Errorf("after it was given back there is %+v", again)
	}
	must(t, s.Settle(ctx, input.LockToken, hubwire.Complete))
	s.Disconnect()
	s.Release(FeatureC2D) // of a session that is over: nothing
}
