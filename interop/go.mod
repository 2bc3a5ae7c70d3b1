module github.com/hubwire/hubwire/interop

go 1.26

require (
	github.com/google/go-cmp v0.7.0
	github.com/hubwire/hubwire v0.0.0
)

require github.com/coder/websocket v1.8.15 // indirect

replace github.com/hubwire/hubwire => ../
