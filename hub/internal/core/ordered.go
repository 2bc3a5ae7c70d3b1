package core

import (
	"cmp"
	"iter"
	"slices"

	"github.com/hubwire/hubwire"
)

// ordered holds entities in the order of their identities, a device before its
// modules. It is a list of short sorted lists, so that it costs little to add one
// in any order, however many there are. The zero ordered is empty.
type ordered struct {
	chunks [][]*entity // none is empty
	n      int
}

// chunkSize is how many entities a list has at most. It is halved when it is full.
const chunkSize = 512

func compareIdentities(a, b hubwire.Identity) int {
	return cmp.Or(cmp.Compare(a.DeviceID, b.DeviceID), cmp.Compare(a.ModuleID, b.ModuleID))
}

func compareEntity(e *entity, id hubwire.Identity) int { return compareIdentities(e.id, id) }

// find returns where id is, or would be added.
func (o *ordered) find(id hubwire.Identity) (chunk, i int, found bool) {
	chunk, found = slices.BinarySearchFunc(o.chunks, id, func(es []*entity, id hubwire.Identity) int {
		return compareEntity(es[0], id)
	})
	if !found {
		chunk = max(0, chunk-1) // the last one that begins before id
	}
	if chunk < len(o.chunks) {
		i, found = slices.BinarySearchFunc(o.chunks[chunk], id, compareEntity)
	}
	return chunk, i, found
}

// add takes in an entity that is not there yet.
func (o *ordered) add(e *entity) {
	o.n++
	if len(o.chunks) == 0 {
		o.chunks = [][]*entity{{e}}
		return
	}
	c, i, _ := o.find(e.id)
	es := slices.Insert(o.chunks[c], i, e)
	if len(es) < chunkSize {
		o.chunks[c] = es
		return
	}
	low := slices.Clone(es[:chunkSize/2])
	o.chunks[c] = slices.Clone(es[chunkSize/2:])
	o.chunks = slices.Insert(o.chunks, c, low)
}

// remove takes out the entity of an identity, if it is there.
func (o *ordered) remove(id hubwire.Identity) {
	c, i, found := o.find(id)
	if !found {
		return
	}
	o.n--
	if o.chunks[c] = slices.Delete(o.chunks[c], i, i+1); len(o.chunks[c]) == 0 {
		o.chunks = slices.Delete(o.chunks, c, c+1)
	}
}

// following yields the entities that follow an identity, in order. Meanwhile none may
// be added or removed.
func (o *ordered) following(id hubwire.Identity) iter.Seq[*entity] {
	return func(yield func(*entity) bool) {
		c, i, found := o.find(id)
		if found {
			i++
		}
		for ; c < len(o.chunks); c++ {
			for _, e := range o.chunks[c][i:] {
				if !yield(e) {
					return
				}
			}
			i = 0
		}
	}
}

// after appends the entities that follow an identity to es, as many as it has room for.
func (o *ordered) after(es []*entity, id hubwire.Identity) []*entity {
	if len(es) == cap(es) {
		return es
	}
	for e := range o.following(id) {
		if es = append(es, e); len(es) == cap(es) {
			break
		}
	}
	return es
}
