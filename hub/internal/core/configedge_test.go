package core

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
)

type modules = map[string]map[string]json.RawMessage

func deployment(id, condition string, priority int, content modules) *Configuration {
	return &Configuration{ID: id, TargetCondition: condition, Priority: priority, Content: ConfigurationContent{Modules: content}}
}

// manifest is a base deployment that runs some modules.
func manifest(run ...string) modules {
	var ms []string
	for _, m := range run {
		ms = append(ms, fmt.Sprintf(`%q:{"status":"running"}`, m))
	}
	return modules{
		"$edgeAgent": places("", `{"schemaVersion":"1.1","modules":{`+strings.Join(ms, ",")+`}}`),
		"$edgeHub":   places("", `{"schemaVersion":"1.1","routes":{}}`),
	}
}

func edge(t *testing.T, c *Core) hubwire.Identity {
	t.Helper()
	return create(t, c, &Device{ID: hubwire.Identity{DeviceID: "edge"}, Edge: true}).ID
}

func moduleNames(t *testing.T, c *Core, device string) string {
	t.Helper()
	ms, err := c.Modules(device)
	must(t, err)
	var names []string
	for _, m := range ms {
		names = append(names, m.ID.ModuleID)
	}
	return strings.Join(names, " ")
}

func TestDeploymentsAreLayered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		id := edge(t, c)
		agent := hubwire.Identity{DeviceID: "edge", ModuleID: "$edgeAgent"}
		filter := hubwire.Identity{DeviceID: "edge", ModuleID: "filter"}
		base := manifest("sensor")
		base["sensor"] = places("", `{"interval":5}`)
		configure(t, c, deployment("base", "*", 10, base))
		synctest.Wait()
		if got := moduleNames(t, c, "edge"); got != "$edgeAgent $edgeHub sensor" {
			t.Errorf("modules: %s", got)
		}
		wantDesired(t, c, agent, `{"schemaVersion":"1.1","modules":{"sensor":{"status":"running"}}}`, states{"base": "Applied"})
		wantDesired(t, c, hubwire.Identity{DeviceID: "edge", ModuleID: "sensor"}, `{"interval":5}`, states{"base": "Applied"})
		wantDesired(t, c, id, `{}`, states{"base": "Applied"})
		wantDesired(t, c, dev, `{}`, nil) // no edge device
		wantCounts(t, c, "base", 1, 1)

		configure(t, c, deployment("layer", "*", 20, modules{
			"$edgeAgent": places(".modules.filter", `{"status":"running"}`),
			"filter":     places(".threshold", "3"),
		}))
		configure(t, c, deployment("below", "*", 5, modules{"$edgeAgent": places(".modules.lost", `{"status":"running"}`)}))
		configure(t, c, deployment("other-base", "*", 9, manifest("lost")))
		all := states{"base": "Applied", "layer": "Applied", "below": "Targeted", "other-base": "Targeted"}
		wantDesired(t, c, agent, `{"schemaVersion":"1.1","modules":{"sensor":{"status":"running"},"filter":{"status":"running"}}}`, all)
		wantDesired(t, c, filter, `{"threshold":3}`, states{"layer": "Applied"})
		wantCounts(t, c, "layer", 1, 1)
		wantCounts(t, c, "other-base", 1, 0)
		if got := moduleNames(t, c, "edge"); got != "$edgeAgent $edgeHub filter sensor" {
			t.Errorf("modules: %s", got)
		}

		must(t, c.DeleteConfiguration(ctx, "base", "*"))
		wantDesired(t, c, agent, `{"schemaVersion":"1.1","modules":{"lost":{"status":"running"},"filter":{"status":"running"}}}`,
			states{"layer": "Applied", "below": "Targeted", "other-base": "Applied"})
		wantDesired(t, c, hubwire.Identity{DeviceID: "edge", ModuleID: "sensor"}, `{"interval":5}`, nil)
		must(t, c.Delete(ctx, filter, "*"))
		tag(t, c, id, `{"looked":"at"}`)
		wantDesired(t, c, filter, `{"threshold":3}`, states{"layer": "Applied"})
	})
}

func TestADeploymentCountsWhatItsAgentsReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		edge(t, c)
		agent := hubwire.Identity{DeviceID: "edge", ModuleID: "$edgeAgent"}
		configure(t, c, deployment("d", "*", 10, manifest("sensor")))
		synctest.Wait()
		e := c.entity(agent)
		report := func(code int) {
			tw, _ := c.Twin(ctx, agent)
			e.mu.Lock() // it cannot connect here, for it has no key
			n, err := parseSection("test", "reported", fmt.Appendf(nil, `{"lastDesiredVersion":%d,"lastDesiredStatus":{"code":%d}}`, tw.Desired.Version, code))
			must(t, err)
			now := *e.twin
			now.Reported.Root = n
			must(t, e.putTwin(ctx, "test", &now))
			e.unlock()
		}
		for code, want := range map[int]map[string]int64{
			200: {"targetedCount": 1, "appliedCount": 1, "reportedSuccessfulCount": 1, "reportedFailedCount": 0},
			400: {"targetedCount": 1, "appliedCount": 1, "reportedSuccessfulCount": 0, "reportedFailedCount": 1},
		} {
			report(code)
			k, err := c.Configuration(ctx, "d")
			must(t, err)
			if diff := cmp.Diff(want, k.SystemResults); diff != "" {
				t.Errorf("code %d (-want +got):\n%s", code, diff)
			}
			for name, q := range k.SystemMetrics {
				p, err := c.Query(ctx, q, 10, "")
				if err != nil || int64(len(p.Raw)) != want[name] {
					t.Errorf("%s, %s: %v, %v", name, q, p, err)
				}
			}
		}
	})
}

func TestContentIsAppliedToOneDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		edge(t, c)
		content := manifest("sensor", "filter")
		content["sensor"] = places("", `{"interval":5}`)
		must(t, c.ApplyConfigurationContent(ctx, "edge", &ConfigurationContent{Modules: content}))
		if got := moduleNames(t, c, "edge"); got != "$edgeAgent $edgeHub filter sensor" {
			t.Errorf("modules: %s", got)
		}
		if d, err := c.Device(hubwire.Identity{DeviceID: "edge", ModuleID: "sensor"}); err != nil || d.ManagedBy != "IotEdge" || d.Auth.Primary.IsZero() {
			t.Errorf("the module = %+v, %v", d, err)
		}
		wantDesired(t, c, hubwire.Identity{DeviceID: "edge", ModuleID: "sensor"}, `{"interval":5}`, nil)
		must(t, c.ApplyConfigurationContent(ctx, "edge", &ConfigurationContent{Modules: modules{"sensor": places("", `{"other":1}`)}}))
		wantDesired(t, c, hubwire.Identity{DeviceID: "edge", ModuleID: "sensor"}, `{"other":1}`, nil)
		must(t, c.ApplyConfigurationContent(ctx, "dev", &ConfigurationContent{Device: places(".a", "1", ".b.c", "2"), Module: places(), Modules: modules{}}))
		wantDesired(t, c, dev, `{"a":1,"b":{"c":2}}`, nil)
	})
}

func TestContentIsRefused(t *testing.T) {
	big := manifest("new")
	big["sensor"] = places(".more", "["+strings.Repeat(`"`+strings.Repeat("x", 4000)+`",`, 5)+"1]")
	for _, tt := range []struct {
		name, device string
		content      *ConfigurationContent
		code         hubwire.Code
	}{
		{"that is nil", "edge", nil, hubwire.InvalidConfigurationContent},
		{"that is empty", "edge", &ConfigurationContent{}, hubwire.InvalidConfigurationContent},
		{"for modules as such", "edge", &ConfigurationContent{Module: places(".a", "1")}, hubwire.InvalidConfigurationContent},
		{"for modules of what is no edge device", "dev", &ConfigurationContent{Modules: manifest("sensor")}, hubwire.InvalidConfigurationContent},
		{"for nobody", "nobody", &ConfigurationContent{Device: places(".a", "1")}, hubwire.DeviceNotFound},
		{"that is too much for one of the twins", "edge", &ConfigurationContent{Modules: big}, hubwire.ArgumentInvalid},
		{"of a module with a bad id", "edge", &ConfigurationContent{Modules: manifest("a|b")}, hubwire.ArgumentInvalid},
		{"of too many modules", "edge", &ConfigurationContent{Modules: modules{"$edgeAgent": places("", manyModules(49))}}, hubwire.TooManyModules},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCore(t, nil)
			edge(t, c)
			sensor := hubwire.Identity{DeviceID: "edge", ModuleID: "sensor"}
			create(t, c, &Device{ID: sensor})
			_, err := c.PatchTwin(ctx, sensor, update("", `{"own":["`+strings.Repeat(strings.Repeat("x", 4000)+`","`, 5)+`"]}`), "")
			must(t, err)
			before := twinText(c, sensor)
			wantCode(t, "content", c.ApplyConfigurationContent(ctx, tt.device, tt.content), tt.code)
			if got := moduleNames(t, c, "edge"); got != "$edgeAgent $edgeHub sensor" {
				t.Errorf("modules: %s", got)
			}
			agent := hubwire.Identity{DeviceID: "edge", ModuleID: "$edgeAgent"}
			if twinText(c, sensor) != before || twinText(c, agent) != "{}{}" {
				t.Error("some of it was applied")
			}
		})
	}
	c := newCore(t, nil)
	c.applying.Store("dev", true)
	err := c.ApplyConfigurationContent(ctx, "dev", &ConfigurationContent{Device: places(".a", "1")})
	wantCode(t, "content while other is applied", err, hubwire.ConfigurationBeingApplied)
}

// manyModules is the twin of an agent that is to run n.
func manyModules(n int) string {
	ms := make([]string, n)
	for i := range ms {
		ms[i] = fmt.Sprint("m", i)
	}
	return string(manifest(ms...)["$edgeAgent"]["properties.desired"])
}
