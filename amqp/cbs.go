package amqp

import (
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

// The words of claims-based security.
const (
	PutTokenOperation = "put-token"
	SASTokenType      = "servicebus.windows.net:sastoken" // most SDKs
	SASTokenTypeNET   = "azure-devices.net:sastoken"      // .NET
	nameOperation     = "operation"
	nameType          = "type"
	nameName          = "name"
	nameExpiration    = "expiration"
)

// PutToken is the request by which a client shows a token, over its link to [CBS].
type PutToken struct {
	ID      Value  // message-id: of any type, for the answer to have it as it is; may be null
	To      string // "$cbs", or empty
	ReplyTo string // not relied on: the answer goes to the link from $cbs on the same connection

	Type       string     // such as [SASTokenType]; who sends a bearer's token may say so or not
	Name       string     // the audience, as the client has it; the token's own counts
	Token      sas.Secret // "SharedAccessSignature sr=..." or "Bearer ..."
	Expiration time.Time  // zero when it is not said; the token's own counts
}

// AppendPutToken appends the message of p, whose body is the token, a string. A nil p is the
// zero PutToken.
//
// Source: spec/amqp.md 3.1.
func AppendPutToken(dst []byte, p *PutToken) []byte {
	p = orZero(p)
	var room [4]Pair
	pairs := append(room[:0],
		Pair{nameOperation, String(PutTokenOperation)}, Pair{nameType, String(p.Type)}, Pair{nameName, String(p.Name)})
	if !p.Expiration.IsZero() {
		pairs = append(pairs, Pair{nameExpiration, Timestamp(p.Expiration)})
	}
	return AppendMessage(dst, &Draft{
		Properties:            Properties{MessageID: Echo(p.ID), To: p.To, ReplyTo: p.ReplyTo},
		ApplicationProperties: pairs,
		Body:                  ValueBody,
		Value:                 String(p.Token.Reveal()),
	})
}

// ParsePutToken returns the request that m is. ID is a view; the rest is not. The type is
// not looked at, nor is the token. The error is a [*hubwire.Error] with code
// [hubwire.ArgumentInvalid], and the request then has its ID at least, so that it can be
// answered: another operation, no audience, or no token.
func ParsePutToken(m *Message) (PutToken, error) {
	const op = "put-token"
	a := m.ApplicationProperties()
	p := PutToken{
		ID: m.MessageID(), To: string(m.To()), ReplyTo: string(m.ReplyTo()),
		Type: string(a.text(nameType)), Name: string(a.text(nameName)), Expiration: a.time(nameExpiration),
	}
	token, ok := m.Value().Text()
	p.Token = sas.NewSecret(string(token))
	switch name := a.text(nameOperation); {
	case string(name) != PutTokenOperation:
		return p, refused(op, hubwire.ArgumentInvalid, "there is no operation %.100q", name)
	case p.Name == "":
		return p, refused(op, hubwire.ArgumentInvalid, "the request has no name, which is the audience")
	case !ok || len(token) == 0:
		return p, refused(op, hubwire.ArgumentInvalid, "the body of the request is no token")
	}
	return p, nil
}
