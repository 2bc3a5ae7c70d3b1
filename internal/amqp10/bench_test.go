package amqp10

import (
	"bytes"
	"testing"
)

func BenchmarkTransfer(b *testing.B) {
	x := Transfer{
		Handle: 2, DeliveryID: Some(uint32(70000)), DeliveryTag: []byte("12345678"), MessageFormat: Some(uint32(0)),
		Settled: Some(false), More: Some(false),
	}
	wire := append(x.AppendTo(nil), bytes.Repeat([]byte("x"), 256)...)
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := x.Parse(wire); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("refuse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := x.Parse(wire[:20]); err == nil {
				b.Fatal("it is read")
			}
		}
	})
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		dst := make([]byte, 0, 64)
		for b.Loop() {
			dst = x.AppendTo(dst[:0])
		}
	})
}

func BenchmarkFlow(b *testing.B) {
	x := Flow{
		NextIncomingID: Some(uint32(70000)), IncomingWindow: 5000, NextOutgoingID: 1, OutgoingWindow: 5000,
		Handle: Some(uint32(1)), DeliveryCount: Some(uint32(3)), LinkCredit: Some(uint32(1000)),
	}
	benchBoth(b, &x)
}

func BenchmarkDisposition(b *testing.B) {
	benchBoth(b, &Disposition{Role: RoleReceiver, First: 70000, Last: Some(uint32(80000)), Settled: Some(true), State: Accepted()})
}

func benchBoth(b *testing.B, x performative) {
	wire := x.AppendTo(nil)
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := x.Parse(wire); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		dst := make([]byte, 0, 64)
		for b.Loop() {
			dst = x.AppendTo(dst[:0])
		}
	})
}
