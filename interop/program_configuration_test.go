package interop

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// configuration is of a configuration what is looked at here.
type configuration struct {
	ID        string            `json:"id"`
	Schema    string            `json:"schemaVersion,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Content   map[string]any    `json:"content"`
	Condition string            `json:"targetCondition"`
	Priority  int               `json:"priority"`
	ETag      string            `json:"etag,omitempty"`
	Created   *time.Time        `json:"createdTimeUtc,omitempty"`
	System    *metrics          `json:"systemMetrics,omitempty"`
	Metrics   *metrics          `json:"metrics,omitempty"`
}

type metrics struct {
	Results map[string]int    `json:"results,omitempty"`
	Queries map[string]string `json:"queries,omitempty"`
}

func onDevices(id, condition string, priority int, properties string) configuration {
	var desired map[string]any
	if err := json.Unmarshal([]byte(properties), &desired); err != nil {
		panic(err)
	}
	return configuration{ID: id, Condition: condition, Priority: priority, Content: map[string]any{"deviceContent": desired}}
}

// configurations are made, applied, changed and removed.
func (s *service) configurations(t *testing.T) {
	name := s.id("conf")
	tags := func(n int) map[string]any { return map[string]any{"of": name, "conf": n} }
	s.office.gives(t, all, "addDevices", []map[string]any{{"deviceId": name + "-1", "tags": tags(1)}, {"deviceId": name + "-2", "tags": tags(2)}})
	of := "tags.of = '" + name + "'"
	one := onDevices(name+"-a", of+" AND tags.conf = 1", 10, `{"properties.desired.climate":{"max":20},"properties.desired.led":true}`)
	one.Labels = map[string]string{"by": "ü"}
	one.Metrics = &metrics{Queries: map[string]string{"hot": "SELECT deviceId FROM devices WHERE " + of + " AND properties.desired.climate.max = 20"}}
	made := answered[configuration](t, s.office, "addConfiguration", one)
	t.Run("what is made", func(t *testing.T) {
		if made.ID != one.ID || made.Schema != "1.0" || made.Labels["by"] != "ü" || made.ETag == "" || made.Created == nil || time.Since(*made.Created).Abs() > time.Minute ||
			made.System == nil || made.System.Queries["targetedCount"] == "" || made.System.Queries["appliedCount"] == "" {
			t.Errorf("made %+v", made)
		}
		s.office.fails(t, "DeviceAlreadyExistsError", "", "addConfiguration", one)
	})
	t.Run("is applied, and counted", func(t *testing.T) {
		s.desires(t, address{DeviceID: name + "-1"}, `{"climate":{"max":20},"led":true}`)
		poll(t, "the metrics do not count it", func() bool {
			now := answered[configuration](t, s.office, "configuration", map[string]string{"id": one.ID})
			return now.System.Results["targetedCount"] == 1 && now.System.Results["appliedCount"] == 1 && now.Metrics.Results["hot"] == 1
		})
		s.desires(t, address{DeviceID: name + "-2"}, `{}`)
		got := answered[page](t, s.office, "page", sql{SQL: "SELECT deviceId FROM devices WHERE configurations.[[" + name + "-a]].status = 'Applied'"})
		sameJSON(t, "who has it", `[{"deviceId":"`+name+`-1"}]`, got.Rows)
	})
	t.Run("one of higher priority wins", func(t *testing.T) {
		s.office.do(t, "addConfiguration", onDevices(name+"-b", of, 20, `{"properties.desired.climate":{"max":30}}`))
		s.desires(t, address{DeviceID: name + "-1"}, `{"climate":{"max":30},"led":true}`)
		s.desires(t, address{DeviceID: name + "-2"}, `{"climate":{"max":30}}`)
		if diff := cmp.Diff([]string{name + "-a", name + "-b"}, s.configured(t, name)); diff != "" {
			t.Errorf("configurations (-want +got)\n%s", diff)
		}
		s.office.do(t, "removeConfiguration", map[string]string{"id": name + "-b"})
		s.desires(t, address{DeviceID: name + "-1"}, `{"climate":{"max":20},"led":true}`)
	})
	t.Run("update", func(t *testing.T) { s.updateConfiguration(t, made, name) })
	t.Run("refused", func(t *testing.T) {
		many := onDevices("conf-bad", "tags.conf = 1", 1, `{"properties.desired.x":1}`)
		many.Content["modulesContent"] = map[string]any{"m": map[string]any{"properties.desired": map[string]any{}}}
		metric := onDevices("conf-bad", "tags.conf = 1", 1, `{"properties.desired.x":1}`)
		metric.Metrics = &metrics{Queries: map[string]string{"bad": "SELECT"}}
		for name, c := range map[string]configuration{
			"a condition cut off":     onDevices("conf-bad", "tags.conf =", 1, `{"properties.desired.x":1}`),
			"a metric cut off":        metric,
			"content for two":         many,
			"content of other places": onDevices("conf-bad", "tags.conf = 1", 1, `{"tags.x":1}`),
			"an id of capitals":       onDevices("Conf-Bad", "tags.conf = 1", 1, `{"properties.desired.x":1}`),
		} {
			t.Run(name, func(t *testing.T) { s.office.fails(t, "ArgumentError", "", "addConfiguration", c) })
		}
	})
	t.Run("remove", func(t *testing.T) {
		s.office.do(t, "removeConfiguration", map[string]string{"id": one.ID})
		s.office.fails(t, "Error", "Not found", "configuration", map[string]string{"id": one.ID})
		s.office.fails(t, "Error", "Not found", "removeConfiguration", map[string]string{"id": one.ID})
		if got := s.configured(t, name); len(got) > 0 {
			t.Errorf("there still: %q", got)
		}
	})
	t.Run("content for one edge device", s.applyContent)
	s.removeAll(t, name)
}

// configured are the ids of a test's configurations, in their order.
func (s *service) configured(t *testing.T, prefix string) (ids []string) {
	t.Helper()
	for _, c := range answered[[]configuration](t, s.office, "configurations", nil) {
		if strings.HasPrefix(c.ID, prefix) {
			ids = append(ids, c.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

func (s *service) updateConfiguration(t *testing.T, made configuration, name string) {
	update := func(c configuration, force bool) map[string]any {
		return map[string]any{"configuration": c, "force": force}
	}
	c := made
	c.Condition, c.Priority = "tags.of = '"+name+"' AND tags.conf = 2", 11
	now := answered[configuration](t, s.office, "updateConfiguration", update(c, false))
	if now.Condition != c.Condition || now.Priority != 11 || now.ETag == made.ETag {
		t.Errorf("updated to %+v", now)
	}
	s.desires(t, address{DeviceID: name + "-2"}, `{"climate":{"max":20},"led":true}`)
	s.office.fails(t, "InvalidEtagError", "", "updateConfiguration", update(c, false))
	s.office.do(t, "updateConfiguration", update(c, true))
	c.Content = map[string]any{"deviceContent": map[string]any{"properties.desired.other": 1}}
	s.office.fails(t, "ArgumentError", "", "updateConfiguration", update(c, true))
	c.ID = name + "-none"
	s.office.fails(t, "Error", "Not found", "updateConfiguration", update(c, true))
}

// applyContent gives the modules of an edge device what they are to be, at once.
func (s *service) applyContent(t *testing.T) {
	edge := s.id("edge")
	s.removes(t, edge)
	s.office.do(t, "create", map[string]any{"deviceId": edge, "capabilities": map[string]any{"iotEdge": true}})
	content := map[string]any{"modulesContent": map[string]any{
		"$edgeAgent": map[string]any{"properties.desired": map[string]any{"schemaVersion": "1.1"}},
		"$edgeHub":   map[string]any{"properties.desired": map[string]any{"routes": map[string]any{"r": "FROM /* INTO $upstream"}}},
	}}
	s.office.do(t, "applyConfiguration", map[string]any{"deviceId": edge, "content": content})
	s.desires(t, address{DeviceID: edge, ModuleID: "$edgeAgent"}, `{"schemaVersion":"1.1"}`)
	s.desires(t, address{DeviceID: edge, ModuleID: "$edgeHub"}, `{"routes":{"r":"FROM /* INTO $upstream"}}`)
	s.office.fails(t, "DeviceNotFoundError", "", "applyConfiguration", map[string]any{"deviceId": "nobody", "content": content})
}
