package main

import (
	"testing"

	"github.com/hubwire/hubwire/examples/internal/sitetest"
)

func Test(t *testing.T) {
	sitetest.Test(t, play, `2 devices share one connection over amqp-ws
t9c-first: confirmation 1: OK
t9c-first: confirmation 2: OK
t9c-first: confirmation 3: OK
t9c-second: confirmation 1: OK
t9c-second: confirmation 2: OK
t9c-second: confirmation 3: OK
t9c-first: a message: for t9c-first
t9c-second: a message: for t9c-second
t9c-first has left; the connection is connected
t9c-second: a message: for t9c-second
`)
}
