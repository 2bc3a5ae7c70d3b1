// Package notls has a connection that package device puts no TLS on. Being
// internal, only this repository can make one: it is there to measure what a client
// costs without what TLS does. See bench.
package notls

import "net"

// Conn is a net.Conn to speak the protocol on as it is, when it comes from
// device.Options.Dial.
type Conn struct{ net.Conn }
