package service_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/service"
)

func ExampleClient_ScheduleMethod() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	d := pump(h, c)
	defer d.Close()
	if err := d.HandleMethod(ctx, "reboot", func(context.Context, hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		return hubwire.MethodResponse{Status: 200}, nil
	}); err != nil {
		log.Fatal(err)
	}

	must(c.ScheduleMethod(ctx, "reboot-all", "*", hubwire.MethodRequest{Name: "reboot"}, nil))
	must(c.WaitJob(ctx, "reboot-all", 5*time.Millisecond))
	for part, err := range c.JobDevices(ctx, "reboot-all", "") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(part.DeviceID, part.Status, part.Outcome.Method.Status)
	}
	// Output: pump completed 200
}

func ExampleClient_CancelJob() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	must(c.CreateDevice(ctx, &service.Device{DeviceID: "pump"}))
	update := &service.TwinUpdate{Desired: json.RawMessage(`{"interval":60}`)}
	must(c.ScheduleTwinUpdate(ctx, "tonight", "*", update, &service.JobOptions{Start: time.Now().Add(8 * time.Hour)}))

	for job, err := range c.Jobs(ctx, "", service.JobScheduled) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(job.ID, job.Type, job.Status)
	}
	must(c.CancelJob(ctx, "tonight"))
	fmt.Println(must(c.Job(ctx, "tonight")).Status)
	// Output:
	// tonight scheduleUpdateTwin scheduled
	// cancelled
}

// An export of all identities to a blob container, here of the hub's own storage.
func ExampleClient_CreateImportExport() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	must(c.CreateDevice(ctx, &service.Device{DeviceID: "pump"}))
	container := must(h.ContainerURL("backup", time.Hour)) // with a token, so it does not print

	j, err := c.CreateImportExport(ctx, &service.ImportExportJob{Type: service.JobExport, OutputContainer: container, ExcludeKeys: true})
	if err != nil {
		log.Fatal(err)
	}
	j, err = c.WaitImportExport(ctx, j.ID, 5*time.Millisecond)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(j.Type, j.Status, j.Progress, j.OutputContainer)
	fmt.Println(len(must(c.ImportExports(ctx))), "of late")
	// Output:
	// export completed 100 (secret)
	// 1 of late
}

func ExampleClient_CancelImportExport() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	container := must(h.ContainerURL("backup", time.Hour))
	j := must(c.CreateImportExport(ctx, &service.ImportExportJob{Type: service.JobExport, OutputContainer: container}))

	// What has ended meanwhile stays as it is.
	if err := c.CancelImportExport(ctx, j.ID); err != nil {
		log.Fatal(err)
	}
	j = must(c.WaitImportExport(ctx, j.ID, 5*time.Millisecond))
	fmt.Println(j.Status.Done(), must(c.ImportExport(ctx, j.ID)).Status == j.Status)
	// Output: true true
}

// What the condition is true of gets the content, now and later.
func ExampleClient_CreateConfiguration() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	must(c.CreateDevice(ctx, &service.Device{DeviceID: "pump"}))
	content := service.ConfigurationContent{Device: map[string]json.RawMessage{
		"properties.desired.interval": json.RawMessage(`60`),
	}}
	cfg, err := c.CreateConfiguration(ctx, &service.Configuration{
		ID: "hourly", Priority: 10, TargetCondition: "tags.room='cellar'", Content: content,
	})
	if err != nil {
		log.Fatal(err)
	}
	cfg.Priority = 20
	must(c.UpdateConfiguration(ctx, cfg, cfg.ETag))

	for _, cfg := range must(c.Configurations(ctx, 0)) {
		fmt.Println(cfg.ID, cfg.Priority, cfg.TargetCondition)
	}
	cfg = must(c.Configuration(ctx, "hourly"))
	fmt.Println(c.DeleteConfiguration(ctx, cfg.ID, cfg.ETag))
	// Output:
	// hourly 20 tags.room='cellar'
	// <nil>
}

func ExampleClient_ApplyConfiguration() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	must(c.CreateDevice(ctx, &service.Device{DeviceID: "pump"}))
	if err := c.ApplyConfiguration(ctx, "pump", &service.ConfigurationContent{Device: map[string]json.RawMessage{
		"properties.desired.interval": json.RawMessage(`60`),
	}}); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", must(c.Twin(ctx, hubwire.Identity{DeviceID: "pump"})).Desired.JSON)
	// Output: {"interval":60}
}

func ExampleClient_TestConfigurationQueries() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	wrong, err := c.TestConfigurationQueries(ctx, &service.ConfigurationQueries{
		TargetCondition: "tags.room='cellar'",
		MetricQueries:   map[string]string{"there": "SELECT deviceId FROM devices", "typo": "SELCT deviceId"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the condition is good:", wrong.TargetCondition == "")
	for name := range wrong.MetricQueries {
		fmt.Println("not good:", name)
	}
	// Output:
	// the condition is good: true
	// not good: typo
}

func ExampleClient_PatchDigitalTwin() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	must(c.CreateDevice(ctx, &service.Device{DeviceID: "pump"}))

	_, err := c.PatchDigitalTwin(ctx, "pump", service.JSONPatch{
		{Op: "add", Path: "/targetTemperature", Value: json.RawMessage(`21.5`)},
	}, service.Any)
	if err != nil {
		log.Fatal(err)
	}
	twin, err := c.DigitalTwin(ctx, "pump")
	if err != nil {
		log.Fatal(err)
	}
	var doc struct {
		ID       string `json:"$dtId"`
		Metadata struct {
			Target struct {
				Value   float64 `json:"desiredValue"`
				Version int     `json:"desiredVersion"`
			} `json:"targetTemperature"`
		} `json:"$metadata"`
	}
	if err := twin.Decode(&doc); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%+v\n", doc)
	// Output: {ID:pump Metadata:{Target:{Value:21.5 Version:2}}}
}

func ExampleClient_InvokeCommand() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	d := pump(h, c)
	defer d.Close()
	// A command of a component is a direct method with this name.
	if err := d.HandleMethod(ctx, "thermostat*reboot", func(_ context.Context, r hubwire.MethodRequest) (hubwire.MethodResponse, error) {
		return hubwire.MethodResponse{Status: 200, Payload: r.Payload}, nil
	}); err != nil {
		log.Fatal(err)
	}

	answer, err := c.InvokeCommand(ctx, "pump", "thermostat", hubwire.MethodRequest{Name: "reboot", Payload: json.RawMessage(`"now"`)}, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d %s\n", answer.Status, answer.Payload)
	// Output: 200 "now"
}

func ExampleClient_PurgeQueue() {
	h, c := start()
	defer h.Close()
	defer c.Close()
	must(c.CreateDevice(ctx, &service.Device{DeviceID: "pump"}))
	if err := c.SendC2D(ctx, hubwire.Identity{DeviceID: "pump"}, &hubwire.Message{Body: []byte("open")}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(must(c.PurgeQueue(ctx, "pump")))
	// Output: 1
}
