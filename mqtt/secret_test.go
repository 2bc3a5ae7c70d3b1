package mqtt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestThePasswordOfAConnectDoesNotShow(t *testing.T) {
	const password = "hunter2-SharedAccessSignature"
	c := Connect{ClientID: []byte("d1"), UserName: []byte("u"), Password: Secret(password)}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&out, verb+"\n", c)
		fmt.Fprintf(&out, verb+"\n", &c)
		fmt.Fprintf(&out, verb+"\n", c.Password)
	}
	fmt.Fprintln(&out, c.Password.String())
	for _, v := range []any{c, &c, c.Password} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
		slog.New(slog.NewTextHandler(&out, nil)).Info("connect", "packet", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("connect", "packet", v)
	}
	if !strings.Contains(out.String(), redacted) {
		t.Error("the output does not even say that something is hidden")
	}
	for name, form := range map[string]string{
		"plain": password, "hex": fmt.Sprintf("%x", password), "upper-case hex": fmt.Sprintf("%X", password),
		"numbers": strings.Trim(fmt.Sprint([]byte(password)), "[]"), "base64": strings.Trim(mustJSON(t, []byte(password)), `"`),
	} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the password shows, %s:\n%s", name, out.String())
		}
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestATraceShowsNoSecret(t *testing.T) {
	c := Connect{ClientID: []byte("d1"), UserName: []byte("the-user"), Password: Secret("the-password")}
	whole := c.AppendTo(nil)
	broken := bytes.Clone(whole)
	broken[9] |= connectReserved
	truncated := bytes.Clone(whole[:len(whole)-3])
	truncated[1] -= 3
	for name, p := range map[string]Packet{
		"a good one": whole, "one with a reserved flag": broken, "one that is cut": truncated,
		"one with no length": whole[:1], "one with a wrong length": whole[:len(whole)-3],
	} {
		before := bytes.Clone(p)
		shown := withoutSecrets(p)
		if bytes.Contains(shown, []byte("the-")) {
			t.Errorf("%s shows %q", name, shown)
		}
		if !bytes.Equal(p, before) {
			t.Errorf("%s was changed by looking at it", name)
		}
		if len(shown) != len(p) || shown.Type() != TypeConnect {
			t.Errorf("%s: the trace shows %x", name, []byte(shown))
		}
	}
	masked, err := ParseConnect(withoutSecrets(whole))
	if err != nil || string(masked.ClientID) != "d1" || string(masked.UserName) != "********" {
		t.Errorf("the rest of a good one does not show: %v, %v", masked, err)
	}
}
