package topics

// AppendDecoded appends each pair to pairs, decoded. What has no escape stays a
// view of the bag; the rest is decoded at the end of room, to which the returned
// room belongs. Both hold while the caller leaves the bag and room alone.
//
// It allocates only to grow pairs, or room when that has less than len(b)+8 bytes
// to spare. The rules are those of [AppendUnescape].
func (b Bag) AppendDecoded(pairs []Pair, room []byte) (_ []Pair, _ []byte) {
	for p := range b.Pairs() {
		p.Name, room = decode(p.Name, room)
		p.Value, room = decode(p.Value, room)
		pairs = append(pairs, p)
	}
	return pairs, room
}

func decode(s, room []byte) (decoded, _ []byte) {
	n := len(room)
	room = AppendUnescape(room, s)
	return room[n:len(room):len(room)], room
}
