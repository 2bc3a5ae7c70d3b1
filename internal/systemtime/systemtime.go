// Package systemtime writes and reads the times that IoT Hub has in the system
// properties of messages, for all protocols, and in its documents.
package systemtime

import "time"

// Layout is the only form that every official SDK reads in $.exp and
// $.ctime: the .NET SDK drops the connection on any other number of digits.
const Layout = "2006-01-02T15:04:05.0000000Z"

// Append appends t in UTC, with seven digits of a second: what is below 100
// ns is cut off.
func Append(dst []byte, t time.Time) []byte { return t.UTC().AppendFormat(dst, Layout) }

// Parse reads a time in any of the forms that the official SDKs send:
//
//	2017-01-06T23:37:00.669Z           Node
//	2019-02-02T00:00:00[.123456]       Python, which may leave the zone out: UTC
//	2018-04-09T07:09:46.0000000Z       .NET, Java and the hub
//	2018-04-09T07:09:46.0000000+02:00  .NET, with a zone
//
// It takes 0 to 9 digits of a second, "T", "t" or a space, and "Z", "z", an
// offset or nothing. The zero time.Time, which .NET sends for a time that nobody
// set, is not a time: in a message it would mean absent. The result is in UTC.
func Parse(s string) (t time.Time, ok bool) {
	d := digits{s: s}
	year := d.number(4)
	d.one('-')
	month := d.number(2)
	d.one('-')
	day := d.number(2)
	if !d.maybe('T') && !d.maybe('t') {
		d.one(' ')
	}
	hour := d.number(2)
	d.one(':')
	minute := d.number(2)
	d.one(':')
	second := d.number(2)
	nanos := d.fraction()
	offset := d.zone()
	if d.bad || len(d.s) != 0 || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	t = time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC)
	if t.Month() != time.Month(month) || t.Day() != day {
		return time.Time{}, false // such as 31 April
	}
	t = t.Add(-offset)
	return t, !t.IsZero() && t.Year() >= 1 && t.Year() <= 9999 // what a message may have
}

// digits takes a time apart from the front. The first fault sticks.
type digits struct {
	s   string
	bad bool
}

func (d *digits) number(n int) (v int) {
	if d.bad || len(d.s) < n {
		d.bad = true
		return 0
	}
	for _, c := range []byte(d.s[:n]) {
		if c-'0' > 9 {
			d.bad = true
			return 0
		}
		v = 10*v + int(c-'0')
	}
	d.s = d.s[n:]
	return v
}

// one takes one byte, c.
func (d *digits) one(c byte) {
	if !d.maybe(c) {
		d.bad = true
	}
}

// maybe takes one byte if it is c.
func (d *digits) maybe(c byte) bool {
	if len(d.s) == 0 || d.s[0] != c {
		return false
	}
	d.s = d.s[1:]
	return true
}

// fraction takes "." and 1 to 9 digits, or nothing, and gives nanoseconds.
func (d *digits) fraction() (nanos int) {
	if !d.maybe('.') {
		return 0
	}
	unit := int(time.Second)
	for unit > 1 && len(d.s) > 0 && d.s[0]-'0' <= 9 {
		unit /= 10
		nanos += int(d.s[0]-'0') * unit
		d.s = d.s[1:]
	}
	if unit == int(time.Second) {
		d.bad = true
	}
	return nanos
}

// zone takes "Z", "+hh:mm", "+hhmm", "+hh" or nothing, and gives the offset from UTC.
func (d *digits) zone() time.Duration {
	sign := time.Duration(1)
	switch {
	case d.maybe('+'):
	case d.maybe('-'):
		sign = -1
	default:
		_ = d.maybe('Z') || d.maybe('z')
		return 0
	}
	offset := time.Duration(d.number(2)) * time.Hour
	if d.maybe(':') || len(d.s) > 0 {
		offset += time.Duration(d.number(2)) * time.Minute
	}
	if offset >= 24*time.Hour {
		d.bad = true
	}
	return sign * offset
}
