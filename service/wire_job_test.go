package service_test

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/service"
)

const aJob = `{"jobId":"j1","type":"scheduleUpdateTwin","status":"running","queryCondition":"*","deviceJobStatistics":{"deviceCount":3,"failedCount":1}}`

var jobCalls = map[string]exchanged{
	"schedule a twin update": {
		func(ctx context.Context, c *service.Client) (any, error) {
			j, err := c.ScheduleTwinUpdate(ctx, "j1", "tags.room = 'b'", &service.TwinUpdate{Tags: json.RawMessage(`{"room":"c"}`)}, nil)
			return j.Statistics.Failed, err
		},
		"PUT /jobs/v2/j1?api-version=2021-04-12", "",
		`{"jobId":"j1","queryCondition":"tags.room = 'b'","maxExecutionTimeInSeconds":3600,"type":"scheduleUpdateTwin","updateTwin":{"etag":"*","tags":{"room":"c"}}}`, says(200, aJob), 1,
	},
	"schedule a method": {
		func(ctx context.Context, c *service.Client) (any, error) {
			j, err := c.ScheduleMethod(ctx, "j1", service.DeviceIn("a", "b'"), hubwire.MethodRequest{Name: "lockDoor"}, &service.JobOptions{
				Start: time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)), MaxExecutionTime: time.Minute,
				InvokeOptions: service.InvokeOptions{ConnectTimeout: 2 * time.Second, ResponseTimeout: 5 * time.Second},
			})
			return j.Status, err
		},
		"PUT /jobs/v2/j1?api-version=2021-04-12", "",
		`{"jobId":"j1","queryCondition":"deviceId IN ['a','b\\'']","startTime":"2026-01-02T02:04:05Z","maxExecutionTimeInSeconds":60,"type":"scheduleDeviceMethod",` +
			`"cloudToDeviceMethod":{"methodName":"lockDoor","payload":null,"responseTimeoutInSeconds":5,"connectTimeoutInSeconds":2}}`,
		says(200, aJob), service.JobRunning,
	},
	"get a job": {
		func(ctx context.Context, c *service.Client) (any, error) {
			j, err := c.Job(ctx, "a/b c")
			return j.ID, err
		},
		"GET /jobs/v2/a%2Fb%20c?api-version=2021-04-12", "", "", says(200, aJob), "j1",
	},
	"cancel a job": {
		func(ctx context.Context, c *service.Client) (any, error) {
			j, err := c.CancelJob(ctx, "j1")
			return j.ID, err
		},
		"POST /jobs/v2/j1/cancel?api-version=2021-04-12", "", "", says(200, aJob), "j1",
	},
	"list jobs": {
		func(ctx context.Context, c *service.Client) (any, error) {
			n := 0
			for j, err := range c.Jobs(ctx, service.JobUpdateTwin, service.JobRunning) {
				if err != nil || j.ID != "j1" {
					return j, err
				}
				n++
			}
			return n, nil
		},
		"GET /jobs/v2/query?api-version=2021-04-12&jobType=scheduleUpdateTwin&jobStatus=running", "", "", says(200, "["+aJob+"]", "x-ms-item-type", "JobResponse"), 1,
	},
	"list the devices of a job that failed": {
		func(ctx context.Context, c *service.Client) (any, error) {
			var failed []string
			for d, err := range c.JobDevices(ctx, "j'1", service.JobFailed) {
				if err != nil {
					return nil, err
				}
				failed = append(failed, d.DeviceID+" "+d.Error.Code)
			}
			return failed, nil
		},
		"POST /devices/query?api-version=2021-04-12", "", `{"query":"SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'j\\'1' AND devices.jobs.status = 'failed'"}`,
		says(200, `[{"deviceId":"a","status":"failed","error":{"code":"404103"}}]`, "x-ms-item-type", "DeviceJob"), []string{"a 404103"},
	},
	"start an export": {
		func(ctx context.Context, c *service.Client) (any, error) {
			j, err := c.CreateImportExport(ctx, &service.ImportExportJob{Type: service.JobExport, OutputContainer: sas.NewSecret("https://a.example/c?sig=x"), ExcludeKeys: true})
			return j.ID, err
		},
		"POST /jobs/create?api-version=2021-04-12", "", `{"type":"export","outputBlobContainerUri":"https://a.example/c?sig=x","excludeKeysInExport":true}`,
		says(200, `{"jobId":"e1","type":"export","status":"enqueued"}`), "e1",
	},
	"get an export": {
		func(ctx context.Context, c *service.Client) (any, error) {
			j, err := c.ImportExport(ctx, "e1")
			return j.Progress, err
		},
		"GET /jobs/e1?api-version=2021-04-12", "", "", says(200, `{"jobId":"e1","type":"export","status":"running","progress":40}`), 40,
	},
	"list exports": {
		func(ctx context.Context, c *service.Client) (any, error) {
			js, err := c.ImportExports(ctx)
			return len(js), err
		},
		"GET /jobs?api-version=2021-04-12", "", "", says(200, `[{"jobId":"e1"}]`), 1,
	},
	"cancel an export": {
		func(ctx context.Context, c *service.Client) (any, error) { return nil, c.CancelImportExport(ctx, "e1") },
		"DELETE /jobs/e1?api-version=2021-04-12", "", "", says(204, ""), nil,
	},
}

const aConfiguration = `{"id":"c1","content":{"deviceContent":{"properties.desired.led":{"on":true}}},"targetCondition":"*","priority":10,"etag":"MQ==","systemMetrics":{"results":{"targetedCount":3,"appliedCount":2}}}`

var (
	newConfiguration = service.Configuration{
		ID: "c1", TargetCondition: "*", Priority: 10,
		Content: service.ConfigurationContent{Device: map[string]json.RawMessage{"properties.desired.led": json.RawMessage(`{"on":true}`)}},
	}
	newConfigurationBody = `{"id":"c1","content":{"deviceContent":{"properties.desired.led":{"on":true}}},"targetCondition":"*","priority":10}`
)

var configurationCalls = map[string]exchanged{
	"create a configuration": {
		func(ctx context.Context, c *service.Client) (any, error) {
			cfg, err := c.CreateConfiguration(ctx, &newConfiguration)
			return cfg.ETag, err
		},
		"PUT /configurations/c1?api-version=2021-04-12", "", newConfigurationBody, says(200, aConfiguration), "MQ==",
	},
	"update a configuration": {
		func(ctx context.Context, c *service.Client) (any, error) {
			cfg, err := c.UpdateConfiguration(ctx, &newConfiguration, "MQ==")
			return cfg.Priority, err
		},
		"PUT /configurations/c1?api-version=2021-04-12", `"MQ=="`, newConfigurationBody, says(200, aConfiguration), 10,
	},
	"get a configuration": {
		func(ctx context.Context, c *service.Client) (any, error) {
			cfg, err := c.Configuration(ctx, "c1")
			return cfg.SystemMetrics.Results["appliedCount"], err
		},
		"GET /configurations/c1?api-version=2021-04-12", "", "", says(200, aConfiguration), int64(2),
	},
	"list configurations": {
		func(ctx context.Context, c *service.Client) (any, error) {
			cs, err := c.Configurations(ctx, 20)
			return len(cs), err
		},
		"GET /configurations?api-version=2021-04-12&top=20", "", "", says(200, "["+aConfiguration+"]"), 1,
	},
	"delete a configuration": {
		func(ctx context.Context, c *service.Client) (any, error) {
			return nil, c.DeleteConfiguration(ctx, "c1", service.Any)
		},
		"DELETE /configurations/c1?api-version=2021-04-12", `"*"`, "", says(204, ""), nil,
	},
	"test queries": {
		func(ctx context.Context, c *service.Client) (any, error) {
			return c.TestConfigurationQueries(ctx, &service.ConfigurationQueries{TargetCondition: "tags.x =", MetricQueries: map[string]string{"m": "SELECT"}})
		},
		"POST /configurations/testQueries?api-version=2021-04-12", "", `{"targetCondition":"tags.x =","customMetricQueries":{"m":"SELECT"}}`,
		says(200, `{"targetConditionError":"bad","customMetricQueryErrors":{"m":"worse"}}`),
		&service.ConfigurationQueryErrors{TargetCondition: "bad", MetricQueries: map[string]string{"m": "worse"}},
	},
	"apply a configuration": {
		func(ctx context.Context, c *service.Client) (any, error) {
			return nil, c.ApplyConfiguration(ctx, "dev-1", &newConfiguration.Content)
		},
		"POST /devices/dev-1/applyConfigurationContent?api-version=2021-04-12", "", `{"deviceContent":{"properties.desired.led":{"on":true}}}`, says(204, ""), nil,
	},
}
