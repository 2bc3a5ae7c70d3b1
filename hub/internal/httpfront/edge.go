package httpfront

import (
	"cmp"
	"net/url"
	"strconv"
	"strings"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/httpsx"
	"github.com/hubwire/hubwire/hub/internal/core"
)

// The calls of IoT Edge imitate what edgeHub and the identity service ask for with the token
// of an edge device's module $edgeHub: who is in its scope, and, behind it, on behalf of an
// edge device further down, which a chain names, modules to be made and deleted. No document
// describes them but the sources of those two.

// maxScope is how many devices a page of a scope has at most, and how many when the request
// does not say.
const maxScope = 100

func (s *Server) listScope(r *request) (*httpsx.Answer, error) {
	return s.scope(r, r.Target.Identity.DeviceID, r.Continuation, r.MaxItems)
}

// listTargetScope is listScope for the first of a chain, of which the edge device that asks
// is the last.
func (s *Server) listTargetScope(r *request) (*httpsx.Answer, error) {
	b, target, err := s.onBehalfOf(r)
	if err != nil {
		return nil, err
	}
	return s.scope(r, target.DeviceID, b.Continuation, b.PageSize)
}

func (s *Server) scope(r *request, edge, after string, n int) (*httpsx.Answer, error) {
	if n < 1 || n > maxScope {
		n = maxScope
	}
	devices, modules, next, err := s.core.Scope(edge, after, n)
	if err != nil {
		return nil, err
	}
	doc := &httpsx.ScopeResult{Devices: docs(devices, deviceDoc), Modules: docs(modules, moduleDoc), Continuation: next}
	if next != "" && r.Op == httpsx.ListScope {
		query := url.Values{"deviceCount": {strconv.Itoa(n)}, "continuationToken": {next}, "api-version": {r.APIVersion}}
		doc.Continuation = string(r.Op.AppendPath(nil, r.Target)) + "?" + query.Encode()
	}
	return r.with(doc, "")
}

func (s *Server) getInScope(r *request) (*httpsx.Answer, error) {
	if err := r.Scope.Check(); err != nil {
		return nil, refuse(r.Op, hubwire.ArgumentInvalid, "targetDeviceId and targetModuleId are not the ids of a device or module")
	}
	if err := s.core.MayAct(r.Target.Identity.DeviceID, r.Scope, nil); err != nil {
		return nil, err
	}
	return s.one(r, r.Scope)
}

func (s *Server) getOnBehalfOf(r *request) (*httpsx.Answer, error) {
	_, target, err := s.onBehalfOf(r)
	if err != nil {
		return nil, err
	}
	return s.one(r, target)
}

// one answers with a device, or a module and its device.
func (s *Server) one(r *request, id hubwire.Identity) (*httpsx.Answer, error) {
	device, err := s.core.Device(hubwire.Identity{DeviceID: id.DeviceID})
	if err != nil {
		return nil, err
	}
	doc := &httpsx.ScopeResult{Devices: []httpsx.Device{deviceDoc(device)}}
	if id.IsModule() {
		module, err := s.core.Device(id)
		if err != nil {
			return nil, err
		}
		doc.Modules = []httpsx.Module{moduleDoc(module)}
	}
	return r.with(doc, "")
}

func (s *Server) getModuleOnBehalfOf(r *request) (*httpsx.Answer, error) {
	_, target, err := s.moduleOnBehalfOf(r)
	if err != nil {
		return nil, err
	}
	return r.withIdentity(s.core.Device(target))
}

func (s *Server) listModulesOnBehalfOf(r *request) (*httpsx.Answer, error) {
	_, target, err := s.onBehalfOf(r)
	if err != nil {
		return nil, err
	}
	ms, err := s.core.Modules(target.DeviceID)
	if err != nil {
		return nil, err
	}
	return r.with(httpsx.Modules(docs(ms, moduleDoc)), "")
}

func (s *Server) putModuleOnBehalfOf(r *request) (*httpsx.Answer, error) {
	b, target, err := s.moduleOnBehalfOf(r)
	if err != nil {
		return nil, err
	}
	if err := b.Module.Check(target); err != nil {
		return nil, err
	}
	return s.putIdentity(r, fromModule(target, b.Module))
}

func (s *Server) deleteModuleOnBehalfOf(r *request) (*httpsx.Answer, error) {
	_, target, err := s.moduleOnBehalfOf(r)
	if err != nil {
		return nil, err
	}
	if err := s.core.Delete(r.http.Context(), target, cmp.Or(r.IfMatch, "*")); err != nil {
		return nil, err
	}
	return noContent, nil
}

// onBehalfOf reads a body, and returns whom it is about: the first of its chain, or the
// target that it names. The edge device that asks is the last of the chain.
func (s *Server) onBehalfOf(r *request) (*httpsx.OnBehalfOf, hubwire.Identity, error) {
	var b httpsx.OnBehalfOf
	if err := r.decode(&b); err != nil {
		return nil, hubwire.Identity{}, err
	}
	chain := core.SplitChain(b.AuthChain)
	if chain == nil {
		return nil, hubwire.Identity{}, refuse(r.Op, hubwire.ArgumentInvalid, "authChain is empty")
	}
	first, _, _ := strings.Cut(chain[0], "/")
	id := hubwire.Identity{DeviceID: cmp.Or(b.TargetDeviceID, first), ModuleID: b.TargetModuleID}
	if err := id.Check(); err != nil {
		return nil, id, refuse(r.Op, hubwire.ArgumentInvalid, "the target is not a device or module")
	}
	return &b, id, s.core.MayAct(r.Target.Identity.DeviceID, id, chain)
}

// moduleOnBehalfOf is onBehalfOf of a module of the chain's first.
func (s *Server) moduleOnBehalfOf(r *request) (*httpsx.OnBehalfOf, hubwire.Identity, error) {
	b, id, err := s.onBehalfOf(r)
	if err != nil {
		return nil, id, err
	}
	if b.Module != nil {
		id.ModuleID = b.Module.ModuleID
	} else {
		id.ModuleID = cmp.Or(b.ModuleID, id.ModuleID)
	}
	if !id.IsModule() || id.Check() != nil {
		return nil, id, refuse(r.Op, hubwire.ArgumentInvalid, "the module is not named, or not by an id")
	}
	return b, id, nil
}
