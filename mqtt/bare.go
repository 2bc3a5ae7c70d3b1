package mqtt

// Pingreq asks the server for a sign of life (MQTT 3.1.1 section 3.12):
//
//	c0 | 00
type Pingreq struct{}

// Pingresp answers a PINGREQ (section 3.13):
//
//	d0 | 00
type Pingresp struct{}

// Disconnect is the last packet of a client that goes in peace; the server
// then drops the will (section 3.14):
//
//	e0 | 00
type Disconnect struct{}

// AppendTo appends the packet to dst and returns the extended slice. It allocates only to grow dst.
func (*Pingreq) AppendTo(dst []byte) []byte { return append(dst, byte(TypePingreq)<<4, 0) }

// AppendTo appends the packet to dst and returns the extended slice. It allocates only to grow dst.
func (*Pingresp) AppendTo(dst []byte) []byte { return append(dst, byte(TypePingresp)<<4, 0) }

// AppendTo appends the packet to dst and returns the extended slice. It allocates only to grow dst.
func (*Disconnect) AppendTo(dst []byte) []byte { return append(dst, byte(TypeDisconnect)<<4, 0) }

// Check returns nil: there is nothing that could be wrong.
func (*Pingreq) Check() error { return nil }

// Check returns nil: there is nothing that could be wrong.
func (*Pingresp) Check() error { return nil }

// Check returns nil: there is nothing that could be wrong.
func (*Disconnect) Check() error { return nil }

// ParsePingreq checks the whole packet p: flags and length are 0. The error is
// a [*PacketError]. It does not allocate.
func ParsePingreq(p Packet) (Pingreq, error) { return Pingreq{}, parseBare(p, TypePingreq) }

// ParsePingresp is as [ParsePingreq].
func ParsePingresp(p Packet) (Pingresp, error) { return Pingresp{}, parseBare(p, TypePingresp) }

// ParseDisconnect is as [ParsePingreq]; wrong flags break [MQTT-3.14.1-1].
func ParseDisconnect(p Packet) (Disconnect, error) { return Disconnect{}, parseBare(p, TypeDisconnect) }

func parseBare(p []byte, t Type) error {
	head, err := open(p, t, 0)
	if err != nil {
		return err
	}
	r := reader{p: p, i: head, t: t}
	return r.end()
}
