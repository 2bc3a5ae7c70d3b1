package amqp10

// Partial is a delivery of which there is more to come: a message that is put together of the payloads of its frames
// (part 2 section 2.6.14), and so lasts beyond them.
type Partial struct {
	Head    Transfer // the frame that began it, with what later ones have said since; without its state
	Message []byte   // the payloads so far
	tag     [MaxDeliveryTag]byte
}

// BeginPartial returns the delivery that t begins, whose payload is to be added. It copies what it keeps of t. spare is one
// that is over, whose memory it goes on with, or nil.
func BeginPartial(spare *Partial, t *Transfer) *Partial {
	p := spare
	if p == nil {
		p = new(Partial)
	}
	p.Head, p.Message = *t, p.Message[:0]
	p.Head.DeliveryTag, p.Head.State = p.tag[:copy(p.tag[:], t.DeliveryTag)], State{}
	return p
}

// Continues reports whether t may be a further frame of the delivery: it is of that delivery-id, or has none.
func (p *Partial) Continues(t *Transfer) bool {
	return !t.DeliveryID.Valid || t.DeliveryID == p.Head.DeliveryID
}

// Add adds a frame that was not aborted, the first one too, and reports whether the delivery is whole with it. It does not
// bound the message.
func (p *Partial) Add(t *Transfer, payload []byte) (whole bool) {
	p.Message = append(p.Message, payload...)
	if t.Settled.Or(false) {
		p.Head.Settled = t.Settled
	}
	if t.ReceiveMode.Valid {
		p.Head.ReceiveMode = t.ReceiveMode
	}
	return !t.More.Or(false)
}
