package service_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
	"github.com/hubwire/hubwire/service"
)

// redirectTo is the error of a peer that sends on to another.
func redirectTo(r amqp.Redirect) *amqp10.Error {
	return (&amqp.Error{Condition: amqp.LinkRedirect, Redirect: r}).Wire()
}

// TestRedirectsThatLeadNowhere are not followed for ever.
func TestRedirectsThatLeadNowhere(t *testing.T) {
	const good = "amqps://hub.example:5671/eh/$management"
	for name, tt := range map[string]struct {
		to   amqp.Redirect
		code hubwire.Code
		is   error
	}{
		"to itself for ever":     {amqp.Redirect{Hostname: "hub.example", Port: 5671, Address: good}, hubwire.AMQPAddressNotFound, service.ErrRedirects},
		"with the address alone": {amqp.Redirect{Address: good}, hubwire.AMQPAddressNotFound, service.ErrRedirects},
		"without a host":         {amqp.Redirect{Address: "/eh/$management"}, hubwire.FormatError, nil},
		"without an address":     {amqp.Redirect{Hostname: "hub.example"}, hubwire.FormatError, nil},
		"without a name":         {amqp.Redirect{Hostname: "hub.example", Address: "amqps://hub.example:5671/$management"}, hubwire.FormatError, nil},
		"to what is no host":     {amqp.Redirect{Hostname: "hub.example/x", Address: good}, hubwire.FormatError, nil},
		"to what is no address":  {amqp.Redirect{Hostname: "hub.example", Address: "amqps://%zz:1/x"}, hubwire.FormatError, nil},
		"to dial what is none":   {amqp.Redirect{Hostname: "hub.example", NetworkHost: "a b", Address: good}, hubwire.FormatError, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := &peer{refuse: func(string) *amqp10.Error { return redirectTo(tt.to) }}
			withPeer(t, p, func(t *testing.T, p *peer, c *service.Client) {
				var err error
				for _, err = range c.Events(t.Context(), nil) {
					break
				}
				e := errorOf(t, err)
				if e.Code != tt.code || e.Outcome != hubwire.Refused || e.Retryable || e.Op != "read events" || tt.is != nil && !errors.Is(e, tt.is) {
					t.Error(e)
				}
				if _, err := c.EventHubInfo(t.Context()); errorOf(t, err).Code != tt.code {
					t.Error(err)
				}
				if n := len(p.attaches); n > 20 {
					t.Errorf("%d attaches", n)
				}
			})
		})
	}
}

// TestEventsThatMove follows an endpoint that sends on to another one.
func TestEventsThatMove(t *testing.T) {
	at := amqp.Start{At: amqp.AtOffset, Offset: "1"}
	event := func(n int64, offset string) []byte {
		return amqp.AppendEvent(nil, &amqp.Event{Received: &hubwire.Received{SequenceNumber: n, EnqueuedTime: time.Now()}, Offset: offset})
	}
	moved := false
	p := &peer{
		refuse: func(address string) *amqp10.Error {
			switch {
			case strings.HasPrefix(address, "messages/events"):
				return redirectTo(amqp.Redirect{Hostname: "hub.example", Port: 1001, Address: "amqps://hub.example:1001/one/$management"})
			case strings.HasPrefix(address, "one/") && !moved:
				moved = true
				return redirectTo(amqp.Redirect{Hostname: "hub.example", Port: 1002, Address: "amqps://hub.example:1002/two/$management"})
			}
			return nil
		},
		messages: func(string, amqp.Start) [][]byte { return [][]byte{event(2, "2"), event(3, "3")} },
	}
	withPeer(t, p, func(t *testing.T, p *peer, c *service.Client) {
		var got []string
		o := &service.EventOptions{Partitions: []string{"7"}, Start: at, ConsumerGroup: "a group"}
		for ev, err := range c.Events(t.Context(), o) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, ev.Partition+":"+ev.Offset); len(got) == 2 {
				break
			}
		}
		if diff := cmp.Diff([]string{"7:2", "7:3"}, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		want := []string{"messages/events/$management", "one/ConsumerGroups/a%20group/Partitions/7", "two/ConsumerGroups/a%20group/Partitions/7"}
		if diff := cmp.Diff(want, p.attaches); diff != "" {
			t.Errorf("attaches (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"hub.example:5671", "hub.example:1001", "hub.example:1002"}, p.dials); diff != "" {
			t.Errorf("dials (-want +got):\n%s", diff)
		}
	})
}

// TestWhatCannotBeRead ends a range, and is given back.
func TestWhatCannotBeRead(t *testing.T) {
	feedback := func(contentType, body string) []byte {
		return amqp.AppendNotification(nil, &amqp.Notification{ContentType: contentType, Hub: "hub", Body: []byte(body)})
	}
	for name, msg := range map[string][]byte{
		"not JSON":             feedback(amqp.FeedbackType, "{"),
		"not an array":         feedback(amqp.FeedbackType, `{"a":1}`),
		"another content type": feedback("text/plain", "[]"),
		"no body":              amqp.AppendMessage(nil, &amqp.Draft{Properties: amqp.Properties{ContentType: amqp.FeedbackType}, Body: amqp.ValueBody, Value: amqp.Int(1)}),
	} {
		t.Run(name, func(t *testing.T) {
			p := &peer{messages: func(string, amqp.Start) [][]byte {
				return [][]byte{msg, feedback(amqp.FeedbackType, `[{"statusCode":"Success"}]`)}
			}}
			withPeer(t, p, func(t *testing.T, p *peer, c *service.Client) {
				n := 0
				for f, err := range c.Feedback(t.Context()) {
					n++
					if e := errorOf(t, err); f != nil || e.Code != hubwire.FormatError || e.Outcome != hubwire.Refused || e.Op != "receive feedback" {
						t.Errorf("%v, %v", f, err)
					}
				}
				f, err := c.ReceiveFeedback(t.Context())
				if err != nil || n != 1 || !f.Records[0].Status.Is(service.FeedbackSuccess) {
					t.Errorf("the next: %+v, %v, after %d errors", f, err, n)
				}
				if diff := cmp.Diff([]amqp10.Descriptor{amqp10.DescReleased}, p.outcomes); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
			})
		})
	}
	t.Run("event", func(t *testing.T) {
		bad := amqp.AppendMessage(nil, &amqp.Draft{Annotations: []amqp.Pair{{Key: amqp.KeyOffset, Value: amqp.String("42")}}, Body: amqp.ValueBody, Value: amqp.Int(1)})
		p := &peer{messages: func(string, amqp.Start) [][]byte { return [][]byte{bad} }, refuse: func(address string) *amqp10.Error {
			if strings.HasPrefix(address, "messages/events") {
				return redirectTo(amqp.Redirect{Address: "amqps://hub.example:5671/eh/"})
			}
			return nil
		}}
		withPeer(t, p, func(t *testing.T, p *peer, c *service.Client) {
			for _, err := range c.Events(t.Context(), &service.EventOptions{Partitions: []string{"0"}}) {
				if e := errorOf(t, err); e.Retryable || !strings.Contains(err.Error(), `offset "42" of partition 0`) {
					t.Error(err)
				}
			}
		})
	})
}

// TestNobodyIsAsked when there is nothing to ask for.
func TestAMQPIsNotUsedUnlessItIsNeeded(t *testing.T) {
	withPeer(t, &peer{}, func(t *testing.T, p *peer, c *service.Client) {
		for _, err := range []error{
			c.SendC2D(t.Context(), dev, nil),
			c.SendC2D(t.Context(), hubwire.Identity{}, &hubwire.Message{}),
			new(service.Feedback).Complete(t.Context()),
			func() error { _, err := c.PartitionInfo(context.Context(nil), "0"); return err }(),
		} {
			if !errors.Is(err, hubwire.ArgumentInvalid) {
				t.Error(err)
			}
		}
		if len(p.dials) != 0 {
			t.Errorf("dials: %v", p.dials)
		}
	})
}

// TestWhatAPeerMakesOfAMessage has the outcomes that the hub itself does not have.
func TestWhatAPeerMakesOfAMessage(t *testing.T) {
	modified := amqp10.Modified{DeliveryFailed: amqp10.Some(true)}
	for name, tt := range map[string]struct {
		settle  func(*amqpserver.Delivery)
		outcome hubwire.Outcome
		code    hubwire.Code
		retry   bool
	}{
		"released":                {func(d *amqpserver.Delivery) { d.Settle(amqp10.Released()) }, hubwire.Refused, 0, true},
		"modified":                {func(d *amqpserver.Delivery) { d.Settle(modified.State()) }, hubwire.Refused, 0, true},
		"rejected without a word": {func(d *amqpserver.Delivery) { d.Settle(amqp10.Rejected(nil)) }, hubwire.Refused, 0, false},
		"rejected, the queue is full": {func(d *amqpserver.Delivery) {
			d.Settle(amqp10.Rejected(&amqp10.Error{Condition: amqp10.ResourceLimitExceeded}))
		}, hubwire.Refused, hubwire.QueueDepthExceeded, false},
		"detached for what was too large": {func(d *amqpserver.Delivery) { go d.Link.Detach(&amqp10.Error{Condition: amqp10.MessageSizeExceeded}) }, hubwire.Unknown, hubwire.MessageTooLarge, false},
		"the session ends":                {func(d *amqpserver.Delivery) { go d.Link.Session().End(nil) }, hubwire.Unknown, hubwire.ConnectionClosedRemotely, true},
		"the connection is closed": {func(d *amqpserver.Delivery) {
			go d.Link.Conn().Close(&amqp10.Error{Condition: amqp10.ConnectionForced})
		}, hubwire.Unknown, hubwire.ConnectionClosedRemotely, true},
		"no word at all": {func(*amqpserver.Delivery) {}, hubwire.Unknown, hubwire.ConnectionClosedRemotely, true},
	} {
		t.Run(name, func(t *testing.T) {
			first := true
			p := &peer{settle: func(d *amqpserver.Delivery) {
				if !first {
					d.Settle(amqp10.Accepted())
					return
				}
				first = false
				tt.settle(d)
			}}
			withPeer(t, p, func(t *testing.T, p *peer, c *service.Client) {
				e := errorOf(t, c.SendC2D(t.Context(), dev, &hubwire.Message{Body: []byte("x")}))
				if e.Outcome != tt.outcome || e.Code != tt.code || e.Retryable != tt.retry {
					t.Error(e)
				}
				if err := c.SendC2D(t.Context(), dev, &hubwire.Message{Body: []byte("y")}); err != nil {
					t.Errorf("the next one: %v", err)
				}
			})
		})
	}
}
