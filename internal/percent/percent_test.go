package percent

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

func TestTableWritesEachByte(t *testing.T) {
	const safe = "-._~"
	table := NewTable(safe)
	for c := range 256 {
		want := fmt.Sprintf("%%%02X", c)
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if letter || strings.IndexByte(safe, byte(c)) >= 0 {
			want = string([]byte{byte(c)})
		}
		e := table[c]
		got := string([]byte{byte(e), byte(e >> 8), byte(e >> 16)}[:e>>24])
		if got != want {
			t.Errorf("byte %#x is written %q, want %q", c, got, want)
		}
	}
}

func TestUnhexReadsEachPair(t *testing.T) {
	for hi := range 256 {
		for lo := range 256 {
			text := string([]byte{byte(hi), byte(lo)})
			want, err := strconv.ParseUint(text, 16, 8)
			if got := Unhex(byte(hi), byte(lo)); err != nil && got >= 0 || err == nil && got != int(want) {
				t.Fatalf("%q is %d, want %d, %v", text, got, want, err)
			}
		}
	}
}
