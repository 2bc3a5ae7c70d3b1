package amqpserver_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"github.com/hubwire/hubwire/internal/amqpserver"
)

// clientEnv makes a process of this test a client: its direction, the server's address, the number of messages.
const clientEnv = "AMQPSERVER_CLIENT"

// TestClientProcess is the other process of the benchmarks below. It prints its CPU time a message, in ns.
func TestClientProcess(t *testing.T) {
	what := strings.Fields(os.Getenv(clientEnv))
	if len(what) != 3 {
		t.Skip("is for the benchmarks")
	}
	n, err := strconv.Atoi(what[2])
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	conn, err := amqp.Dial(ctx, "amqp://"+what[1], &amqp.ConnOptions{SASLType: amqp.SASLTypeAnonymous()})
	if err != nil {
		t.Fatal(err)
	}
	session, err := conn.NewSession(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	var before time.Duration
	if what[0] == "send" {
		before, err = sendAll(ctx, session, n)
	} else {
		before, err = receiveAll(ctx, session, n)
	}
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("cpu %d\n", (cpu()-before).Nanoseconds()/int64(n))
	conn.Close()
}

const window = 1000

// sendAll sends n messages of 256 bytes, of which a window is unsettled. It returns the CPU time at its start.
func sendAll(ctx context.Context, s *amqp.Session, n int) (time.Duration, error) {
	sender, err := s.NewSender(ctx, "q", nil)
	if err != nil {
		return 0, err
	}
	m, start := amqp.NewMessage(make([]byte, 256)), cpu()
	var pending []amqp.SendReceipt
	for range n {
		r, err := sender.SendWithReceipt(ctx, m, nil)
		if err != nil {
			return 0, err
		}
		if pending = append(pending, r); len(pending) == window {
			if _, err := pending[0].Wait(ctx); err != nil {
				return 0, err
			}
			pending = pending[1:]
		}
	}
	for _, r := range pending {
		if _, err := r.Wait(ctx); err != nil {
			return 0, err
		}
	}
	return start, nil
}

// receiveAll receives and accepts n messages.
func receiveAll(ctx context.Context, s *amqp.Session, n int) (time.Duration, error) {
	receiver, err := s.NewReceiver(ctx, "q", &amqp.ReceiverOptions{Credit: window})
	if err != nil {
		return 0, err
	}
	start := cpu()
	for range n {
		m, err := receiver.Receive(ctx, nil)
		if err != nil {
			return 0, err
		}
		if err := receiver.AcceptMessage(ctx, m); err != nil {
			return 0, err
		}
	}
	return start, nil
}

// cpu is what this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// What a message costs the server, and go-amqp at the other end, in CPU time of their processes.
func BenchmarkAgainstGoAMQP(b *testing.B) {
	for _, direction := range []string{"send", "receive"} {
		b.Run(direction, func(b *testing.B) {
			const n = 200_000
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			server := amqpserver.NewServer(anonymous)
			message, err := amqp.NewMessage(make([]byte, 256)).MarshalBinary()
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				client := exec.Command(os.Args[0], "-test.run=^TestClientProcess$", "-test.v")
				client.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", clientEnv, direction, l.Addr(), n))
				var out bytes.Buffer
				client.Stdout, client.Stderr = &out, &out
				if err := client.Start(); err != nil {
					b.Fatal(err)
				}
				nc, err := l.Accept()
				if err != nil {
					b.Fatal(err)
				}
				before := cpu()
				if err := server.NewConn(nc, nil, (&counter{message}).handler()).Serve(); err != nil {
					b.Errorf("Serve returned %v", err)
				}
				ours := (cpu() - before).Nanoseconds() / n
				if err := client.Wait(); err != nil {
					b.Fatalf("client: %v\n%s", err, &out)
				}
				_, text, _ := strings.Cut(out.String(), "cpu ")
				text, _, _ = strings.Cut(text, "\n")
				theirs, err := strconv.Atoi(text)
				if err != nil {
					b.Fatalf("client: %s", &out)
				}
				b.ReportMetric(float64(ours), "ns-ours/message")
				b.ReportMetric(float64(theirs), "ns-theirs/message")
				b.ReportMetric(float64(ours)/float64(theirs), "ours/theirs")
			}
		})
	}
}
