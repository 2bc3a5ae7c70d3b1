package amqp10

// MaxDeliveryTag is the longest delivery tag, in bytes (part 2 section 2.8.7).
const MaxDeliveryTag = 32

// Transfer begins or continues a delivery (part 2 section 2.7.5). Its payload follows it in the
// frame. What is null in a frame that continues a delivery is as in the one that began it.
type Transfer struct {
	Handle        uint32
	DeliveryID    Opt[uint32]
	DeliveryTag   []byte // up to [MaxDeliveryTag] bytes
	MessageFormat Opt[uint32]
	Settled       Opt[bool]
	More          Opt[bool]  // null is false: the delivery is complete
	ReceiveMode   Opt[uint8] // null is as the link was attached
	State         State
	Resume        Opt[bool] // null is false
	Aborted       Opt[bool] // null is false
	Batchable     Opt[bool] // null is false
}

// AppendTo appends t.
func (t *Transfer) AppendTo(dst []byte) []byte {
	w := create(dst, DescTransfer)
	w.uint(t.Handle)
	w.optUint(t.DeliveryID)
	w.binary(t.DeliveryTag)
	w.optUint(t.MessageFormat)
	w.optBool(t.Settled)
	w.optBool(t.More)
	w.optUbyte(t.ReceiveMode)
	w.value(t.State.value)
	w.optBool(t.Resume)
	w.optBool(t.Aborted)
	w.optBool(t.Batchable)
	return w.close()
}

// Parse reads t from b, the whole body of a frame, and returns the payload behind it, as a view.
func (t *Transfer) Parse(b []byte) (payload []byte, err error) {
	f, payload := open(b, DescTransfer)
	t.Handle = f.Uint()
	t.DeliveryID = f.OptUint()
	t.DeliveryTag = f.Binary()
	if len(t.DeliveryTag) > MaxDeliveryTag {
		f.fail(faultRange)
	}
	t.MessageFormat = f.OptUint()
	t.Settled = f.OptBool()
	t.More = f.OptBool()
	t.ReceiveMode = f.OptUbyte()
	t.State = f.State()
	t.Resume = f.OptBool()
	t.Aborted = f.OptBool()
	t.Batchable = f.OptBool()
	return payload, f.Done()
}

// Disposition tells the state of deliveries (part 2 section 2.7.6).
type Disposition struct {
	Role      Role // of who sends it
	First     uint32
	Last      Opt[uint32] // null is First
	Settled   Opt[bool]   // null is false
	State     State
	Batchable Opt[bool] // null is false
}

// AppendTo appends d.
func (d *Disposition) AppendTo(dst []byte) []byte {
	w := create(dst, DescDisposition)
	w.bool(bool(d.Role))
	w.uint(d.First)
	w.optUint(d.Last)
	w.optBool(d.Settled)
	w.value(d.State.value)
	w.optBool(d.Batchable)
	return w.close()
}

// Parse reads d from b, the whole body of a frame.
func (d *Disposition) Parse(b []byte) error {
	f := openWhole(b, DescDisposition)
	d.Role = Role(f.Bool())
	d.First = f.Uint()
	d.Last = f.OptUint()
	d.Settled = f.OptBool()
	d.State = f.State()
	d.Batchable = f.OptBool()
	return f.Done()
}
