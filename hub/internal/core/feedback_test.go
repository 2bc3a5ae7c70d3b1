package core

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hubwire/hubwire"
)

func TestFeedbackGoesToSendersThatAsked(t *testing.T) {
	type row struct {
		ack  hubwire.Ack
		d    hubwire.Disposition
		want FeedbackStatus // empty for none
	}
	rows := []row{
		{hubwire.AckNone, hubwire.Complete, ""},
		{"", hubwire.Complete, ""},
		{hubwire.AckPositive, hubwire.Complete, StatusSuccess},
		{hubwire.AckNegative, hubwire.Complete, ""},
		{hubwire.AckFull, hubwire.Complete, StatusSuccess},
		{hubwire.AckNone, hubwire.Reject, ""},
		{hubwire.AckPositive, hubwire.Reject, ""},
		{hubwire.AckNegative, hubwire.Reject, StatusRejected},
		{hubwire.AckFull, hubwire.Reject, StatusRejected},
		{hubwire.AckPositive, hubwire.Abandon, ""},
		{hubwire.AckNegative, hubwire.Abandon, StatusDeliveryCountExceeded},
		{hubwire.AckFull, hubwire.Abandon, StatusDeliveryCountExceeded},
	}
	for _, r := range rows {
		t.Run(fmt.Sprintf("ack %q, %v", r.ack, r.d), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCore(t, &Config{MaxDeliveryCount: 1})
				s, _ := connect(t, c, dev)
				send(t, c, dev, hubwire.Message{ID: "m", Ack: r.ack})
				must(t, s.Settle(ctx, s.NextOf(anyC2D).LockToken, r.d))
				b := c.Feedback(10)
				if r.want == "" {
					if b != nil {
						t.Errorf("got %+v, want none", b.Records)
					}
					return
				}
				d, _ := c.Device(dev)
				want := []FeedbackRecord{{OriginalMessageID: "m", Status: r.want, Time: time.Now().UTC(), Identity: dev, GenerationID: d.GenerationID}}
				if b == nil || !cmp.Equal(b.Records, want) {
					t.Errorf("got %+v, want %+v", b, want)
				}
			})
		})
	}
}

// completed queues feedback for n messages m0, m1, ….
func completed(t *testing.T, c *Core, n int) {
	t.Helper()
	s, _ := connect(t, c, dev)
	for i := range n {
		send(t, c, dev, hubwire.Message{ID: fmt.Sprintf("m%d", i), Ack: hubwire.AckFull})
		must(t, s.Settle(ctx, s.NextOf(anyC2D).LockToken, hubwire.Complete))
	}
}

func TestFeedbackBatchesAreLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		completed(t, c, 3)
		one, two := c.Feedback(2), c.Feedback(2)
		if len(one.Records) != 2 || len(two.Records) != 1 || c.Feedback(2) != nil {
			t.Fatalf("batches %+v, %+v", one, two)
		}
		must(t, c.SettleFeedback(ctx, one.LockToken, hubwire.Complete))
		wantCode(t, "settling twice", c.SettleFeedback(ctx, one.LockToken, hubwire.Complete), hubwire.MessageLockLost)
		must(t, c.SettleFeedback(ctx, two.LockToken, hubwire.Abandon))
		again := c.Feedback(2)
		if again == nil || again.Records[0].OriginalMessageID != "m2" || again.DeliveryCount != 1 {
			t.Fatalf("after abandon %+v", again)
		}
		// A reader that waits gets it when the lock ends.
		start := time.Now()
		b, err := c.WaitFeedback(ctx, 2)
		if err != nil || len(b.Records) != 1 || time.Since(start) != time.Minute {
			t.Errorf("WaitFeedback = %+v, %v after %v", b, err, time.Since(start))
		}
		wantCode(t, "settling after the lock", c.SettleFeedback(ctx, again.LockToken, hubwire.Complete), hubwire.MessageLockLost)
	})
}

func TestFeedbackIsDroppedAtLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		completed(t, c, 1)
		for i := range feedbackRules.deliveries {
			b := c.Feedback(1)
			if b == nil || b.DeliveryCount != i {
				t.Fatalf("delivery %d = %+v", i, b)
			}
			must(t, c.SettleFeedback(ctx, b.LockToken, hubwire.Abandon))
		}
		if b := c.Feedback(1); b != nil {
			t.Errorf("after %d deliveries %+v", feedbackRules.deliveries, b)
		}
		completed(t, c, 1)
		time.Sleep(time.Hour)
		if b := c.Feedback(1); b != nil {
			t.Errorf("after an hour %+v", b)
		}
	})
}

func TestFeedbackOfADeletedDeviceIsGone(t *testing.T) {
	c := newCore(t, nil)
	completed(t, c, 2)
	must(t, c.Delete(ctx, dev, "*"))
	if b := c.Feedback(10); b != nil {
		t.Errorf("got %+v", b)
	}
}

func TestWaitFeedbackEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := c.WaitFeedback(short, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with the context's end = %v", err)
		}
		got := make(chan error)
		go func() {
			b, err := c.WaitFeedback(ctx, 1)
			if err == nil && b.Records[0].OriginalMessageID != "m0" {
				err = errors.New("another record")
			}
			got <- err
			_, err = c.WaitFeedback(ctx, 1)
			got <- err
		}()
		synctest.Wait()
		completed(t, c, 1)
		if err := <-got; err != nil {
			t.Errorf("a new record = %v", err)
		}
		synctest.Wait()
		c.Close()
		wantCode(t, "after Close", <-got, hubwire.ServiceUnavailable)
	})
}

func TestFeedbackIsBounded(t *testing.T) {
	c := newCore(t, nil)
	const more = 50
	for i := range feedbackRules.max + more {
		send(t, c, dev, hubwire.Message{ID: fmt.Sprint(i), Ack: hubwire.AckFull})
		if i%more == more-1 {
			if _, err := c.Purge(ctx, dev); err != nil {
				t.Fatal(err)
			}
		}
	}
	kept := 0
	for b := c.Feedback(1000); b != nil; b = c.Feedback(1000) {
		if want := fmt.Sprint(more + kept); b.Records[0].OriginalMessageID != want {
			t.Errorf("record %d is of message %s, want %s", kept, b.Records[0].OriginalMessageID, want)
		}
		kept += len(b.Records)
		must(t, c.SettleFeedback(ctx, b.LockToken, hubwire.Complete))
	}
	if kept != feedbackRules.max {
		t.Errorf("%d records were kept, want %d", kept, feedbackRules.max)
	}
}

func TestWhoWatchesFeedbackIsCalledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		calls := 0
		w := c.WatchFeedback(func() { calls++ })
		want := func(when string, n int) {
			t.Helper()
			synctest.Wait()
			if calls != n {
				t.Errorf("%s: %d calls, want %d", when, calls, n)
			}
			calls = 0
		}
		completed(t, c, 1)
		want("not armed", 0)
		w.Arm()
		w.Arm()
		completed(t, c, 2)
		want("armed, and two records", 1)
		b := c.Feedback(10)
		w.Arm()
		must(t, c.SettleFeedback(ctx, b.LockToken, hubwire.Abandon))
		want("abandoned", 1)
		b = c.Feedback(10)
		w.Arm()
		c.ReleaseFeedback(b.LockToken)
		c.ReleaseFeedback("")
		want("released", 1)
		wantCode(t, "settled after that", c.SettleFeedback(ctx, b.LockToken, hubwire.Complete), hubwire.MessageLockLost)
		if b = c.Feedback(1); b.DeliveryCount != 1 {
			t.Errorf("%d deliveries count", b.DeliveryCount)
		}
		w.Arm()
		time.Sleep(feedbackRules.lock)
		want("the lock ends", 1)
		wantCode(t, "settled too late", c.SettleFeedback(ctx, b.LockToken, hubwire.Complete), hubwire.MessageLockLost)
		w.Arm()
		w.Stop()
		completed(t, c, 1)
		w.Arm()
		completed(t, c, 1)
		want("stopped", 0)
		if n := c.feedback.bell.armed.Load(); n != 0 {
			t.Errorf("%d are armed", n)
		}
	})
}
