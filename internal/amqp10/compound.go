package amqp10

// maxHollow is how many elements an array may have whose elements have no bytes (null, true,
// uint0): the bytes that are there bound the number of all others.
const maxHollow = 255

// List reads a list, and returns a Reader of its items. The list of null is empty.
func (r *Reader) List() Reader { return r.items(KindList) }

// Map reads a map, and returns a Reader of its keys and values, in turns. The map of null is
// empty.
func (r *Reader) Map() Reader { return r.items(KindMap) }

func (r *Reader) items(kind Kind) Reader {
	in := r.enter(kind)
	if in.left > len(in.b) || kind == KindMap && in.left&1 != 0 {
		r.fail(faultCount)
		return r.nothing()
	}
	return in
}

// Array reads an array, and returns a Reader of its elements. If they are described, descriptor is
// not null, and the Reader gives what is described. The array of null is empty.
func (r *Reader) Array() (descriptor Value, elements Reader) {
	in := r.enter(KindArray)
	if in.b == nil {
		return Value{}, in
	}
	descriptor = in.constructor()
	r.adopt(&in)
	return descriptor, in
}

// enter reads size and count of a list, map or array, and returns a Reader of what follows them, or
// of nothing for null.
func (r *Reader) enter(kind Kind) Reader {
	c := r.next()
	switch {
	case c == CodeNull || c == CodeList0 && kind == KindList:
		return r.nothing()
	case kinds[c] != kind:
		r.fail(faultType)
		return r.nothing()
	}
	body := r.takeSized(c)
	base := r.base + r.pos - len(body)
	switch {
	case r.failed():
		return r.nothing()
	case c&0x10 == 0 && len(body) >= 1:
		n := int(body[0])
		return Reader{b: body[1:], left: n, count: n, base: base + 1, what: r.what}
	case c&0x10 != 0 && len(body) >= 4:
		n := number(body)
		return Reader{b: body[4:], left: n, count: n, base: base + 4, what: r.what}
	}
	r.fail(faultCount)
	return r.nothing()
}

// nothing returns a Reader of no values, which has the fault that r has.
func (r *Reader) nothing() Reader { return Reader{base: r.Offset(), what: r.what, found: r.found} }

// constructor reads what the elements of an array have in common.
func (r *Reader) constructor() (descriptor Value) {
	n := r.left
	r.left, r.count = endless, endless // what precedes the elements is none
	c := r.next()
	if c == CodeDescribed {
		descriptor = r.Value()
		c = r.next()
	}
	bound := len(r.b) - r.pos
	if widths[c] == 0 {
		bound = maxHollow
	}
	switch {
	case r.failed():
	case widths[c] == widthNone: // described twice, or no code
		r.fail(faultCode)
	case n > bound:
		r.fail(faultCount)
	default:
		r.left, r.count, r.alike, r.elem = n, n, true, c
	}
	return descriptor
}

// Check looks at all of v: format codes, sizes, counts, nesting up to [MaxDepth], that maps have
// pairs, and booleans a value. Text is not looked at. The error is a [*SyntaxError].
func (v Value) Check() error {
	r := v.reader()
	r.check(1)
	return r.Err()
}

// check reads one value and all that is in it.
func (r *Reader) check(depth int) {
	if depth > MaxDepth {
		r.fail(faultDepth)
		return
	}
	var in Reader
	switch kinds[r.Peek()] {
	default:
		r.Skip()
		return
	case KindBool:
		r.OptBool() // which may be a byte that is neither 0 nor 1
		return
	case KindList:
		in = r.List()
	case KindMap:
		in = r.Map()
	case KindArray:
		_, in = r.Array()
	case KindDescribed:
		r.checkDescribed(depth)
		return
	}
	for in.More() && !in.hollow() {
		in.check(depth + 1)
	}
	in.Done()
	r.adopt(&in)
}

// hollow reports whether r reads an array of elements that have no bytes, and so nothing to check.
func (r *Reader) hollow() bool { return r.alike && widths[r.elem] == 0 }

func (r *Reader) checkDescribed(depth int) {
	v := r.Value()
	if r.failed() {
		return
	}
	in := Reader{b: v.data, left: 2, count: endless, base: v.offset, what: r.what}
	in.check(depth + 1)
	in.check(depth + 1)
	r.adopt(&in)
}

// checked reads a value of any type, and looks at all that is in it.
func (r *Reader) checked() Value {
	v := r.Value()
	if v.Kind() >= KindList {
		in := v.reader()
		in.what = r.what
		in.check(1)
		r.adopt(&in)
	}
	return v
}

// adopt takes the fault of a Reader of what is in r as its own.
func (r *Reader) adopt(in *Reader) {
	if r.failed() || !in.failed() {
		return
	}
	r.found = in.found
	if in.found.what == r.what { // what it read was no more than a value of a field
		r.found.field = r.field()
	}
	r.left = 0
}
