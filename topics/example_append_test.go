package topics_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/topics"
)

func ExampleAppendTelemetry() {
	topic := topics.AppendTelemetry(nil, hubwire.Identity{DeviceID: "dev-0001", ModuleID: "m"})
	topic = topics.AppendProperty(topic, "alert", "no")
	fmt.Printf("%s\n", topic)
	// Output: devices/dev-0001/modules/m/messages/events/alert=no
}

// A flag, which has no value.
func ExampleAppendNull() {
	topic := topics.AppendTelemetry(nil, exampleID)
	fmt.Printf("%s\n", topics.AppendNull(topic, "urgent"))
	// Output: devices/dev-0001/messages/events/urgent
}

func ExampleAppendTwinGet() {
	fmt.Printf("%s\n", topics.AppendTwinGet(nil, "7"))
	fmt.Printf("%s\n", topics.AppendTwinResponse(nil, 200, "7", 0))
	// Output:
	// $iothub/twin/GET/?$rid=7
	// $iothub/twin/res/200/?$rid=7
}

func ExampleAppendTwinResponse() {
	fmt.Printf("%s\n", topics.AppendTwinResponse(nil, 204, "7", 12)) // to a patch, with its version
	// Output: $iothub/twin/res/204/?$rid=7&$version=12
}

func ExampleAppendTwinDesired() {
	fmt.Printf("%s\n", topics.AppendTwinDesired(nil, 12))
	// Output: $iothub/twin/PATCH/properties/desired/?$version=12
}

func ExampleAppendInputFilter() {
	module := hubwire.Identity{DeviceID: "dev-0001", ModuleID: "m"}
	fmt.Printf("%s\n", topics.AppendInputFilter(nil, module))
	fmt.Printf("%s\n", topics.AppendModuleFilter(nil, module))
	// Output:
	// devices/dev-0001/modules/m/inputs/#
	// devices/dev-0001/modules/m/#
}

func ExampleAppendModuleFilter() {
	filter := topics.AppendModuleFilter(nil, hubwire.Identity{DeviceID: "dev-0001", ModuleID: "m"})
	f, err := topics.ParseFilter(filter)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.Allows(hubwire.Identity{DeviceID: "dev-0001", ModuleID: "m"}), f.Allows(exampleID))
	// Output: true false
}

func ExampleAppendClientID() {
	fmt.Printf("%s\n", topics.AppendClientID(nil, hubwire.Identity{DeviceID: "dev-0001", ModuleID: "m"}))
	// Output: dev-0001/m
}

func ExampleAppendUnescape() {
	fmt.Printf("%s\n", topics.AppendUnescape(nil, "K%C3%BCche+1%"))
	// Output: Küche+1%
}

// A command of a component is a direct method with this name.
func ExampleAppendCommand() {
	fmt.Printf("%s\n", topics.AppendCommand(nil, "thermostat", "reboot"))
	// Output: thermostat*reboot
}

// What a device says of a writable property that it was sent.
func ExampleAppendAcknowledged() {
	fmt.Printf("%s\n", topics.AppendAcknowledged(nil, "thermostat", "target", &topics.Acknowledgement{
		Value: json.RawMessage(`21.5`), Status: 200, Version: 12,
	}))
	// Output: {"thermostat":{"__t":"c","target":{"value":21.5,"ac":200,"av":12}}}
}

// A device registers, is told to wait, and asks again.
func ExampleAppendDPSRegister() {
	fmt.Printf("%s\n", topics.AppendDPSRegister(nil, "1"))
	fmt.Printf("%s\n", topics.AppendDPSResponse(nil, 202, "1", 3*time.Second))
	fmt.Printf("%s\n", topics.AppendDPSQuery(nil, "2", "4.d"))
	// Output:
	// $dps/registrations/PUT/iotdps-register/?$rid=1
	// $dps/registrations/res/202/?$rid=1&retry-after=3
	// $dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId=4.d
}

func ExampleAppendDPSResponse() {
	t, err := topics.Parse(topics.AppendDPSResponse(nil, 202, "1", 3*time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(t.Status())
	fmt.Println(t.RetryAfter())
	// Output:
	// 202
	// 3s true
}

func ExampleAppendDPSQuery() {
	t, err := topics.Parse(topics.AppendDPSQuery(nil, "2", "4.d"))
	fmt.Printf("%s %s %v\n", t.RequestID(), t.OperationID(), err)
	// Output: 2 4.d <nil>
}

func ExampleAppendDPSRegistration() {
	body := topics.AppendDPSRegistration(nil, &topics.DPSRegistration{RegistrationID: "sn-007", Payload: json.RawMessage(`{"modelId":"dtmi:example:Pump;1"}`)})
	fmt.Printf("%s\n", body)
	r, err := topics.ParseDPSRegistration(body)
	fmt.Println(r.RegistrationID, err)
	// Output:
	// {"registrationId":"sn-007","payload":{"modelId":"dtmi:example:Pump;1"}}
	// sn-007 <nil>
}

func ExampleAppendDPSUserName() {
	name := topics.AppendDPSUserName(nil, &topics.DPSUserName{IDScope: "0ne00112233", RegistrationID: "sn-007", APIVersion: "2019-03-31"})
	fmt.Printf("%s\n", name)
	u, err := topics.ParseDPSUserName(string(name))
	fmt.Println(u.IDScope, u.RegistrationID, err)
	// Output:
	// 0ne00112233/registrations/sn-007/api-version=2019-03-31
	// 0ne00112233 sn-007 <nil>
}
