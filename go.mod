module github.com/hubwire/hubwire

go 1.26

require (
	github.com/Azure/go-amqp v1.7.0
	github.com/coder/websocket v1.8.15
	github.com/google/go-cmp v0.7.0
)
