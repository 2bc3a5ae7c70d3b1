package core

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"strconv"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/hub/internal/store"
)

// Twins imitate the developer guide's "Understand and use device twins" and
// the REST API's twin operations. A write from the service raises the twin's
// version and etag, one from the device only the version. Where the guide is
// silent: a patch raises the section's version also when it changes nothing,
// and a $version inside a service's patch is ignored. Left out: digital twin
// (Plug and Play) views, and configurations.

// twin is the state document of an identity. It is never changed once it is
// the entity's: a write makes a new one.
type twin struct {
	Version  int64   `json:"version"`
	Counter  uint64  `json:"etag"`
	ModelID  string  `json:"modelId,omitempty"`
	Tags     section `json:"tags"`
	Desired  section `json:"desired"`
	Reported section `json:"reported"`
}

type section struct {
	Root    *node `json:"root"`
	Version int64 `json:"version"`
}

// freshTwin is the twin of an identity that was just created, with this root in each section.
func freshTwin(root *node) twin {
	empty := section{Root: root, Version: 1}
	return twin{Version: 2, Counter: 1, Tags: empty, Desired: empty, Reported: empty}
}

func (t *twin) etag() string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, t.Counter))
}

// view returns the twin as the service sees it, or the device.
func (t *twin) view(id hubwire.Identity, service bool) *hubwire.Twin {
	v := &hubwire.Twin{
		Identity: id,
		Desired:  t.Desired.view(service),
		Reported: t.Reported.view(service),
	}
	if service {
		v.ETag, v.Version, v.ModelID = t.etag(), t.Version, t.ModelID
		v.Tags = t.Tags.Root.AppendJSON(nil)
	}
	return v
}

func (s section) view(metadata bool) hubwire.TwinSection {
	v := hubwire.TwinSection{Version: s.Version, JSON: s.Root.AppendJSON(nil)}
	if metadata {
		v.Metadata = s.Root.appendMetadata(nil)
	}
	return v
}

// currentTwin returns the entity's twin. The caller holds the lock.
func (e *entity) currentTwin() *twin {
	if e.twin == nil {
		t := freshTwin(&node{At: e.created})
		e.twin = &t
	}
	return e.twin
}

// putTwin makes t the entity's twin. The caller holds the lock.
func (e *entity) putTwin(ctx context.Context, op string, t *twin) error {
	b, err := json.Marshal(t)
	if err != nil {
		return broken(op, err)
	}
	v, err := e.core.store.Put(ctx, store.Key{Kind: store.Twins, ID: e.id}, b, e.twinVersion)
	if err != nil {
		return broken(op, err)
	}
	e.twin, e.twinVersion = t, v
	return nil
}

// checkGrowth refuses a section that is over its limit, or that of its text, unless it shrinks.
func checkGrowth(op, name string, old, now *node, limit int) error {
	if n := now.size(); n > limit && n > old.size() {
		return refuse(op, hubwire.ArgumentInvalid, "%s: %d bytes, the limit is %d", name, n, limit)
	}
	if n := now.textSize(); n > maxTwinText && n > old.textSize() {
		return tooMuchText(op, name, n)
	}
	return nil
}

func tooMuchText(op, name string, n int) error {
	return refuse(op, hubwire.ArgumentInvalid, "%s: %d bytes of JSON text, the limit is %d", name, n, maxTwinText)
}

// Twin returns the service's view of a twin: with tags, metadata, version and etag.
func (c *Core) Twin(_ context.Context, id hubwire.Identity) (*hubwire.Twin, error) {
	const op = "get twin"
	e, err := c.lock(op, id)
	if err != nil {
		return nil, err
	}
	defer e.unlock()
	if err := c.throttle.twinReads.admit(op, 1); err != nil {
		return nil, err
	}
	return e.currentTwin().view(id, true), nil
}

// TwinUpdate is what a service writes. Each member is a JSON object; a nil
// member of a patch is left alone, of a replacement becomes empty.
type TwinUpdate struct {
	Tags    json.RawMessage `json:"tags,omitempty"`
	Desired json.RawMessage `json:"desired,omitempty"`
}

// PatchTwin merges u into a twin (JSON merge patch, RFC 7396) and returns the
// whole. ifMatch is an etag, or "*" or "" for any. Codes: DeviceNotFound,
// ModuleNotFound, PreconditionFailed, FormatError, Throttled, ArgumentInvalid for what is over a limit.
func (c *Core) PatchTwin(ctx context.Context, id hubwire.Identity, u *TwinUpdate, ifMatch string) (*hubwire.Twin, error) {
	return twinOf(c.PatchDocument(ctx, id, u, ifMatch))
}

// ReplaceTwin writes tags and desired properties anew. Else it is [Core.PatchTwin].
func (c *Core) ReplaceTwin(ctx context.Context, id hubwire.Identity, u *TwinUpdate, ifMatch string) (*hubwire.Twin, error) {
	return twinOf(c.ReplaceDocument(ctx, id, u, ifMatch))
}

func twinOf(d *TwinDocument, err error) (*hubwire.Twin, error) {
	if err != nil {
		return nil, err
	}
	return d.Twin, nil
}

// PatchDocument is [Core.PatchTwin] that returns the document, as the write left it.
func (c *Core) PatchDocument(ctx context.Context, id hubwire.Identity, u *TwinUpdate, ifMatch string) (*TwinDocument, error) {
	return c.updateTwin(ctx, "patch twin", id, u, ifMatch, false)
}

// ReplaceDocument is [Core.ReplaceTwin] that returns the document, as the write left it.
func (c *Core) ReplaceDocument(ctx context.Context, id hubwire.Identity, u *TwinUpdate, ifMatch string) (*TwinDocument, error) {
	whole := *u
	if whole.Tags == nil {
		whole.Tags = json.RawMessage("{}")
	}
	if whole.Desired == nil {
		whole.Desired = json.RawMessage("{}")
	}
	return c.updateTwin(ctx, "replace twin", id, &whole, ifMatch, true)
}

func (c *Core) updateTwin(ctx context.Context, op string, id hubwire.Identity, u *TwinUpdate, ifMatch string, replace bool) (*TwinDocument, error) {
	w, err := u.read(op, replace)
	if err != nil {
		return nil, err
	}
	var doc *TwinDocument
	err = c.writeTwin(ctx, op, id, w, ifMatch, func(e *entity, now *twin) { doc = e.document(now) })
	return doc, err
}

// writeTwin writes a twin. When that is done, then is called with the lock held, unless it is nil.
func (c *Core) writeTwin(ctx context.Context, op string, id hubwire.Identity, w twinWrite, ifMatch string, then func(*entity, *twin)) error {
	e, err := c.lock(op, id)
	if err != nil {
		return err
	}
	defer e.unlock()
	if err := c.throttle.twinUpdates.admit(op, 1); err != nil {
		return err
	}
	now, err := e.rewrite(op, w, ifMatch)
	if err != nil {
		return err
	}
	if err := e.commit(ctx, op, w, now); err != nil {
		return err
	}
	c.look(e)
	if then != nil {
		then(e, now)
	}
	return nil
}

// twinWrite is a [TwinUpdate] that was read.
type twinWrite struct {
	tags, desired *node // nil is left alone
	replace       bool  // else it is a merge patch
}

func (w twinWrite) isEmpty() bool { return w.tags == nil && w.desired == nil }

// read checks what does not depend on the twin. A nil u writes nothing.
func (u *TwinUpdate) read(op string, replace bool) (w twinWrite, err error) {
	w.replace = replace
	if u == nil {
		return w, nil
	}
	if u.Tags != nil {
		if w.tags, err = parseSection(op, "tags", u.Tags); err != nil {
			return w, err
		}
	}
	if u.Desired != nil {
		w.desired, err = parseSection(op, "desired properties", u.Desired)
	}
	return w, err
}

// rewrite returns what w makes of the entity's twin, which is the twin itself when w
// writes nothing. ifMatch is as for PatchTwin. The caller holds the lock.
func (e *entity) rewrite(op string, w twinWrite, ifMatch string) (*twin, error) {
	old := e.currentTwin()
	if ifMatch != "" && !matches(ifMatch, old.etag()) {
		return nil, preconditionFailed(op, e.id)
	}
	return w.apply(op, old)
}

func (w twinWrite) apply(op string, old *twin) (*twin, error) {
	if w.isEmpty() {
		return old, nil
	}
	now := *old
	at := time.Now().UTC()
	if w.tags != nil {
		now.Tags = old.Tags.write(w.tags, at, w.replace)
		if err := checkGrowth(op, "tags", old.Tags.Root, now.Tags.Root, hubwire.MaxTwinTagsSize); err != nil {
			return nil, err
		}
	}
	if w.desired != nil {
		now.Desired = old.Desired.write(w.desired, at, w.replace)
		if err := checkGrowth(op, "desired properties", old.Desired.Root, now.Desired.Root, hubwire.MaxTwinSectionSize); err != nil {
			return nil, err
		}
	}
	now.Version++
	now.Counter++
	return &now, nil
}

// commit makes now, which is what rewrite made of w, the entity's twin, and tells the
// device. The caller holds the lock.
func (e *entity) commit(ctx context.Context, op string, w twinWrite, now *twin) error {
	old := e.currentTwin()
	if now == old {
		return nil
	}
	if err := e.putTwin(ctx, op, now); err != nil {
		return err
	}
	if patch := w.desired; patch != nil {
		if w.replace {
			patch = replacement(old.Desired.Root, now.Desired.Root)
		}
		e.pushDesired(patch, now.Desired.Version)
	}
	if e.version != 0 { // else it begins with this
		e.announceChange(w, now)
	}
	return nil
}

// write returns the section after a service's write.
func (s section) write(n *node, at time.Time, replace bool) section {
	v := s.Version + 1
	old := s.Root
	if replace {
		old = nil
	}
	return section{Root: merge(old, n, stamp{at, v}), Version: v}
}

// pushDesired hands a change to the device when it asked for changes. What it
// misses while away is not kept: it gets the twin when it is back.
func (e *entity) pushDesired(patch *node, version int64) {
	s := e.session
	if s == nil || !s.features().has(FeatureDesired) {
		return
	}
	change := hubwire.DesiredChange{Version: version, JSON: patch.AppendJSON(nil)}
	e.post(func() { s.link.Desired(change) })
}

// Twin returns the device's view of its twin: desired and reported properties.
func (s *Session) Twin(context.Context) (*hubwire.Twin, error) {
	const op = "twin get"
	e, err := s.lock(op)
	if err != nil {
		return nil, err
	}
	defer e.unlock()
	if err := e.core.throttle.twinReads.admit(op, 1); err != nil {
		return nil, err
	}
	return e.currentTwin().view(e.id, false), nil
}

// PatchReported merges a patch into the reported properties and returns their
// new version. When ifVersion is not 0 the version must be that before
// (PreconditionFailed). Other codes: FormatError, ArgumentInvalid, Throttled.
func (s *Session) PatchReported(ctx context.Context, patch []byte, ifVersion int64) (int64, error) {
	const op = "twin report"
	n, err := parseSection(op, "reported properties", patch)
	if err != nil {
		return 0, err
	}
	e, err := s.lock(op)
	if err != nil {
		return 0, err
	}
	defer e.unlock()
	if err := e.core.throttle.twinUpdates.admit(op, 1); err != nil {
		return 0, err
	}
	old := e.currentTwin()
	if ifVersion != 0 && ifVersion != old.Reported.Version {
		return 0, refuse(op, hubwire.PreconditionFailed, "reported properties are at version %d, not %d", old.Reported.Version, ifVersion)
	}
	now := *old
	now.Version++
	now.Reported = section{Root: merge(old.Reported.Root, n, stamp{at: time.Now().UTC()}), Version: old.Reported.Version + 1}
	if err := checkGrowth(op, "reported properties", old.Reported.Root, now.Reported.Root, hubwire.MaxTwinSectionSize); err != nil {
		return 0, err
	}
	if err := e.putTwin(ctx, op, &now); err != nil {
		return 0, err
	}
	e.announceReport(n, &now)
	e.core.look(e)
	return now.Reported.Version, nil
}

// TwinBody is a twin as a device gets it: {"desired":{…,"$version":n},"reported":{…,"$version":n}}.
func TwinBody(t *hubwire.Twin) []byte {
	b := append([]byte(`{"desired":`), WithVersion(t.Desired.JSON, t.Desired.Version)...)
	b = append(b, `,"reported":`...)
	b = append(b, WithVersion(t.Reported.JSON, t.Reported.Version)...)
	return append(b, '}')
}

// WithVersion returns a section or patch as it goes to a device: the members
// of a JSON object, then "$version".
func WithVersion(object json.RawMessage, version int64) json.RawMessage {
	b := append([]byte(nil), object[:len(object)-1]...)
	if len(b) > 1 {
		b = append(b, ',')
	}
	b = append(b, `"$version":`...)
	return append(strconv.AppendInt(b, version, 10), '}')
}
