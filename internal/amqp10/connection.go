package amqp10

// Open begins a connection (part 2 section 2.7.1).
type Open struct {
	ContainerID         []byte // must not be null
	Hostname            []byte
	MaxFrameSize        Opt[uint32] // bytes; null is no limit
	ChannelMax          Opt[uint16] // null is 65535
	IdleTimeout         Opt[uint32] // milliseconds; null is none
	OutgoingLocales     Value       // symbols, see [Value.Items]
	IncomingLocales     Value       // symbols
	OfferedCapabilities Value       // symbols
	DesiredCapabilities Value       // symbols
	Properties          Value       // a map with symbols as keys
}

// AppendTo appends o.
func (o *Open) AppendTo(dst []byte) []byte {
	w := create(dst, DescOpen)
	w.string(orEmpty(o.ContainerID))
	w.string(o.Hostname)
	w.optUint(o.MaxFrameSize)
	w.optUshort(o.ChannelMax)
	w.optUint(o.IdleTimeout)
	w.value(o.OutgoingLocales)
	w.value(o.IncomingLocales)
	w.value(o.OfferedCapabilities)
	w.value(o.DesiredCapabilities)
	w.value(o.Properties)
	return w.close()
}

// Parse reads o from b, the whole body of a frame. The error is a [*SyntaxError], as are those of
// the other performatives.
func (o *Open) Parse(b []byte) error {
	f := openWhole(b, DescOpen)
	o.ContainerID = f.needText()
	o.Hostname = f.Text()
	o.MaxFrameSize = f.OptUint()
	o.ChannelMax = f.OptUshort()
	o.IdleTimeout = f.OptUint()
	o.OutgoingLocales = f.symbols()
	o.IncomingLocales = f.symbols()
	o.OfferedCapabilities = f.symbols()
	o.DesiredCapabilities = f.symbols()
	o.Properties = f.mapping()
	return f.Done()
}

// orEmpty makes null empty, for a field that must not be null.
func orEmpty(b []byte) []byte {
	if b == nil {
		b = []byte{}
	}
	return b
}

// Close ends a connection (part 2 section 2.7.9).
type Close struct {
	Error *Error
}

// AppendTo appends c.
func (c *Close) AppendTo(dst []byte) []byte { return appendEnding(dst, DescClose, c.Error) }

// Parse reads c from b, the whole body of a frame.
func (c *Close) Parse(b []byte) (err error) {
	c.Error, err = parseEnding(b, DescClose)
	return err
}

func appendEnding(dst []byte, what Descriptor, e *Error) []byte {
	w := create(dst, what)
	w.error(e)
	return w.close()
}

func parseEnding(b []byte, what Descriptor) (*Error, error) {
	f := openWhole(b, what)
	e := f.error()
	return e, f.Done()
}
