package query

import (
	"strings"
	"testing"
)

func BenchmarkParse(b *testing.B) {
	for name, text := range map[string]string{
		"accepted": "SELECT * FROM devices WHERE tags.location.region = 'US' AND properties.reported.telemetryConfig.sendFrequencyInSecs >= 60",
		"refused":  "SELECT * FROM devices JOIN devices.jobs",
		"longest":  "SELECT * FROM devices WHERE " + strings.Repeat("tags.a = 1 OR ", 582) + "true",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Parse(text)
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	c, err := ParseCondition("tags.location.region = 'US' AND properties.reported.n >= 60")
	if err != nil {
		b.Fatal(err)
	}
	var row Row = Fields{
		{"deviceId", String("d1")},
		{"tags", ObjectOf(Fields{{"location", ObjectOf(Fields{{"region", JSON(`"US"`)}})}})},
		{"properties", ObjectOf(Fields{{"reported", ObjectOf(Fields{{"n", JSON("60")}})}})},
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Match(row)
	}
}
