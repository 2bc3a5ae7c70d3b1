package mqtt

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
)

// delivers is the script of a server that sends n messages and takes note of the PUBACKs.
func delivers(n int, acks *[]uint16) func(*fakeConn) {
	return func(c *fakeConn) {
		c.accept()
		var b []byte
		for i := range n {
			b = (&Publish{Topic: []byte("t"), Payload: []byte{byte(i)}, QoS: AtLeastOnce, ID: uint16(i + 1)}).AppendTo(b)
		}
		c.send(b)
		for {
			p, err := c.ReadPacket()
			if err != nil {
				return
			}
			if ack, err := ParsePuback(p); err == nil {
				*acks = append(*acks, ack.ID)
			}
		}
	}
}

func TestAcknowledgementsGoOutInTheOrderOfDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var acks []uint16
		var receipts []Receipt
		f := newFake(t, delivers(100, &acks))
		f.start(SessionOptions{OnDelivery: func(d Delivery) { receipts = append(receipts, d.Receipt) }})
		synctest.Wait()
		order := rand.Perm(100)
		done := map[int]bool{}
		for _, i := range order {
			for range 2 { // twice does no harm
				if err := receipts[i].Ack(); err != nil {
					t.Fatal(err)
				}
			}
			done[i] = true
			synctest.Wait()
			due := 0
			for done[due] {
				due++
			}
			if len(acks) != due {
				t.Fatalf("%d PUBACKs are out, want %d", len(acks), due)
			}
		}
		if !slices.IsSorted(acks) {
			t.Errorf("PUBACKs came in the order %v", acks)
		}
	})
}

func TestAReceiptOutlivesNeitherItsConnectionNorItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var acks [2][]uint16
		var receipts []Receipt
		var dups []bool
		f := newFake(t, delivers(2, &acks[0]), func(c *fakeConn) {
			c.accept()
			c.send((&Publish{Topic: []byte("t"), QoS: AtLeastOnce, ID: 1, Dup: true}).AppendTo(nil))
			c.serve()
		})
		s := f.start(SessionOptions{OnDelivery: func(d Delivery) {
			receipts, dups = append(receipts, d.Receipt), append(dups, d.Dup)
		}})
		synctest.Wait()
		s.link.nc.Close()
		comeBack()
		lost := func(r Receipt) {
			t.Helper()
			err := r.Ack()
			if !errors.Is(err, hubwire.MessageLockLost) || !errors.Is(err, net.ErrClosed) {
				t.Errorf("Ack: %v", err)
			}
		}
		lost(receipts[0])
		lost(receipts[1])
		if diff := cmp.Diff([]bool{false, false, true}, dups); diff != "" {
			t.Errorf("DUP (-want +got):\n%s", diff)
		}
		if err := receipts[2].Ack(); err != nil {
			t.Error(err)
		}
		if err := (Receipt{}).Ack(); err != nil {
			t.Errorf("Ack of QoS 0: %v", err)
		}
		s.Close()
		lost(receipts[2])
	})
}

func TestAMessageThatComesAgainIsTheSameDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var acks []uint16
		var got []Delivery
		resend := make(chan uint16)
		f := newFake(t, func(c *fakeConn) {
			go func() {
				for id := range resend {
					c.send((&Publish{Topic: []byte("t"), QoS: AtLeastOnce, ID: id, Dup: true}).AppendTo(nil))
				}
			}()
			delivers(2, &acks)(c)
		})
		f.start(SessionOptions{OnDelivery: func(d Delivery) { got = append(got, d) }})
		again := func(id uint16) {
			synctest.Wait()
			resend <- id
			synctest.Wait()
		}
		again(1)
		if len(got) != 3 || got[2].Receipt != got[0].Receipt || !got[2].Dup {
			t.Fatalf("deliveries %v", got)
		}
		if err := got[1].Receipt.Ack(); err != nil { // held back
			t.Fatal(err)
		}
		again(2)
		if len(got) != 3 {
			t.Error("a message that is acknowledged came again")
		}
		if err := got[2].Receipt.Ack(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if diff := cmp.Diff([]uint16{1, 2}, acks); diff != "" {
			t.Errorf("PUBACKs (-want +got):\n%s", diff)
		}
		again(1) // the identifier is free: another message, of an earlier connection
		if len(got) != 4 || got[3].Receipt == got[0].Receipt {
			t.Errorf("deliveries %v", got)
		}
		close(resend)
	})
}

func TestMessagesThatNobodyWantsAreAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var acks []uint16
		f := newFake(t, delivers(3, &acks))
		f.start(SessionOptions{})
		synctest.Wait()
		if diff := cmp.Diff([]uint16{1, 2, 3}, acks); diff != "" {
			t.Errorf("PUBACKs (-want +got):\n%s", diff)
		}
	})
}

func TestDeliveriesAreViewsInOrderAtAnyChunking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		f := newFake(t, func(c *fakeConn) {
			c.accept()
			for _, p := range []Publish{
				{Topic: []byte("a"), Payload: []byte("one"), QoS: AtLeastOnce, ID: 9},
				{Topic: []byte("b"), Payload: bytes.Repeat([]byte("x"), 5000)},
				{Topic: []byte("c"), Retain: true},
			} {
				c.send(p.AppendTo(nil))
			}
			c.serve()
		})
		f.wrap = func(nc net.Conn) net.Conn {
			return testkit.Rechunk(nc, func() int { return 1 + rand.IntN(3) })
		}
		f.start(SessionOptions{OnDelivery: func(d Delivery) {
			got = append(got, string(d.Topic)+string(d.Payload[:min(3, len(d.Payload))]))
			if d.QoS == AtMostOnce && d.Receipt != (Receipt{}) {
				t.Error("a message with QoS 0 has a Receipt")
			}
		}})
		synctest.Wait()
		if diff := cmp.Diff([]string{"aone", "bxxx", "c"}, got); diff != "" {
			t.Errorf("deliveries (-want +got):\n%s", diff)
		}
	})
}

func TestAServerThatSendsAndDoesNotReadIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, func(c *fakeConn) {
			c.accept()
			for id := uint16(1); ; id++ {
				if c.Write((&Publish{Topic: []byte("t"), QoS: AtLeastOnce, ID: max(id, 1)}).AppendTo(nil)) != nil {
					return
				}
			}
		}, well)
		s := f.start(SessionOptions{})
		comeBack()
		_, reasons := f.stateLog()
		if len(reasons) < 2 || !errors.Is(reasons[1], ErrProtocol) || s.State() != Connected {
			t.Errorf("reasons are %v, state %v", reasons, s.State())
		}
	})
}

func TestTooManyDeliveriesWithoutAnAcknowledgement(t *testing.T) {
	var b inbox
	for i := range maxInbox {
		if _, ok := b.add(uint16(i + 1)); !ok {
			t.Fatalf("delivery %d is refused", i)
		}
	}
	if _, ok := b.add(1); ok {
		t.Error("one more than there are identifiers is taken")
	}
	for i := range uint64(maxInbox) {
		if first := b.ack(i); first != (i == 0) {
			t.Fatalf("delivery %d is the first: %v", i, first)
		}
	}
	if n := len(b.appendAcks(nil)); n != 4*maxInbox {
		t.Errorf("%d bytes of PUBACKs, want %d", n, 4*maxInbox)
	}
}

func TestReceivingDoesNotAllocate(t *testing.T) {
	request, acked := make(chan struct{}), make(chan struct{})
	f := newFake(t, func(c *fakeConn) {
		c.accept()
		p := (&Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: AtLeastOnce, ID: 1}).AppendTo(nil)
		for range request {
			c.send(p)
			if _, err := c.ReadPacket(); err != nil {
				return
			}
			acked <- struct{}{}
		}
	})
	s := f.start(SessionOptions{OnDelivery: func(d Delivery) {
		if err := d.Receipt.Ack(); err != nil {
			t.Error(err)
		}
	}})
	testkit.NoAllocs(t, "a message and its PUBACK", func() {
		request <- struct{}{}
		<-acked
	})
	close(request)
	s.Close()
}

// burst is the script of a server that sends the messages that are not acknowledged yet at
// once, and answers pings.
func burst(qos QoS, n int, acked *atomic.Int32) func(*fakeConn) {
	return func(c *fakeConn) {
		c.accept()
		var b []byte
		for i := int(acked.Load()); i < n; i++ {
			m := Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: qos}
			if qos == AtLeastOnce {
				m.ID = uint16(i + 1)
			}
			b = m.AppendTo(b)
		}
		c.send(b)
		for {
			p, err := c.ReadPacket()
			if err != nil {
				return
			}
			if p.Type() == TypePuback {
				acked.Add(1)
			}
			if reply := c.record(p); reply != nil {
				c.send(reply)
			}
		}
	}
}

// Each OnDelivery returns soon, but what was read at once takes longer than KeepAlive allows.
func TestABurstThatTakesLongIsAcknowledgedOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, each = 5000, 50 * time.Millisecond
		var acked atomic.Int32
		f := newFake(t, burst(AtLeastOnce, n, &acked))
		f.start(SessionOptions{KeepAlive: 10 * time.Second, OnDelivery: func(d Delivery) {
			time.Sleep(each)
			_ = d.Receipt.Ack()
		}})
		time.Sleep(n*each/2 + time.Second)
		if got := acked.Load(); got < n/2 {
			t.Errorf("%d are acknowledged after half of the time", got)
		}
		time.Sleep(n * each / 2)
		if _, reasons := f.stateLog(); acked.Load() != n || f.connections() != 1 {
			t.Errorf("%d of %d were acknowledged, over %d connections: %v", acked.Load(), n, f.connections(), reasons)
		}
	})
}

func TestCloseDoesNotWaitForMessagesThatAreInTheBuffer(t *testing.T) {
	for _, qos := range []QoS{AtMostOnce, AtLeastOnce} {
		t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var acked atomic.Int32
				f := newFake(t, burst(qos, 5000, &acked))
				s := f.start(SessionOptions{OnDelivery: func(Delivery) { time.Sleep(10 * time.Millisecond) }})
				time.Sleep(5 * time.Second)
				begin := time.Now()
				if err := s.Close(); err != nil || time.Since(begin) > 20*time.Millisecond {
					t.Errorf("after %v: %v", time.Since(begin), err)
				}
				<-s.Done()
			})
		})
	}
}
