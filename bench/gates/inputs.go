package main

import (
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/topics"
)

// The inputs. They are variables, so that no call is compiled for one value.
var (
	identity = hubwire.Identity{DeviceID: "dev-0001"}

	// telemetrySystem and telemetryApp are the properties of telemetryTopic, in order.
	telemetrySystem = []struct {
		name  string
		key   topics.System
		value string
	}{
		{"$.mid", topics.MessageID, "m/0001 a+b"},
		{"$.cid", topics.CorrelationID, "c=42&x"},
		{"$.ct", topics.ContentType, "application/json;charset=utf-8"},
		{"$.ce", topics.ContentEncoding, "utf-8"},
	}
	telemetryApp = []hubwire.Property{
		{Name: "temperatureAlert", Value: "true"},
		{Name: "room name", Value: "Küche #1"},
		{Name: "level%", Value: "50/100"},
	}
	telemetryTopic = "devices/dev-0001/messages/events/%24.mid=m%2F0001%20a%2Bb&%24.cid=c%3D42%26x&%24.ct=application%2Fjson%3Bcharset%3Dutf-8" +
		"&%24.ce=utf-8&temperatureAlert=true&room%20name=K%C3%BCche%20%231&level%25=50%2F100"

	c2dPrefix = "devices/dev-0001/messages/devicebound/"
	c2dTopic  = c2dPrefix + "%24.mid=5b1f0c0e-6f3d-4c0e-9d6f-0d9f6f0b7a11&%24.to=%2Fdevices%2Fdev-0001%2Fmessages%2FdeviceBound" +
		"&%24.cid=req-77&iothub-ack=full&priority=high&note=caf%C3%A9%20au%20lait"
	c2dProperties = []hubwire.Property{
		{Name: "$.mid", Value: "5b1f0c0e-6f3d-4c0e-9d6f-0d9f6f0b7a11"},
		{Name: "$.to", Value: "/devices/dev-0001/messages/deviceBound"},
		{Name: "$.cid", Value: "req-77"},
		{Name: "iothub-ack", Value: "full"},
		{Name: "priority", Value: "high"},
		{Name: "note", Value: "café au lait"},
	}

	methodRequest  = "$iothub/methods/POST/reboot/?$rid=1a2"
	methodName     = "reboot"
	methodRID      = "1a2"
	methodStatus   = 200
	methodResponse = "$iothub/methods/res/200/?$rid=1a2"

	twinResponse = "$iothub/twin/res/200/?$rid=2f&$version=17"
	twinStatus   = 200
	twinRID      = "2f"
	twinVersion  = int64(17)

	sasKey      = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" // bytes 0x00 to 0x1f
	sasResource = "myhub.azure-devices.net/devices/dev-0001"
	sasExpires  = time.Unix(1767225600, 0)
	sasSigned   = "myhub.azure-devices.net%2Fdevices%2Fdev-0001\n1767225600"
	sasToken    = "SharedAccessSignature sr=myhub.azure-devices.net%2Fdevices%2Fdev-0001" +
		"&sig=VxtxdkXdQfw5u5IyLBKYY92FXX7TEK26znIZ5guwzRM%3D&se=1767225600"

	publishTopic = "devices/dev-0001/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8"
	publishID    = uint16(7)
)

// payload is the alphabet, over and over.
func payload(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return b
}
