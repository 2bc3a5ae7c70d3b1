package amqp10

// A message is sections, each a described value, by rising descriptor (part 3 section 3.2). The C
// SDK breaks the order in what it batches, so they are read in any order:
//
//	for r := amqp10.NewReader(b); r.More(); {
//		switch what, v := r.Section(); what {
//		case amqp10.DescData:
//			payload, ok := v.Binary()
//			...
//		}
//	}

// Section reads a section of a message: what it is, and its content: a list, a map, binary or
// whatever is an amqp-value. What is no section of a message, and a content that is not of its
// type, is a fault, and what is then 0.
func (r *Reader) Section() (what Descriptor, content Value) {
	at := r.pos
	if c := r.next(); c != CodeDescribed {
		if !r.failed() {
			r.pos = at
			r.fail(faultType)
		}
		return 0, Value{}
	}
	in := Reader{b: r.b, pos: r.pos, left: 2, count: endless, base: r.base}
	what = in.descriptor()
	in.what = what
	content = in.Value()
	if !in.failed() && !isSection(what, content.code) {
		in.pos = at
		in.fail(faultDescriptor)
	}
	r.pos = in.pos
	if in.failed() {
		r.adopt(&in)
		return 0, Value{}
	}
	return what, content
}

// isSection reports whether a section of a message may be a what whose content has format code c.
func isSection(what Descriptor, c byte) bool {
	switch what {
	case DescHeader, DescProperties, DescSequence:
		return kinds[c] == KindList
	case DescDeliveryAnnotations, DescMessageAnnotations, DescApplicationProperties, DescFooter:
		return kinds[c] == KindMap
	case DescData:
		return kinds[c] == KindBinary
	case DescValue:
		return true
	}
	return false
}

// AppendData appends a section of data.
func AppendData[T text](dst []byte, payload T) []byte {
	return AppendBinary(AppendDescriptor(dst, DescData), payload)
}

// Header says how to deliver a message (part 3 section 3.2.1).
type Header struct {
	Durable       Opt[bool]   // null is false
	Priority      Opt[uint8]  // null is 4
	TTL           Opt[uint32] // milliseconds
	FirstAcquirer Opt[bool]   // null is false
	DeliveryCount Opt[uint32] // null is 0
}

// AppendTo appends h as a section.
func (h *Header) AppendTo(dst []byte) []byte {
	w := create(dst, DescHeader)
	w.optBool(h.Durable)
	w.optUbyte(h.Priority)
	w.optUint(h.TTL)
	w.optBool(h.FirstAcquirer)
	w.optUint(h.DeliveryCount)
	return w.close()
}

// Parse reads h from the content of a section. The error is a [*SyntaxError].
func (h *Header) Parse(content Value) error {
	f := content.section(DescHeader)
	h.Durable = f.OptBool()
	h.Priority = f.OptUbyte()
	h.TTL = f.OptUint()
	h.FirstAcquirer = f.OptBool()
	h.DeliveryCount = f.OptUint()
	return f.Done()
}

// section returns a Reader of the fields of a section that is a list.
func (v Value) section(what Descriptor) Reader {
	r := v.reader()
	r.what = what
	return r.List()
}

// Properties are what a message says of itself (part 3 section 3.2.4).
type Properties struct {
	MessageID          Value // ulong, uuid, binary or string
	UserID             []byte
	To                 []byte
	Subject            []byte
	ReplyTo            []byte
	CorrelationID      Value      // ulong, uuid, binary or string
	ContentType        []byte     // a symbol
	ContentEncoding    []byte     // a symbol
	AbsoluteExpiryTime Opt[int64] // milliseconds since 1970-01-01 UTC
	CreationTime       Opt[int64] // milliseconds since 1970-01-01 UTC
	GroupID            []byte
	GroupSequence      Opt[uint32]
	ReplyToGroupID     []byte
}

// AppendTo appends p as a section.
func (p *Properties) AppendTo(dst []byte) []byte {
	w := create(dst, DescProperties)
	w.value(p.MessageID)
	w.binary(p.UserID)
	w.string(p.To)
	w.string(p.Subject)
	w.string(p.ReplyTo)
	w.value(p.CorrelationID)
	w.symbol(p.ContentType)
	w.symbol(p.ContentEncoding)
	w.optTimestamp(p.AbsoluteExpiryTime)
	w.optTimestamp(p.CreationTime)
	w.string(p.GroupID)
	w.optUint(p.GroupSequence)
	w.string(p.ReplyToGroupID)
	return w.close()
}

// Parse reads p from the content of a section. The error is a [*SyntaxError].
func (p *Properties) Parse(content Value) error {
	f := content.section(DescProperties)
	p.MessageID = f.id()
	p.UserID = f.Binary()
	p.To = f.Text()
	p.Subject = f.Text()
	p.ReplyTo = f.Text()
	p.CorrelationID = f.id()
	p.ContentType = f.Text()
	p.ContentEncoding = f.Text()
	p.AbsoluteExpiryTime = f.OptTimestamp()
	p.CreationTime = f.OptTimestamp()
	p.GroupID = f.Text()
	p.GroupSequence = f.OptUint()
	p.ReplyToGroupID = f.Text()
	return f.Done()
}

// id reads a message-id or correlation-id, which may have any of four types (part 3 sections
// 3.2.11 to 3.2.14), and a symbol for a string.
func (r *Reader) id() Value {
	v := r.Value()
	switch v.Kind() {
	case KindNull, KindUlong, KindUUID, KindBinary, KindString, KindSymbol:
		return v
	}
	r.fail(faultType)
	return Value{}
}
