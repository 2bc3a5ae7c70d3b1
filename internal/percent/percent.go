// Package percent is what packages sas, topics and httpsx have in common of
// percent-encoding (RFC 3986 section 2.1): the tables. Which bytes stay as they
// are, and what becomes of a malformed escape, is theirs to say.
package percent

// Table says of each byte how it is written: up to three bytes, little-endian,
// with their number in the top byte.
type Table [256]uint32

// NewTable returns the table that leaves ASCII letters, digits and the bytes of
// safe as they are, and writes all others as %XX in upper case.
func NewTable(safe string) *Table {
	const hex = "0123456789ABCDEF"
	const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	var t Table
	for c := range t {
		t[c] = 3<<24 | uint32(hex[c&15])<<16 | uint32(hex[c>>4])<<8 | '%'
	}
	for _, c := range []byte(alphanumeric + safe) {
		t[c] = 1<<24 | uint32(c)
	}
	return &t
}

// Unhex returns the byte that two hex digits of either case stand for, or a
// negative number when one is none.
func Unhex(hi, lo byte) int { return int(digits[hi])<<4 | int(digits[lo]) }

var digits = func() (t [256]int8) {
	for c := range t {
		t[c] = -1
	}
	for i, c := range []byte("0123456789abcdef") {
		t[c] = int8(i)
	}
	for i, c := range []byte("ABCDEF") {
		t[c] = int8(10 + i)
	}
	return t
}()
