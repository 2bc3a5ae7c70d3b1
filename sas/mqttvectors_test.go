package sas_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire"
	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

// recorder is a [sas.Signer] whose MAC comes from elsewhere, as that of a hardware
// module does. It keeps what it was asked to sign.
type recorder struct {
	mac    []byte
	signed string
}

func (r *recorder) Sign(_ context.Context, dst, data []byte) ([]byte, error) {
	r.signed = string(data)
	return append(dst, r.mac...), nil
}

type passwordVector struct {
	Name, Kind string
	Input      struct {
		HostName     string
		Device       string `json:"device_id"`
		Module       string `json:"module_id"`
		Scope        string `json:"id_scope"`
		Registration string `json:"registration_id"`
		Signature    string `json:"signature_b64"`
		Policy       string `json:"key_name"`
		Expiry       int64
	}
	ToSign   string `json:"string_to_sign"`
	Password string
}

// make gives the token of the vector and what its signer was asked to sign.
func (v *passwordVector) make(t *testing.T) (token, signed string) {
	t.Helper()
	in, expires := &v.Input, time.Unix(v.Input.Expiry, 0)
	mac, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(in.Signature, "="))
	if err != nil {
		t.Fatal(err)
	}
	if len(mac) == 0 {
		mac = make([]byte, 32)
	}
	s := &recorder{mac: mac}
	var b []byte
	if in.Scope == "" {
		id := hubwire.Identity{DeviceID: in.Device, ModuleID: in.Module}
		b, err = sas.AppendToken(t.Context(), nil, s, sas.Audience(in.HostName, id), in.Policy, expires)
	} else {
		// The embedded C SDK writes separators of DPS in lower case, ids in upper case.
		sr := strings.ReplaceAll(sas.RegistrationAudience(encoders["rfc3986-upper"](in.Scope), encoders["rfc3986-upper"](in.Registration)), "/", "%2f")
		b, err = sas.AppendEncodedToken(t.Context(), nil, s, sr, in.Policy, expires)
	}
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	return string(b), s.signed
}

func TestVectorsOfMQTTPasswords(t *testing.T) {
	var file struct{ Vectors []passwordVector }
	if err := json.Unmarshal(testkit.Vectors(t, "mqtt-topics.json"), &file); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, v := range file.Vectors {
		switch v.Kind {
		case "sas.string_to_sign":
			if _, got := v.make(t); got != v.ToSign {
				t.Errorf("%s: signed %q, want %q", v.Name, got, v.ToSign)
			}
		case "sas.password":
			got, _ := v.make(t)
			if !strings.HasSuffix(v.Input.Signature, "=") { // those of the C tests lack the padding
				got = strings.Replace(got, "%3D&se=", "&se=", 1)
			}
			if got != v.Password {
				t.Errorf("%s:\n got %s\nwant %s", v.Name, got, v.Password)
			}
			if tok, err := sas.ParseToken(v.Password); err != nil || tok.Policy != v.Input.Policy || tok.Expires.Unix() != v.Input.Expiry {
				t.Errorf("%s: %v, %v", v.Name, tok, err)
			}
		default:
			continue
		}
		ran++
	}
	if ran == 0 {
		t.Error("there are no vectors of tokens: the test would pass for nothing")
	}
}

func TestATokenOfAnEncodedResourceIsTakenAsItIs(t *testing.T) {
	k := newKey(t, key, "base64", false)
	same, err := sas.AppendEncodedToken(t.Context(), []byte("x"), k, string(sas.AppendEscape(nil, audience)), "", expires)
	if err != nil || !bytes.Equal(same, []byte("x"+token)) {
		t.Errorf("%s, %v", same, err)
	}
	for _, sr := range []string{"h/devices/d", "h%2fdevices%2Fd", "h=é+%"} {
		b, err := sas.AppendEncodedToken(t.Context(), nil, k, sr, "a policy", expires)
		if err != nil {
			t.Errorf("%s: %v", sr, err)
			continue
		}
		tok, err := sas.ParseToken(string(b))
		if err != nil || tok.Resource != sr || tok.Policy != "a policy" {
			t.Errorf("%s: %v, %v", sr, tok, err)
		}
		if by, err := tok.SignedBy(k, nil); by != 0 || err != nil {
			t.Errorf("%s: SignedBy = %d, %v", sr, by, err)
		}
	}
}
