package service_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/service"
)

// sender is a device that numbers what it sends.
type sender struct {
	t *testing.T
	*device.Client
	id   hubwire.Identity
	sent int
}

// senders connects devices.
func senders(t *testing.T, h *hub.Hub, n int) []*sender {
	t.Helper()
	all := make([]*sender, n)
	for i := range all {
		id := hubwire.Identity{DeviceID: fmt.Sprint("dev-", i)}
		hubtest.Device(t, h, id.DeviceID)
		all[i] = &sender{t: t, Client: online(t, h, id), id: id}
	}
	return all
}

// send sends messages whose bodies are numbers, from 0 and rising.
func (s *sender) send(n int) {
	for range n {
		if err := s.Send(s.t.Context(), &hubwire.Message{Body: []byte(strconv.Itoa(s.sent))}); err != nil {
			s.t.Errorf("%v: %v", s.id, err)
			return
		}
		s.sent++
	}
}

// ledger checks that each device's events come in order, none missing and none twice.
type ledger struct {
	t    *testing.T
	next map[hubwire.Identity]int
	seen int
	last map[string]int64 // sequence numbers, by partition
}

func newLedger(t *testing.T) *ledger {
	return &ledger{t: t, next: map[hubwire.Identity]int{}, last: map[string]int64{}}
}

func (l *ledger) add(ev *service.Event) {
	l.t.Helper()
	if got, want := string(ev.Body), strconv.Itoa(l.next[ev.Source]); got != want {
		l.t.Fatalf("%v: event %s, want %s", ev.Source, got, want)
	}
	if last, ok := l.last[ev.Partition]; ok && ev.SequenceNumber != last+1 {
		l.t.Fatalf("partition %s: event %d after %d", ev.Partition, ev.SequenceNumber, last)
	}
	l.next[ev.Source]++
	l.last[ev.Partition] = ev.SequenceNumber
	l.seen++
}

// TestEventsComeOnceWhateverIsCut has the network fail at random moments while events flow.
func TestEventsComeOnceWhateverIsCut(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			overAMQP(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client, dials *dialled) {
				random := rand.New(rand.NewPCG(seed, 0))
				const devices, each = 6, 200
				all := senders(t, h, devices)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() { // cuts
					for ctx.Err() == nil {
						time.Sleep(time.Duration(random.IntN(4000)) * time.Millisecond)
						dials.cut()
					}
				}()
				for _, s := range all {
					go func() {
						for range each {
							s.send(1)
							time.Sleep(time.Duration(s.sent%7) * 40 * time.Millisecond)
						}
					}()
				}
				l := newLedger(t)
				for ev, err := range c.Events(ctx, &service.EventOptions{Prefetch: 10}) {
					if err != nil {
						t.Fatal(err)
					}
					l.add(ev)
					if l.seen == devices*each {
						break
					}
				}
				if n := dials.count(); n < 5 {
					t.Errorf("there were %d connections: nothing was cut", n)
				}
				cancel()
				time.Sleep(time.Minute)
			})
		})
	}
}

// TestWhereEventsBegin has each kind of start.
func TestWhereEventsBegin(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client) {
		s := senders(t, h, 1)[0]
		var all []*service.Event
		for range 10 {
			s.send(1)
			time.Sleep(time.Second)
		}
		for ev, err := range c.Events(t.Context(), nil) {
			if err != nil {
				t.Fatal(err)
			}
			if all = append(all, ev); len(all) == 10 {
				break
			}
		}
		at := all[4]
		for name, tt := range map[string]struct {
			o    service.EventOptions
			want string // of the first event
		}{
			"earliest":                  {service.EventOptions{}, "0"},
			"latest":                    {service.EventOptions{Start: service.EventStart{At: service.Latest}}, "new"},
			"behind an offset":          {service.EventOptions{Start: service.EventStart{At: service.AtOffset, Offset: at.Offset}}, "5"},
			"at an offset":              {service.EventOptions{Start: service.EventStart{At: service.AtOffset, Offset: at.Offset, Inclusive: true}}, "4"},
			"behind a sequence number":  {service.EventOptions{Start: service.EventStart{At: service.AtSequence, Sequence: at.SequenceNumber}}, "5"},
			"at a sequence number":      {service.EventOptions{Start: service.EventStart{At: service.AtSequence, Sequence: at.SequenceNumber, Inclusive: true}}, "4"},
			"behind a time":             {service.EventOptions{Start: service.EventStart{At: service.AtTime, Time: at.StoredTime}}, "5"},
			"at a time":                 {service.EventOptions{Start: service.EventStart{At: service.AtTime, Time: at.StoredTime, Inclusive: true}}, "4"},
			"its own for the partition": {service.EventOptions{Starts: map[string]service.EventStart{at.Partition: {At: service.AtOffset, Offset: at.Offset}}}, "5"},
		} {
			later := time.AfterFunc(10*time.Second, func() { s.Send(context.Background(), &hubwire.Message{Body: []byte("new")}) })
			tt.o.Partitions = []string{at.Partition, at.Partition}
			for ev, err := range c.Events(t.Context(), &tt.o) {
				if err != nil || string(ev.Body) != tt.want {
					t.Errorf("%s: %+v, %v; want %s", name, ev, err, tt.want)
				}
				break
			}
			later.Stop()
		}
	})
}

// TestLatestMissesNothing has the connection cut before there was any event at all.
func TestLatestMissesNothing(t *testing.T) {
	overAMQP(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client, dials *dialled) {
		s := senders(t, h, 1)[0]
		s.send(3)
		go func() {
			time.Sleep(10 * time.Second) // the reader is in place
			dials.cut()
			s.send(3) // before it is there again
		}()
		want := []string{"3", "4", "5"}
		var got []string
		for ev, err := range c.Events(t.Context(), &service.EventOptions{Start: service.EventStart{At: service.Latest}}) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, string(ev.Body)); len(got) == 3 {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestWhoReadsAPartition(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client) {
		read := func(level *int64) <-chan error {
			end := make(chan error, 1)
			go func() {
				for _, err := range c.Events(t.Context(), &service.EventOptions{OwnerLevel: level, Partitions: []string{"0"}}) {
					end <- err
				}
			}()
			time.Sleep(10 * time.Second)
			return end
		}
		one, two := int64(1), int64(2)
		ended := func(end <-chan error, name string) {
			t.Helper()
			select {
			case err := <-end:
				if e := errorOf(t, err); !errors.Is(err, service.ErrDisplaced) || e.Retryable || e.Op != "read events" {
					t.Errorf("%s: %v", name, err)
				}
			case <-time.After(time.Hour):
				t.Errorf("%s goes on", name)
			}
		}
		nobody := read(nil)
		first := read(&one)
		ended(nobody, "a reader without a level")
		second := read(&two)
		ended(first, "a lower level")
		ended(read(&one), "a lower level that comes later")
		ended(read(nil), "no level that comes later")
		select {
		case err := <-second:
			t.Errorf("the owner: %v", err)
		default:
		}
	})
}

func TestThereAreFiveReadersOfAPartition(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client) {
		ctx, cancel := context.WithCancel(t.Context())
		ends := make(chan error, 10)
		for range 5 {
			go func() {
				for _, err := range c.Events(ctx, nil) {
					ends <- err
				}
			}()
		}
		time.Sleep(time.Minute)
		for _, err := range c.Events(ctx, nil) {
			if e := errorOf(t, err); e.Code != hubwire.QuotaExceeded || !e.Retryable || e.Outcome != hubwire.Refused {
				t.Errorf("the sixth: %v", err)
			}
		}
		cancel()
		for range 5 {
			if err := <-ends; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	})
}

// TestEventsThatCannotBeRead are refused for good.
func TestEventsThatCannotBeRead(t *testing.T) {
	onHub(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client) {
		for name, tt := range map[string]struct {
			o    service.EventOptions
			c    *service.Client
			code hubwire.Code
			out  hubwire.Outcome
		}{
			"no such group":     {service.EventOptions{ConsumerGroup: "nobodys"}, c, hubwire.AMQPAddressNotFound, hubwire.Refused},
			"no such partition": {service.EventOptions{Partitions: []string{"99"}}, c, hubwire.PartitionNotFound, hubwire.Refused},
			"nor its end":       {service.EventOptions{Partitions: []string{"99"}, Start: service.EventStart{At: service.Latest}}, c, hubwire.PartitionNotFound, hubwire.Refused},
			"no offset":         {service.EventOptions{Start: service.EventStart{At: service.AtOffset, Offset: "x"}}, c, hubwire.ArgumentInvalid, hubwire.Refused},
			"an empty offset":   {service.EventOptions{Start: service.EventStart{At: service.AtOffset}}, c, hubwire.ArgumentInvalid, hubwire.NotSent},
			"no kind of start":  {service.EventOptions{Start: service.EventStart{At: 9}}, c, hubwire.ArgumentInvalid, hubwire.NotSent},
			"a start in quotes": {service.EventOptions{Starts: map[string]service.EventStart{"0": {At: service.AtOffset, Offset: "1' or '1"}}}, c, hubwire.ArgumentInvalid, hubwire.NotSent},
			"too much ahead":    {service.EventOptions{Prefetch: 5001}, c, hubwire.ArgumentInvalid, hubwire.NotSent},
			"no right":          {service.EventOptions{}, clientOf(t, h, "registryRead", nil), hubwire.Unauthorized, hubwire.Refused},
		} {
			n := 0
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			for ev, err := range tt.c.Events(ctx, &tt.o) {
				n++
				if e := errorOf(t, err); ev != nil || e.Code != tt.code || e.Outcome != tt.out || e.Retryable || e.Op != "read events" {
					t.Errorf("%s: %v, %v", name, ev, err)
				}
			}
			cancel()
			if n != 1 {
				t.Errorf("%s: %d errors", name, n)
			}
		}
	})
}

// TestARangeThatIsStoppedLeavesNothing also when its Client is closed in it.
func TestARangeThatIsStoppedLeavesNothing(t *testing.T) {
	overAMQP(t, hub.Config{}, func(t *testing.T, h *hub.Hub, c *service.Client, dials *dialled) {
		senders(t, h, 1)[0].send(5)
		for range 3 {
			for range c.Events(t.Context(), nil) {
				break
			}
		}
		if !slices.Contains(dials.addrs, dials.addrs[0]) || dials.count() != 4 { // the hub, and three times the endpoint
			t.Errorf("dials: %v", dials.addrs)
		}
		n := 0
		for _, err := range c.Events(t.Context(), nil) {
			if n++; n == 2 {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
			if err != nil && (n < 3 || errorOf(t, err).Retryable) {
				t.Errorf("event %d: %v", n, err)
			}
		}
		for _, err := range c.Events(t.Context(), nil) {
			if e := errorOf(t, err); e.Outcome != hubwire.NotSent {
				t.Error(err)
			}
		}
	})
}

// TestWhereTheEventsAre is for other clients; a hub that serves them itself has them under the name that its
// endpoint has.
func TestWhereTheEventsAre(t *testing.T) {
	for name, itself := range map[string]bool{"a redirect": false, "none": true} {
		t.Run(name, func(t *testing.T) {
			onHub(t, hub.Config{HostName: "myhub.azure-devices.net", NoRedirect: itself}, func(t *testing.T, h *hub.Hub, c *service.Client) {
				at, err := c.EventHubEndpoint(t.Context())
				if diff := cmp.Diff(&service.EventHubEndpoint{HostName: "myhub.azure-devices.net", Name: "myhub"}, at); err != nil || diff != "" {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
				senders(t, h, 1)[0].send(1)
				for ev, err := range c.Events(t.Context(), nil) {
					if err != nil || string(ev.Body) != "0" {
						t.Errorf("%+v, %v", ev, err)
					}
					break
				}
			})
		})
	}
}
