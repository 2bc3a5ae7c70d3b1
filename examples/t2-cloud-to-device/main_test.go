package main

import (
	"testing"

	"github.com/hubwire/hubwire/examples/internal/sitetest"
)

func Test(t *testing.T) {
	const sent = `service: message_0 with ack none: messagingResult : OK
service: message_1 with ack positive: messagingResult : OK
service: message_2 with ack negative: messagingResult : OK
service: message_3 with ack full: messagingResult : OK
`
	const exchanges = sent +
		`device: message 1: {"service client sent a message": 0}, 36 bytes, [{Property PropMsg_0}], correlation_0
device: complete message_0
device: message 2: {"service client sent a message": 1}, 36 bytes, [{Property PropMsg_1}], correlation_1
device: complete message_1
device: message 3: {"service client sent a message": 2}, 36 bytes, [{Property PropMsg_2}], correlation_2
device: complete message_2
device: message 4: {"service client sent a message": 3}, 36 bytes, [{Property PropMsg_3}], correlation_3
device: complete message_3
service: feedback: message_1 Success
service: feedback: message_3 Success
` + sent +
		`device: message 1: {"service client sent a message": 0}, 36 bytes, [{Property PropMsg_0}], correlation_0
device: reject message_0
device: message 2: {"service client sent a message": 1}, 36 bytes, [{Property PropMsg_1}], correlation_1
device: reject message_1
device: message 3: {"service client sent a message": 2}, 36 bytes, [{Property PropMsg_2}], correlation_2
device: reject message_2
device: message 4: {"service client sent a message": 3}, 36 bytes, [{Property PropMsg_3}], correlation_3
device: reject message_3
service: feedback: message_2 Rejected
service: feedback: message_3 Rejected
service: to nobody: messagingResult : DeviceNotFound, refused
`
	sitetest.Test(t, play, `over AMQP
`+exchanges+`over AMQP over WebSockets
`+exchanges)
}
