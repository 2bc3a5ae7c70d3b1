package core

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/query"
	"github.com/hubwire/hubwire/hub/internal/store"
	"github.com/hubwire/hubwire/internal/systemtime"
)

// registryOf is a Core that has these devices only, with the tag n counting them.
func registryOf(t testing.TB, n int) *Core {
	t.Helper()
	c, err := New(ctx, nil, store.NewMemory(nil))
	must(t, err)
	t.Cleanup(func() { c.Close() })
	for i := range n {
		create(t, c, &Device{ID: nth(i)})
		patch(t, c, nth(i), fmt.Sprintf(`{"n":%d,"mod":%d}`, i, i%3), `{}`)
	}
	return c
}

func nth(i int) hubwire.Identity { return hubwire.Identity{DeviceID: fmt.Sprintf("d%03d", i)} }

func patch(t testing.TB, c *Core, id hubwire.Identity, tags, desired string) {
	t.Helper()
	u := &TwinUpdate{Tags: json.RawMessage(tags), Desired: json.RawMessage(desired)}
	if _, err := c.PatchTwin(ctx, id, u, ""); err != nil {
		t.Fatal(err)
	}
}

// all returns the rows of all pages, whole rows by their identities.
func all(t testing.TB, c *Core, text string, limit int) (rows []string, pages int) {
	t.Helper()
	for token := ""; ; {
		p, err := c.Query(ctx, text, limit, token)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		rows = append(rows, rowsOf(p)...)
		if pages++; p.Continuation == "" {
			return rows, pages
		}
		token = p.Continuation
	}
}

func rowsOf(p *QueryPage) (rows []string) {
	for _, d := range p.Twins {
		rows = append(rows, d.Device.ID.String())
	}
	for _, r := range p.Raw {
		rows = append(rows, string(r))
	}
	for _, j := range p.Jobs {
		rows = append(rows, j.JobID+" "+j.ID.String())
	}
	return rows
}

func one(t testing.TB, c *Core, text string) string {
	t.Helper()
	rows, _ := all(t, c, text, 0)
	return strings.Join(rows, " ")
}

func TestQueryGivesWhatThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no page takes any time
		c := newCore(t, nil) // dev and dev/mod
		create(t, c, &Device{ID: hubwire.Identity{DeviceID: "a"}, Disabled: true, StatusReason: "broken"})
		create(t, c, &Device{ID: hubwire.Identity{DeviceID: "edge"}, Edge: true, Scope: "s", ParentScopes: []string{"p1"}})
		patch(t, c, dev, `{"site":{"floor":3}}`, `{"on":true}`)
		patch(t, c, mod, `{"site":{"floor":4}}`, `{"on":false}`)
		for _, tc := range []struct {
			text, want string
			typ        ItemType
		}{
			{"SELECT * FROM devices", "a dev edge", ItemTwin},
			{"SELECT * FROM devices.modules", "dev/mod edge/$edgeAgent edge/$edgeHub", ItemTwin},
			{"SELECT * FROM devices WHERE tags.site.floor = 3", "dev", ItemTwin},
			{"SELECT * FROM devices.modules WHERE tags.site.floor = 4 AND deviceId IN ['dev']", "dev/mod", ItemTwin},
			{"SELECT * FROM devices WHERE false", "", ItemTwin},
			{"SELECT * FROM devices WHERE deviceId IN ['edge', 'none', 'a', 'dev'] AND status = 'enabled'", "dev edge", ItemTwin},
			{"SELECT * FROM devices.modules WHERE deviceId = 'edge' OR devices.deviceId = 'a'", "edge/$edgeAgent edge/$edgeHub", ItemTwin},
			{"SELECT COUNT() AS n FROM devices.modules WHERE deviceId IN ['edge', 'dev']", `{"n":3}`, ItemRaw},
			{"SELECT deviceid, moduleid FROM devices.modules WHERE properties.desired.on = false", `{"deviceId":"dev","moduleId":"mod"}`, ItemRaw},
			{"SELECT deviceId, status, statusReason FROM devices WHERE status = 'disabled'", `{"deviceId":"a","status":"disabled","statusReason":"broken"}`, ItemRaw},
			{"SELECT deviceId, deviceScope, parentScopes FROM devices WHERE capabilities.iotEdge = true", `{"deviceId":"edge","deviceScope":"s","parentScopes":["p1"]}`, ItemRaw},
			{"SELECT properties.desired.$version AS v, tags FROM devices WHERE deviceId = 'dev'", `{"v":2,"tags":{"site":{"floor":3}}}`, ItemRaw},
			{"SELECT COUNT() AS n FROM devices", `{"n":3}`, ItemRaw},
			{"SELECT tags.site.floor AS f, COUNT() AS n FROM devices GROUP BY tags.site.floor", `{"n":2} {"f":3,"n":1}`, ItemRaw},
			{"SELECT * FROM devices.jobs", "", ItemDeviceJob},
		} {
			p, err := c.Query(ctx, tc.text, 0, "")
			if err != nil {
				t.Errorf("%s: %v", tc.text, err)
				continue
			}
			if got := strings.Join(rowsOf(p), " "); got != tc.want || p.Type != tc.typ || p.Continuation != "" {
				t.Errorf("%s: %s of type %d, then %q; want %s of type %d", tc.text, got, p.Type, p.Continuation, tc.want, tc.typ)
			}
		}
	})
}

// TestRowsAreTheTwinDocument compares each member of a row with the document.
func TestRowsAreTheTwinDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCore(t, nil)
		thumb := strings.Repeat("AB", 20)
		d := &Device{ID: hubwire.Identity{DeviceID: "x"}, Auth: Auth{Type: AuthSelfSigned, PrimaryThumbprint: thumb}}
		d = create(t, c, d)
		time.Sleep(1500 * time.Millisecond)
		patch(t, c, d.ID, `{"a":"<&>"}`, `{"b":{"c":[1,{"d":2}]}}`)
		send(t, c, d.ID, hubwire.Message{ID: "1"})
		e := c.entity(d.ID)
		e.touch()
		e.configurations = map[string]string{"cfg2": "Applied", "cfg-1": "Targeted"}
		doc, err := c.TwinDocument(ctx, d.ID)
		must(t, err)
		tw := doc.Twin
		now := time.Now().UTC().Format(systemtime.Layout)
		for path, want := range map[string]string{
			"deviceId":                           `"x"`,
			"etag":                               `"` + tw.ETag + `"`,
			"deviceEtag":                         `"` + d.ETag + `"`,
			"status":                             `"enabled"`,
			"statusUpdateTime":                   `"0001-01-01T00:00:00Z"`,
			"connectionState":                    `"Disconnected"`,
			"lastActivityTime":                   `"` + now + `"`,
			"cloudToDeviceMessageCount":          `1`,
			"authenticationType":                 `"selfSigned"`,
			"x509Thumbprint":                     `{"primaryThumbprint":"` + thumb + `","secondaryThumbprint":null}`,
			"x509Thumbprint.secondaryThumbprint": `null`,
			"modelId":                            `""`,
			"version":                            fmt.Sprint(tw.Version),
			"tags":                               string(tw.Tags),
			"properties": `{"desired":{"b":{"c":[1,{"d":2}]},"$metadata":` + string(tw.Desired.Metadata) + `,"$version":2},` +
				`"reported":{"$metadata":` + string(tw.Reported.Metadata) + `,"$version":1}}`,
			"properties.desired.$metadata":                      string(tw.Desired.Metadata),
			"properties.desired.$metadata.b.c.$lastUpdated":     `"` + now + `"`,
			"properties.desired.$metadata.$lastUpdatedVersion":  `2`,
			"properties.desired.b.c[1].d":                       `2`,
			"properties.reported.$version":                      `1`,
			"properties.reported.$metadata.$lastUpdatedVersion": ``,
			"capabilities":                    `{"iotEdge":false}`,
			"configurations":                  `{"cfg-1":{"status":"Targeted"},"cfg2":{"status":"Applied"}}`,
			"configurations.[[cfg-1]].status": `"Targeted"`,
			"configurations.none":             ``,
			"deviceScope":                     ``,
			"parentScopes":                    ``,
			"statusReason":                    ``,
			"moduleId":                        ``,
			"unknown":                         ``,
		} {
			if want != "" {
				want = `"v":` + want
			}
			if got := one(t, c, "SELECT "+path+" AS v FROM devices WHERE deviceId = 'x'"); got != "{"+want+"}" {
				t.Errorf("%s: %s, want %s", path, got, want)
			}
		}
	})
}

func TestAQueryMakesNoTwins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no page takes any time
		c := newCore(t, nil)
		if got := one(t, c, "SELECT properties.desired.$version AS v, tags FROM devices WHERE NOT is_defined(tags.x)"); got != `{"v":1,"tags":{}}` {
			t.Errorf("a fresh twin is %s", got)
		}
		p, err := c.Query(ctx, "SELECT * FROM devices", 0, "")
		must(t, err)
		if c.entity(dev).twin != nil {
			t.Error("looking at a device made its twin")
		}
		want, err := c.Twin(ctx, dev)
		must(t, err)
		if diff := cmp.Diff(want, p.Twins[0].Twin); diff != "" {
			t.Errorf("a fresh twin (-get +query):\n%s", diff)
		}
	})
}

func TestPagesOfAQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no page takes any time
		c := registryOf(t, 250)
		var want, third []string
		for i := range 250 {
			want = append(want, nth(i).DeviceID)
			if i%3 == 1 {
				third = append(third, nth(i).DeviceID)
			}
		}
		for _, tc := range []struct {
			text         string
			limit, pages int
			want         []string
		}{
			{"SELECT * FROM devices", 0, 3, want},
			{"SELECT * FROM devices", 1, 250, want},
			{"SELECT * FROM devices", 249, 2, want},
			{"SELECT * FROM devices", 250, 1, want},
			{"SELECT * FROM devices", 5000, 1, want},
			{"SELECT * FROM devices WHERE tags.mod = 1", 83, 1, third},
			{"SELECT * FROM devices WHERE tags.mod = 1", 82, 2, third},
			{"SELECT TOP 7 * FROM devices", 3, 3, want[:7]},
			{"SELECT TOP 6 * FROM devices", 3, 2, want[:6]},
			{"SELECT TOP 0 * FROM devices", 0, 1, nil},
			{"SELECT * FROM devices WHERE deviceId IN ['d002', 'd000', 'd001', 'e']", 2, 2, want[:3]},
			{"SELECT TOP 300 * FROM devices", 200, 2, want},
			{"SELECT TOP 2 * FROM devices WHERE tags.mod = 1", 0, 1, third[:2]},
		} {
			if rows, pages := all(t, c, tc.text, tc.limit); pages != tc.pages || !slices.Equal(rows, tc.want) {
				t.Errorf("%s by %d: %d rows on %d pages, want %d on %d", tc.text, tc.limit, len(rows), pages, len(tc.want), tc.pages)
			}
		}
	})
}

func TestPagesOfGroups(t *testing.T) {
	c := registryOf(t, 30)
	const text = "SELECT tags.n AS n, COUNT() AS c FROM devices GROUP BY tags.n"
	whole, pages := all(t, c, text, 0)
	if len(whole) != 30 || pages != 1 {
		t.Errorf("%d groups on %d pages", len(whole), pages)
	}
	if rows, pages := all(t, c, text, 7); pages != 5 || !slices.Equal(rows, whole) {
		t.Errorf("by 7, %v on %d pages, want %v", rows, pages, whole)
	}
	if rows, pages := all(t, c, strings.Replace(text, "SELECT", "SELECT TOP 9", 1), 7); pages != 2 || !slices.Equal(rows, whole[:9]) {
		t.Errorf("the top 9 by 7, %v on %d pages", rows, pages)
	}
	if rows, _ := all(t, c, "SELECT TOP 0 COUNT() FROM devices", 0); len(rows) != 0 {
		t.Errorf("the top 0: %v", rows)
	}

	first, err := c.Query(ctx, text, 7, "")
	must(t, err)
	patch(t, c, nth(29), `{"n":""}`, `{}`) // a group before all that were given, and one less at the end
	rest, err := c.Query(ctx, text, 100, first.Continuation)
	must(t, err)
	if len(rest.Raw) != 22 {
		t.Errorf("after 7 of 30 groups, one of which goes, there are %d", len(rest.Raw))
	}
}

// keepRows has c keep rows, which are in order, as those of its jobs.
func keepRows(c *Core, rows []*DeviceJob) {
	for _, r := range rows {
		j := c.jobs.byID[r.JobID]
		if j == nil {
			j = &job{core: c, info: Job{ID: r.JobID, Status: JobCompleted, End: time.Now()}}
			c.jobs.byID[r.JobID] = j
		}
		j.rows = append(j.rows, &deviceJob{DeviceJob: *r})
	}
}

func TestQueriesOfDeviceJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no page takes any time
		c := newCore(t, nil)
		var rows []*DeviceJob
		for i := range 150 {
			rows = append(rows, &DeviceJob{JobID: fmt.Sprintf("job%d", i/100), ID: nth(i % 100), Type: "scheduleDeviceMethod", Status: []string{"completed", "failed"}[i%2]})
		}
		rows[1].Error = &DeviceJobError{Code: "DeviceNotOnline", Description: "it is away"}
		rows[2].Response = &hubwire.MethodResponse{Status: 200, Payload: json.RawMessage(" {\"ok\" : [ true ]}\n")}
		rows[4].Response = &hubwire.MethodResponse{Status: 404}
		keepRows(c, rows)
		for text, want := range map[string]int{
			"SELECT * FROM devices.jobs":                                                                   150,
			"SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'job1'":                                 50,
			"SELECT * FROM devices.jobs WHERE status = 'failed' AND jobType = 'scheduleDeviceMethod'":      75,
			"SELECT * FROM devices.jobs WHERE devices.jobs.deviceId = 'd007'":                              2,
			"SELECT TOP 101 * FROM devices.jobs":                                                           101,
			"SELECT * FROM devices.jobs WHERE error.code = 'DeviceNotOnline'":                              1,
			"SELECT * FROM devices.jobs WHERE outcome.deviceMethodResponse.status = 200":                   1,
			"SELECT * FROM devices.jobs WHERE outcome.deviceMethodResponse.payload.ok[0]":                  1,
			"SELECT * FROM devices.jobs WHERE outcome.deviceMethodResponse.payload = null":                 1,
			"SELECT * FROM devices.jobs WHERE outcome = null":                                              148,
			"SELECT * FROM devices.jobs WHERE startTimeUtc = null AND createdTimeUtc = createdDateTimeUtc": 150,
			"SELECT * FROM devices.jobs WHERE is_defined(moduleId)":                                        0,
		} {
			got, _ := all(t, c, text, 20)
			if len(got) != want || !slices.IsSorted(got) {
				t.Errorf("%s: %d rows, want %d, in order", text, len(got), want)
			}
		}
		if rows, pages := all(t, c, "SELECT * FROM devices.jobs", 50); pages != 3 || rows[149] != "job1 d049" {
			t.Errorf("by 50: %d pages, the last row is %s", pages, rows[len(rows)-1])
		}
		at := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
		j := &DeviceJob{Started: at, Ended: at, Created: at, Updated: at}
		for _, name := range []string{"startTimeUtc", "endTimeUtc", "createdDateTimeUtc", "lastUpdatedDateTimeUtc"} {
			if got := j.Member(name); !cmp.Equal(got, query.String("2026-01-02T03:04:05.0000006Z"), cmp.AllowUnexported(query.Value{})) {
				t.Errorf("%s is %v", name, got)
			}
		}
	})
}
