package core

import (
	"strings"
	"sync"

	"github.com/hubwire/hubwire/sas"
)

// maxVerified is how many tokens a generation of [verified] holds.
const maxVerified = 4096

// maxVerifiedToken is the longest token that is remembered, in bytes.
const maxVerifiedToken = 1 << 10

// verified remembers which key signed which token, so that a token that is shown
// again, as over HTTPS with each request, costs no MAC. That a key made a signature
// stays true for ever, so nothing here has to be forgotten: whether the key is still
// one of the identity's, whether the token has expired and what it is for is
// looked at each time. Only tokens with a right signature come in, in two
// generations of a bounded number, of which the older one goes.
type verified struct {
	mu         sync.Mutex
	young, old map[string]sas.Secret // by the token's text
}

// signer returns the key that signed a token, if that is remembered.
func (v *verified) signer(token string) (sas.Secret, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	key, ok := v.young[token]
	if ok {
		return key, true
	}
	if key, ok = v.old[token]; ok {
		v.addLocked(token, key)
	}
	return key, ok
}

// add remembers who signed a token. It keeps nothing of the text.
func (v *verified) add(token string, key sas.Secret) {
	if len(token) > maxVerifiedToken {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.addLocked(strings.Clone(token), key)
}

func (v *verified) addLocked(token string, key sas.Secret) {
	if len(v.young) >= maxVerified {
		v.young, v.old = nil, v.young
	}
	if v.young == nil {
		v.young = map[string]sas.Secret{}
	}
	v.young[token] = key
}
