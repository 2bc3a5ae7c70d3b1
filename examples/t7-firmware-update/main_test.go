package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/hubwire/hubwire/examples/internal/site"
	"github.com/hubwire/hubwire/examples/internal/sitetest"
)

const answers = `service: firmwareUpdate was answered with status 202, {"result":"started"}
service: firmwareUpdate was answered with status 409, {"result":"an update is under way"}
`

func state(s string) string {
	return `service: the twin has {"firmwareUpdate":{"status":"` + s + `","fwPackageUri":"https://example.com/firmware.bin"}}` + "\n"
}

// watched is what the back end prints to. It tells which states of the twin it has seen.
type watched struct {
	io.Writer
	seen chan string
}

func (w watched) Write(b []byte) (int, error) {
	if _, twin, ok := strings.Cut(string(b), `"status":"`); ok {
		status, _, _ := strings.Cut(twin, `"`)
		w.seen <- status
	}
	return w.Writer.Write(b)
}

// Test has each phase last until the back end has seen it.
func Test(t *testing.T) {
	sitetest.Test(t, func(ctx context.Context, out io.Writer, s *site.Site) error {
		seen := make(chan string, 10)
		return play(ctx, watched{out, seen}, s, func(ctx context.Context, phase string) error {
			select {
			case got := <-seen:
				if got != phase {
					t.Errorf("the back end saw %s in the phase %s", got, phase)
				}
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}, answers+state("downloading")+state("applying")+state("rebooting")+state("complete"))
}

func TestAnUpdateThatFails(t *testing.T) {
	broken := errors.New("the disk is full")
	sitetest.Test(t, func(ctx context.Context, out io.Writer, s *site.Site) error {
		seen := make(chan string, 10)
		err := play(ctx, watched{out, seen}, s, func(context.Context, string) error { <-seen; return broken })
		if !errors.Is(err, broken) {
			t.Errorf("it ended with %v", err)
		}
		return nil
	}, answers+state("downloading")+state("failed"))
}
