package amqpclient_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hubwire/hubwire/internal/amqp10"
	"github.com/hubwire/hubwire/internal/amqpclient"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// clientEnv makes a process of this test a client: what it does, the server's address, the number of messages.
const clientEnv = "AMQPCLIENT_CLIENT"

// TestClientProcess is the other process of the benchmark below. It prints its CPU time a message, in ns.
func TestClientProcess(t *testing.T) {
	what := strings.Fields(os.Getenv(clientEnv))
	if len(what) != 3 {
		t.Skip("is for the benchmark")
	}
	n := must[int](t)(strconv.Atoi(what[2]))
	ctx := context.Background()
	nc := must[net.Conn](t)(tls.Dial("tcp", what[1], &tls.Config{InsecureSkipVerify: true}))
	c := must[*amqpclient.Conn](t)(amqpclient.Open(ctx, nc, nil))
	s := must[*amqpclient.Session](t)(c.Begin(ctx, nil))
	var before time.Duration
	switch what[0] {
	case "send":
		before = sendAll(t, s, n, 1000)
	case "serial":
		before = sendAll(t, s, n, 1)
	default:
		before = receiveAll(t, s, n)
	}
	fmt.Printf("cpu %d\n", (cpu()-before).Nanoseconds()/int64(n))
	c.Close(ctx)
}

// sendAll sends n messages of 256 bytes, of which a window is unsettled. It returns the CPU time at its start.
func sendAll(t *testing.T, s *amqpclient.Session, n int, window uint64) time.Duration {
	ctx := context.Background()
	slots, free := make(chan uint64, window), window
	l := must[*amqpclient.Sender](t)(s.Sender(ctx, &amqpclient.SenderOptions{
		Target:    "q",
		OnSettled: func(first, last uint64, _ amqp10.State) { slots <- last - first + 1 },
	}))
	msg, start := amqp10.AppendData(nil, make([]byte, 256)), cpu()
	for i := range n {
		for ; free == 0; free += <-slots {
		}
		free--
		if err := l.Send(ctx, msg, amqpclient.Outgoing{Token: uint64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	for ; free < window; free += <-slots {
	}
	return start
}

// receiveAll receives and accepts n messages.
func receiveAll(t *testing.T, s *amqpclient.Session, n int) time.Duration {
	start, done, got := cpu(), make(chan struct{}), 0
	must[*amqpclient.Receiver](t)(s.Receiver(context.Background(), &amqpclient.ReceiverOptions{
		Source: "q", Credit: 1000,
		OnDelivery: func(d *amqpclient.Delivery) {
			d.Link.Dispose(d.ID, d.ID, amqp10.Accepted())
			d.Link.AddCredit(1)
			if got++; got == n {
				close(done)
			}
		},
	}))
	<-done
	return start
}

// cpu is what this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// certificate is one that proves nothing.
func certificate(t testing.TB) tls.Certificate {
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// What a message costs a client, over TLS, and the server at the other end, in CPU time of their processes.
func BenchmarkOverTLS(b *testing.B) {
	config := &tls.Config{Certificates: []tls.Certificate{certificate(b)}}
	for direction, n := range map[string]int{"send": 400_000, "serial": 20_000, "receive": 400_000} {
		b.Run(direction, func(b *testing.B) {
			l := must[net.Listener](b)(tls.Listen("tcp", "127.0.0.1:0", config))
			defer l.Close()
			for b.Loop() {
				client := exec.Command(os.Args[0], "-test.run=^TestClientProcess$", "-test.v")
				client.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", clientEnv, direction, l.Addr(), n))
				var out bytes.Buffer
				client.Stdout, client.Stderr = &out, &out
				if err := client.Start(); err != nil {
					b.Fatal(err)
				}
				nc := must[net.Conn](b)(l.Accept())
				before, began := cpu(), time.Now()
				_ = amqpserver.NewServer(nil).NewConn(nc, nil, endless(256).handler()).Serve()
				theirs, took := cpu()-before, time.Since(began)
				if err := client.Wait(); err != nil {
					b.Fatalf("client: %v\n%s", err, &out)
				}
				_, text, _ := strings.Cut(out.String(), "cpu ")
				text, _, _ = strings.Cut(text, "\n")
				b.ReportMetric(float64(must[int](b)(strconv.Atoi(text))), "ns-client/message")
				b.ReportMetric(float64(theirs.Nanoseconds()/int64(n)), "ns-server/message")
				b.ReportMetric(float64(n)/took.Seconds(), "messages/s")
			}
		})
	}
}

// endless is a node that accepts what it is sent, and sends messages of that size for ever.
type endless int

func (endless) Deliver(d *amqpserver.Delivery) { d.Settle(amqp10.Accepted()) }

func (n endless) Next(dst []byte) ([]byte, amqpserver.Outgoing, bool) {
	return append(dst, make([]byte, n)...), amqpserver.Outgoing{}, true
}

func (endless) Settled(uint64, amqp10.State, bool) amqp10.State { return amqp10.State{} }
func (endless) Detached(error)                                  {}

func (n endless) handler() *amqpserver.Handler {
	return &amqpserver.Handler{
		Receiver: func(*amqpserver.Attach) (amqpserver.Receiver, *amqp10.Error) { return n, nil },
		Sender:   func(*amqpserver.Attach) (amqpserver.Sender, *amqp10.Error) { return n, nil },
	}
}
