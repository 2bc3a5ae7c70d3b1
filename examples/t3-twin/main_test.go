package main

import (
	"testing"

	"github.com/hubwire/hubwire/examples/internal/sitetest"
)

func Test(t *testing.T) {
	sitetest.Test(t, play, `service: tags {"location":{"region":"US","plant":"Redmond43"}}, desired {"power_level":1}
service: a patch under the old ETag is refused
service: devices in Redmond43: 1
service: devices in Redmond43 on a cellular network: 0
device: twin: desired {"power_level":1}, reported {}
device: reported its connectivity
service: devices in Redmond43: 1
service: devices in Redmond43 on a cellular network: 1
device: desired properties are {"power_level":1}
device: desired properties change: {"power_level":2}
`)
}
