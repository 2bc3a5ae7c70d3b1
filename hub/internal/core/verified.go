package core

import (
	"strings"
	"sync"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// maxVerified is how many tokens a generation of [verified] holds.
const maxVerified = 4096

// maxVerifiedToken is the longest token that is remembered, in bytes.
const maxVerifiedToken = 1 << 10

// verified remembers tokens, so that one that is shown again, as over HTTPS with each
// request, costs no MAC. What it remembers of a token stays true for ever, so nothing
// has to be forgotten: whether the key is still one of the identity's and whether
// the token has expired is looked at each time. Only tokens with a right signature come in,
// in two generations of a bounded number, of which the older one goes.
type verified struct {
	mu         sync.Mutex
	young, old map[string]*knownToken // by the token's text
}

// knownToken is what stays true of a token. It is never changed.
type knownToken struct {
	sas.Token
	key sas.Secret       // that signed it
	id  hubwire.Identity // that its resource covers; zero when that is not known
}

// known returns what is remembered of a token, or nil.
func (v *verified) known(token string) *knownToken {
	v.mu.Lock()
	defer v.mu.Unlock()
	if k := v.young[token]; k != nil {
		return k
	}
	k := v.old[token]
	if k != nil {
		v.addLocked(token, k)
	}
	return k
}

// add remembers a token. It keeps nothing of the text.
func (v *verified) add(token string, key sas.Secret, id hubwire.Identity) {
	if len(token) > maxVerifiedToken {
		return
	}
	token = strings.Clone(token)
	t, err := sas.ParseToken(token)
	if err != nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.addLocked(token, &knownToken{t, key, id})
}

func (v *verified) addLocked(token string, k *knownToken) {
	if len(v.young) >= maxVerified {
		v.young, v.old = nil, v.young
	}
	if v.young == nil {
		v.young = map[string]*knownToken{}
	}
	v.young[token] = k
}
