package sas_test

import (
	"testing"

	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

func TestNothingPanicsWhereItsArgumentsAreLeftOut(t *testing.T) {
	testkit.Zeros(t, map[string]any{
		"AppendEncodedToken":    sas.AppendEncodedToken,
		"AppendEscape":          sas.AppendEscape[string],
		"AppendToken":           sas.AppendToken,
		"AppendUnescape":        sas.AppendUnescape[string],
		"Audience":              sas.Audience,
		"DeriveKey":             sas.DeriveKey,
		"NewKey":                sas.NewKey,
		"NewSecret":             sas.NewSecret,
		"NewTextKey":            sas.NewTextKey,
		"ParseConnectionString": sas.ParseConnectionString,
		"ParseToken":            sas.ParseToken,
		"RegistrationAudience":  sas.RegistrationAudience,
	}, sas.ConnectionString{}, &sas.Key{}, sas.Kind(0), sas.Secret{}, &sas.Source{}, &sas.SyntaxError{}, &sas.Token{})
}
