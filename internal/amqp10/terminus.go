package amqp10

// Source is where a link's messages come from (part 3 section 3.5.3).
type Source struct {
	Address               Value       // a string, or what the address space has; null with Dynamic
	Durable               Opt[uint32] // null is 0
	ExpiryPolicy          []byte      // a symbol; null is "session-end"
	Timeout               Opt[uint32] // seconds; null is 0
	Dynamic               Opt[bool]   // null is false
	DynamicNodeProperties Value       // a map
	DistributionMode      []byte      // a symbol
	Filter                Value       // a map from symbols to described values
	DefaultOutcome        Value       // a delivery state
	Outcomes              Value       // symbols, see [Value.Items]
	Capabilities          Value       // symbols
}

// AppendTo appends s.
func (s *Source) AppendTo(dst []byte) []byte {
	w := create(dst, DescSource)
	w.value(s.Address)
	w.optUint(s.Durable)
	w.symbol(s.ExpiryPolicy)
	w.optUint(s.Timeout)
	w.optBool(s.Dynamic)
	w.value(s.DynamicNodeProperties)
	w.symbol(s.DistributionMode)
	w.value(s.Filter)
	w.value(s.DefaultOutcome)
	w.value(s.Outcomes)
	w.value(s.Capabilities)
	return w.close()
}

// Parse reads s from b, which holds nothing else.
func (s *Source) Parse(b []byte) error {
	f := openWhole(b, DescSource)
	s.fields(&f)
	return f.Done()
}

// read reads s from a field of r, and reports whether it is there.
func (s *Source) read(r *Reader) bool {
	f, ok := r.composite(DescSource)
	s.fields(&f)
	f.Done()
	r.adopt(&f)
	return ok
}

func (s *Source) fields(f *Reader) {
	s.Address = f.checked()
	s.Durable = f.OptUint()
	s.ExpiryPolicy = f.Text()
	s.Timeout = f.OptUint()
	s.Dynamic = f.OptBool()
	s.DynamicNodeProperties = f.mapping()
	s.DistributionMode = f.Text()
	s.Filter = f.mapping()
	s.DefaultOutcome = f.checked()
	s.Outcomes = f.symbols()
	s.Capabilities = f.symbols()
}

// Target is where a link's messages go to (part 3 section 3.5.4).
type Target struct {
	// Coordinator says that this is no target but the coordinator of transactions (part 4 section
	// 4.5.1), of which Capabilities is all there is.
	Coordinator           bool
	Address               Value       // a string, or what the address space has; null with Dynamic
	Durable               Opt[uint32] // null is 0
	ExpiryPolicy          []byte      // a symbol; null is "session-end"
	Timeout               Opt[uint32] // seconds; null is 0
	Dynamic               Opt[bool]   // null is false
	DynamicNodeProperties Value       // a map
	Capabilities          Value       // symbols, see [Value.Items]
}

// AppendTo appends t.
func (t *Target) AppendTo(dst []byte) []byte {
	if t.Coordinator {
		w := create(dst, DescCoordinator)
		w.value(t.Capabilities)
		return w.close()
	}
	w := create(dst, DescTarget)
	w.value(t.Address)
	w.optUint(t.Durable)
	w.symbol(t.ExpiryPolicy)
	w.optUint(t.Timeout)
	w.optBool(t.Dynamic)
	w.value(t.DynamicNodeProperties)
	w.value(t.Capabilities)
	return w.close()
}

// Parse reads t from b, which holds nothing else.
func (t *Target) Parse(b []byte) error {
	r := NewReader(b)
	r.what = DescTarget
	if !t.read(&r) {
		r.fail(faultMissing)
	}
	return r.Done()
}

// read reads t from a field of r, and reports whether it is there.
func (t *Target) read(r *Reader) bool {
	*t = Target{Coordinator: r.Peek() == CodeDescribed && PeekDescriptor(r.Rest()) == DescCoordinator}
	what := DescTarget
	if t.Coordinator {
		what = DescCoordinator
	}
	f, ok := r.composite(what)
	if !t.Coordinator {
		t.Address = f.checked()
		t.Durable = f.OptUint()
		t.ExpiryPolicy = f.Text()
		t.Timeout = f.OptUint()
		t.Dynamic = f.OptBool()
		t.DynamicNodeProperties = f.mapping()
	}
	t.Capabilities = f.symbols()
	f.Done()
	r.adopt(&f)
	return ok
}
