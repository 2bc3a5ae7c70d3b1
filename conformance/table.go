package main

import (
	"fmt"
	"slices"
	"strings"
)

// table is one half of what IoT Hub offers: that of devices, or that of back ends.
type table struct {
	title   string
	columns []string // the protocols
	rows    []row
}

// row is something that IoT Hub offers.
type row struct {
	id, title string

	// service is what the service has of it, a letter a column: Y it has, - it has not,
	// n with limits or only in a way, which the row then has to tell.
	service string

	claims []claim
}

// state is what a cell comes to.
type state string

const (
	stateOK         state = "ok"
	stateFailed     state = "failed"
	stateImpossible state = "impossible" // the service has no such thing
	stateNotYet     state = "not yet"
)

// claim is what the table says of a row over some protocols.
type claim struct {
	columns []string
	state   state
	note    string   // why it is not ok, or what is to be known of it
	tests   []string // see ok
}

// ok claims that these tests prove a row over some protocols. A test is named by its
// package, without the module, and its name with the blanks in it:
//
//	device.TestMethodsAreAnswered/*
//
// An asterisk stands for the protocol, such as mqtt-ws. Tests of package interop are those
// with clients that nobody here wrote; the others are our own, from both ends.
func ok(columns string, tests ...string) claim {
	return claim{strings.Fields(columns), stateOK, "", tests}
}

// limited is ok, with something that is to be known.
func limited(columns, note string, tests ...string) claim {
	return claim{strings.Fields(columns), stateOK, note, tests}
}

// impossible claims that the service has no such thing, and names the tests that show how
// that is noticed, if it can be.
func impossible(columns, why string, tests ...string) claim {
	return claim{strings.Fields(columns), stateImpossible, why, tests}
}

// notYet claims that the service has it and hubwire has not, or not all of it. The tests
// are of what there is.
func notYet(columns, why string, tests ...string) claim {
	return claim{strings.Fields(columns), stateNotYet, why, tests}
}

// over gives the claims of a column, which are all of the same state.
func (r *row) over(column string) (claims []claim) {
	for _, c := range r.claims {
		if slices.Contains(c.columns, column) {
			claims = append(claims, c)
		}
	}
	return claims
}

// later are the rows that may be "not yet".
var later = map[string]string{
	"P-26": "DPS", "P-27": "DPS", "P-28": "device streams", "P-29": "MQTT 5", "Q-08": "the management plane",
}

// check says what is wrong with a table, whatever the tests come to.
func (t *table) check() (wrong []error) {
	seen := map[string]bool{}
	for _, r := range t.rows {
		complain := func(format string, args ...any) {
			wrong = append(wrong, fmt.Errorf("%s %s: %s", r.id, r.title, fmt.Sprintf(format, args...)))
		}
		if seen[r.id] {
			complain("there are two rows of that number")
		}
		seen[r.id] = true
		if len(r.service) != len(t.columns) {
			complain("%q is not a letter for each of %d columns", r.service, len(t.columns))
			continue
		}
		for _, c := range r.claims {
			for _, column := range c.columns {
				if !slices.Contains(t.columns, column) {
					complain("there is no column %q", column)
				}
			}
		}
		for i, column := range t.columns {
			if why := r.wrong(column, r.service[i]); why != "" {
				complain("over %s: %s", column, why)
			}
		}
	}
	return wrong
}

// wrong holds a cell against what the service has, or is "".
func (r *row) wrong(column string, service byte) string {
	claims := r.over(column)
	if len(claims) == 0 {
		return "nothing is said"
	}
	var tests, notes int
	for _, c := range claims {
		if c.state != claims[0].state {
			return "it is " + string(claims[0].state) + " and " + string(c.state)
		}
		if tests += len(c.tests); c.note != "" {
			notes++
		}
	}
	switch s := claims[0].state; {
	case !strings.ContainsRune("Y-n", rune(service)):
		return fmt.Sprintf("%q is not Y, - or n", service)
	case s == stateOK && tests == 0:
		return "no test proves it"
	case s != stateOK && notes == 0:
		return "it does not say why"
	case s == stateOK && service == '-':
		return "the service has no such thing"
	case s == stateOK && service == 'n' && notes == 0:
		return "it does not say what its limits are"
	case s == stateImpossible && service == 'Y':
		return "the service has it"
	case s == stateNotYet && later[r.id] == "":
		return "that is not for later"
	}
	return ""
}
