package service_test

import (
	"context"
	"crypto/tls"
	"sync"
	"testing"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/hub/hubtest"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/service"
)

// BenchmarkEvents reads events of one partition, with a Client and with a receiver of go-amqp, which
// decodes them and no more.
func BenchmarkEvents(b *testing.B) {
	h := hubtest.Start(b, &hub.Config{Partitions: 1})
	cs := hubtest.Device(b, h, "dev-1")
	d, err := device.Dial(b.Context(), cs, device.MQTT(nil), &device.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	const log = 20000
	m := &hubwire.Message{Body: make([]byte, 256), ContentType: "application/json", ContentEncoding: "utf-8", Properties: []hubwire.Property{{Name: "temperatureAlert", Value: "false"}}}
	var sent sync.WaitGroup
	for range log {
		sent.Add(1)
		if err := d.SendAsync(b.Context(), m, func(error) { sent.Done() }); err != nil {
			b.Fatal(err)
		}
	}
	sent.Wait()
	b.Run("service", func(b *testing.B) {
		c, err := service.New(must(h.PolicyConnectionString("service")), &service.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()})
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		b.ReportAllocs()
		for n := 0; n < b.N; {
			for _, err := range c.Events(b.Context(), nil) {
				if err != nil {
					b.Fatal(err)
				}
				if n++; n%log == 0 || n == b.N {
					break
				}
			}
		}
	})
	b.Run("go-amqp", func(b *testing.B) {
		ctx := context.Background()
		raw, err := h.Dial(ctx, "tcp", "localhost:5671")
		if err != nil {
			b.Fatal(err)
		}
		cfg := h.ClientTLS().Clone()
		cfg.ServerName = "localhost"
		p := must(sas.ParseConnectionString(must(h.PolicyConnectionString("service"))))
		conn, err := goamqp.NewConn(ctx, tls.Client(raw, cfg), &goamqp.ConnOptions{HostName: "localhost", SASLType: goamqp.SASLTypePlain("service", p.SharedAccessKey.Reveal())})
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		b.ReportAllocs()
		for n := 0; n < b.N; {
			s := must(conn.NewSession(ctx, nil))
			settled := goamqp.SenderSettleModeSettled
			r, err := s.NewReceiver(ctx, "localhost/ConsumerGroups/$Default/Partitions/0", &goamqp.ReceiverOptions{Credit: 300, RequestedSenderSettleMode: &settled})
			if err != nil {
				b.Fatal(err)
			}
			for {
				if _, err := r.Receive(ctx, nil); err != nil {
					b.Fatal(err)
				}
				if n++; n%log == 0 || n == b.N {
					break
				}
			}
			s.Close(ctx)
		}
	})
}
