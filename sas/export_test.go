package sas

// SignatureOf gives the base64 of t's signature, which the package keeps to itself.
func SignatureOf(t *Token) string { return string(t.signature(nil)) }
