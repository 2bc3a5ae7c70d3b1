package main

import (
	"testing"

	"github.com/hubwire/hubwire/examples/internal/sitetest"
)

func Test(t *testing.T) {
	const calls = `service: the device is away: DeviceNotOnline, HTTP status 404
device: direct method DeviceMethod called with {"method_number":"42"}
service: DeviceMethod: response status 200, payload {"Response":"This is the response from the device"}
service: UnknownMethod: response status 501, payload "the device has no method \"UnknownMethod\""
`
	sitetest.Test(t, play, `over MQTT
`+calls+`over MQTT over WebSockets
`+calls)
}
