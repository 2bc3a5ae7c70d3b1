package systemtime

import (
	"testing"
	"time"

	"github.com/hubwire/hubwire/internal/testkit"
)

func TestTimesAsTheSDKsSendThem(t *testing.T) {
	at := func(year, month, day, hour, minute, second, nanos int) time.Time {
		return time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC)
	}
	tests := []struct {
		name, in string
		want     time.Time
	}{
		{"Node, milliseconds", "2017-01-06T23:37:00.669Z", at(2017, 1, 6, 23, 37, 0, 669e6)},
		{"Python, no zone", "2019-02-02T00:00:00", at(2019, 2, 2, 0, 0, 0, 0)},
		{"Python, microseconds", "2019-02-02T00:00:00.123456", at(2019, 2, 2, 0, 0, 0, 123456e3)},
		{"Python, with a zone", "2019-02-02T00:00:00.123456+00:00", at(2019, 2, 2, 0, 0, 0, 123456e3)},
		{"Python, as str() gives it", "2019-02-02 00:00:00", at(2019, 2, 2, 0, 0, 0, 0)},
		{".NET and the hub", "3237-07-19T23:06:40.0000000Z", at(3237, 7, 19, 23, 6, 40, 0)},
		{".NET, seven digits", "2020-04-10T03:11:13.0276997Z", at(2020, 4, 10, 3, 11, 13, 27699700)},
		{".NET, with a zone", "2020-04-10T03:11:13.0276997+02:00", at(2020, 4, 10, 1, 11, 13, 27699700)},
		{".NET, unspecified zone", "2020-04-10T03:11:13.0276997", at(2020, 4, 10, 3, 11, 13, 27699700)},
		{"Java", "2018-04-09T07:09:46.0000123Z", at(2018, 4, 9, 7, 9, 46, 12300)},
		{"C, whole seconds", "2018-04-09T07:09:46Z", at(2018, 4, 9, 7, 9, 46, 0)},
		{"one digit", "2018-04-09T07:09:46.1Z", at(2018, 4, 9, 7, 9, 46, 100e6)},
		{"nine digits", "2018-04-09T07:09:46.123456789Z", at(2018, 4, 9, 7, 9, 46, 123456789)},
		{"lower case", "2018-04-09t07:09:46z", at(2018, 4, 9, 7, 9, 46, 0)},
		{"west of Greenwich, no colon", "2018-04-09T07:09:46-0730", at(2018, 4, 9, 14, 39, 46, 0)},
		{"a zone of hours", "2018-04-09T07:09:46+01", at(2018, 4, 9, 6, 9, 46, 0)},
		{"29 February", "2024-02-29T00:00:00Z", at(2024, 2, 29, 0, 0, 0, 0)},
	}
	for _, tt := range tests {
		got, ok := Parse(tt.in)
		if !ok || !got.Equal(tt.want) || got.Location() != time.UTC {
			t.Errorf("%s: %s gives %v, %v, want %v", tt.name, tt.in, got, ok, tt.want)
		}
		again, ok := Parse(string(Append(nil, got)))
		if want := got.Truncate(100 * time.Nanosecond); !ok || !again.Equal(want) {
			t.Errorf("%s: %v came back as %v", tt.name, got, again)
		}
	}
}

func TestWhatIsNotATime(t *testing.T) {
	for _, in := range []string{
		"", "x", "2018", "2018-04-09", "2018-04-09T07:09", "2018-04-09T07:09:4", "2018-04-09X07:09:46Z",
		"2018-04-31T00:00:00Z", "2023-02-29T00:00:00Z", "2018-00-01T00:00:00Z", "2018-13-01T00:00:00Z",
		"2018-01-00T00:00:00Z", "2018-04-09T24:00:00Z", "2018-04-09T07:60:46Z", "2018-04-09T07:09:60Z",
		"2018-04-09T07:09:46.Z", "2018-04-09T07:09:46.1234567890Z", "2018-04-09T07:09:46ZZ", "2018-04-09T07:09:46+",
		"2018-04-09T07:09:46+1", "2018-04-09T07:09:46+01:", "2018-04-09T07:09:46+24:00", "2018-04-09T07:09:46+01:00Z",
		"18-04-09T07:09:46Z", "+2018-04-09T07:09:46Z", "2018-4-9T07:09:46Z", "1523257786", "2018-04-09T07:09:46,5Z",
		" 2018-04-09T07:09:46Z", "2018-04-09T07:09:46Z ", "0001-01-01T00:00:00.0000000Z",
		"9999-12-31T23:59:59-01:00", "0000-12-31T23:59:59Z", "0001-01-01T00:00:00+01:00",
	} {
		if got, ok := Parse(in); ok {
			t.Errorf("%q was read as %v", in, got)
		}
	}
}

func TestTimesAreWrittenWithSevenDigitsInUTC(t *testing.T) {
	for in, want := range map[time.Time]string{
		time.Date(3237, 7, 19, 23, 6, 40, 0, time.UTC):                              "3237-07-19T23:06:40.0000000Z",
		time.Date(2020, 4, 10, 3, 11, 13, 27699799, time.UTC):                       "2020-04-10T03:11:13.0276997Z",
		time.Date(2020, 1, 1, 1, 0, 0, 0, time.FixedZone("somewhere", int(2*3600))): "2019-12-31T23:00:00.0000000Z",
	} {
		if got := string(Append(nil, in)); got != want {
			t.Errorf("%v is %s, want %s", in, got, want)
		}
	}
	buf, in, now := make([]byte, 0, 64), "2020-04-10T03:11:13.0276997+02:00", time.Now()
	testkit.NoAllocs(t, "write and read a time", func() {
		buf = Append(buf[:0], now)
		if _, ok := Parse(in); !ok {
			t.Fatal("not read")
		}
	})
}
