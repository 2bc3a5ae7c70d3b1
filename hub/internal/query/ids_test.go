package query

import (
	"slices"
	"testing"
)

func TestDeviceIDsOfACondition(t *testing.T) {
	anyone := []string(nil)
	for text, want := range map[string][]string{
		"*":                                            anyone,
		"deviceId = 'a'":                               {"a"},
		"'a' = devices.DEVICEID":                       {"a"},
		"deviceId = 5":                                 {},
		"deviceId = deviceId":                          anyone,
		"deviceId != 'a'":                              anyone,
		"deviceId > 'a'":                               anyone,
		"tags.deviceId = 'a'":                          anyone,
		"NOT deviceId = 'a'":                           anyone,
		"deviceId NIN ['a']":                           anyone,
		"startswith(deviceId,'')":                      anyone,
		"deviceId IN ['b', 'a', 7, 'b']":               {"a", "b"},
		"deviceId IN ['b', 'a'] AND tags.x = 1":        {"a", "b"},
		"tags.x = 1 AND deviceId = 'a'":                {"a"},
		"deviceId IN ['b', 'a'] AND deviceId IN ['c']": {"c"},
		"deviceId IN ['c'] AND deviceId IN ['b', 'a']": {"c"},
		"deviceId = 'b' OR deviceId = 'a'":             {"a", "b"},
		"deviceId = 'b' OR tags.x = 1":                 anyone,
		"(deviceId = 'b' AND tags.x = 1) OR deviceId IN ['a', 'b']":  {"a", "b"},
		"FROM devices.modules WHERE deviceId = 'a' AND moduleId='m'": {"a"},
	} {
		c, err := ParseCondition(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		ids, ok := c.DeviceIDs()
		if ok != (want != nil) || ok && !slices.Equal(ids, want) {
			t.Errorf("%s: %q, %v, want %q", text, ids, ok, want)
		}
	}
}
