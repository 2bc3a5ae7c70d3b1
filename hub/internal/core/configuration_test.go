package core

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// places is content by place.
func places(pairs ...string) map[string]json.RawMessage {
	m := map[string]json.RawMessage{}
	for i := 0; i < len(pairs); i += 2 {
		m["properties.desired"+pairs[i]] = json.RawMessage(pairs[i+1])
	}
	return m
}

func forDevice(id, condition string, priority int, pairs ...string) *Configuration {
	return &Configuration{ID: id, TargetCondition: condition, Priority: priority, Content: ConfigurationContent{Device: places(pairs...)}}
}

func configure(t *testing.T, c *Core, want *Configuration) *Configuration {
	t.Helper()
	k, err := c.CreateConfiguration(ctx, want)
	if err != nil {
		t.Fatalf("CreateConfiguration(%s): %v", want.ID, err)
	}
	return k
}

func tag(t *testing.T, c *Core, id hubwire.Identity, tags string) {
	t.Helper()
	_, err := c.PatchTwin(ctx, id, update(tags, ""), "")
	must(t, err)
}

// desired is a twin's desired properties and the states of its configurations, as the hub has them
// when all is done.
func wantDesired(t *testing.T, c *Core, id hubwire.Identity, want string, states map[string]string) {
	t.Helper()
	synctest.Wait()
	d, err := c.TwinDocument(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	wantJSON(t, "desired of "+id.String(), want, string(d.Twin.Desired.JSON))
	got := d.Configurations
	if len(got)+len(states) > 0 && !cmp.Equal(got, states) {
		t.Errorf("states of %v = %v, want %v", id, got, states)
	}
}

func wantCounts(t *testing.T, c *Core, id string, targeted, applied int64) {
	t.Helper()
	synctest.Wait()
	k, err := c.Configuration(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if k.SystemResults["targetedCount"] != targeted || k.SystemResults["appliedCount"] != applied {
		t.Errorf("%s: %v, want %d targeted and %d applied", id, k.SystemResults, targeted, applied)
	}
}

type states = map[string]string

func TestAConfigurationIsRefused(t *testing.T) {
	with := func(edit func(*Configuration)) *Configuration {
		k := forDevice("k", "*", 1, ".a", "1")
		edit(k)
		return k
	}
	content := func(c ConfigurationContent) *Configuration { return with(func(k *Configuration) { k.Content = c }) }
	many := map[string]map[string]json.RawMessage{}
	for i := range maxModulesOfDeployment + 1 {
		many[fmt.Sprint("m", i)] = places("", "{}")
	}
	var spread []string
	for i := range maxPlaces + 1 {
		spread = append(spread, fmt.Sprint(".a", i), `""`)
	}
	for _, tt := range []struct {
		name string
		k    *Configuration
		code hubwire.Code
	}{
		{"that is nil", nil, hubwire.ArgumentInvalid},
		{"without an id", with(func(k *Configuration) { k.ID = "" }), hubwire.ArgumentInvalid},
		{"with capitals in its id", with(func(k *Configuration) { k.ID = "K" }), hubwire.ArgumentInvalid},
		{"with a slash in its id", with(func(k *Configuration) { k.ID = "a/b" }), hubwire.ArgumentInvalid},
		{"with an id that is too long", with(func(k *Configuration) { k.ID = strings.Repeat("k", 129) }), hubwire.ArgumentInvalid},
		{"with a priority below nothing", with(func(k *Configuration) { k.Priority = -1 }), hubwire.ArgumentInvalid},
		{"with too much text in its labels", with(func(k *Configuration) { k.Labels = map[string]string{"l": strings.Repeat("x", 9000)} }), hubwire.ArgumentInvalid},
		{"with a condition that does not parse", with(func(k *Configuration) { k.TargetCondition = "tags.a =" }), hubwire.InvalidConfigurationCondition},
		{"for devices with a condition on modules", with(func(k *Configuration) { k.TargetCondition = "FROM devices.modules WHERE moduleId = 'm'" }), hubwire.InvalidConfigurationCondition},
		{"for modules with a condition on devices", &Configuration{ID: "k", TargetCondition: "*", Content: ConfigurationContent{Module: places(".a", "1")}}, hubwire.InvalidConfigurationCondition},
		{"with a metric that does not parse", with(func(k *Configuration) { k.Metrics = map[string]string{"m": "SELECT"} }), hubwire.InvalidConfigurationMetricsQuery},
		{"with a metric over jobs", with(func(k *Configuration) { k.Metrics = map[string]string{"m": "SELECT * FROM devices.jobs"} }), hubwire.InvalidConfigurationMetricsQuery},
		{"with a metric without a name", with(func(k *Configuration) { k.Metrics = map[string]string{"": "SELECT * FROM devices"} }), hubwire.InvalidConfigurationMetricsQuery},
		{"without content", content(ConfigurationContent{}), hubwire.InvalidConfigurationContent},
		{"with content for two", content(ConfigurationContent{Device: places(".a", "1"), Module: places(".a", "1")}), hubwire.InvalidConfigurationContent},
		{"with content outside desired properties", content(ConfigurationContent{Device: map[string]json.RawMessage{"tags.a": []byte("1")}}), hubwire.InvalidConfigurationContent},
		{"with content for a place without a name", content(ConfigurationContent{Device: places(".a..b", "1")}), hubwire.InvalidConfigurationContent},
		{"with content for the version", content(ConfigurationContent{Device: places(".$version", "1")}), hubwire.InvalidConfigurationContent},
		{"with content that is no JSON", content(ConfigurationContent{Device: places(".a", "{")}), hubwire.InvalidConfigurationContent},
		{"with content that no twin can have", content(ConfigurationContent{Device: places(".a", `{"b c":1}`)}), hubwire.InvalidConfigurationContent},
		{"with all desired properties not an object", content(ConfigurationContent{Device: places("", "1")}), hubwire.InvalidConfigurationContent},
		{"with content that is too big", content(ConfigurationContent{Device: places(".a", "["+strings.Repeat(`"`+strings.Repeat("x", 4096)+`",`, 8)+"1]")}), hubwire.InvalidConfigurationContent},
		{"with content for too many places", content(ConfigurationContent{Device: places(spread...)}), hubwire.InvalidConfigurationContent},
		{"with content that is too deep", content(ConfigurationContent{Device: places(strings.Repeat(".a", 11), "1")}), hubwire.InvalidConfigurationContent},
		{"with content for a module without a name", content(ConfigurationContent{Modules: map[string]map[string]json.RawMessage{"": places("", "{}")}}), hubwire.InvalidConfigurationContent},
		{"with content for too many modules", content(ConfigurationContent{Modules: many}), hubwire.InvalidConfigurationContent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCore(t, nil)
			_, err := c.CreateConfiguration(ctx, tt.k)
			wantCode(t, "CreateConfiguration", err, tt.code)
			if ks, err := c.Configurations(ctx, 10); len(ks) != 0 || err != nil {
				t.Errorf("there are %d, %v", len(ks), err)
			}
		})
	}
}

func TestAConfigurationFollowsItsCondition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		tag(t, c, dev, `{"site":"a"}`)
		_, l := connect(t, c, dev)
		k := configure(t, c, forDevice("k", "tags.site = 'a'", 1, ".led", `{"on":true,"text":"<b>"}`, ".deep.er", "5"))
		if k.ETag != "MQ==" || k.SchemaVersion != "1.0" || k.Created.IsZero() || !k.Updated.Equal(k.Created) {
			t.Errorf("created: %+v", k)
		}
		const want = `{"led":{"on":true,"text":"<b>"},"deep":{"er":5}}`
		wantDesired(t, c, dev, want, states{"k": "Applied"})
		wantCounts(t, c, "k", 1, 1)
		if len(l.changes) != 1 || !strings.Contains(string(l.changes[0].JSON), `"<b>"`) {
			t.Errorf("the device was told %v", l.changes)
		}
		before, _ := c.Twin(ctx, dev)
		tag(t, c, dev, `{"other":1}`)
		wantDesired(t, c, dev, want, states{"k": "Applied"})
		if after, _ := c.Twin(ctx, dev); after.Desired.Version != before.Desired.Version {
			t.Error("what is there already was written again")
		}

		_, err := c.PatchTwin(ctx, dev, update("", `{"led":{"on":false},"own":1}`), "")
		must(t, err)
		wantDesired(t, c, dev, `{"led":{"on":true,"text":"<b>"},"deep":{"er":5},"own":1}`, states{"k": "Applied"})

		tag(t, c, dev, `{"site":"b"}`)
		wantDesired(t, c, dev, `{"led":{"on":true,"text":"<b>"},"deep":{"er":5},"own":1}`, nil)
		wantCounts(t, c, "k", 0, 0)

		late := hubwire.Identity{DeviceID: "late"}
		_, err = c.Bulk(ctx, []BulkOperation{{Mode: BulkCreate, Device: Device{ID: late}, Twin: update(`{"site":"a"}`, "")}})
		must(t, err)
		wantDesired(t, c, late, want, states{"k": "Applied"})
		wantCounts(t, c, "k", 1, 1)
		must(t, c.Delete(ctx, late, "*"))
		wantCounts(t, c, "k", 0, 0)
	})
}

func TestTheHigherPriorityWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		configure(t, c, forDevice("low", "*", 1, ".a", `{"x":1,"y":1}`, ".b", "1"))
		configure(t, c, forDevice("high", "*", 3, ".a", `{"x":3}`))
		configure(t, c, forDevice("deep", "*", 4, ".a.z", "4"))
		configure(t, c, forDevice("hidden", "*", 2, ".a", "2", ".a.q", "2"))
		configure(t, c, forDevice("nobody", "", 9, ".a", "9"))
		all := states{"low": "Applied", "high": "Applied", "deep": "Applied", "hidden": "Targeted"}
		wantDesired(t, c, dev, `{"a":{"x":3,"z":4},"b":1}`, all)
		wantCounts(t, c, "hidden", 1, 0)
		wantCounts(t, c, "nobody", 0, 0)

		must(t, c.DeleteConfiguration(ctx, "high", ""))
		wantDesired(t, c, dev, `{"a":{"q":2,"z":4},"b":1}`, states{"low": "Applied", "deep": "Applied", "hidden": "Applied"})

		configure(t, c, forDevice("younger", "*", 1, ".b", "2"))
		wantDesired(t, c, dev, `{"a":{"q":2,"z":4},"b":2}`, states{"low": "Targeted", "deep": "Applied", "hidden": "Applied", "younger": "Applied"})
	})
}

func TestAConfigurationIsChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		other := several(t, c, 1)[0]
		first := configure(t, c, forDevice("k", "deviceId = 'dev'", 1, ".a", `{"b":1, "c":2}`))
		_, err := c.CreateConfiguration(ctx, forDevice("k", "*", 1, ".a", "1"))
		wantCode(t, "a second one", err, hubwire.ConfigurationAlreadyExists)
		wantDesired(t, c, dev, `{"a":{"b":1,"c":2}}`, states{"k": "Applied"})

		next := forDevice("k", "deviceId = 'f0000'", 5, ".a", `{"c":2,"b":1}`) // the same content
		next.Labels = map[string]string{"l": "v"}
		second, err := c.UpdateConfiguration(ctx, next, first.ETag)
		if err != nil || second.ETag != "Mg==" || second.Priority != 5 || second.Labels["l"] != "v" || !second.Created.Equal(first.Created) {
			t.Errorf("UpdateConfiguration = %+v, %v", second, err)
		}
		wantDesired(t, c, dev, `{"a":{"b":1,"c":2}}`, nil)
		wantDesired(t, c, other, `{"a":{"b":1,"c":2}}`, states{"k": "Applied"})
		wantCounts(t, c, "k", 1, 1)

		for _, tt := range []struct {
			name    string
			k       *Configuration
			ifMatch string
			code    hubwire.Code
		}{
			{"with a stale etag", next, first.ETag, hubwire.PreconditionFailed},
			{"without an etag", next, "", hubwire.PreconditionFailed},
			{"of other content", forDevice("k", "*", 1, ".a", `{"b":1,"c":3}`), "*", hubwire.ImmutableConfigurationContent},
			{"of the same content, for modules", &Configuration{ID: "k", Content: ConfigurationContent{Module: places(".a", `{"b":1,"c":2}`)}}, "*", hubwire.ImmutableConfigurationContent},
			{"of content for another place", forDevice("k", "*", 1, ".b", `{"b":1,"c":2}`), "*", hubwire.ImmutableConfigurationContent},
			{"of what is not there", forDevice("none", "*", 1, ".a", "1"), "*", hubwire.ConfigurationNotFound},
			{"to a bad condition", forDevice("k", "tags.", 1, ".a", `{"b":1,"c":2}`), "*", hubwire.InvalidConfigurationCondition},
			{"to nothing", nil, "*", hubwire.ArgumentInvalid},
		} {
			_, err := c.UpdateConfiguration(ctx, tt.k, tt.ifMatch)
			wantCode(t, "an update "+tt.name, err, tt.code)
		}
		if k, err := c.UpdateConfiguration(ctx, &Configuration{ID: "k", TargetCondition: "*"}, "*"); err != nil || k.Content.Device == nil {
			t.Errorf("an update without content = %+v, %v", k, err)
		}
		wantCounts(t, c, "k", 2, 2)
		wantCode(t, "a delete with a stale etag", c.DeleteConfiguration(ctx, "k", first.ETag), hubwire.PreconditionFailed)
		must(t, c.DeleteConfiguration(ctx, "k", "Mw=="))
		wantCode(t, "a second delete", c.DeleteConfiguration(ctx, "k", "*"), hubwire.ConfigurationNotFound)
		_, err = c.Configuration(ctx, "k")
		wantCode(t, "a get", err, hubwire.ConfigurationNotFound)
		wantDesired(t, c, other, `{"a":{"b":1,"c":2}}`, nil)
	})
}

func TestAConfigurationForModules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		k := configure(t, c, &Configuration{ID: "k", TargetCondition: "FROM devices.modules WHERE moduleId = 'mod'", Content: ConfigurationContent{Module: places(".a", "1")}})
		wantDesired(t, c, mod, `{"a":1}`, states{"k": "Applied"})
		wantDesired(t, c, dev, `{}`, nil)
		wantCounts(t, c, "k", 1, 1)
		for name, q := range k.SystemMetrics {
			p, err := c.Query(ctx, q, 10, "")
			if err != nil || len(p.Raw) != 1 {
				t.Errorf("%s, %s: %v, %v", name, q, p, err)
			}
		}
	})
}

func TestMetricsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		several(t, c, 4)
		s, _ := connect(t, c, dev)
		want := forDevice("k", "*", 1, ".a", "1")
		want.Metrics = map[string]string{
			"done":   "SELECT deviceId FROM devices WHERE properties.reported.a = 1 AND configurations.[[k]].status = 'Applied'",
			"states": "SELECT properties.reported.a AS a, COUNT() AS n FROM devices GROUP BY properties.reported.a",
			"top":    "SELECT TOP 3 * FROM devices",
		}
		configure(t, c, want)
		wantCounts(t, c, "k", 5, 5)
		_, err := s.PatchReported(ctx, []byte(`{"a":1}`), 0)
		must(t, err)
		k, err := c.Configuration(ctx, "k")
		must(t, err)
		if diff := cmp.Diff(map[string]int64{"done": 1, "states": 2, "top": 3}, k.MetricResults); diff != "" {
			t.Errorf("metrics (-want +got):\n%s", diff)
		}
		for name, q := range k.SystemMetrics {
			p, err := c.Query(ctx, q, 10, "")
			if err != nil || int64(len(p.Raw)) != k.SystemResults[name] {
				t.Errorf("%s, %s: %v, %v; counted %d", name, q, p, err, k.SystemResults[name])
			}
		}
	})
}

func TestQueriesOfConfigurationsAreTested(t *testing.T) {
	c := newCore(t, nil)
	cond, errs := c.TestConfigurationQueries("tags.a = 1", map[string]string{"good": "SELECT * FROM devices"})
	if cond != "" || len(errs) != 0 {
		t.Errorf("of what is good: %q, %v", cond, errs)
	}
	cond, errs = c.TestConfigurationQueries("tags.a =", map[string]string{"good": "SELECT * FROM devices", "bad": "SELECT FROM", "jobs": "SELECT * FROM devices.jobs"})
	if !strings.Contains(cond, "offset 8") || len(errs) != 2 || errs["bad"] == "" || errs["jobs"] == "" {
		t.Errorf("of what is bad: %q, %v", cond, errs)
	}
	if cond, errs = c.TestConfigurationQueries("", nil); cond != "" || len(errs) != 0 {
		t.Errorf("of nothing: %q, %v", cond, errs)
	}
}

func TestConfigurationsOutliveTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory(nil)
		c := newCoreOn(t, nil, s)
		want := forDevice("k", "*", 7, ".a", `"<&>"`)
		want.Labels, want.Metrics = map[string]string{"l": "v"}, map[string]string{"m": "SELECT * FROM devices"}
		configure(t, c, want)
		synctest.Wait()
		_, err := c.UpdateConfiguration(ctx, want, "*")
		must(t, err)
		synctest.Wait()
		before, _ := c.Configuration(ctx, "k")
		twin, _ := c.Twin(ctx, dev)
		c.Close()
		c = newCoreOn(t, nil, s)
		wantDesired(t, c, dev, `{"a":"<&>"}`, states{"k": "Applied"})
		after, err := c.Configuration(ctx, "k")
		if diff := cmp.Diff(before, after); diff != "" || err != nil {
			t.Errorf("(-old +new), %v:\n%s", err, diff)
		}
		if now, _ := c.Twin(ctx, dev); now.Version != twin.Version {
			t.Error("the twin was written again")
		}
		_, err = c.UpdateConfiguration(ctx, want, "Mg==")
		must(t, err)
	})
}
