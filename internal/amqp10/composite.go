package amqp10

// Composite types are described lists, whose items are fields in a fixed order (part 1 section
// 1.4).

// open reads the composite that b begins with, which must be a what, and returns a Reader of its
// fields, and what follows it.
func open(b []byte, what Descriptor) (fields Reader, rest []byte) {
	if start, n, end := usual(b, what); end > 0 {
		return Reader{b: b[start:end:end], left: n, count: n, base: start, what: what}, b[end:]
	}
	r := NewReader(b)
	r.what = what
	fields, ok := r.composite(what)
	if !ok {
		r.fail(faultMissing)
		fields.adopt(&r)
	}
	return fields, r.Rest()
}

// usual returns where the fields of the what begin that b begins with, how many there are and where
// they end, if its descriptor is a short number and all is right; else end is 0. It is only quicker
// than what it saves.
func usual(b []byte, what Descriptor) (start, count, end int) {
	if len(b) < 6 || b[0] != CodeDescribed || b[1] != CodeSmallUlong || b[2] != byte(what) {
		return 0, 0, 0
	}
	switch {
	case b[3] == CodeList8:
		start, count, end = 6, int(b[5]), 5+int(b[4])
	case b[3] == CodeList32 && len(b) >= 12:
		start, count, end = 12, number(b[8:]), 8+min(number(b[4:]), len(b))
	}
	if count > end-start || end > len(b) {
		return 0, 0, 0
	}
	return start, count, end
}

// openWhole is open for what nothing may follow.
func openWhole(b []byte, what Descriptor) Reader {
	fields, rest := open(b, what)
	if len(rest) > 0 && !fields.failed() {
		fields.found = found{offset: len(b) - len(rest), what: what, fault: faultTrailing}
		fields.left = 0
	}
	return fields
}

// composite reads a field that is a what or null, and returns a Reader of its fields, which has
// the fault if there is one. ok is false for null.
func (r *Reader) composite(what Descriptor) (fields Reader, ok bool) {
	switch r.next() {
	case CodeDescribed:
	case CodeNull:
		return r.nothing(), false
	default:
		r.fail(faultType)
		return r.nothing(), false
	}
	in := Reader{b: r.b, pos: r.pos, left: 2, count: endless, base: r.base, what: what}
	if in.descriptor() != what {
		in.pos = r.pos
		in.fail(faultDescriptor)
	}
	fields = in.List()
	r.pos = in.pos
	r.adopt(&in)
	return fields, true
}

// descriptor reads a descriptor, and returns 0 for one that is not the standard's.
func (r *Reader) descriptor() Descriptor {
	if r.pos+1 < len(r.b) && r.b[r.pos] == CodeSmallUlong {
		r.left--
		r.pos += 2
		return Descriptor(r.b[r.pos-1])
	}
	return descriptorOf(r.Value())
}

// mapping reads a field that is a map or null.
func (r *Reader) mapping() Value {
	v := r.checked()
	if k := v.Kind(); k != KindMap && k != KindNull {
		r.fail(faultType)
	}
	return v
}

// symbols reads a field that may be several symbols, in each of the forms that [Value.Items] knows.
func (r *Reader) symbols() Value {
	v := r.checked()
	switch v.Kind() {
	case KindNull, KindSymbol, KindString, KindArray, KindList:
		return v
	}
	r.fail(faultType)
	return Value{}
}

// PeekDescriptor returns what the described value that b begins with is: the performative of a
// frame, or the next section of a message. It is 0 when the descriptor is none that the standard
// has, or b does not begin with a described value.
func PeekDescriptor(b []byte) Descriptor {
	if len(b) < 3 || b[0] != CodeDescribed {
		return 0
	}
	r := Reader{b: b, pos: 1, left: 1, count: endless}
	return known(r.descriptor())
}

// writer appends a composite. Nulls are held back until a field follows that is not null, so
// trailing nulls are not written.
type writer struct {
	dst      []byte
	at       int // where the list begins
	n, nulls int // fields written; nulls held back behind them
}

func create(dst []byte, what Descriptor) writer {
	dst = AppendDescriptor(dst, what)
	return writer{dst: OpenCompound(dst), at: len(dst)}
}

// field makes ready for a field that is not null.
func (w *writer) field() []byte {
	for ; w.nulls > 0; w.nulls-- {
		w.dst = append(w.dst, CodeNull)
		w.n++
	}
	w.n++
	return w.dst
}

// close ends the composite and returns all that was appended to.
func (w *writer) close() []byte { return CloseList(w.dst, w.at, w.n) }

func (w *writer) bool(v bool) { w.dst = AppendBool(w.field(), v) }

func (w *writer) uint(v uint32) { w.dst = AppendUint(w.field(), v) }

func (w *writer) ulong(v uint64) { w.dst = AppendUlong(w.field(), v) }

func (w *writer) optBool(v Opt[bool]) {
	if v.Valid {
		w.bool(v.Value)
	} else {
		w.nulls++
	}
}

func (w *writer) optUbyte(v Opt[uint8]) {
	if v.Valid {
		w.dst = AppendUbyte(w.field(), v.Value)
	} else {
		w.nulls++
	}
}

func (w *writer) optUshort(v Opt[uint16]) {
	if v.Valid {
		w.dst = AppendUshort(w.field(), v.Value)
	} else {
		w.nulls++
	}
}

func (w *writer) optUint(v Opt[uint32]) {
	if v.Valid {
		w.uint(v.Value)
	} else {
		w.nulls++
	}
}

func (w *writer) optUlong(v Opt[uint64]) {
	if v.Valid {
		w.ulong(v.Value)
	} else {
		w.nulls++
	}
}

func (w *writer) optTimestamp(v Opt[int64]) {
	if v.Valid {
		w.dst = AppendTimestamp(w.field(), v.Value)
	} else {
		w.nulls++
	}
}

// sized writes a value of variable width, whose short form has the format code code8. nil is null.
func (w *writer) sized(code8 byte, v []byte) {
	if v == nil {
		w.nulls++
		return
	}
	w.dst = AppendText(w.field(), code8, v)
}

func (w *writer) string(v []byte) { w.sized(CodeString8, v) }

func (w *writer) symbol(v []byte) { w.sized(CodeSymbol8, v) }

func (w *writer) binary(v []byte) { w.sized(CodeBinary8, v) }

func (w *writer) value(v Value) {
	if v.IsNull() {
		w.nulls++
	} else {
		w.dst = v.AppendTo(w.field())
	}
}
