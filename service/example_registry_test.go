package service_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub"
	"github.com/hubwire/hubwire/service"
)

func ExampleNew() {
	// A hub in this process. For one in Azure the connection string is that of a
	// shared access policy, from its portal, and the options can be nil.
	h := must(hub.Start(ctx, &hub.Config{InMemory: true}))
	defer h.Close()
	connectionString := must(h.PolicyConnectionString("service"))

	c, err := service.New(connectionString, &service.Options{Dial: h.Dial, TLSConfig: h.ClientTLS()})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(c.HostName())

	_, err = c.Twin(ctx, hubwire.Identity{DeviceID: "pump"})
	fmt.Println("no such device:", errors.Is(err, hubwire.DeviceNotFound))
	_, err = c.CreateDevice(ctx, &service.Device{DeviceID: "pump"}) // which is not for this policy
	fmt.Println("no right to do that:", errors.Is(err, hubwire.UnauthorizedAccess))
	// Output:
	// localhost
	// no such device: true
	// no right to do that: true
}

func ExampleCredentialsFromConnectionString() {
	cred, err := service.CredentialsFromConnectionString("HostName=myhub.azure-devices.net;SharedAccessKeyName=service;SharedAccessKey=c2VjcmV0IHNlY3JldCBzZWNyZXQ=")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cred.HostName)
	fmt.Println(cred) // which shows no key

	_, err = service.CredentialsFromConnectionString("HostName=myhub.azure-devices.net;DeviceId=pump;SharedAccessKey=c2VjcmV0IHNlY3JldCBzZWNyZXQ=")
	fmt.Println("that of a device is refused:", errors.Is(err, hubwire.ArgumentInvalid))
	// Output:
	// myhub.azure-devices.net
	// myhub.azure-devices.net with tokens
	// that of a device is refused: true
}

func ExampleNewWithCredentials() {
	cred := must(service.CredentialsFromConnectionString("HostName=myhub.azure-devices.net;SharedAccessKeyName=service;SharedAccessKey=c2VjcmV0IHNlY3JldCBzZWNyZXQ="))
	c, err := service.NewWithCredentials(cred, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(c) // it has connected to nothing yet
	// Output: client of myhub.azure-devices.net
}

func ExampleClient_DeleteDevice() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	for _, id := range []string{"fan", "pump"} {
		must(c.CreateDevice(ctx, &service.Device{DeviceID: id}))
	}
	must(c.CreateModule(ctx, &service.Module{DeviceID: "pump", ModuleID: "valve"}))

	if err := c.DeleteDevice(ctx, "pump", service.Any); err != nil { // and its modules
		log.Fatal(err)
	}
	for _, d := range must(c.Devices(ctx, 0)) {
		fmt.Println(d.DeviceID)
	}
	_, err := c.Modules(ctx, "pump")
	fmt.Println(errors.Is(err, hubwire.DeviceNotFound))
	// Output:
	// fan
	// true
}

func ExampleClient_CreateModule() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	must(c.CreateDevice(ctx, &service.Device{DeviceID: "pump"}))

	m, err := c.CreateModule(ctx, &service.Module{DeviceID: "pump", ModuleID: "valve"})
	if err != nil {
		log.Fatal(err)
	}
	m.ManagedBy = "plumber"
	if _, err := c.UpdateModule(ctx, m, m.ETag); err != nil {
		log.Fatal(err)
	}

	valve := hubwire.Identity{DeviceID: "pump", ModuleID: "valve"}
	m = must(c.Module(ctx, valve))
	fmt.Println(m.DeviceID, m.ModuleID, m.ManagedBy, m.ConnectionState)
	if err := c.DeleteModule(ctx, valve, m.ETag); err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(must(c.Modules(ctx, "pump"))), "left")
	// Output:
	// pump valve plumber Disconnected
	// 0 left
}

func ExampleClient_DeviceStatistics() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	must(c.CreateDevice(ctx, &service.Device{DeviceID: "fan", Status: service.Disabled}))
	d := pump(h, c)
	defer d.Close()

	fmt.Printf("%+v\n", *must(c.DeviceStatistics(ctx)))
	fmt.Printf("%+v\n", *must(c.ServiceStatistics(ctx)))
	// Output:
	// {Total:2 Enabled:1 Disabled:1}
	// {Connected:1}
}

func ExampleClient_RegenerateKeys() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	before := must(c.CreateDevice(ctx, &service.Device{DeviceID: "pump"}))

	r, err := c.RegenerateKeys(ctx, service.PrimaryKey, hubwire.Identity{DeviceID: "pump"}, hubwire.Identity{DeviceID: "fan"})
	if err != nil {
		log.Fatal(err)
	}
	for _, k := range r.Rotated {
		fmt.Println(k.ID, "has another key:", !k.Primary.Equal(before.Authentication.SymmetricKey.Primary))
	}
	for _, e := range r.Errors {
		fmt.Println(e.ID, hubwire.Code(e.Code).Name())
	}
	// Output:
	// pump has another key: true
	// fan DeviceNotFound
}

// At most MaxBulk in one request; BulkAll takes any number.
func ExampleClient_Bulk() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	result, err := c.Bulk(ctx, []service.ImportDevice{
		{ID: "pump", ImportMode: service.ImportCreate, Tags: json.RawMessage(`{"room":"cellar"}`)},
		{ID: "fan", ImportMode: service.ImportDelete},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("all of it:", result.IsSuccessful)
	for _, e := range result.Errors {
		fmt.Println(e.DeviceID, hubwire.Code(e.Code).Name())
	}
	fmt.Printf("%s\n", must(c.Twin(ctx, hubwire.Identity{DeviceID: "pump"})).Tags)
	// Output:
	// all of it: false
	// fan DeviceNotFound
	// {"room":"cellar"}
}

func ExampleClient_ReplaceTwin() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	must(c.CreateDevice(ctx, &service.Device{DeviceID: "pump"}))
	id := hubwire.Identity{DeviceID: "pump"}
	must(c.PatchTwin(ctx, id, &service.TwinUpdate{Tags: json.RawMessage(`{"room":"cellar"}`), Desired: json.RawMessage(`{"interval":60,"unit":"s"}`)}, service.Any))

	twin, err := c.Twin(ctx, id)
	if err != nil {
		log.Fatal(err)
	}
	// What is not in the update is gone.
	twin, err = c.ReplaceTwin(ctx, id, &service.TwinUpdate{Desired: json.RawMessage(`{"interval":10}`)}, twin.ETag)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("tags %s, desired %s, version %d\n", twin.Tags, twin.Desired.JSON, twin.Desired.Version)
	// Output: tags {}, desired {"interval":10}, version 3
}

func ExampleClient_Query() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	for _, id := range []string{"fan", "lamp", "pump"} {
		must(c.CreateDevice(ctx, &service.Device{DeviceID: id}))
	}
	for row, err := range c.Query(ctx, "SELECT deviceId FROM devices WHERE "+service.DeviceIn("pump", "fan"), nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", row)
	}
	// Output:
	// {"deviceId":"fan"}
	// {"deviceId":"pump"}
}

// Page by page, as for somebody who turns them.
func ExampleClient_QueryPage() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	for _, id := range []string{"fan", "lamp", "pump"} {
		must(c.CreateDevice(ctx, &service.Device{DeviceID: id}))
	}

	rows := 0
	o := &service.QueryOptions{PageSize: 2}
	for {
		page, err := c.QueryPage(ctx, "SELECT * FROM devices", o)
		if err != nil {
			log.Fatal(err)
		}
		rows += len(page.Rows) // may be none, though more follow
		if page.Continuation == "" {
			fmt.Println(rows, "rows, each a", page.ItemType)
			break
		}
		o.Continuation = page.Continuation
	}

	_, err := c.QueryPage(ctx, "SELECT * FROM", nil)
	fmt.Println(errors.Is(err, hubwire.ArgumentInvalid))
	// Output:
	// 3 rows, each a Twin
	// true
}

func ExampleQuote() {
	fmt.Println("tags.owner = " + service.Quote("O'Brien"))
	// Output: tags.owner = 'O\'Brien'
}

func ExampleDeviceIn() {
	fmt.Println(service.DeviceIn("pump", "fan"))
	// Output: deviceId IN ['pump','fan']
}
