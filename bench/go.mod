module github.com/hubwire/hubwire/bench

go 1.26

require (
	github.com/eclipse/paho.mqtt.golang v1.5.1
	github.com/google/go-cmp v0.7.0
	github.com/hubwire/hubwire v0.0.0
	github.com/mochi-mqtt/server/v2 v2.7.9
)

replace github.com/hubwire/hubwire => ../
