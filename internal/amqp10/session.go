package amqp10

// Begin begins a session (part 2 section 2.7.2).
type Begin struct {
	RemoteChannel       Opt[uint16] // of the Begin that this one answers; null in one that answers none
	NextOutgoingID      uint32
	IncomingWindow      uint32 // transfer frames
	OutgoingWindow      uint32 // transfer frames
	HandleMax           Opt[uint32]
	OfferedCapabilities Value // symbols, see [Value.Items]
	DesiredCapabilities Value // symbols
	Properties          Value // a map with symbols as keys
}

// AppendTo appends b.
func (b *Begin) AppendTo(dst []byte) []byte {
	w := create(dst, DescBegin)
	w.optUshort(b.RemoteChannel)
	w.uint(b.NextOutgoingID)
	w.uint(b.IncomingWindow)
	w.uint(b.OutgoingWindow)
	w.optUint(b.HandleMax)
	w.value(b.OfferedCapabilities)
	w.value(b.DesiredCapabilities)
	w.value(b.Properties)
	return w.close()
}

// Parse reads b from body, the whole body of a frame.
func (b *Begin) Parse(body []byte) error {
	f := openWhole(body, DescBegin)
	b.RemoteChannel = f.OptUshort()
	b.NextOutgoingID = f.Uint()
	b.IncomingWindow = f.Uint()
	b.OutgoingWindow = f.Uint()
	b.HandleMax = f.OptUint()
	b.OfferedCapabilities = f.symbols()
	b.DesiredCapabilities = f.symbols()
	b.Properties = f.mapping()
	return f.Done()
}

// End ends a session (part 2 section 2.7.8).
type End struct {
	Error *Error
}

// AppendTo appends e.
func (e *End) AppendTo(dst []byte) []byte { return appendEnding(dst, DescEnd, e.Error) }

// Parse reads e from b, the whole body of a frame.
func (e *End) Parse(b []byte) (err error) {
	e.Error, err = parseEnding(b, DescEnd)
	return err
}

// Flow tells the state of a session, and of one of its links if it has a handle (part 2 section
// 2.7.4).
type Flow struct {
	NextIncomingID Opt[uint32] // null before the peer's Begin
	IncomingWindow uint32      // transfer frames
	NextOutgoingID uint32
	OutgoingWindow uint32 // transfer frames
	Handle         Opt[uint32]
	DeliveryCount  Opt[uint32]
	LinkCredit     Opt[uint32] // deliveries
	Available      Opt[uint32] // deliveries
	Drain          Opt[bool]   // null is false
	Echo           Opt[bool]   // null is false
	Properties     Value       // a map with symbols as keys
}

// AppendTo appends f.
func (f *Flow) AppendTo(dst []byte) []byte {
	w := create(dst, DescFlow)
	w.optUint(f.NextIncomingID)
	w.uint(f.IncomingWindow)
	w.uint(f.NextOutgoingID)
	w.uint(f.OutgoingWindow)
	w.optUint(f.Handle)
	w.optUint(f.DeliveryCount)
	w.optUint(f.LinkCredit)
	w.optUint(f.Available)
	w.optBool(f.Drain)
	w.optBool(f.Echo)
	w.value(f.Properties)
	return w.close()
}

// Parse reads f from b, the whole body of a frame.
func (f *Flow) Parse(b []byte) error {
	in := openWhole(b, DescFlow)
	f.NextIncomingID = in.OptUint()
	f.IncomingWindow = in.Uint()
	f.NextOutgoingID = in.Uint()
	f.OutgoingWindow = in.Uint()
	f.Handle = in.OptUint()
	f.DeliveryCount = in.OptUint()
	f.LinkCredit = in.OptUint()
	f.Available = in.OptUint()
	f.Drain = in.OptBool()
	f.Echo = in.OptBool()
	f.Properties = in.mapping()
	return in.Done()
}
