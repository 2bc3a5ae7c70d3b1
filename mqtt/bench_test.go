package mqtt

import (
	"fmt"
	"testing"
)

// benchTopic is 71 bytes.
const benchTopic = "devices/dev-0001/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8"

func benchPublish(payload int) Publish {
	body := make([]byte, payload)
	for i := range body {
		body[i] = 'a' + byte(i%26)
	}
	return Publish{Topic: []byte(benchTopic), Payload: body, ID: 7, QoS: AtLeastOnce}
}

//go:noinline
func copyBytes(dst, src []byte) []byte { return append(dst, src...) }

var payloadSizes = []int{256, 4096}

func BenchmarkPublishAppend(b *testing.B) {
	for _, n := range payloadSizes {
		p := benchPublish(n)
		wire := p.AppendTo(nil)
		buf := make([]byte, 0, len(wire))
		b.Run(fmt.Sprintf("%dB", n), func(b *testing.B) {
			b.SetBytes(int64(len(wire)))
			b.ReportAllocs()
			for b.Loop() {
				buf = p.AppendTo(buf[:0])
			}
		})
		b.Run(fmt.Sprintf("%dB/topic appended in place", n), func(b *testing.B) {
			b.SetBytes(int64(len(wire)))
			b.ReportAllocs()
			for b.Loop() {
				buf = OpenPublish(buf[:0], len(p.Payload))
				buf = append(buf, benchTopic...)
				buf, _ = ClosePublish(buf, 0, &p)
			}
		})
		b.Run(fmt.Sprintf("%dB/memcpy", n), func(b *testing.B) {
			b.SetBytes(int64(len(wire)))
			for b.Loop() {
				buf = copyBytes(buf[:0], wire)
			}
		})
	}
}

func BenchmarkPublishParse(b *testing.B) {
	run := func(name string, wire Packet, good bool) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(wire)))
			b.ReportAllocs()
			for b.Loop() {
				p, err := ParsePublish(wire)
				if (err == nil) != good || good && p.ID != 7 {
					b.Fatal(err)
				}
			}
		})
	}
	for _, n := range payloadSizes {
		p := benchPublish(n)
		wire := p.AppendTo(nil)
		run(fmt.Sprintf("%dB", n), wire, true)
	}
	p := benchPublish(256)
	broken := func(name string, change func(wire Packet) Packet) {
		run("refused/"+name, change(p.AppendTo(nil)), false)
	}
	const topicAt = 5
	at := func(i int, c byte) func(Packet) Packet {
		return func(wire Packet) Packet { wire[i] = c; return wire }
	}
	broken("cut short", func(wire Packet) Packet { return wire[:len(wire)-1] })
	broken("QoS 3", at(0, 0x36))
	broken("identifier 0", at(topicAt+len(benchTopic)+1, 0))
	broken("wildcard first", at(topicAt, '#'))
	broken("wildcard last", at(topicAt+len(benchTopic)-1, '#'))
	broken("NUL last", at(topicAt+len(benchTopic)-1, 0))
	broken("bad UTF-8 first", at(topicAt, 0xff))
	broken("bad UTF-8 last", at(topicAt+len(benchTopic)-1, 0xff))
}

func BenchmarkPuback(b *testing.B) {
	p := Puback{ID: 7}
	buf := make([]byte, 0, 16)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = p.AppendTo(buf[:0])
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			got, err := ParsePuback(buf)
			if err != nil || got != p {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkConnectParse(b *testing.B) {
	c := Connect{
		ClientID: []byte("dev-0001"), KeepAlive: 240,
		UserName: []byte("myhub.azure-devices.net/dev-0001/?api-version=2021-04-12"),
		Password: NewSecret([]byte("SharedAccessSignature sr=myhub.azure-devices.net%2Fdevices%2Fdev-0001&sig=VxtxdkXdQfw5u5IyLBKYY92FXX7TEK26znIZ5guwzRM%3D&se=1767225600")),
	}
	wire := c.AppendTo(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseConnect(wire); err != nil {
			b.Fatal(err)
		}
	}
}
