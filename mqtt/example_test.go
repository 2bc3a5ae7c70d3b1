package mqtt_test

import (
	"errors"
	"fmt"
	"net"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/mqtt"
	"github.com/hubwire/hubwire/topics"
)

func ExamplePublish() {
	p := mqtt.Publish{Topic: []byte("a/b"), Payload: []byte("hi"), QoS: mqtt.AtLeastOnce, ID: 10}
	if err := p.Check(); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("% x\n", p.AppendTo(nil))
	// Output: 32 09 00 03 61 2f 62 00 0a 68 69
}

func ExampleParsePublish() {
	p, err := mqtt.ParsePublish([]byte("\x32\x09\x00\x03a/b\x00\x0ahi"))
	fmt.Printf("%s %q QoS %d id %d %v\n", p.Topic, p.Payload, p.QoS, p.ID, err)

	_, err = mqtt.ParsePublish([]byte("\x30\x05\x00\x03a/+"))
	fmt.Println(err)
	var pe *mqtt.PacketError
	fmt.Println(errors.As(err, &pe), errors.Is(err, mqtt.ErrWildcard))
	// Output:
	// a/b "hi" QoS 1 id 10 <nil>
	// mqtt: PUBLISH: topic at offset 6: holds a wildcard ([MQTT-3.3.2-2])
	// true true
}

func ExampleOpenPublish() {
	body := []byte("21.5")
	dst := mqtt.OpenPublish(nil, len(body))
	dst = append(dst, "devices/d1/messages/events/"...)
	dst, err := mqtt.ClosePublish(dst, 0, &mqtt.Publish{Payload: body})
	fmt.Printf("%q %v\n", dst, err)
	// Output: "0!\x00\x1bdevices/d1/messages/events/21.5" <nil>
}

func ExampleConnect() {
	c := mqtt.Connect{
		ClientID:  []byte("d1"),
		KeepAlive: 240,
		UserName:  []byte("h/d1/?api-version=2021-04-12"),
		Password:  mqtt.NewSecret([]byte("SharedAccessSignature sr=...")),
	}
	fmt.Println(c.Check(), len(c.AppendTo(nil)), c.Password)
	// Output: <nil> 76 [redacted]
}

func ExampleParseConnect() {
	// What a server says to a client of MQTT 5.
	_, err := mqtt.ParseConnect([]byte("\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00"))
	if errors.Is(err, mqtt.ErrProtocolLevel) {
		refusal := mqtt.Connack{Code: mqtt.BadProtocol}
		fmt.Printf("%v\n% x\n", err, refusal.AppendTo(nil))
	}
	// Output:
	// mqtt: CONNECT: protocol level at offset 8: protocol level is not 4, the limit is 4 ([MQTT-3.1.2-2])
	// 20 02 00 01
}

func ExampleParseConnack() {
	c, err := mqtt.ParseConnack([]byte("\x20\x02\x00\x05"))
	fmt.Println(c.SessionPresent, c.Code == mqtt.NotAuthorized, err)
	fmt.Println(error(c.Code))
	// Output:
	// false true <nil>
	// mqtt: connection refused, CONNACK 5: not authorized
}

func ExampleSubscribe() {
	var s mqtt.Subscribe
	s.ID = 1
	for _, filter := range []string{"$iothub/methods/POST/#", "$iothub/twin/res/#"} {
		var err error
		if s.Filters, err = mqtt.AppendFilter(s.Filters, filter, mqtt.AtMostOnce); err != nil {
			fmt.Println(err)
		}
	}
	packet := s.AppendTo(nil)

	got, err := mqtt.ParseSubscribe(packet)
	for filter, qos := range got.Filters.All() {
		fmt.Printf("%s %d\n", filter, qos)
	}
	fmt.Println(got.ID, got.Filters.Len(), err)
	// Output:
	// $iothub/methods/POST/# 0
	// $iothub/twin/res/# 0
	// 1 2 <nil>
}

func ExampleSuback() {
	s := mqtt.Suback{ID: 1, Codes: []byte{byte(mqtt.AtLeastOnce), mqtt.SubackFailure}}
	fmt.Printf("% x\n", s.AppendTo(nil))
	// Output: 90 04 00 01 01 80
}

func ExampleUnsubscribe() {
	names, err := mqtt.AppendFilterName(nil, "a/#")
	u := mqtt.Unsubscribe{ID: 2, Filters: names}
	fmt.Printf("% x %v\n", u.AppendTo(nil), err)
	// Output: a2 07 00 02 00 03 61 2f 23 <nil>
}

func ExampleSplit() {
	b := []byte("\xc0\x00\x40\x02\x00\x07\x40\x02") // PINGREQ, PUBACK, and the start of another
	for {
		p, rest, err := mqtt.Split(b, 0)
		if err != nil || p == nil {
			fmt.Println(len(rest), "bytes wait for more,", err)
			return
		}
		fmt.Println(p.Type(), len(p))
		b = rest
	}
	// Output:
	// PINGREQ 2
	// PUBACK 4
	// 2 bytes wait for more, <nil>
}

func ExampleConn() {
	client, server := net.Pipe()
	go func() {
		c := mqtt.NewConn(client, nil)
		defer c.Close()
		var out []byte
		out = (&mqtt.Puback{ID: 7}).AppendTo(out)
		out = (&mqtt.Pingreq{}).AppendTo(out)
		if err := c.Write(out); err != nil {
			fmt.Println(err)
		}
	}()
	c := mqtt.NewConn(server, nil)
	defer c.Close()
	for {
		p, err := c.ReadPacket()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(p.Type(), "and then", c.Buffered(), "bytes are ready")
	}
	// Output:
	// PUBACK and then 2 bytes are ready
	// PINGREQ and then 0 bytes are ready
	// EOF
}

func ExampleAppendTelemetryTopic() {
	m := hubwire.Message{
		ID:          "42",
		ContentType: "application/json",
		Properties:  []hubwire.Property{{Name: "room", Value: "Küche"}},
	}
	fmt.Printf("%s\n", mqtt.AppendTelemetryTopic(nil, hubwire.Identity{DeviceID: "d1"}, &m))
	// Output: devices/d1/messages/events/%24.mid=42&%24.ct=application%2Fjson&room=K%C3%BCche
}

func ExampleAppendTelemetryBag() {
	sender := topics.AppendTelemetry(nil, hubwire.Identity{DeviceID: "d1"})
	for _, room := range []string{"hall", "attic"} {
		m := hubwire.Message{Properties: []hubwire.Property{{Name: "room", Value: room}}}
		fmt.Printf("%s\n", mqtt.AppendTelemetryBag(sender, &m))
	}
	// Output:
	// devices/d1/messages/events/room=hall
	// devices/d1/messages/events/room=attic
}

func ExampleAppendC2DTopic() {
	id := hubwire.Identity{DeviceID: "d1"}
	fmt.Printf("%s\n", mqtt.AppendC2DTopic(nil, id, &hubwire.Message{CorrelationID: "7"}))
	// Output: devices/d1/messages/devicebound/%24.cid=7&%24.to=%2Fdevices%2Fd1%2Fmessages%2Fdevicebound
}

func ExampleAppendInputTopic() {
	id := hubwire.Identity{DeviceID: "d1", ModuleID: "m1"}
	r := hubwire.Received{Input: "in1", Message: hubwire.Message{To: "m1"}}
	fmt.Printf("%s\n", mqtt.AppendInputTopic(nil, id, &r))
	// Output: devices/d1/modules/m1/inputs/in1/%24.to=m1
}

func ExampleParseMessage() {
	topic, err := topics.Parse([]byte("devices/d1/messages/devicebound/%24.mid=42&room=K%C3%BCche"))
	if err != nil {
		fmt.Println(err)
		return
	}
	var r hubwire.Received
	err = mqtt.ParseMessage(&topic, []byte("hello"), &r)
	fmt.Println(r.ID, string(r.Body), r.Properties, err)
	// Output: 42 hello [{room Küche}] <nil>
}
