package query

import (
	"testing"

	"github.com/hubwire/hubwire/internal/testkit"
)

// jsonRow is a row that is the text of a JSON object.
type jsonRow string

func (r jsonRow) Member(name string) Value { return JSON(string(r)).member(name) }

const twin = `{"deviceId":"d1","etag":"AAA=","status":"enabled","connectionState":"Disconnected","lastActivityTime":"2026-03-01T00:00:00.0000000Z",
	"authenticationType":"sas","version":7,"modelId":"","capabilities":{"iotEdge":false},
	"configurations":{"my-cfg":{"status":"Applied"}},
	"tags":{"s":"text","n":5,"f":1.50,"neg":-2,"t":true,"b":false,"nil":null,"o":{"x":1},"a":["p",{"q":2},[3]],"quote":"a\"b","ключ":"да","Case":1,"same":5},
	"properties":{"desired":{"on":true,"$version":3,"$metadata":{"$lastUpdated":"2026-01-01T00:00:00.0000000Z"}},"reported":{"on":true,"$version":4}}}`

// truths are conditions and whether they are true of twin.
var truths = []struct {
	name, text string
	want       bool
}{
	{"a path walks members", "tags.o.x = 1", true},
	{"the row's own members resolve directly", "deviceId = 'd1' AND etag = 'AAA=' AND version = 7 AND modelId = ''", true},
	{"capabilities.iotEdge resolves", "capabilities.iotEdge = false", true},
	{"$version resolves", "properties.desired.$version = 3 AND properties.reported.$version > properties.desired.$version", true},
	{"$metadata resolves", "properties.desired.$metadata.$lastUpdated < '2026-02'", true},
	{"a name in brackets need not be an identifier", "configurations.[[my-cfg]].status = 'Applied'", true},
	{"a path walks into arrays", "tags.a[0] = 'p' AND tags.a[1].q = 2 AND tags.a[2][0] = 3", true},
	{"an element past the end is undefined", "is_defined(tags.a[3])", false},
	{"an index of what is no array is undefined", "is_defined(tags.o[0])", false},
	{"a member of what is no object is undefined", "is_defined(tags.s.x)", false},
	{"a name of any letters", "tags.ключ = 'да'", true},

	{"names of system members are of any case", "DEVICEID = 'd1' AND Properties.DESIRED.$Version = 3 AND Capabilities.iotedge = false", true},
	{"names of users are of one case", "is_defined(tags.case)", false},
	{"the source's name may stand in front", "devices.deviceId = 'd1' AND devices.tags.n = 5", true},

	{"a missing member is undefined", "is_defined(tags.none)", false},
	{"IS_DEFINED is true of null", "is_defined(tags.nil)", true},
	{"IS_DEFINED is true of an object", "is_defined(tags.o)", true},
	{"undefined equals nothing, not itself", "tags.none = tags.none", false},
	{"undefined equals nothing, as a constant", "tags.none = undefined", false},
	{"undefined is not different either", "tags.none != 'x'", false},
	{"null equals null", "tags.nil = null", true},
	{"undefined is not null", "tags.none = null", false},

	{"true is kept", "tags.t", true},
	{"false is not", "tags.b", false},
	{"null is not", "tags.nil", false},
	{"undefined is not", "tags.none", false},
	{"a string is not", "tags.s", false},
	{"a number is not", "tags.n", false},
	{"an object is not", "tags.o", false},
	{"an array is not", "tags.a", false},
	{"a constant can be all", "true", true},

	{"other types are not equal", "tags.n = '5'", false},
	{"other types are not different", "tags.n != '5'", false},
	{"other types have no order", "tags.n < '6'", false},
	{"numbers are equal by value", "tags.f = 1.5 AND tags.n = 0x5", true},
	{"numbers have an order", "tags.n > 4 AND tags.n >= 5 AND tags.n <= 5 AND tags.n < 6 AND tags.neg < 0", true},
	{"numbers are different", "tags.n <> 4 AND tags.n != 6", true},
	{"strings have the order of their bytes", "tags.s > 'Text' AND tags.s < 'texu' AND tags.s >= 'text'", true},
	{"strings are equal by case", "tags.s = 'TEXT'", false},
	{"strings with escapes", `tags.quote = 'a"b'`, true},
	{"dates are strings", "lastActivityTime > '2026-01-01T00:00:00Z'", true},
	{"true has no order", "tags.t > tags.b", false},
	{"true and false are different", "tags.t != tags.b", true},
	{"null has no order", "tags.nil <= null", false},
	{"objects are not equal", "tags.o = tags.o", false},
	{"objects are not different", "tags.o != tags.a", false},
	{"two primitive properties compare", "tags.n = tags.same AND properties.desired.on = properties.reported.on", true},

	{"IN", "tags.s IN ['a', 'text']", true},
	{"IN is by type", "tags.n IN ['5', true, null]", false},
	{"IN of null", "tags.nil IN [null]", true},
	{"IN of undefined", "tags.none IN [undefined]", false},
	{"NIN", "tags.s NIN ['a', 'b']", true},
	{"NIN of what is in", "tags.s NIN ['text']", false},
	{"NIN of another type", "tags.n NIN ['5']", true},
	{"NIN of undefined", "tags.none NIN ['a']", false},
	{"NIN of an object", "tags.o NIN ['a']", false},

	{"AND is true of two", "tags.t AND tags.n = 5", true},
	{"AND is false with undefined", "tags.t AND tags.none", false},
	{"OR is true of one, whatever the other", "tags.none OR tags.t", true},
	{"OR is false of none", "tags.none OR tags.b", false},
	{"NOT turns a boolean", "NOT tags.b", true},
	{"NOT of undefined is undefined", "NOT tags.none", false},
	{"NOT of a string is undefined", "NOT tags.s", false},
	{"NOT of a comparison that is false", "NOT tags.none = 1", true},
	{"AND binds before OR", "tags.t OR tags.t AND tags.b", true},
	{"parentheses bind first", "(tags.t OR tags.t) AND tags.b", false},
	{"NOT of undefined AND false", "NOT (tags.none AND tags.b)", true},
	{"NOT of undefined OR true", "NOT (tags.none OR tags.t)", false},
	{"NOT of undefined AND true", "NOT (tags.none AND tags.t)", false},
	{"NOT of true AND undefined", "NOT (tags.t AND tags.none)", false},
	{"NOT of undefined OR false", "NOT (tags.none OR tags.b)", false},

	{"arithmetic", "tags.n + 1 = 6 AND tags.n - 1 = 4 AND tags.n * 2 = 10 AND tags.n / 2 = 2.5 AND tags.n % 3 = 2", true},
	{"products bind before sums", "1 + 2 * 3 = 7 AND 10 - 4 - 3 = 3 AND 2 * 3 % 4 = 2", true},
	{"a sign", "-tags.n = -5 AND - -tags.n = 5", true},
	{"a sum of strings is undefined", "is_defined(tags.s + 'x')", false},
	{"a sum with undefined is undefined", "is_defined(tags.none + 1)", false},
	{"a quotient by zero is undefined", "is_defined(tags.n / 0)", false},
	{"a remainder by zero is undefined", "is_defined(tags.n % 0)", false},
	{"a number past all is undefined", "is_defined(1e308 * 10)", false},
	{"a sign of a string is undefined", "is_defined(-tags.s)", false},

	{"STARTSWITH", "startswith(tags.s, 'te') AND starts_with(deviceId, 'd') AND NOT startswith(tags.s, 'xt')", true},
	{"ENDSWITH", "endswith(tags.s, 'xt') AND ends_with(tags.s, 't')", true},
	{"CONTAINS", "contains(tags.s, 'ex')", true},
	{"STARTSWITH of a number is undefined", "NOT startswith(tags.n, '5')", false},
	{"IS_NULL", "is_null(tags.nil) AND NOT is_null(tags.none) AND NOT is_null(tags.s)", true},
	{"IS_BOOL", "is_bool(tags.t) AND is_bool(tags.b) AND NOT is_bool(tags.nil)", true},
	{"IS_NUMBER", "is_number(tags.n) AND NOT is_number(tags.s)", true},
	{"IS_STRING", "is_string(tags.s) AND NOT is_string(tags.n)", true},
	{"IS_OBJECT", "is_object(tags.o) AND NOT is_object(tags.a)", true},
	{"IS_ARRAY", "is_array(tags.a) AND is_array([1]) AND NOT is_array(tags.o)", true},
	{"ARRAY_LENGTH", "array_length(tags.a) = 3 AND array_length([1, undefined]) = 2", true},
	{"ARRAY_LENGTH of no array is undefined", "is_defined(array_length(tags.o))", false},
}

func TestWhatAConditionIsTrueOf(t *testing.T) {
	for _, tc := range truths {
		t.Run(tc.name, func(t *testing.T) {
			c, err := ParseCondition(tc.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Match(jsonRow(twin)); got != tc.want {
				t.Errorf("%s is %v", tc.text, got)
			}
			again, err := ParseCondition(c.String())
			if err != nil || again.Match(jsonRow(twin)) != tc.want {
				t.Errorf("%s, printed as %s, is not the same; %v", tc.text, c, err)
			}
		})
	}
}

func TestConditionsOfJobs(t *testing.T) {
	row := jsonRow(`{"jobId":"j","deviceId":"d","status":"failed","createdTimeUtc":"2026","outcome":{"deviceMethodResponse":{"status":200,"payload":{"a":1}}}}`)
	for _, text := range []string{
		"devices.jobs.jobId = 'j'", "JOBID = 'j'", "devices.jobs.status = 'failed' AND deviceid IN ['d']", "devices.jobs.CreatedTimeUtc < '2027'",
		"outcome.DeviceMethodResponse.Status = 200", "outcome.deviceMethodResponse.payload.a = 1",
	} {
		q, err := Parse("SELECT * FROM devices.jobs WHERE " + text)
		if err != nil || !q.Match(row) {
			t.Errorf("%s: not true, %v", text, err)
		}
	}
}

// TestMatchAllocatesNothing looks at a row that is there, as a registry's is.
func TestMatchAllocatesNothing(t *testing.T) {
	c, err := ParseCondition("tags.s IN ['a', 'text'] AND tags.n + 1 > 2 AND NOT startswith(deviceId, 'x') AND is_defined(tags.o)")
	if err != nil {
		t.Fatal(err)
	}
	var row Row = Fields{{"deviceId", String("d1")}, {"tags", ObjectOf(Fields{{"s", JSON(`"text"`)}, {"n", JSON("5")}, {"o", JSON("{}")}})}}
	testkit.NoAllocs(t, "Match", func() {
		if !c.Match(row) {
			t.Fatal("it does not match")
		}
	})
}
