package interop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2/checkpoints"
	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/hub"
)

// consumer reads events with azeventhubs, over a connection of its own.
func (s *site) consumer(t *testing.T, transport string) *azeventhubs.ConsumerClient {
	t.Helper()
	o := &azeventhubs.ConsumerClientOptions{TLSConfig: s.trust(t), RetryOptions: azeventhubs.RetryOptions{MaxRetries: -1}}
	if transport == "amqp-ws" {
		o.NewWebSocketConn = func(ctx context.Context, p azeventhubs.WebSocketConnParams) (net.Conn, error) {
			return s.tunnel(t, p.Host)
		}
	}
	c, err := azeventhubs.NewConsumerClientFromConnectionString(s.eventHub(t), "", azeventhubs.DefaultConsumerGroup, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

// TestConsumer lets azeventhubs read events partition by partition.
func TestConsumer(t *testing.T) {
	wanted(t)
	s := openSite(t, hub.Config{})
	for _, transport := range []string{"amqp", "amqp-ws"} {
		t.Run(transport, func(t *testing.T) {
			c := s.consumer(t, transport)
			w := s.talker(t)
			t.Run("the hub and its partitions", func(t *testing.T) { describes(t, s, c, w) })
			t.Run("where to start", func(t *testing.T) { starts(t, c, w) })
			t.Run("owner levels", func(t *testing.T) { levels(t, s, transport, w.partition) })
			t.Run("a partition that there is not", func(t *testing.T) {
				if _, err := c.GetPartitionProperties(within(t), "9", nil); err == nil {
					t.Error("it has properties")
				}
			})
		})
	}
}

func describes(t *testing.T, s *site, c *azeventhubs.ConsumerClient, w *talker) {
	h, err := c.GetEventHubProperties(within(t), nil)
	if err != nil || h.Name != s.entity() || len(h.PartitionIDs) != 4 || time.Since(h.CreatedOn) > time.Hour || h.GeoReplicationEnabled {
		t.Errorf("the hub is %+v, %v", h, err)
	}
	before, err := c.GetPartitionProperties(within(t), w.partition, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.say(t, 3)
	after, err := c.GetPartitionProperties(within(t), w.partition, nil)
	if err != nil || after.IsEmpty || after.PartitionID != w.partition || after.LastEnqueuedSequenceNumber != before.LastEnqueuedSequenceNumber+3 ||
		after.BeginningSequenceNumber != before.BeginningSequenceNumber || after.LastEnqueuedOffset == before.LastEnqueuedOffset {
		t.Errorf("after three more, %+v was %+v, %v", after, before, err)
	}
}

// reads collects what one device sent, from a position on and until a number.
func reads(t *testing.T, c *azeventhubs.ConsumerClient, w *talker, from azeventhubs.StartPosition, until int) (got []*azeventhubs.ReceivedEventData) {
	t.Helper()
	p, err := c.NewPartitionClient(w.partition, &azeventhubs.PartitionClientOptions{StartPosition: from})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(within(t))
	for ctx := within(t); ; {
		events, err := p.ReceiveEvents(ctx, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Properties["of"] != w.id.DeviceID {
				continue
			}
			if got = append(got, e); string(e.Body) == fmt.Sprint(until) {
				return got
			}
		}
	}
}

func starts(t *testing.T, c *azeventhubs.ConsumerClient, w *talker) {
	w.say(t, 6)
	yes, last := true, w.n-1
	all := reads(t, c, w, azeventhubs.StartPosition{Earliest: &yes}, last)
	if len(all) != w.n {
		t.Fatalf("%d events from the beginning, of %d", len(all), w.n)
	}
	for i, e := range all {
		if string(e.Body) != fmt.Sprint(i) || *e.MessageID != fmt.Sprint(i) || e.SystemProperties["iothub-connection-device-id"] != w.id.DeviceID ||
			e.SystemProperties["iothub-message-source"] != "Telemetry" || e.EnqueuedTime == nil || time.Since(*e.EnqueuedTime) > time.Minute {
			t.Errorf("event %d: %s, %+v", i, e.Body, e.SystemProperties)
		}
		if _, ok := e.SystemProperties["iothub-enqueuedtime"].(time.Time); !ok {
			t.Errorf("event %d was enqueued at %T", i, e.SystemProperties["iothub-enqueuedtime"])
		}
	}
	mid := all[w.n-4]
	for name, from := range map[string]azeventhubs.StartPosition{
		"offset": {Offset: &mid.Offset}, "sequence number": {SequenceNumber: &mid.SequenceNumber},
	} {
		if got := reads(t, c, w, from, last); len(got) != 3 || string(got[0].Body) != fmt.Sprint(w.n-3) {
			t.Errorf("after that %s: %d events", name, len(got))
		}
		from.Inclusive = true
		if got := reads(t, c, w, from, last); len(got) != 4 || string(got[0].Body) != fmt.Sprint(w.n-4) {
			t.Errorf("from that %s on: %d events", name, len(got))
		}
	}
	long := time.Now().Add(-time.Hour)
	if got := reads(t, c, w, azeventhubs.StartPosition{EnqueuedTime: &long}, last); len(got) != len(all) {
		t.Errorf("since an hour ago: %d events", len(got))
	}
}

// levels has two readers of one partition, of which the higher one gets it.
func levels(t *testing.T, s *site, transport, partition string) {
	yes := true
	open := func(level int64) *azeventhubs.PartitionClient {
		t.Helper()
		p, err := s.consumer(t, transport).NewPartitionClient(partition, &azeventhubs.PartitionClientOptions{
			StartPosition: azeventhubs.StartPosition{Earliest: &yes}, OwnerLevel: &level,
		})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	read := func(p *azeventhubs.PartitionClient) error {
		_, err := p.ReceiveEvents(within(t), 1, nil)
		return err
	}
	lost := func(p *azeventhubs.PartitionClient) {
		t.Helper()
		var err error
		for ctx := within(t); err == nil; {
			_, err = p.ReceiveEvents(ctx, 1, nil)
		}
		var e *azeventhubs.Error
		if !errors.As(err, &e) || e.Code != azeventhubs.ErrorCodeOwnershipLost {
			t.Errorf("the error is %v", err)
		}
	}
	low := open(1)
	if err := read(low); err != nil {
		t.Fatal(err)
	}
	high := open(2)
	if err := read(high); err != nil {
		t.Fatal(err)
	}
	lost(low)
	// What is refused at once has no code of its own.
	if err := read(open(0)); err == nil || !strings.Contains(err.Error(), "amqp:link:stolen") {
		t.Errorf("a lower one: %v", err)
	}
}

// TestProcessor lets two of azeventhubs' Processors share the partitions, with a
// checkpoint store in Azurite.
func TestProcessor(t *testing.T) {
	wanted(t)
	s := openSite(t, hub.Config{})
	store, err := checkpoints.NewBlobStore(startAzurite(t).files, nil)
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	options := &azeventhubs.ProcessorOptions{
		LoadBalancingStrategy: azeventhubs.ProcessorStrategyGreedy, UpdateInterval: 500 * time.Millisecond,
		PartitionExpirationDuration: 15 * time.Second, // of one that is gone
		StartPositions:              azeventhubs.StartPositions{Default: azeventhubs.StartPosition{Earliest: &yes}},
	}
	var writers []*talker
	for covered := map[string]bool{}; len(covered) < 4; {
		w := s.talker(t)
		writers, covered[w.partition] = append(writers, w), true
	}
	say := func(times int) {
		for _, w := range writers {
			w.say(t, times)
		}
	}
	seen := &ledger{owners: map[string]string{}, counts: map[string]int{}}
	start := func(name, transport string) (stop func()) {
		p, err := azeventhubs.NewProcessor(s.consumer(t, transport), store, options)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := p.Run(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("processor %s: %v", name, err)
			}
		})
		wg.Go(func() { seen.follow(ctx, t, &wg, p, name) })
		return sync.OnceFunc(func() { cancel(); wg.Wait() })
	}
	say(5)
	stopA := start("a", "amqp")
	defer stopA()
	poll(t, "not all is read", func() bool { return seen.complete(writers) })
	stopB := start("b", "amqp-ws")
	defer stopB()
	poll(t, "the partitions are not shared", func() bool {
		if seen.complete(writers) {
			say(1)
		}
		return slices.Equal(seen.shares(), []int{2, 2})
	})
	poll(t, "not all is read by two", func() bool { return seen.complete(writers) })
	stopA()
	poll(t, "the other one does not take over", func() bool {
		if seen.complete(writers) {
			say(1)
		}
		return slices.Equal(seen.shares(), []int{4})
	})
	poll(t, "not all is read by the other", func() bool { return seen.complete(writers) })
	stopB()
	before := seen.total()
	stopC := start("c", "amqp")
	defer stopC()
	say(1)
	poll(t, "not all is read after a pause", func() bool { return seen.complete(writers) })
	if got := seen.total() - before; got > 2*len(writers) {
		t.Errorf("%d events read, of %d since the last checkpoint", got, len(writers))
	}
}

// ledger is who read what.
type ledger struct {
	mu     sync.Mutex
	owners map[string]string // of partitions
	counts map[string]int    // of messages, by device and number
	all    int
}

// follow reads each partition that a processor gets, and makes a checkpoint of each event.
func (l *ledger) follow(ctx context.Context, t *testing.T, wg *sync.WaitGroup, p *azeventhubs.Processor, name string) {
	for {
		pc := p.NextPartitionClient(ctx)
		if pc == nil {
			return
		}
		wg.Go(func() {
			defer pc.Close(context.WithoutCancel(ctx))
			for {
				events, err := pc.ReceiveEvents(ctx, 1, nil)
				for _, e := range events {
					l.add(pc.PartitionID(), name, e)
					if err := pc.UpdateCheckpoint(context.WithoutCancel(ctx), e, nil); err != nil {
						t.Errorf("checkpoint: %v", err)
					}
				}
				var lost *azeventhubs.Error
				switch {
				case ctx.Err() != nil || errors.As(err, &lost) && lost.Code == azeventhubs.ErrorCodeOwnershipLost:
					return
				case err != nil:
					t.Errorf("partition %s of processor %s: %v", pc.PartitionID(), name, err)
					return
				}
			}
		})
	}
}

func (l *ledger) add(partition, owner string, e *azeventhubs.ReceivedEventData) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owners[partition] = owner
	l.counts[fmt.Sprint(e.Properties["of"], " ", string(e.Body))]++
	l.all++
}

func (l *ledger) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all
}

// complete says whether each message was read, once or more often.
func (l *ledger) complete(writers []*talker) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	want, got := map[string]bool{}, map[string]bool{}
	for _, w := range writers {
		for i := range w.n {
			want[fmt.Sprint(w.id.DeviceID, " ", i)] = true
		}
	}
	for m := range l.counts {
		got[m] = true
	}
	return cmp.Equal(want, got)
}

// shares is how many partitions each owner has, as of the last event of each.
func (l *ledger) shares() (n []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	count := map[string]int{}
	for _, owner := range l.owners {
		count[owner]++
	}
	for _, c := range count {
		n = append(n, c)
	}
	return n
}
