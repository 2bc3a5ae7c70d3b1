package hub_test

import (
	"context"
	"crypto/tls"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/internal/pki"
	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// benchMessage is the message of the gates.
func benchMessage() *hubwire.Message {
	return &hubwire.Message{
		ID: "msg-0001", ContentType: "application/json", ContentEncoding: "utf-8", Body: make([]byte, 256),
		Properties: []hubwire.Property{{Name: "temperatureAlert", Value: "true"}, {Name: "room", Value: "kitchen"}},
	}
}

// BenchmarkAMQPEvents has one receiver of go-amqp read what is in the log.
func BenchmarkAMQPEvents(b *testing.B) {
	h, err := hub.Start(b.Context(), &hub.Config{Partitions: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	create(b, h, dev)
	c := deviceClient(b, h, dev)
	for range 100_000 {
		if err := c.SendAsync(b.Context(), benchMessage(), nil); err != nil {
			b.Fatal(err)
		}
	}
	if err := c.Send(b.Context(), benchMessage()); err != nil {
		b.Fatal(err)
	}
	cfg := h.ClientTLS()
	cfg.ServerName = "localhost"
	conn, err := goamqp.Dial(b.Context(), "amqps://"+h.AMQPAddr(), &goamqp.ConnOptions{
		TLSConfig: cfg, SASLType: goamqp.SASLTypePlain("service", policyKey(b, h, "service").Reveal()),
	})
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	benchReceive(b, func() *goamqp.Receiver { return benchReceiver(b, conn, partitionAddress) }, 100_000)
}

func benchReceiver(b *testing.B, conn *goamqp.Conn, source string) *goamqp.Receiver {
	s, err := conn.NewSession(b.Context(), nil)
	if err != nil {
		b.Fatal(err)
	}
	r, err := s.NewReceiver(b.Context(), source, &goamqp.ReceiverOptions{Credit: 1000})
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// benchReceive receives a message for each turn, anew from the beginning after so many.
func benchReceive(b *testing.B, open func() *goamqp.Receiver, most int) {
	b.ReportAllocs()
	n := most
	var r *goamqp.Receiver
	for b.Loop() {
		if n == most {
			b.StopTimer()
			if r != nil {
				r.Close(context.Background())
			}
			r, n = open(), 0
			b.StartTimer()
		}
		m, err := r.Receive(b.Context(), nil)
		if err == nil {
			err = r.AcceptMessage(b.Context(), m)
		}
		if err != nil {
			b.Fatal(err)
		}
		n++
	}
}

// idleSender gives the same message over and over.
type idleSender struct{ message []byte }

func (s idleSender) Detached(error) {}
func (s idleSender) Settled(uint64, amqp10.State, bool) amqp10.State {
	return amqp10.Accepted()
}
func (s idleSender) Next(dst []byte) ([]byte, amqpserver.Outgoing, bool) {
	return append(dst, s.message...), amqpserver.Outgoing{Settled: true}, true
}

// BenchmarkAMQPEventsFloor is the same receiver, fed by what does nothing but send.
func BenchmarkAMQPEventsFloor(b *testing.B) {
	ca, err := pki.New()
	if err != nil {
		b.Fatal(err)
	}
	cert, err := ca.Server("localhost")
	if err != nil {
		b.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*cert}})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	m := benchMessage()
	ev := &amqp.Event{Received: &hubwire.Received{Message: *m}, Offset: "12345", AuthMethod: `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`, GenerationID: "637735437391372435", MessageSource: "Telemetry"}
	ev.Received.Source.DeviceID, ev.Received.EnqueuedTime = "dev-1", time.Now()
	node := idleSender{amqp.AppendEvent(nil, ev)}
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		c := amqpserver.NewServer(nil).NewConn(nc, nc, &amqpserver.Handler{
			Sender: func(*amqpserver.Attach) (amqpserver.Sender, *amqp10.Error) { return node, nil },
		})
		c.Serve()
		nc.Close()
	}()
	conn, err := goamqp.Dial(b.Context(), "amqps://"+l.Addr().String(), &goamqp.ConnOptions{TLSConfig: &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}})
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	benchReceive(b, func() *goamqp.Receiver { return benchReceiver(b, conn, "x") }, 1<<30)
}
