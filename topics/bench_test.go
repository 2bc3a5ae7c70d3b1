package topics_test

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/topics"
)

// Each benchmark runs ours, the plain way with the standard library, and the
// floor, which is a copy of the topic. Compare within one run only.

const (
	benchTelemetry = "devices/dev-0001/messages/events/%24.mid=m%2F0001%20a%2Bb&%24.cid=c%3D42%26x&%24.ct=application%2Fjson%3Bcharset%3Dutf-8&%24.ce=utf-8&temperatureAlert=true&room%20name=K%C3%BCche%20%231&level%25=50%2F100"
	benchC2D       = "devices/dev-0001/messages/devicebound/%24.mid=5b1f0c0e-6f3d-4c0e-9d6f-0d9f6f0b7a11&%24.to=%2Fdevices%2Fdev-0001%2Fmessages%2FdeviceBound&%24.cid=req-77&iothub-ack=full&priority=high&note=caf%C3%A9%20au%20lait"
	benchRequest   = "$iothub/methods/POST/reboot/?$rid=1a2"
	benchResponse  = "$iothub/methods/res/200/?$rid=1a2"
	benchTwin      = "$iothub/twin/res/200/?$rid=2f&$version=17"
)

var benchID = hubwire.Identity{DeviceID: "dev-0001"}

func appendBenchTelemetry(dst []byte) []byte {
	dst = topics.AppendTelemetry(dst, benchID)
	dst = topics.AppendSystem(dst, topics.MessageID, "m/0001 a+b")
	dst = topics.AppendSystem(dst, topics.CorrelationID, "c=42&x")
	dst = topics.AppendSystem(dst, topics.ContentType, "application/json;charset=utf-8")
	dst = topics.AppendSystem(dst, topics.ContentEncoding, "utf-8")
	dst = topics.AppendProperty(dst, "temperatureAlert", "true")
	dst = topics.AppendProperty(dst, "room name", "Küche #1")
	return topics.AppendProperty(dst, "level%", "50/100")
}

//go:noinline
func copyFloor(dst, src []byte) int { return copy(dst, src) }

func benchFloor(b *testing.B, topic string) {
	src, dst := []byte(topic), make([]byte, len(topic))
	b.Run("floor", func(b *testing.B) {
		b.SetBytes(int64(len(src)))
		for b.Loop() {
			copyFloor(dst, src)
		}
	})
}

func BenchmarkTelemetryAppend(b *testing.B) {
	benchFloor(b, benchTelemetry)
	b.Run("ours", func(b *testing.B) {
		buf := make([]byte, 0, 512)
		b.ReportAllocs()
		b.SetBytes(int64(len(benchTelemetry)))
		for b.Loop() {
			buf = appendBenchTelemetry(buf[:0])
		}
	})
	b.Run("ours-tight", func(b *testing.B) {
		buf := make([]byte, 0, len(benchTelemetry))
		b.ReportAllocs()
		for b.Loop() {
			buf = appendBenchTelemetry(buf[:0])
		}
	})
	b.Run("std", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v := url.Values{}
			v.Set("$.mid", "m/0001 a+b")
			v.Set("$.cid", "c=42&x")
			v.Set("$.ct", "application/json;charset=utf-8")
			v.Set("$.ce", "utf-8")
			v.Set("temperatureAlert", "true")
			v.Set("room name", "Küche #1")
			v.Set("level%", "50/100")
			sink = fmt.Sprintf("devices/%s/messages/events/%s", benchID.DeviceID, strings.ReplaceAll(v.Encode(), "+", "%20"))
		}
	})
}

var (
	sink  string
	count int
)

func BenchmarkC2DParse(b *testing.B) {
	benchFloor(b, benchC2D)
	topic := []byte(benchC2D)
	b.Run("ours", func(b *testing.B) {
		var pairs [16]topics.Pair
		room := make([]byte, 0, 512)
		b.ReportAllocs()
		b.SetBytes(int64(len(topic)))
		for b.Loop() {
			t, err := topics.Parse(topic)
			if err != nil {
				b.Fatal(err)
			}
			ps, _ := t.Bag().AppendDecoded(pairs[:0], room[:0])
			count += len(ps)
		}
	})
	b.Run("ours-lazy", func(b *testing.B) {
		room := make([]byte, 0, 512)
		b.ReportAllocs()
		for b.Loop() {
			t, err := topics.Parse(topic)
			if err != nil {
				b.Fatal(err)
			}
			for p := range t.Bag().Pairs() {
				count += len(p.AppendName(room)) + len(p.AppendValue(room))
			}
		}
	})
	b.Run("ours-strings", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			t, err := topics.Parse(topic)
			if err != nil {
				b.Fatal(err)
			}
			for name, value := range t.Bag().All() {
				count += len(name) + len(value)
			}
		}
	})
	b.Run("parse-only", func(b *testing.B) {
		for b.Loop() {
			t, err := topics.Parse(topic)
			if err != nil {
				b.Fatal(err)
			}
			count += len(t.Bag())
		}
	})
	b.Run("std", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			stdC2D()
		}
	})
	bad := []byte(benchC2D[:len(benchC2D)-1] + "\xff")
	b.Run("refuse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := topics.Parse(bad); err == nil {
				b.Fatal("accepted")
			}
		}
	})
}

func BenchmarkMethodRequestParse(b *testing.B) {
	benchFloor(b, benchRequest)
	topic := []byte(benchRequest)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			t, err := topics.Parse(topic)
			if err != nil {
				b.Fatal(err)
			}
			count += len(t.Name()) + len(t.RequestID())
		}
	})
	b.Run("std", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			stdRequest()
		}
	})
	for name, bad := range map[string]string{
		"refuse-rid": "$iothub/methods/POST/reboot/?$rix=1a2", "refuse-family": "$iothub/methods/PAST/reboot/?$rid=1a2",
		"refuse-wildcard": "$iothub/methods/POST/reboot/?$rid=1#2",
	} {
		topic := []byte(bad)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := topics.Parse(topic); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

func BenchmarkMethodResponseAppend(b *testing.B) {
	benchFloor(b, benchResponse)
	rid, status := "1a2", 200
	b.Run("ours", func(b *testing.B) {
		buf := make([]byte, 0, 128)
		b.ReportAllocs()
		for b.Loop() {
			buf = topics.AppendMethodResponse(buf[:0], status, rid)
		}
	})
	b.Run("std", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sink = "$iothub/methods/res/" + strconv.Itoa(status) + "/?$rid=" + rid
		}
	})
}

func BenchmarkTwinResponseParse(b *testing.B) {
	benchFloor(b, benchTwin)
	topic := []byte(benchTwin)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			t, err := topics.Parse(topic)
			if err != nil {
				b.Fatal(err)
			}
			v, _ := t.Version()
			count += int(t.Status()) + len(t.RequestID()) + int(v)
		}
	})
	b.Run("std", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			stdTwin()
		}
	})
}

func stdRequest() {
	s := strings.Split(benchRequest, "/")
	v, err := url.ParseQuery(s[4][1:])
	if err != nil {
		panic(err)
	}
	count += len(s[3]) + len(v.Get("$rid"))
}

func stdTwin() {
	s := strings.Split(benchTwin, "/")
	status, err := strconv.Atoi(s[3])
	if err != nil {
		panic(err)
	}
	v, err := url.ParseQuery(s[4][1:])
	if err != nil {
		panic(err)
	}
	n, err := strconv.ParseInt(v.Get("$version"), 10, 64)
	if err != nil {
		panic(err)
	}
	count += status + len(v.Get("$rid")) + int(n)
}

func stdC2D() {
	v, err := url.ParseQuery(strings.TrimPrefix(benchC2D, "devices/dev-0001/messages/devicebound/"))
	if err != nil {
		panic(err)
	}
	count += len(v)
}
