package core

import (
	"strings"

	"github.com/hubwire/hubwire/sas"
)

// pass is a token that a device or module was let in with for a request, and what it was granted. Over
// HTTPS the next request shows the same again, and is let in without another reading of it, if all still
// holds that can change: see stillValid. What the token is for cannot.
type pass struct {
	token sas.Secret
	grant *Grant
}

// passed returns what l was granted for its last request, or nil.
func (c *Core) passed(l *Login) *Grant {
	if l.Token.IsZero() || len(l.Chain) > 1 {
		return nil
	}
	e, err := c.lock("request", l.Identity)
	if err != nil {
		return nil
	}
	defer e.unlock()
	if e.pass == nil || !e.pass.token.Equal(l.Token) || c.stillValid(e, e.pass.grant) != nil {
		return nil
	}
	return e.pass.grant
}

// keepPass remembers what l was granted. It keeps nothing of l's text.
func (c *Core) keepPass(l *Login, g *Grant) {
	text := l.Token.Reveal()
	if text == "" || len(text) > maxVerifiedToken || len(l.Chain) > 1 {
		return
	}
	e, err := c.lock("request", l.Identity)
	if err != nil {
		return
	}
	defer e.unlock()
	if g.generation == e.dev.GenerationID {
		g.stamp = c.newStamp(e, g, "")
		e.pass = &pass{sas.NewSecret(strings.Clone(text)), g}
	}
}
