package amqp10

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSASLSecretsAreNotPrinted(t *testing.T) {
	const secret = "top-secret"
	for _, v := range []any{
		SASLInit{InitialResponse: []byte(secret)}, &SASLInit{InitialResponse: []byte(secret)},
		SASLResponse{Response: []byte(secret)}, &SASLResponse{Response: []byte(secret)},
	} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if s := fmt.Sprintf(format, v); s != redacted {
				t.Errorf("%T by %s: %s", v, format, s)
			}
		}
		b, err := json.Marshal(v)
		if err != nil || strings.Contains(string(b), "ecret") || strings.Contains(string(b), "dG9w") { // base64 of "top"
			t.Errorf("%T as JSON: %s, %v", v, b, err)
		}
	}
}

func TestMechanismsKeepTheirOrder(t *testing.T) {
	for _, v := range vectors(t).Frames {
		b := v.bytes(t)
		f, _, err := SplitFrame(b, 512)
		if err != nil || v.Name != "sasl_mechanisms_single_symbol_form" {
			continue
		}
		if diff := cmp.Diff([]string{"ANONYMOUS"}, mechanisms(t, f.Body())); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	want := []string{"MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"}
	m := SASLMechanisms{ValueOf(AppendSymbolArray(nil, want...))}
	if diff := cmp.Diff(want, mechanisms(t, m.AppendTo(nil))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func mechanisms(t *testing.T, body []byte) (names []string) {
	t.Helper()
	var m SASLMechanisms
	if err := m.Parse(body); err != nil {
		t.Fatal(err)
	}
	for r := m.Mechanisms.Items(); r.More(); {
		names = append(names, string(r.Text()))
	}
	return names
}
