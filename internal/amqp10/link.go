package amqp10

// Role says which end of a link speaks.
type Role bool

// The roles.
const (
	RoleSender   Role = false
	RoleReceiver Role = true
)

// The settle modes of a link's sender (part 2 section 2.8.2).
const (
	SendUnsettled uint8 = 0
	SendSettled   uint8 = 1
	SendMixed     uint8 = 2 // what null means
)

// The settle modes of a link's receiver (part 2 section 2.8.3).
const (
	ReceiveFirst  uint8 = 0 // what null means
	ReceiveSecond uint8 = 1
)

// Attach begins a link (part 2 section 2.7.3).
type Attach struct {
	Name                 []byte // must not be null
	Handle               uint32
	Role                 Role
	SendMode             Opt[uint8]  // null is [SendMixed]
	ReceiveMode          Opt[uint8]  // null is [ReceiveFirst]
	Source               Opt[Source] // null in a refusal
	Target               Opt[Target] // null in a refusal
	Unsettled            Value       // a map from delivery tags to states
	IncompleteUnsettled  Opt[bool]   // null is false
	InitialDeliveryCount Opt[uint32] // a sender's must not be null
	MaxMessageSize       Opt[uint64] // bytes; null and 0 are no limit
	OfferedCapabilities  Value       // symbols, see [Value.Items]
	DesiredCapabilities  Value       // symbols
	Properties           Value       // a map with symbols as keys
}

// AppendTo appends a.
func (a *Attach) AppendTo(dst []byte) []byte {
	w := create(dst, DescAttach)
	w.string(orEmpty(a.Name))
	w.uint(a.Handle)
	w.bool(bool(a.Role))
	w.optUbyte(a.SendMode)
	w.optUbyte(a.ReceiveMode)
	if a.Source.Valid {
		w.dst = a.Source.Value.AppendTo(w.field())
	} else {
		w.nulls++
	}
	if a.Target.Valid {
		w.dst = a.Target.Value.AppendTo(w.field())
	} else {
		w.nulls++
	}
	w.value(a.Unsettled)
	w.optBool(a.IncompleteUnsettled)
	w.optUint(a.InitialDeliveryCount)
	w.optUlong(a.MaxMessageSize)
	w.value(a.OfferedCapabilities)
	w.value(a.DesiredCapabilities)
	w.value(a.Properties)
	return w.close()
}

// Parse reads a from b, the whole body of a frame. That a sender names its initial delivery count,
// and which modes there are, is the engine's matter.
func (a *Attach) Parse(b []byte) error {
	f := openWhole(b, DescAttach)
	a.Name = f.needText()
	a.Handle = f.Uint()
	a.Role = Role(f.Bool())
	a.SendMode = f.OptUbyte()
	a.ReceiveMode = f.OptUbyte()
	a.Source.Valid = a.Source.Value.read(&f)
	a.Target.Valid = a.Target.Value.read(&f)
	a.Unsettled = f.mapping()
	a.IncompleteUnsettled = f.OptBool()
	a.InitialDeliveryCount = f.OptUint()
	a.MaxMessageSize = f.OptUlong()
	a.OfferedCapabilities = f.symbols()
	a.DesiredCapabilities = f.symbols()
	a.Properties = f.mapping()
	return f.Done()
}

// Detach ends a link (part 2 section 2.7.7).
type Detach struct {
	Handle uint32
	Closed Opt[bool] // null is false: the link is suspended
	Error  *Error
}

// AppendTo appends d.
func (d *Detach) AppendTo(dst []byte) []byte {
	w := create(dst, DescDetach)
	w.uint(d.Handle)
	w.optBool(d.Closed)
	w.error(d.Error)
	return w.close()
}

// Parse reads d from b, the whole body of a frame.
func (d *Detach) Parse(b []byte) error {
	f := openWhole(b, DescDetach)
	d.Handle = f.Uint()
	d.Closed = f.OptBool()
	d.Error = f.error()
	return f.Done()
}
