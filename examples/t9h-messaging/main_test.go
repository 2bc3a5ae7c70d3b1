package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/hubwire/hubwire/examples/internal/site"
	"github.com/hubwire/hubwire/examples/internal/sitetest"
)

func Test(t *testing.T) {
	var want strings.Builder
	for i := range 10 {
		fmt.Fprintf(&want, "service: sent message_%d\n", i)
	}
	feedback := func(i int, status string) {
		fmt.Fprintf(&want, "service: feedback: message id message_%d, status %s, description %s, device t9h-device\n", i, status, status)
	}
	feedback(7, "Expired")
	each := func(f func(i int)) {
		for i := range 10 {
			if i != 7 {
				f(i)
			}
		}
	}
	each(func(i int) {
		how := "complete"
		if i == 3 {
			how = "reject"
		}
		fmt.Fprintf(&want, "device: message_%d, [{Property PropMsg_%d}]: %s\n", i, i, how)
	})
	each(func(i int) {
		status := "Success"
		if i == 3 {
			status = "Rejected"
		}
		feedback(i, status)
	})
	for _, protocol := range []string{"amqp", "amqp_ws"} {
		t.Run(protocol, func(t *testing.T) {
			sitetest.Test(t, func(ctx context.Context, out io.Writer, s *site.Site) error { return play(ctx, out, s, protocol) }, want.String())
		})
	}
}

func TestOtherProtocolsAreRefused(t *testing.T) {
	if err := play(t.Context(), io.Discard, new(site.Site), "mqtt"); err == nil || err.Error() != `-p "mqtt" is neither amqp nor amqp_ws` {
		t.Errorf("it ended with %v", err)
	}
}
