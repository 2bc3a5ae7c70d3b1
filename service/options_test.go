package service_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
	"github.com/hubwire/hubwire/service"
)

func TestOptionsAreChecked(t *testing.T) {
	for name, tt := range map[string]struct {
		o  *service.Options
		ok bool
	}{
		"none":                     {nil, true},
		"the zero options":         {&service.Options{}, true},
		"a proxy":                  {&service.Options{Proxy: &url.URL{Scheme: "http", Host: "p:3128", User: url.UserPassword("u", "secret")}}, true},
		"a proxy without a host":   {&service.Options{Proxy: &url.URL{Scheme: "http"}}, false},
		"a proxy of another kind":  {&service.Options{Proxy: &url.URL{Scheme: "ftp", Host: "p", User: url.UserPassword("u", "secret")}}, false},
		"a port":                   {&service.Options{Port: 8443}, true},
		"no port":                  {&service.Options{Port: 65536}, false},
		"a negative port":          {&service.Options{Port: -1}, false},
		"another version":          {&service.Options{APIVersion: "2024-03-31"}, true},
		"a preview":                {&service.Options{APIVersion: "2017-11-08-preview"}, true},
		"no version":               {&service.Options{APIVersion: "latest"}, false},
		"a version with more":      {&service.Options{APIVersion: "2021-04-12-preview&x=y\r\n"}, false},
		"product info":             {&service.Options{ProductInfo: "plant/1.0 (x; y)"}, true},
		"product info that breaks": {&service.Options{ProductInfo: "a\r\nX: y"}, false},
		"too long":                 {&service.Options{ProductInfo: strings.Repeat("x", 1025)}, false},
		"tokens of no life":        {&service.Options{TokenTTL: time.Millisecond}, false},
		"no connections":           {&service.Options{MaxConns: -1}, false},
		"no time":                  {&service.Options{RequestTimeout: -1}, false},
		"no time in all":           {&service.Options{OperationTimeout: -1}, false},
		"no attempts":              {&service.Options{MaxAttempts: -1}, false},
		"a short longest wait":     {&service.Options{MaxBackoff: time.Millisecond}, true},
		"a long shortest wait":     {&service.Options{MinBackoff: time.Hour}, true},
		"waits the wrong way":      {&service.Options{MinBackoff: 2, MaxBackoff: 1}, false},
		"no time to close":         {&service.Options{CloseTimeout: -1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := service.New(connectionString, tt.o)
			if (err == nil) != tt.ok || err != nil && (!errors.Is(err, hubwire.ArgumentInvalid) || strings.Contains(err.Error(), "secret")) {
				t.Fatal(err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

const oldToken = "SharedAccessSignature sr=hub.example&sig=VxtxdkXdQfw5u5IyLBKYY92FXX7TEK26znIZ5guwzRM%3D&se=946771200&skn=service"

func TestCredentials(t *testing.T) {
	for name, tt := range map[string]struct {
		s    string
		want string // of String
		err  error
	}{
		"a policy's key":       {connectionString, "hub.example with tokens", nil},
		"a token":              {"HostName=hub.example;SharedAccessKeyName=service;SharedAccessSignature=" + oldToken, "hub.example with tokens", nil},
		"nothing":              {"", "", sas.ErrEmpty},
		"a device's":           {"HostName=hub.example;DeviceId=d;SharedAccessKey=" + policyKey, "", hubwire.ArgumentInvalid},
		"an Event Hub's":       {"Endpoint=sb://h/;SharedAccessKeyName=p;SharedAccessKey=" + policyKey + ";EntityPath=e", "", hubwire.ArgumentInvalid},
		"a key that is none":   {"HostName=hub.example;SharedAccessKeyName=service;SharedAccessKey=secret!", "", sas.ErrKeyBase64},
		"a token that is none": {"HostName=hub.example;SharedAccessKeyName=service;SharedAccessSignature=secret!", "", sas.ErrBadSignature},
	} {
		t.Run(name, func(t *testing.T) {
			cred, err := service.CredentialsFromConnectionString(tt.s)
			if !errors.Is(err, tt.err) || err != nil && (!errors.Is(err, hubwire.ArgumentInvalid) || strings.Contains(err.Error(), "secret!")) {
				t.Fatal(err)
			}
			if err == nil && cred.String() != tt.want {
				t.Errorf("%s, want %s", cred, tt.want)
			}
		})
	}
}

func TestCredentialsAreChecked(t *testing.T) {
	tokens := service.Bearer(nil)
	for name, tt := range map[string]struct {
		cred service.Credentials
		ok   bool
	}{
		"a host and tokens":     {service.Credentials{HostName: "h.example", Tokens: tokens}, true},
		"no host":               {service.Credentials{Tokens: tokens}, false},
		"a host with a port":    {service.Credentials{HostName: "h.example:443", Tokens: tokens}, false},
		"a URL":                 {service.Credentials{HostName: "https://h.example", Tokens: tokens}, false},
		"a host that is a path": {service.Credentials{HostName: "h.example/x", Tokens: tokens}, false},
		"no tokens":             {service.Credentials{HostName: "h.example"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := service.NewWithCredentials(tt.cred, nil)
			if (err == nil) != tt.ok || err != nil && !errors.Is(err, hubwire.ArgumentInvalid) {
				t.Fatal(err)
			}
			c.Close()
		})
	}
}

func TestNothingShowsASecret(t *testing.T) {
	cred, err := service.CredentialsFromConnectionString(connectionString)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Hides(t, "Credentials", policyKey, cred)
	cred, err = service.CredentialsFromConnectionString("HostName=hub.example;SharedAccessKeyName=service;SharedAccessSignature=" + oldToken)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Hides(t, "Credentials", oldToken, cred)
	withFake(t, []http.HandlerFunc{says(200, aTwin)}, func(t *testing.T, f *fake) {
		c := f.client(nil)
		if _, err := c.Twin(t.Context(), dev); err != nil {
			t.Fatal(err)
		}
		testkit.Hides(t, "Client", policyKey, c)
		testkit.Hides(t, "Client", f.came()[0].Header.Get("Authorization"), c)
	})
	entra := service.Credentials{HostName: "h", Tokens: service.Bearer(func(context.Context, string) (string, time.Time, error) {
		return "jwt", time.Now().Add(time.Hour), nil
	})}
	if got := entra.String(); got != "h with Entra ID" {
		t.Error(got)
	}
}
