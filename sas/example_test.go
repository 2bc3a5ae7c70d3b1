package sas_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/sas"
)

func ExampleAppendToken() {
	key, err := sas.NewKey(sas.NewSecret("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="))
	if err != nil {
		fmt.Println(err)
		return
	}
	id := hubwire.Identity{DeviceID: "dev-0001"}
	b, err := sas.AppendToken(context.Background(), nil, key, sas.Audience("myhub.azure-devices.net", id), "", time.Unix(1767225600, 0))
	fmt.Println(string(b), err)
	// Output: SharedAccessSignature sr=myhub.azure-devices.net%2Fdevices%2Fdev-0001&sig=VxtxdkXdQfw5u5IyLBKYY92FXX7TEK26znIZ5guwzRM%3D&se=1767225600 <nil>
}

func ExampleAppendEncodedToken() {
	key, err := sas.NewKey(sas.NewSecret("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="))
	if err != nil {
		fmt.Println(err)
		return
	}
	b, err := sas.AppendEncodedToken(context.Background(), nil, key, "0ne00112233%2fregistrations%2fsn-007", sas.RegistrationPolicy, time.Unix(1767225600, 0))
	fmt.Println(len(b), err)
	t, err := sas.ParseToken(string(b))
	fmt.Println(t, err)
	// Output:
	// 145 <nil>
	// SharedAccessSignature sr=0ne00112233%2fregistrations%2fsn-007&sig=(secret)&se=1767225600&skn=registration <nil>
}

// module is a signer that has the key behind a door: a hardware module, a TPM, the
// workload API of IoT Edge.
type module struct{ key []byte }

func (m module) Sign(ctx context.Context, dst, data []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return dst, err
	}
	mac := hmac.New(sha256.New, m.key)
	mac.Write(data)
	return mac.Sum(dst), nil
}

func ExampleSigner() {
	tokens := &sas.Source{Signer: module{[]byte("in here")}, TTL: 10 * time.Minute}
	token, expires, err := tokens.Token(context.Background(), "myhub.azure-devices.net/devices/dev-0001")
	fmt.Println(len(token) > 100, time.Until(expires) > 9*time.Minute, err)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err = tokens.Token(ctx, "myhub.azure-devices.net/devices/dev-0001")
	fmt.Println(err)
	// Output:
	// true true <nil>
	// sas: sign: context canceled
}

func ExampleSource() {
	key, err := sas.NewKey(sas.NewSecret("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="))
	if err != nil {
		fmt.Println(err)
		return
	}
	var tokens sas.TokenSource = &sas.Source{Signer: key, Policy: "service"}
	text, expires, err := tokens.Token(context.Background(), "myhub.azure-devices.net")
	if err != nil {
		fmt.Println(err)
		return
	}
	t, err := sas.ParseToken(text)
	fmt.Println(t.Resource, t.Policy, t.Expires.Equal(expires), err)
	// Output: myhub.azure-devices.net service true <nil>
}

func ExampleAudience() {
	fmt.Println(sas.Audience("myhub.azure-devices.net", hubwire.Identity{DeviceID: "dev-0001"}))
	fmt.Println(sas.Audience("myhub.azure-devices.net", hubwire.Identity{DeviceID: "dev-0001", ModuleID: "mod"}))
	// Output:
	// myhub.azure-devices.net/devices/dev-0001
	// myhub.azure-devices.net/devices/dev-0001/modules/mod
}

func ExampleRegistrationAudience() {
	fmt.Println(sas.RegistrationAudience("0ne00112233", "sn-007"))
	// Output: 0ne00112233/registrations/sn-007
}

func ExampleAppendEscape() {
	fmt.Printf("%s\n", sas.AppendEscape(nil, "a b/Küche"))
	// Output: a%20b%2FK%C3%BCche
}

func ExampleAppendUnescape() {
	fmt.Printf("%s\n", sas.AppendUnescape(nil, "a+b%2fK%C3%BCche%_"))
	// Output: a b/Küche%_
}

func ExampleSyntaxError() {
	_, err := sas.ParseConnectionString("HostName=my hub;DeviceId=d;SharedAccessKey=c2VjcmV0")
	var syntax *sas.SyntaxError
	fmt.Println(errors.As(err, &syntax), errors.Is(err, sas.ErrBadHostName))
	fmt.Println(syntax.Part, syntax.Offset)
	fmt.Println(err)
	// Output:
	// true true
	// HostName 9
	// sas: HostName at offset 9 is not a host name
}

func ExampleToken_CheckResource() {
	t, err := sas.ParseToken("SharedAccessSignature sr=myhub.azure-devices.net%2Fdevices&sig=c2ln&se=1767225600&skn=device")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(t.CheckResource("myhub.azure-devices.net", "devices", "dev-0001"))
	fmt.Println(t.CheckResource("myhub.azure-devices.net", "twins", "dev-0001"))
	// Output:
	// <nil>
	// sas: token is for another resource
}

func ExampleToken_CheckExpiry() {
	t, err := sas.ParseToken("SharedAccessSignature sr=myhub.azure-devices.net&sig=c2ln&se=1767225600")
	if err != nil {
		fmt.Println(err)
		return
	}
	late := time.Unix(1767225600, 0).Add(4 * time.Minute)
	fmt.Println(t.CheckExpiry(late, sas.DefaultSkew))
	fmt.Println(t.CheckExpiry(late, 0))
	// Output:
	// <nil>
	// sas: token is expired
}

func ExampleConnectionString_Tokens() {
	cs, err := sas.ParseConnectionString("HostName=myhub.azure-devices.net;DeviceId=pump;SharedAccessKey=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens, err := cs.Tokens(0) // for an hour each
	if err != nil {
		fmt.Println(err)
		return
	}
	text, expires, err := tokens.Token(context.Background(), sas.Audience(cs.HostName, cs.Identity()))
	if err != nil {
		fmt.Println(err)
		return
	}
	t, err := sas.ParseToken(text)
	fmt.Println(t.Resource, time.Until(expires) > 59*time.Minute, err)
	// Output: myhub.azure-devices.net%2Fdevices%2Fpump true <nil>
}

func ExampleSecret_IsZero() {
	for _, key := range []sas.Secret{{}, sas.NewSecret("c2VjcmV0")} {
		fmt.Printf("[%v] %v\n", key, key.IsZero())
	}
	// Output:
	// [] true
	// [(secret)] false
}

func ExampleNewSecret() {
	key := sas.NewSecret("c2VjcmV0")
	fmt.Println(key, "is", key.Reveal())
	// Output: (secret) is c2VjcmV0
}
