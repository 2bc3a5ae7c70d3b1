package hub_test

import (
	"testing"

	"github.com/hubwire/hubwire/hub"
)

func TestAThrottledHubRunsOneJobAtATime(t *testing.T) {
	for _, tt := range []struct {
		name   string
		active int
		status int
		code   string
	}{
		{"a hub of tier S1", hub.S1(1).ActiveJobs, 429, "ThrottlingMaxActiveJobCountExceeded"},
		{"a hub without bounds", 0, 200, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, &hub.Config{Throttle: hub.Throttle{ActiveJobs: tt.active}}, func(t *testing.T, h *hub.Hub) {
				r := newREST(t, h, "service")
				const waits = `{"type":"scheduleDeviceMethod","cloudToDeviceMethod":{"methodName":"m","connectTimeoutInSeconds":60},"queryCondition":"*"}`
				if res, body := r.do("PUT", "/jobs/v2/first"+version, waits); res.StatusCode != 200 {
					t.Fatalf("%s %s", res.Status, body)
				}
				wait(t, r, "first", "running")
				res, body := r.do("PUT", "/jobs/v2/second"+version, waits)
				if tt.code != "" {
					refusedAs(t, res, body, tt.status, tt.code)
				} else if res.StatusCode != tt.status {
					t.Errorf("the second: %s %s", res.Status, body)
				}
				wait(t, r, "first", "completed")
				if res, body := r.do("PUT", "/jobs/v2/third"+version, waits); res.StatusCode != 200 {
					t.Errorf("when the first is over: %s %s", res.Status, body)
				}
			})
		})
	}
}
