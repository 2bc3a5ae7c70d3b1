package main

import (
	"testing"

	"github.com/hubwire/hubwire/examples/internal/sitetest"
)

func Test(t *testing.T) {
	sitetest.Test(t, play, `created: t9f-key, enabled, authenticates by sas, Disconnected
created: t9f-thumbprint, enabled, authenticates by selfSigned, Disconnected
created: t9f-ca, enabled, authenticates by certificateAuthority, Disconnected
t9f-key is not created again
t9f-key has the key that it was given: true
updated: t9f-key, disabled, authenticates by sas, Disconnected
t9f-key has another key: true
a change under the old ETag is refused
listed: t9f-ca, enabled, authenticates by certificateAuthority, Disconnected
listed: t9f-key, disabled, authenticates by sas, Disconnected
listed: t9f-thumbprint, enabled, authenticates by selfSigned, Disconnected
the hub has 3 devices, 2 enabled, 1 disabled
created the module t9f-key/thermometer, with keys that the hub made: true
listed: the module t9f-key/thermometer, managed by somebody
deleted the module
deleted t9f-key
deleted t9f-thumbprint
deleted t9f-ca
`)
}
