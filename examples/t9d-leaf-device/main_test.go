package main

import (
	"testing"

	"github.com/hubwire/hubwire/examples/internal/sitetest"
)

func Test(t *testing.T) {
	sitetest.Test(t, play, `device: dials t9d-gateway:8883
device: confirmation 1: OK
device: confirmation 2: OK
service: from t9d-leaf: test message 1
service: from t9d-leaf: test message 2
device: dials t9d-gateway:8883
device: without the gateway's root certificate, it does not connect
`)
}
