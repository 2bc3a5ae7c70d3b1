package main

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/hubwire/hubwire/examples/internal/site"
	"github.com/hubwire/hubwire/examples/internal/sitetest"
)

func Test(t *testing.T) {
	const messages = `device: confirmation 1: OK
device: confirmation 2: OK
device: confirmation 3: OK
device: confirmation 4: OK
device: confirmation 5: OK
service: message_0, correlation_0: "{\"temperature\":26}" [{temperatureAlert false}]
service: message_1, correlation_1: "\x00\x1b\xff" [{temperatureAlert false}]
service: message_2, correlation_2: "{\"temperature\":28}" [{temperatureAlert false}]
service: message_3, correlation_3: "\x00\x1d\xff" [{temperatureAlert true}]
service: message_4, correlation_4: "{\"temperature\":30}" [{temperatureAlert true}]
device: received c2d_0: hello, device [{door front}]
`
	const twinAndMethod = `service: reported {"newState":"standBy"}
device: method reboot {"delay":3}
service: answer 200 {"Response":"This is the response from the device"}
`
	const end = `device: the last message came less than 1m0s ago
device: status connected
device: status closed
`
	inLowerCase := strings.ReplaceAll(messages, "temperatureAlert", "temperaturealert") // names of headers have no case
	for protocol, want := range map[string]string{
		"amqp": messages + twinAndMethod + end, "amqp_ws": messages + twinAndMethod + end,
		"mqtt": messages + twinAndMethod + end, "mqtt_ws": messages + twinAndMethod + end,
		"http": inLowerCase + "device: this protocol has no twins and no methods\n" + end,
	} {
		t.Run(protocol, func(t *testing.T) {
			sitetest.Test(t, func(ctx context.Context, out io.Writer, s *site.Site) error { return play(ctx, out, s, protocol, 0) }, want)
		})
	}
}

func TestAnUnknownProtocolIsRefused(t *testing.T) {
	err := play(t.Context(), io.Discard, new(site.Site), "coap", 0)
	if err == nil || err.Error() != `-p "coap" is none of amqp, amqp_ws, http, mqtt, mqtt_ws` {
		t.Errorf("it ended with %v", err)
	}
}
