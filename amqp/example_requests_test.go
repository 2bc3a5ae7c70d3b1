package amqp_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/amqp"
	"github.com/hubwire/hubwire/sas"
)

// A client shows a token, and the hub answers.
func ExampleAppendPutToken() {
	request := amqp.AppendPutToken(nil, &amqp.PutToken{
		ID: amqp.String("1").Value(), To: "$cbs", ReplyTo: "cbs", Type: amqp.SASTokenType,
		Name:  "myhub.azure-devices.net/devices/pump",
		Token: sas.NewSecret("SharedAccessSignature sr=...&sig=...&se=1767225600"), Expiration: time.Unix(1767225600, 0),
	})

	p, err := amqp.ParsePutToken(parsed(request)) // at the hub
	fmt.Println(p.Name, p.Token, err)
	answer := amqp.NewResponse(p.ID, nil)
	wire := amqp.AppendResponse(nil, &answer)

	r, err := amqp.ParseResponse(parsed(wire)) // at the client
	fmt.Println(r.Status, r.Err("put token"), err)
	// Output:
	// myhub.azure-devices.net/devices/pump (secret) <nil>
	// 200 <nil> <nil>
}

func ExampleNewResponse() {
	refused := amqp.NewResponse(amqp.String("1").Value(), &hubwire.Error{Code: hubwire.UnauthorizedAccess, Message: "no such key"})
	fmt.Println(refused.Status)
	err := refused.Err("put token")
	fmt.Println(err)
	// Output:
	// 401
	// hubwire: put token: 401003 IotHubUnauthorized, refused: no such key
}

// A service asks about the endpoint of events, and about a partition.
func ExampleAppendReadRequest() {
	request := amqp.AppendReadRequest(nil, &amqp.ReadRequest{ID: amqp.String("1").Value(), ReplyTo: "mgmt", EventHub: "myhub"})
	q, err := amqp.ParseReadRequest(parsed(request))
	m := parsed(request)
	fmt.Printf("%s %q, answer to %s %v\n", q.EventHub, q.Partition, m.ReplyTo(), err)

	answer := amqp.AppendEventHubInfo(nil, q.ID, &amqp.EventHubInfo{Name: "myhub", Partitions: []string{"0", "1"}})
	info, err := amqp.ParseEventHubInfo(parsed(answer))
	fmt.Println(info.Name, info.Partitions, err)

	answer = amqp.AppendPartitionInfo(nil, q.ID, &amqp.PartitionInfo{EventHub: "myhub", Partition: "0", LastSequence: 41, LastOffset: "1024"})
	partition, err := amqp.ParsePartitionInfo(parsed(answer))
	fmt.Println(partition.Partition, partition.LastSequence, partition.LastOffset, err)
	// Output:
	// myhub "", answer to mgmt <nil>
	// myhub [0 1] <nil>
	// 0 41 1024 <nil>
}

// A device reports, and then hears of a change.
func ExampleAppendTwinRequest() {
	request := amqp.AppendTwinRequest(nil, &amqp.TwinRequest{ID: amqp.String("1").Value(), Operation: amqp.TwinReport, Body: []byte(`{"rpm":900}`)})
	q, err := amqp.ParseTwinRequest(parsed(request))
	fmt.Println(q.Operation, string(q.Body), err)

	for _, r := range []amqp.TwinResponse{
		{ID: q.ID, Status: 200, Version: 4},
		{Version: 9, Body: []byte(`{"interval":60}`)},
		{ID: q.ID, Status: 429},
	} {
		wire := amqp.AppendTwinResponse(nil, &r)
		got, err := amqp.ParseTwinResponse(parsed(wire))
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(got.IsChange(), got.Version, got.Err("report"))
	}
	// Output:
	// PATCH {"rpm":900} <nil>
	// false 4 <nil>
	// true 9 <nil>
	// false 0 hubwire: report: 429001 ThrottlingException, refused
}

// The hub calls a method, and the device answers.
func ExampleAppendMethodRequest() {
	call := amqp.AppendMethodRequest(nil, lockToken, &hubwire.MethodRequest{Name: "reboot", Payload: json.RawMessage(`"now"`)})
	id, r, err := amqp.ParseMethodRequest(parsed(call))
	fmt.Println(r.Name, string(r.Payload), err)

	answer := amqp.AppendMethodResponse(nil, id, &hubwire.MethodResponse{Status: 202})
	of, got, err := amqp.ParseMethodResponse(parsed(answer))
	fmt.Println(of == id, got.Status, err)
	// Output:
	// reboot "now" <nil>
	// true 202 <nil>
}
