package service

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/hubwire/hubwire/sas"
)

// Credentials say which hub, and how to prove who asks. No verb of package fmt
// shows more than the host's name.
type Credentials struct {
	// HostName is the hub, such as "myhub.azure-devices.net", which is also the audience of the tokens.
	HostName string

	// Tokens gives what stands in the header Authorization: a shared access
	// signature ([sas.Source] makes them from the key of a policy), or "Bearer "
	// and a token of Microsoft Entra ID ([Bearer]). A token that says when it
	// expires is used until 80 % of its life are over, one that does not
	// only once. Whatever the hub answers with 401 is replaced.
	Tokens sas.TokenSource
}

// CredentialsFromConnectionString reads the connection string of a shared access policy:
//
//	HostName={hub};SharedAccessKeyName={policy};SharedAccessKey={key}
//	HostName={hub};SharedAccessKeyName={policy};SharedAccessSignature={token}
//
// The second form cannot be renewed. The error is a [*hubwire.Error] with
// [hubwire.ArgumentInvalid] that wraps one of package sas, where that found the fault.
func CredentialsFromConnectionString(s string) (Credentials, error) {
	return credentials(s, sas.DefaultTTL)
}

func credentials(s string, ttl time.Duration) (Credentials, error) {
	cs, err := sas.ParseConnectionString(s)
	if err != nil {
		return Credentials{}, badConnectionString(err)
	}
	if cs.Kind != sas.KindService {
		return Credentials{}, badConnectionString(fmt.Errorf("it is for a %v, not for a service (a shared access policy of the hub)", cs.Kind))
	}
	tokens, err := cs.Tokens(ttl)
	if err != nil {
		return Credentials{}, badConnectionString(err)
	}
	return Credentials{HostName: cs.HostName, Tokens: tokens}, nil
}

func badConnectionString(err error) error {
	e := invalid("connection string", "")
	e.Err = err
	return e
}

// EntraScope is what a token of Microsoft Entra ID for the service API is asked for with, in the
// public cloud. Source: "Control access to IoT Hub by using Microsoft Entra ID".
const EntraScope = "https://iothubs.azure.net/.default"

// Bearer is the token source of Microsoft Entra ID. get is asked for a token for
// [EntraScope] and returns it without the word "Bearer". With azidentity:
//
//	credential, err := azidentity.NewDefaultAzureCredential(nil)
//	tokens := service.Bearer(func(ctx context.Context, scope string) (string, time.Time, error) {
//		t, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
//		return t.Token, t.ExpiresOn, err
//	})
//	c, err := service.NewWithCredentials(service.Credentials{HostName: "myhub.azure-devices.net", Tokens: tokens}, nil)
//
// The identity needs a role such as "IoT Hub Data Contributor" on the hub.
func Bearer(get func(ctx context.Context, scope string) (token string, expires time.Time, err error)) sas.TokenSource {
	return bearer(get)
}

type bearer func(ctx context.Context, scope string) (string, time.Time, error)

// Token implements [sas.TokenSource]. The audience is not asked for: the scope is that of all hubs.
func (b bearer) Token(ctx context.Context, _ string) (string, time.Time, error) {
	if b == nil {
		return "", time.Time{}, invalid("token", "service.Bearer was given no function")
	}
	token, expires, err := b(ctx, EntraScope)
	if err != nil {
		return "", time.Time{}, err
	}
	return "Bearer " + token, expires, nil
}

// check reports what is missing.
func (c *Credentials) check() error {
	switch {
	case c.HostName == "":
		return invalid("new", "Credentials.HostName is empty")
	case !isHost(c.HostName):
		return invalid("new", "Credentials.HostName %q is not the name of a host, without a port (which goes into Options.Port)", c.HostName)
	case c.Tokens == nil:
		return invalid("new", "Credentials have no Tokens")
	}
	return nil
}

// isHost reports whether s can be the name of a host, without a port.
func isHost(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`:/?#@\%`, r) })
}

// String shows where, and the kind of credentials.
func (c Credentials) String() string {
	kind := "tokens"
	switch c.Tokens.(type) {
	case nil:
		kind = "nothing"
	case bearer:
		kind = "Entra ID"
	}
	return c.HostName + " with " + kind
}

// Format prints what String returns, for every verb.
func (c Credentials) Format(f fmt.State, _ rune) { io.WriteString(f, c.String()) }

// LogValue gives what String returns to package log/slog.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText gives what String returns to encoders such as encoding/json.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
