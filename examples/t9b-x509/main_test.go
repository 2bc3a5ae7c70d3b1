package main

import (
	"testing"

	"github.com/hubwire/hubwire/examples/internal/sitetest"
)

func Test(t *testing.T) {
	sitetest.Test(t, play, `device: HostName=localhost;DeviceId=t9b-device;x509=true
device: sent a message over mqtt: OK
device: sent a message over amqp: OK
device: a certificate that is not registered is refused
service: the new certificate is registered beside the old one
device: sent a message over mqtt: OK
device: sent a message over amqp: OK
`)
}
