package query

// idsOf returns device ids of which a row has one whenever e is true of it, if e says so.
func idsOf(e expr) (ids []string, ok bool) {
	switch e := e.(type) {
	case *logic:
		left, leftOK := idsOf(e.left)
		right, rightOK := idsOf(e.right)
		switch {
		case !e.and:
			return append(left, right...), leftOK && rightOK
		case leftOK && rightOK && len(right) < len(left):
			return right, true
		case leftOK:
			return left, true
		}
		return right, rightOK
	case *comparison:
		if e.op == "=" && isDeviceID(e.left) {
			return idsIn(e.right)
		}
		if e.op == "=" && isDeviceID(e.right) {
			return idsIn(e.left)
		}
	case *membership:
		if e.in && isDeviceID(e.of) {
			return strs(e.list.elements), true
		}
	}
	return nil, false
}

func isDeviceID(e expr) bool {
	p, ok := e.(*path)
	return ok && p.is("deviceId")
}

// idsIn returns the one of a constant.
func idsIn(e expr) (ids []string, ok bool) {
	c, ok := e.(*constant)
	if !ok {
		return nil, false
	}
	return strs([]Value{c.value}), true
}

// strs returns the strings among values: no device id is anything else.
func strs(vs []Value) (ss []string) {
	for _, v := range vs {
		if v.kind == str {
			ss = append(ss, v.text)
		}
	}
	return ss
}
