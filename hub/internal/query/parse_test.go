package query

import (
	"errors"
	"strings"
	"testing"
)

// accepted are texts, and how they read when they are printed.
var accepted = []struct{ text, want string }{
	{"select * from devices", "SELECT * FROM devices"},
	{" \t\r\nSELECT\n*FROM devices ", "SELECT * FROM devices"},
	{"SELECT * FROM DEVICES.Modules", "SELECT * FROM devices.modules"},
	{"SELECT * FROM devices . jobs", "SELECT * FROM devices.jobs"},
	{"SELECT TOP 5 * FROM devices", "SELECT TOP 5 * FROM devices"},
	{"SELECT TOP 0 deviceId FROM devices", "SELECT TOP 0 deviceId FROM devices"},
	{"SELECT DEVICEID, tags.A AS b FROM devices", "SELECT deviceId, tags.A AS b FROM devices"},
	{"SELECT deviceId AS from FROM devices", "SELECT deviceId AS from FROM devices"},
	{"SELECT count() , avg ( tags.n ) AS n FROM devices", "SELECT COUNT(), AVG(tags.n) AS n FROM devices"},
	{"SELECT count FROM devices", "SELECT count FROM devices"},
	{"SELECT tags.a FROM devices GROUP BY tags.a", "SELECT tags.a FROM devices GROUP BY tags.a"},
	{"SELECT MIN(tags.n),tags.b,tags.a FROM devices.modules where tags.c GROUP BY tags.a,TAGS.b", "SELECT MIN(tags.n), tags.b, tags.a FROM devices.modules WHERE tags.c GROUP BY tags.a, tags.b"},
	{"SELECT Properties.Reported.$Version FROM devices", "SELECT properties.reported.$version FROM devices"},
	{"SELECT properties.reported.Name.$Version FROM devices", "SELECT properties.reported.Name.$Version FROM devices"},
	{"SELECT Capabilities.IOTEDGE FROM devices", "SELECT capabilities.iotEdge FROM devices"},
}

// conditions are the same for what stands after WHERE, or alone.
var conditions = []struct{ text, want string }{
	{"deviceid='a'", "deviceId = 'a'"},
	{"devices.tags.a = 1", "tags.a = 1"},
	{"devices.devices.tags.a = 1", "tags.a = 1"},
	{"devices.tags", "tags"},
	{"devices", "devices"},
	{"devices.from = 1", "devices.[[from]] = 1"},
	{"devices.[[not plain]] = 1", "devices.[[not plain]] = 1"},
	{"tags.from = tags.order", "tags.from = tags.order"},
	{"tags.[[a b.c]].[[x]][0][12].y", "tags.[[a b.c]].x[0][12].y"},
	{"tags.ключ", "tags.ключ"},
	{"configurations.[[my-cfg]].status = 'Applied'", "configurations.[[my-cfg]].status = 'Applied'"},
	{`"it's" != 'a "quote"'`, `'it\'s' != 'a "quote"'`},
	{`'\'\"\\\u00e9\ud83d\ude00\u0007'`, `'\'"\\é😀\u0007'`},
	{"1 <> 2", "1 != 2"},
	{"0xfF = 255", "255 = 255"},
	{"1.50 = 1.5e0", "1.5 = 1.5"},
	{"1e3 >= 1E-3", "1000 >= 0.001"},
	{"1e30<2", "1e+30 < 2"},
	{"-5 <= - 5", "-5 <= -5"},
	{"- -5 > -(tags.a)", "--5 > -tags.a"},
	{"NULL = null AND TRUE = true OR False", "null = null AND true = true OR false"},
	{"undefined = UNDEFINED", "undefined = undefined"},
	{"tags.a in ['x', 1, -1, true, null, undefined]", "tags.a IN ['x', 1, -1, true, null, undefined]"},
	{"tags.a Nin [\"x\"]", "tags.a NIN ['x']"},
	{"is_defined(tags.a) and Starts_With(deviceId, 'x')", "IS_DEFINED(tags.a) AND STARTS_WITH(deviceId, 'x')"},
	{"array_length([1, 2]) = 2", "ARRAY_LENGTH([1, 2]) = 2"},
	{"tags.is_defined", "tags.is_defined"},
	// precedence
	{"1 + 2 * 3 = 7", "1 + 2 * 3 = 7"},
	{"(1 + 2) * 3 = 9", "(1 + 2) * 3 = 9"},
	{"1 - (2 - 3) = 2 % 3 / 4", "1 - (2 - 3) = 2 % 3 / 4"},
	{"((1 - 2) - 3) = 1", "1 - 2 - 3 = 1"},
	{"tags.a = 1 OR tags.b = 2 AND NOT tags.c = 3", "tags.a = 1 OR tags.b = 2 AND NOT tags.c = 3"},
	{"(tags.a = 1 OR tags.b = 2) AND (NOT tags.c) = true", "(tags.a = 1 OR tags.b = 2) AND (NOT tags.c) = true"},
	{"not not (tags.a and tags.b)", "NOT NOT (tags.a AND tags.b)"},
	{"tags.a AND (tags.b AND tags.c)", "tags.a AND (tags.b AND tags.c)"},
	{"(tags.a = 1) = true", "(tags.a = 1) = true"},
	{"(1 = 1) IN [true]", "(1 = 1) IN [true]"},
}

func TestQueriesThatAreAccepted(t *testing.T) {
	for _, tc := range accepted {
		checkPrint(t, tc.text, tc.want, parsed)
	}
	for _, tc := range conditions {
		checkPrint(t, tc.text, tc.want, parsedCondition)
		const before = "SELECT * FROM devices WHERE "
		checkPrint(t, before+tc.text, before+tc.want, parsed)
	}
}

func TestConditionsThatStandAlone(t *testing.T) {
	for _, tc := range []struct {
		text, want string
		source     Source
	}{
		{"*", "*", Devices},
		{" * ", "*", Devices},
		{"tags.a = 1", "tags.a = 1", Devices},
		{"from devices where tags.a = 1", "tags.a = 1", Devices},
		{"FROM devices.modules WHERE moduleid = 'm'", "FROM devices.modules WHERE moduleId = 'm'", Modules},
		{"FROM devices.modules WHERE devices.modules.tags.a", "FROM devices.modules WHERE tags.a", Modules},
		{"FROM devices.modules WHERE devices.deviceid = 'd'", "FROM devices.modules WHERE deviceId = 'd'", Modules},
		{"FROM devices.modules WHERE devices.modules.devices.[[not]]", "FROM devices.modules WHERE devices.modules.[[not]]", Modules},
	} {
		checkPrint(t, tc.text, tc.want, parsedCondition)
		if c, err := ParseCondition(tc.text); err != nil || c.Source() != tc.source {
			t.Errorf("ParseCondition(%q): over %v, %v", tc.text, c.Source(), err)
		}
	}
}

func parsed(text string) (string, error) {
	q, err := Parse(text)
	if err != nil {
		return "", err
	}
	return q.String(), nil
}

func parsedCondition(text string) (string, error) {
	c, err := ParseCondition(text)
	if err != nil {
		return "", err
	}
	return c.String(), nil
}

func checkPrint(t *testing.T, text, want string, parse func(string) (string, error)) {
	t.Helper()
	got, err := parse(text)
	if err != nil || got != want {
		t.Errorf("%q reads as %q, %v, want %q", text, got, err, want)
		return
	}
	if again, err := parse(got); err != nil || again != got {
		t.Errorf("%q, printed and read again: %q, %v", got, again, err)
	}
}

func TestQueriesThatAreRefused(t *testing.T) {
	for _, tc := range refused {
		_, err := Parse(tc.text)
		checkSyntax(t, tc.text, err, tc.offset, tc.message)
	}
	for _, tc := range refusedConditions {
		_, err := ParseCondition(tc.text)
		checkSyntax(t, tc.text, err, tc.offset, tc.message)
	}
}

func checkSyntax(t *testing.T, text string, err error, offset int, message string) {
	t.Helper()
	var e *SyntaxError
	if !errors.As(err, &e) || e.Offset != offset || e.Found == "" || e.Expected == "" || !strings.Contains(e.Error(), message) {
		t.Errorf("%.80q: %v, want one at offset %d that says %s", text, err, offset, message)
	}
}
