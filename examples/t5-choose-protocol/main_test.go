package main

import (
	"testing"

	"github.com/hubwire/hubwire/examples/internal/sitetest"
)

func Test(t *testing.T) {
	sitetest.Test(t, play, `a network that lets everything out
  mqtt     open
  mqtt-ws  open
  amqp     open
  amqp-ws  open
  https    open
  chosen: mqtt
  lost by it: batches on the wire, C2D reject, C2D abandon, file upload, token renewal in place, many devices on a connection, refusals with their reason, HTTP proxy on port 443
a network that bars 8883
  mqtt     refused
  mqtt-ws  open
  amqp     open
  amqp-ws  open
  https    open
  chosen: mqtt-ws; mqtt: refused
  lost by it: batches on the wire, C2D reject, C2D abandon, X.509 certificates, token renewal in place, many devices on a connection, refusals with their reason
a network that bars 8883 and 5671, with a device that rejects messages
  mqtt     refused
  mqtt-ws  open
  amqp     refused
  amqp-ws  open
  https    open
  chosen: amqp-ws; mqtt: lacks a feature; mqtt-ws: lacks a feature; amqp: refused
  lost by it: telemetry at most once, last will, X.509 certificates
a network that bars 443 and 8883
  mqtt     refused
  mqtt-ws  refused
  amqp     open
  amqp-ws  refused
  https    refused
  chosen: amqp; mqtt: refused; mqtt-ws: refused
  lost by it: telemetry at most once, last will, file upload, HTTP proxy on port 443
over HTTPS alone: refused, as it has neither a twin nor direct methods
`)
}
