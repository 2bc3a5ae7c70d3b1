package sas

const upperHex = "0123456789ABCDEF"

// AppendEscape appends s percent-encoded to dst: all bytes but letters, digits
// and "-_.~" become %XX in upper case (RFC 3986 section 2). It allocates only
// to grow dst.
func AppendEscape[T string | []byte](dst []byte, s T) []byte {
	for i := range len(s) {
		if c := s[i]; unreserved[c] {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// AppendUnescape appends s decoded to dst: %XX of either case, and + for a
// blank. What is no escape stays as it is, because "%_" occurs in device ids.
// It allocates only to grow dst.
func AppendUnescape[T string | []byte](dst []byte, s T) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(s):
			if hi, lo := fromHex[s[i+1]], fromHex[s[i+2]]; hi|lo < 16 {
				c = hi<<4 | lo
				i += 2
			}
		}
		dst = append(dst, c)
	}
	return dst
}

var unreserved = func() (t [256]bool) {
	for _, c := range "-_.~" {
		t[c] = true
	}
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	return t
}()

// fromHex gives the value of a hex digit, and 0xff for any other byte.
var fromHex = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range byte(10) {
		t['0'+i] = i
	}
	for i := range byte(6) {
		t['a'+i], t['A'+i] = 10+i, 10+i
	}
	return t
}()
