package main

import (
	"testing"

	"github.com/hubwire/hubwire/examples/internal/sitetest"
)

func Test(t *testing.T) {
	sitetest.Test(t, play, `service: registered the module t8-heater/thermometer
service: desired properties before: {}
module: desired properties are {}
module: desired properties change: {"telemetryInterval":122}
service: desired properties after: {"telemetryInterval":122}
service: a patch under the old ETag is refused
service: the module reports {"telemetryInterval":122}
`)
}
