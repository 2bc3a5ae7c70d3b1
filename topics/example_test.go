package topics_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/topics"
)

var exampleID = hubwire.Identity{DeviceID: "dev-0001"}

// A device writes the topic of its telemetry, and the hub reads it.
func Example() {
	topic := topics.AppendTelemetry(nil, exampleID)
	topic = topics.AppendSystem(topic, topics.ContentType, "application/json")
	topic = topics.AppendProperty(topic, "room", "Küche #1")
	fmt.Println(string(topic))

	t, err := topics.Parse(topic)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(t.Kind, "of", string(t.DeviceID()))
	for name, value := range t.Bag().All() {
		fmt.Println(name, "is", value)
	}
	// Output:
	// devices/dev-0001/messages/events/%24.ct=application%2Fjson&room=K%C3%BCche%20%231
	// telemetry of dev-0001
	// $.ct is application/json
	// room is Küche #1
}

func ExampleParse() {
	for _, topic := range []string{
		"$iothub/methods/POST/reboot/?$rid=1a2",
		"$iothub/twin/res/204/?$rid=2f&$version=17",
		"devices//messages/events/",
	} {
		t, err := topics.Parse([]byte(topic))
		switch t.Kind {
		case topics.MethodRequest:
			fmt.Printf("call of %s, answer to %s\n", t.Name(), t.RequestID())
		case topics.TwinResponse:
			version, _ := t.Version()
			fmt.Printf("answer %d to %s, version %d\n", t.Status(), t.RequestID(), version)
		default:
			fmt.Println(errors.Is(err, topics.ErrEmpty), err)
		}
	}
	// Output:
	// call of reboot, answer to 1a2
	// answer 204 to 2f, version 17
	// true topics: device id at offset 8 is empty
}

func ExampleSyntaxError() {
	_, err := topics.Parse([]byte("$iothub/methods/res/ok/?$rid=1"))
	var se *topics.SyntaxError
	if errors.As(err, &se) {
		fmt.Println(se.Part, se.Offset, se.Limit, errors.Is(err, topics.ErrNumber))
	}
	// Output: status 20 2147483647 true
}

func ExampleTopic_Is() {
	t, _ := topics.Parse([]byte("devices/dev-0001/messages/events/"))
	fmt.Println(t.Is(exampleID), t.Is(hubwire.Identity{DeviceID: "another"}))
	// Output: true false
}

func ExampleBag_AppendDecoded() {
	var pairs [16]topics.Pair // on the stack, or kept from message to message
	var room [512]byte
	decoded, _ := topics.Bag("%24.mid=42&note=caf%C3%A9&flag").AppendDecoded(pairs[:0], room[:0])
	for _, p := range decoded {
		fmt.Printf("%s=%s %v\n", p.Name, p.Value, p.Null)
	}
	// Output:
	// $.mid=42 false
	// note=café false
	// flag= true
}

func ExampleBag_Pairs() {
	for p := range topics.Bag("%24.mid=42&$.ct=text%2Fplain&x=%41").Pairs() {
		fmt.Printf("%v: %s\n", p.System() != 0, p.AppendValue(nil))
	}
	// Output:
	// true: 42
	// true: text/plain
	// false: A
}

func ExampleBag_Find() {
	p, ok := topics.Bag("a=1&room%20name=K%C3%BCche").Find("room name")
	fmt.Println(string(p.AppendValue(nil)), ok)
	// Output: Küche true
}

func ExampleAppendProperty() {
	bag := topics.AppendProperty(nil, "level%", "50/100")
	bag = topics.AppendNull(bag, "flag")
	fmt.Println(string(bag))
	// Output: level%25=50%2F100&flag
}

func ExampleAppendSystem() {
	fmt.Println(string(topics.AppendSystem(nil, topics.MessageID, "m/1")))
	// Output: %24.mid=m%2F1
}

func ExampleAppendC2D() {
	topic := topics.AppendC2D(nil, exampleID)
	topic = topics.AppendSystem(topic, topics.To, "/devices/dev-0001/messages/devicebound")
	fmt.Println(string(topic))
	// Output: devices/dev-0001/messages/devicebound/%24.to=%2Fdevices%2Fdev-0001%2Fmessages%2Fdevicebound
}

func ExampleAppendInput() {
	module := hubwire.Identity{DeviceID: "edge", ModuleID: "filter"}
	fmt.Println(string(topics.AppendInput(nil, module, "in 1")))
	// Output: devices/edge/modules/filter/inputs/in%201/
}

func ExampleAppendMethodRequest() {
	fmt.Println(string(topics.AppendMethodRequest(nil, "reboot", "1a2")))
	// Output: $iothub/methods/POST/reboot/?$rid=1a2
}

func ExampleAppendMethodResponse() {
	request, _ := topics.Parse([]byte("$iothub/methods/POST/reboot/?$rid=1a2"))
	fmt.Println(string(topics.AppendMethodResponse(nil, 200, request.RequestID())))
	// Output: $iothub/methods/res/200/?$rid=1a2
}

func ExampleAppendTwinReported() {
	fmt.Println(string(topics.AppendTwinGet(nil, "1")))
	fmt.Println(string(topics.AppendTwinReported(nil, "2", 0)))
	fmt.Println(string(topics.AppendTwinResponse(nil, 204, "2", 8)))
	fmt.Println(string(topics.AppendTwinDesired(nil, 3)))
	// Output:
	// $iothub/twin/GET/?$rid=1
	// $iothub/twin/PATCH/properties/reported/?$rid=2
	// $iothub/twin/res/204/?$rid=2&$version=8
	// $iothub/twin/PATCH/properties/desired/?$version=3
}

func ExampleParseFilter() {
	f, err := topics.ParseFilter([]byte("devices/+/messages/devicebound/#"))
	fmt.Println(f.Kind, f.Allows(exampleID), err)
	_, err = topics.ParseFilter([]byte("$iothub/#"))
	fmt.Println(err)
	// Output:
	// C2D true <nil>
	// topics: filter at offset 0 is not one that IoT Hub or DPS uses
}

func ExampleAppendC2DFilter() {
	module := hubwire.Identity{DeviceID: "edge", ModuleID: "filter"}
	fmt.Println(string(topics.AppendC2DFilter(nil, exampleID)))
	fmt.Println(string(topics.AppendInputFilter(nil, module)))
	fmt.Println(string(topics.AppendModuleFilter(nil, module)))
	// Output:
	// devices/dev-0001/messages/devicebound/#
	// devices/edge/modules/filter/inputs/#
	// devices/edge/modules/filter/#
}

func ExampleAppendUserName() {
	fmt.Println(string(topics.AppendClientID(nil, exampleID)))
	fmt.Println(string(topics.AppendUserName(nil, &topics.UserName{
		Host: "myhub.azure-devices.net", Identity: exampleID, APIVersion: "2021-04-12",
		ClientType: "my-sdk/1.0", ModelID: "dtmi:com:example:Thermostat;1",
	})))
	// Output:
	// dev-0001
	// myhub.azure-devices.net/dev-0001/?api-version=2021-04-12&DeviceClientType=my-sdk%2F1.0&model-id=dtmi%3Acom%3Aexample%3AThermostat%3B1
}

func ExampleParseUserName() {
	u, err := topics.ParseUserName("myhub.azure-devices.net/leaf/?api-version=2021-04-12&auth-chain=leaf%3Bedge1%3Bedge2", nil)
	fmt.Println(u.Identity, u.APIVersion, u.AuthChain, u.AuthChain.Actor(), err)
	_, err = topics.ParseUserName("myhub.azure-devices.net/leaf", nil)
	fmt.Println(err)
	// Output:
	// leaf 2021-04-12 leaf;edge1;edge2 edge2 <nil>
	// topics: api-version at offset 24 is missing
}

func ExampleParseClientID() {
	id, err := topics.ParseClientID("edge/filter")
	fmt.Println(id.DeviceID, id.ModuleID, err)
	// Output: edge filter <nil>
}

// How a device provisions itself.
func ExampleParseDPSResult() {
	fmt.Println(string(topics.AppendDPSUserName(nil, &topics.DPSUserName{IDScope: "0ne000A", RegistrationID: "r1", APIVersion: "2019-03-31"})))
	fmt.Println(string(topics.AppendDPSRegister(nil, "1")), string(topics.AppendDPSRegistration(nil, &topics.DPSRegistration{RegistrationID: "r1"})))

	answer, _ := topics.Parse(topics.AppendDPSResponse(nil, 202, "1", 3*time.Second))
	wait, _ := answer.RetryAfter()
	r, _ := topics.ParseDPSResult([]byte(`{"operationId":"4.d0","status":"assigning"}`))
	fmt.Println(answer.Status(), r.Status, wait)

	fmt.Println(string(topics.AppendDPSQuery(nil, "2", r.OperationID)))
	r, _ = topics.ParseDPSResult([]byte(`{"status":"assigned","registrationState":{"assignedHub":"myhub.azure-devices.net","deviceId":"d1"}}`))
	fmt.Println(r.Status, r.State.AssignedHub, r.State.DeviceID)
	// Output:
	// 0ne000A/registrations/r1/api-version=2019-03-31
	// $dps/registrations/PUT/iotdps-register/?$rid=1 {"registrationId":"r1"}
	// 202 assigning 3s
	// $dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId=4.d0
	// assigned myhub.azure-devices.net d1
}

// DPS reads who registers, and answers.
func ExampleAppendDPSResult() {
	u, _ := topics.ParseDPSUserName("0ne000A/registrations/r1/api-version=2019-03-31&ClientVersion=c%2F1")
	r, _ := topics.ParseDPSRegistration([]byte(`{"registrationId":"r1","payload":{"a":1}}`))
	fmt.Println(u.IDScope, u.RegistrationID == r.RegistrationID, string(r.Payload))
	body, err := topics.AppendDPSResult(nil, &topics.DPSResult{ErrorCode: 401002, Message: "Invalid certificate."})
	fmt.Println(string(body), err)
	// Output:
	// 0ne000A true {"a":1}
	// {"errorCode":401002,"message":"Invalid certificate."} <nil>
}

func ExampleSplitCommand() {
	method := topics.AppendCommand(nil, "thermostat1", "reboot")
	component, command := topics.SplitCommand(string(method))
	fmt.Println(string(method), component, command)
	// Output: thermostat1*reboot thermostat1 reboot
}

// A device answers a desired property.
func ExampleTwinProperties() {
	desired := []byte(`{"thermostat1":{"__t":"c","target":21.5},"$version":7}`)
	for p, err := range topics.TwinProperties(desired, nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(string(topics.AppendAcknowledged(nil, p.Component, p.Name, &topics.Acknowledgement{
			Value: p.Value, Status: 200, Version: 7,
		})))
	}
	// Output: {"thermostat1":{"__t":"c","target":{"value":21.5,"ac":200,"av":7}}}
}

func ExampleAppendReported() {
	fmt.Println(string(topics.AppendReported(nil, "thermostat1", "temperature", []byte("21.3"))))
	// Output: {"thermostat1":{"__t":"c","temperature":21.3}}
}

func ExampleParseAcknowledgement() {
	a, ok := topics.ParseAcknowledgement([]byte(`{"value":21.5,"ac":200,"av":7,"ad":"done"}`))
	fmt.Println(string(a.Value), a.Status, a.Version, a.Description, ok)
	// Output: 21.5 200 7 done true
}

func ExampleAppendEscape() {
	escaped := topics.AppendEscape(nil, "a/b c")
	fmt.Println(string(escaped), string(topics.AppendUnescape(nil, escaped)))
	// Output: a%2Fb%20c a/b c
}

func ExampleLookupSystem() {
	s := topics.LookupSystem("$.ct")
	fmt.Println(s == topics.ContentType, s.Name())
	// Output: true $.ct
}

func ExampleBag_Next() {
	bag := topics.Bag("a=1&room%20name=K%C3%BCche")
	for {
		p, rest, ok := bag.Next()
		if !ok {
			break
		}
		fmt.Printf("%s: %s\n", p.AppendName(nil), p.AppendValue(nil))
		bag = rest
	}
	fmt.Println(topics.Bag("a=1&b").AppendProperties(nil))
	// Output:
	// a: 1
	// room name: Küche
	// [{a 1} {b }]
}

func ExampleDPSResult_Failure() {
	for _, body := range []string{
		`{"errorCode":401002,"trackingId":"t","message":"Unauthorized","timestampUtc":"2026-01-01T00:00:00Z"}`,
		`{"operationId":"4.d","status":"assigning"}`,
	} {
		r, err := topics.ParseDPSResult([]byte(body))
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(r.Failure())
	}
	// Output:
	// 401002 Unauthorized
	// 0
}

func ExampleTopic_VersionText() {
	t, err := topics.Parse([]byte("$iothub/twin/PATCH/properties/reported/?$rid=7&$version=012"))
	if err != nil {
		fmt.Println(err)
		return
	}
	version, ok := t.Version()
	fmt.Printf("%d %v, as it came: %s\n", version, ok, t.VersionText())
	// Output: 12 true, as it came: 012
}
