package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/device"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/service"
)

var ctx = context.Background()

// start starts a hub for an example, and a Client of it. For a hub in Azure the
// connection string comes from its portal, and the options can be nil.
func start() (*hub.Hub, *service.Client) {
	h := must(hub.Start(ctx, &hub.Config{InMemory: true}))
	connectionString := must(h.PolicyConnectionString("iothubowner"))
	return h, must(service.New(connectionString, &service.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()}))
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

func Example() {
	h, c := start()
	defer h.Close()
	defer c.Close()

	d, err := c.CreateDevice(ctx, &service.Device{DeviceID: "pump"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(d.DeviceID, "is", d.Status, "with the key", d.Authentication.SymmetricKey.Primary)

	twin, err := c.PatchTwin(ctx, hubwire.Identity{DeviceID: "pump"}, &service.TwinUpdate{
		Tags:    json.RawMessage(`{"room":"cellar"}`),
		Desired: json.RawMessage(`{"interval":60}`),
	}, service.Any)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("desired %s, version %d, tags %s\n", twin.Desired.JSON, twin.Desired.Version, twin.Tags)
	// Output:
	// pump is enabled with the key (secret)
	// desired {"interval":60}, version 2, tags {"room":"cellar"}
}

// What was got and changed meanwhile is refused, so that it can be got anew.
func ExampleClient_UpdateDevice() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	must(c.CreateDevice(ctx, &service.Device{DeviceID: "pump"}))

	for {
		d, err := c.Device(ctx, "pump")
		if err != nil {
			log.Fatal(err)
		}
		d.Status, d.StatusReason = service.Disabled, "in repair"
		d, err = c.UpdateDevice(ctx, d, d.ETag)
		if errors.Is(err, hubwire.PreconditionFailed) {
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(d.Status, d.StatusReason)
		break
	}
	// Output: disabled in repair
}

func ExampleQueryAs() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	for _, id := range []string{"pump", "fan", "lamp"} {
		must(c.CreateDevice(ctx, &service.Device{DeviceID: id}))
	}
	tags := &service.TwinUpdate{Tags: json.RawMessage(`{"room":{"name":"cellar","floor":-1}}`)}
	must(c.PatchTwin(ctx, hubwire.Identity{DeviceID: "pump"}, tags, service.Any))

	type row struct {
		Device string `json:"deviceId"`
		Floor  int    `json:"floor"`
	}
	query := "SELECT deviceId, tags.room.floor AS floor FROM devices WHERE tags.room.name = " + service.Quote("cellar")
	for r, err := range service.QueryAs[row](ctx, c, query, nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%+v\n", r)
	}
	// Output: {Device:pump Floor:-1}
}

// What failed is named, and the rest is done.
func ExampleClient_BulkAll() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	must(c.CreateDevice(ctx, &service.Device{DeviceID: "d42"}))

	var devices []service.ImportDevice
	for i := range 250 {
		devices = append(devices, service.ImportDevice{ID: fmt.Sprint("d", i), ImportMode: service.ImportCreate})
	}
	result, done, err := c.BulkAll(ctx, devices)
	if err != nil {
		log.Fatal(err) // and devices[done:] are still to do
	}
	fmt.Println(done, "looked at")
	for _, e := range result.Errors {
		fmt.Println(e.DeviceID, hubwire.Code(e.Code).Name())
	}
	// Output:
	// 250 looked at
	// d42 DeviceAlreadyExists
}

func ExampleClient_Invoke() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	pump := hubwire.Identity{DeviceID: "pump"}
	must(c.CreateDevice(ctx, &service.Device{DeviceID: "pump"}))
	d := must(device.Dial(ctx, must(h.ConnectionString(pump)), device.MQTT(nil), &device.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()}))
	defer d.Close()
	if err := d.HandleMethod(ctx, "reboot", func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		return hubwire.MethodResponse{Status: 202, Payload: json.RawMessage(`"in a minute"`)}, nil
	}); err != nil {
		log.Fatal(err)
	}

	answer, err := c.Invoke(ctx, pump, hubwire.MethodRequest{Name: "reboot"}, &service.InvokeOptions{ConnectTimeout: 10 * time.Second})
	switch {
	case errors.Is(err, hubwire.DeviceNotOnline):
		fmt.Println("it did not come online within ten seconds")
	case err != nil:
		log.Fatal(err)
	default:
		fmt.Printf("%d %s\n", answer.Status, answer.Payload)
	}
	// Output: 202 "in a minute"
}

// Of a job's devices, those that failed get another one.
func ExampleClient_ScheduleTwinUpdate() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	for _, id := range []string{"pump", "fan"} {
		must(c.CreateDevice(ctx, &service.Device{DeviceID: id}))
	}

	update := &service.TwinUpdate{Desired: json.RawMessage(`{"building":43}`)}
	must(c.ScheduleTwinUpdate(ctx, "move", "*", update, &service.JobOptions{Start: time.Now().Add(50 * time.Millisecond)}))
	job, err := c.WaitJob(ctx, "move", 20*time.Millisecond)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(job.Status, "for", job.Statistics.Succeeded, "of", job.Statistics.Devices)

	var failed []string
	for d, err := range c.JobDevices(ctx, "move", service.JobFailed) {
		if err != nil {
			log.Fatal(err)
		}
		failed = append(failed, d.DeviceID)
	}
	if len(failed) > 0 {
		must(c.ScheduleTwinUpdate(ctx, "move-again", service.DeviceIn(failed...), update, nil))
	}
	// Output: completed for 2 of 2
}

// credential stands for azidentity's, with the same method but for its options.
type credential struct{}

type accessToken struct {
	Token     string
	ExpiresOn time.Time
}

func (credential) GetToken(_ context.Context, scopes []string) (accessToken, error) {
	return accessToken{"a token for " + scopes[0], time.Now().Add(time.Hour)}, nil
}

func ExampleBearer() {
	var cred credential // azidentity.NewDefaultAzureCredential(nil)
	tokens := service.Bearer(func(ctx context.Context, scope string) (string, time.Time, error) {
		t, err := cred.GetToken(ctx, []string{scope}) // policy.TokenRequestOptions{Scopes: []string{scope}}
		return t.Token, t.ExpiresOn, err
	})
	c, err := service.NewWithCredentials(service.Credentials{HostName: "myhub.azure-devices.net", Tokens: tokens}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	authorization, _, _ := tokens.Token(ctx, c.HostName())
	fmt.Println(authorization)
	// Output: Bearer a token for https://iothubs.azure.net/.default
}

// Every error says what became of the request.
func ExampleClient_CreateDevice() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	must(c.CreateDevice(ctx, &service.Device{DeviceID: "pump"}))

	_, err := c.CreateDevice(ctx, &service.Device{DeviceID: "pump"})
	var e *hubwire.Error
	if errors.As(err, &e) {
		fmt.Println(e.Code.Name(), e.Outcome, e.Retryable, errors.Is(err, hubwire.DeviceAlreadyExists))
	}
	// Output: DeviceAlreadyExists refused false true
}
