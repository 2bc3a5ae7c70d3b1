// Package bench has nothing in it: this module measures the toolkit beside other
// libraries, which the toolkit itself does not depend on. The program is in gates.
package bench
