package interop

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sql is a query, how many rows a page of it may have, and where it goes on.
type sql struct {
	SQL   string `json:"sql"`
	Size  int    `json:"size,omitempty"`
	As    string `json:"as,omitempty"` // twin, or else plain rows
	Token string `json:"token,omitempty"`
}

// page is what a query gives at once, and what kind of rows that is.
type page struct {
	Rows  json.RawMessage `json:"rows"`
	Token string          `json:"token"`
	Kind  string          `json:"kind"`
}

const queried = 25 // devices: their names end in -00 and so on; of three floors, each odd one with a module

func (s *service) fillFloors(t *testing.T, q string) {
	t.Helper()
	var devices, modules []map[string]any
	for i := range queried {
		id := fmt.Sprintf("%s-%02d", q, i)
		devices = append(devices, map[string]any{"deviceId": id, "tags": map[string]any{"of": q, "floor": i % 3, "site": "ü"},
			"properties": map[string]any{"desired": map[string]any{"interval": i}}})
		if i%2 == 1 {
			modules = append(modules, map[string]any{"deviceId": id, "moduleId": q})
		}
	}
	s.office.gives(t, all, "addDevices", devices)
	s.office.gives(t, all, "addDevices", modules)
}

// queries reads twins and other rows, page by page.
func (s *service) queries(t *testing.T) {
	q := s.id("query")
	s.fillFloors(t, q)
	t.Run("twins, page by page", func(t *testing.T) { s.queryTwins(t, q) })
	t.Run("a page again", func(t *testing.T) { s.queryAgain(t, q) })
	named := strings.NewReplacer("query-", q+"-", "'mod'", "'"+q+"'", `"mod"`, `"`+q+`"`, "FROM devices WHERE", "FROM devices WHERE tags.of = '"+q+"' AND")
	for _, tt := range []struct{ name, sql, kind, want string }{
		{"members", "SELECT deviceId, tags.floor FROM devices WHERE properties.desired.interval > 2 AND properties.desired.interval <= 3", "Raw",
			`[{"deviceId":"query-03","floor":0}]`},
		{"a name for a member", "select properties.desired.interval as i from devices where deviceId = 'query-07'", "Raw", `[{"i":7}]`},
		{"a list, and text beyond ASCII", "SELECT deviceId FROM devices WHERE deviceId IN ['query-03', 'query-99'] AND tags.site = 'ü'", "Raw", `[{"deviceId":"query-03"}]`},
		{"a count", "SELECT COUNT() AS n FROM devices WHERE tags.floor != 0", "Raw", `[{"n":16}]`},
		{"nothing", "SELECT deviceId FROM devices WHERE tags.floor = 9", "Raw", `[]`},
		{"modules", "SELECT deviceId, moduleId FROM devices.modules WHERE deviceId = 'query-05'", "Raw", `[{"deviceId":"query-05","moduleId":"mod"}]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := answered[page](t, s.office, "page", sql{SQL: named.Replace(tt.sql)})
			sameJSON(t, tt.sql, named.Replace(tt.want), got.Rows)
			if got.Kind != tt.kind || got.Token != "" {
				t.Errorf("rows of kind %q, token %q", got.Kind, got.Token)
			}
		})
	}
	t.Run("groups, page by page", func(t *testing.T) {
		got := answered[[][]map[string]int](t, s.office, "pages", sql{SQL: "SELECT tags.floor AS floor, COUNT() AS n, MAX(properties.desired.interval) AS top FROM devices WHERE tags.of = '" + q + "' GROUP BY tags.floor", Size: 2})
		rows := slices.Concat(got...)
		slices.SortFunc(rows, func(a, b map[string]int) int { return a["floor"] - b["floor"] })
		want := []map[string]int{{"floor": 0, "n": 9, "top": 24}, {"floor": 1, "n": 8, "top": 22}, {"floor": 2, "n": 8, "top": 23}}
		if diff := cmp.Diff(want, rows); diff != "" || len(got) != 2 {
			t.Errorf("%d pages (-want +got)\n%s", len(got), diff)
		}
	})
	t.Run("module twins", func(t *testing.T) {
		got := slices.Concat(answered[[][]twinOfService](t, s.office, "pages", sql{SQL: "SELECT * FROM devices.modules WHERE moduleId = '" + q + "'", Size: 5, As: "twin"})...)
		if len(got) != queried/2 || got[0].ModuleID != q || got[0].ETag == "" {
			t.Errorf("%d twins", len(got))
		}
	})
	for name, q := range map[string]sql{
		"no query":               {SQL: "x"},
		"words after its end":    {SQL: "SELECT * FROM devices devices devices"},
		"an unknown table":       {SQL: "SELECT * FROM planets"},
		"a condition cut off":    {SQL: "SELECT * FROM devices WHERE tags.floor ="},
		"a token of its own":     {SQL: "SELECT * FROM devices", Token: "bm9uZQ=="},
		"an order":               {SQL: "SELECT * FROM devices ORDER BY deviceId"},
		"text that does not end": {SQL: "SELECT * FROM devices WHERE tags.site = 'x"},
	} {
		t.Run("refused: "+name, func(t *testing.T) { s.office.fails(t, "ArgumentError", "", "page", q) })
	}
	s.removeAll(t, q)
}

// listed are the devices whose names begin so.
func (s *service) listed(t *testing.T, prefix string) (ids []address) {
	t.Helper()
	for _, a := range answered[[]address](t, s.office, "list", nil) {
		if strings.HasPrefix(a.DeviceID, prefix) {
			ids = append(ids, a)
		}
	}
	return ids
}

// removeAll takes them out of the registry.
func (s *service) removeAll(t *testing.T, prefix string) {
	t.Helper()
	if all := s.listed(t, prefix); len(all) > 0 {
		s.office.do(t, "removeDevices", map[string]any{"force": true, "devices": all})
	}
}

func (s *service) queryTwins(t *testing.T, q string) {
	got := answered[[][]twinOfService](t, s.office, "pages", sql{SQL: "SELECT * FROM devices WHERE tags.of = '" + q + "'", Size: 10, As: "twin"})
	if len(got) != 3 || len(got[0]) != 10 || len(got[1]) != 10 || len(got[2]) != 5 {
		t.Errorf("%d pages", len(got))
	}
	seen := map[string]bool{}
	for _, tw := range slices.Concat(got...) {
		seen[tw.DeviceID] = true
		if alone := answered[twinOfService](t, s.office, "twin", address{DeviceID: tw.DeviceID}); !cmp.Equal(alone, tw) {
			t.Errorf("the query and the twin differ (-twin +query)\n%s", cmp.Diff(alone, tw))
		}
	}
	if len(seen) != queried {
		t.Errorf("%d devices", len(seen))
	}
}

// queryAgain reads on from a token, twice.
func (s *service) queryAgain(t *testing.T, q string) {
	again := sql{SQL: "SELECT * FROM devices WHERE tags.of = '" + q + "' AND tags.floor = 1", Size: 5}
	first := answered[page](t, s.office, "page", again)
	if first.Token == "" || first.Kind != "Twin" {
		t.Fatalf("rows of kind %q, token %q", first.Kind, first.Token)
	}
	again.Token = first.Token
	a, b := answered[page](t, s.office, "page", again), answered[page](t, s.office, "page", again)
	var twins []twinOfService
	if err := json.Unmarshal(a.Rows, &twins); err != nil || len(twins) != 3 || a.Token != "" {
		t.Errorf("%d rows, token %q, %v", len(twins), a.Token, err)
	}
	sameJSON(t, "the page again", string(a.Rows), b.Rows)
}
