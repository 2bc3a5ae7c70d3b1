package amqp10

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// unhex reads annotated hex: everything from "#" to the end of a line is a comment, and text in
// single quotes stands for its bytes.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	var out []byte
	for line := range strings.Lines(s) {
		line, _, _ = strings.Cut(line, "#")
		for i, part := range strings.Split(line, "'") {
			if i%2 == 1 {
				out = append(out, part...)
				continue
			}
			b, err := hex.DecodeString(strings.Join(strings.Fields(part), ""))
			if err != nil {
				t.Fatalf("bad hex in the test: %v", err)
			}
			out = append(out, b...)
		}
	}
	return out
}

// wantFault fails t if err is not the [SyntaxError] want.
func wantFault(t testing.TB, err error, want SyntaxError) {
	t.Helper()
	var got *SyntaxError
	if !errors.As(err, &got) || *got != want || !errors.Is(err, want.Err) {
		t.Errorf("the error is %v, want %v", err, &want)
	}
}
