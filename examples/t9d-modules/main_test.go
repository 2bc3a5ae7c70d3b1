package main

import (
	"testing"

	"github.com/hubwire/hubwire/examples/internal/sitetest"
)

func Test(t *testing.T) {
	const got = `filter: by input1: {"temperature":27} [{temperatureAlert false}]
filter: by input1: {"temperature":28} [{temperatureAlert false}]
filter: by input1: {"temperature":29} [{temperatureAlert true}]
`
	read := func(from string) string {
		return "service: message_0 of t9d-edge/" + from + ` by output1: {"temperature":27} [{temperatureAlert false}]
service: message_1 of t9d-edge/` + from + ` by output1: {"temperature":28} [{temperatureAlert false}]
service: message_2 of t9d-edge/` + from + ` by output1: {"temperature":29} [{temperatureAlert true}]
`
	}
	const calls = `filter: setThreshold {"to":30}
sender: t9d-edge/filter answered 200 {"threshold":30}
sender: the call of t9d-edge/nobody is refused: ModuleNotFound
`
	sitetest.Each(t, routed, play, got+read("filter")+calls, read("sender")+calls)
}
