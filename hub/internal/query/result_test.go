package query

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func mustParse(t testing.TB, text string) *Query {
	t.Helper()
	q, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestRowsOfAProjection(t *testing.T) {
	for _, tc := range []struct{ name, items, want string }{
		{"the name is that of the last member, as IoT Hub spells it", "DeviceId, LASTACTIVITYTIME", `{"deviceId":"d1","lastActivityTime":"2026-03-01T00:00:00.0000000Z"}`},
		{"an alias", "deviceId AS id, tags.n AS [[n]]", ""},
		{"an alias of any word", "deviceId AS select", `{"select":"d1"}`},
		{"numbers as they were written", "tags.f, tags.neg", `{"f":1.50,"neg":-2}`},
		{"what is undefined is left out", "tags.none, tags.s", `{"s":"text"}`},
		{"nothing is an empty object", "tags.none", `{}`},
		{"null, true and false", "tags.nil, tags.t, tags.b", `{"nil":null,"t":true,"b":false}`},
		{"objects and arrays", "tags.o, tags.a", `{"o":{"x":1},"a":["p",{"q":2},[3]]}`},
		{"an element", "tags.a[1].q, tags.a[0]", `{"q":2,"a":"p"}`},
		{"strings that need escapes", "tags.quote, tags.ключ", `{"quote":"a\"b","ключ":"да"}`},
		{"a name in brackets", "configurations.[[my-cfg]]", `{"my-cfg":{"status":"Applied"}}`},
	} {
		q, err := Parse("SELECT " + tc.items + " FROM devices")
		if tc.want == "" {
			if err == nil {
				t.Errorf("%s: accepted", tc.name)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if got := string(q.AppendRow([]byte("x"), jsonRow(twin))); q.Grouped() || q.Whole() || got != "x"+tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

var fleet = []jsonRow{
	`{"tags":{"site":"A","n":1,"x":{"y":1}}}`,
	`{"tags":{"site":"B","n":2.5}}`,
	`{"tags":{"site":"A","n":"3"}}`,
	`{"tags":{"site":"A","n":-4,"x":{"y":1}}}`,
	`{"tags":{"n":7}}`,
	`{"tags":{"site":null,"n":null}}`,
	`{"tags":{"site":1.0}}`,
	`{"tags":{"site":1}}`,
}

func grouped(t *testing.T, text string, rows []jsonRow) string {
	t.Helper()
	q := mustParse(t, text)
	if !q.Grouped() {
		t.Errorf("%s is not grouped", text)
	}
	g := q.Group()
	for _, r := range rows {
		if !q.Match(r) {
			continue
		}
		if err := g.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	var all []string
	for _, x := range g.Sorted() {
		all = append(all, string(x.AppendJSON(nil)))
	}
	return strings.Join(all, " ")
}

func TestGroups(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"one row without GROUP BY", "SELECT COUNT() AS n FROM devices", `{"n":8}`},
		{"what is no number is not counted in", "SELECT AVG(tags.n) AS a, SUM(tags.n) AS s, MIN(tags.n) AS l, MAX(tags.n) AS h FROM devices", `{"a":1.625,"s":6.5,"l":-4,"h":7}`},
		{"generated names", "SELECT COUNT(), MAX(tags.n), MIN(tags.n) AS m FROM devices", `{"$1":8,"$2":7,"m":-4}`},
		{"WHERE comes first", "SELECT COUNT() AS n FROM devices WHERE tags.site = 'A'", `{"n":3}`},
		{"no rows at all", "SELECT COUNT() AS n, SUM(tags.n) AS s, AVG(tags.n) AS a, MIN(tags.n) AS l FROM devices WHERE false", `{"n":0,"s":0}`},
		{
			"a row for each value, missing and null apart", "SELECT tags.site AS site, COUNT() AS n FROM devices GROUP BY tags.site",
			`{"site":"A","n":3} {"site":"B","n":1} {"n":1} {"site":1,"n":2} {"site":null,"n":1}`,
		},
		{"columns in any order, or not at all", "SELECT COUNT() AS n FROM devices WHERE is_string(tags.site) GROUP BY tags.site", `{"n":3} {"n":1}`},
		{"two paths", "SELECT tags.n, tags.site, COUNT() AS c FROM devices WHERE tags.site = 'A' GROUP BY tags.site, tags.n", `{"n":"3","site":"A","c":1} {"n":-4,"site":"A","c":1} {"n":1,"site":"A","c":1}`},
		{"objects, by their JSON", "SELECT tags.x, COUNT() AS c FROM devices GROUP BY tags.x", `{"c":6} {"x":{"y":1},"c":2}`},
		{"no aggregate", "SELECT tags.site FROM devices WHERE is_string(tags.site) GROUP BY tags.site", `{"site":"A"} {"site":"B"}`},
		{"no rows are no groups", "SELECT tags.site FROM devices WHERE false GROUP BY tags.site", ``},
		{"a sum past all numbers is undefined", "SELECT SUM(tags.n) AS s FROM devices WHERE tags.n = 1e308", `{"s":0}`},
	} {
		if got := grouped(t, tc.text, fleet); got != tc.want {
			t.Errorf("%s: %s\nwant %s", tc.name, got, tc.want)
		}
	}
	big := []jsonRow{`{"tags":{"n":1e308}}`, `{"tags":{"n":1e308}}`}
	if got := grouped(t, "SELECT SUM(tags.n) AS s, COUNT() AS n FROM devices", big); got != `{"n":2}` {
		t.Errorf("a sum that is no number any more: %s", got)
	}
}

func TestAZeroIsAZeroWhateverItsSign(t *testing.T) {
	rows := []jsonRow{`{"tags":{"n":0}}`, `{"tags":{"n":-0}}`, `{"tags":{"n":0.0}}`}
	if got := grouped(t, "SELECT tags.n AS n, COUNT() AS c FROM devices GROUP BY tags.n", rows); got != `{"n":0,"c":3}` {
		t.Errorf("got %s", got)
	}
}

func TestGroupsAreBounded(t *testing.T) {
	q := mustParse(t, "SELECT tags.n, COUNT() FROM devices GROUP BY tags.n")
	g := q.Group()
	for i := range MaxGroups {
		if err := g.Add(jsonRow(fmt.Sprintf(`{"tags":{"n":%d}}`, i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Add(jsonRow(`{"tags":{"n":5}}`)); err != nil {
		t.Errorf("a group that is there: %v", err)
	}
	if err := g.Add(jsonRow(`{"tags":{"n":-1}}`)); !errors.Is(err, ErrTooManyGroups) {
		t.Errorf("one group more: %v", err)
	}

	g, long := q.Group(), strings.Repeat("x", 4000)
	for i := range MaxGroups {
		if err := g.Add(jsonRow(fmt.Sprintf(`{"tags":{"n":"%s%d"}}`, long, i))); err != nil {
			if n := i * len(long); !errors.Is(err, ErrTooManyGroups) || n < maxGroupBytes*9/10 || n > maxGroupBytes {
				t.Errorf("after %d bytes: %v", n, err)
			}
			return
		}
	}
	t.Error("groups of long values are not bounded")
}

func TestKeysOfGroupsAreShortAndTellApart(t *testing.T) {
	q := mustParse(t, "SELECT tags.n FROM devices GROUP BY tags.n")
	g, long := q.Group(), strings.Repeat("x", 4000)
	for i := range 50 {
		if err := g.Add(jsonRow(fmt.Sprintf(`{"tags":{"n":"%s%d"}}`, long, i))); err != nil {
			t.Fatal(err)
		}
	}
	last := ""
	for _, x := range g.Sorted() {
		if k := x.Key(); len(k) > longKey || k <= last {
			t.Fatalf("the key after %q is %q", last, k)
		}
		last = x.Key()
	}
}

// TestExamplesOfTheDocumentation has the queries that IoT Hub's developer guide
// gives, and what kind of rows each gives.
func TestExamplesOfTheDocumentation(t *testing.T) {
	for text, want := range map[string]string{
		"SELECT * FROM devices": "whole devices",
		"SELECT * FROM devices WHERE tags.location.region = 'US' AND properties.reported.telemetryConfig.sendFrequencyInSecs >= 60":                                "whole devices",
		"SELECT * FROM devices WHERE properties.reported.connectivity IN ['wired','wifi']":                                                                         "whole devices",
		"SELECT * FROM devices WHERE is_defined(properties.reported.connectivity)":                                                                                 "whole devices",
		"SELECT properties.reported.telemetryConfig.status AS status, COUNT() AS numberOfDevices FROM devices GROUP BY properties.reported.telemetryConfig.status": "groups devices",
		"SELECT DeviceId, LastActivityTime FROM devices WHERE status = 'enabled' AND connectionState = 'Disconnected'":                                             "projection devices",
		"SELECT * FROM devices.modules WHERE properties.reported.status = 'scanning' AND deviceId IN ['device1','device2']":                                        "whole devices.modules",
		"SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'myJobId'":                                                                                          "whole devices.jobs",
		"select deviceId from devices where configurations.[[cfg1]].status = 'Applied'":                                                                            "projection devices",
		"SELECT COUNT() AS totalNumberOfDevices FROM devices":                                                                                                      "groups devices",
		"select deviceId from devices.modules where moduleId = '$edgeAgent' and configurations.[[cfg1]].status = 'Applied' and properties.desired.$version = properties.reported.lastDesiredVersion and properties.reported.lastDesiredStatus.code = 200": "projection devices.modules",
	} {
		q := mustParse(t, text)
		kind := "projection"
		if q.Whole() {
			kind = "whole"
		} else if q.Grouped() {
			kind = "groups"
		}
		if got := kind + " " + q.Source().String(); got != want {
			t.Errorf("%s\ngives %s, want %s", text, got, want)
		}
	}
}
