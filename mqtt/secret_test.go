package mqtt

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/hubwire/hubwire/internal/testkit"
)

func TestNothingShowsAPassword(t *testing.T) {
	const password = "hunter2-SharedAccessSignature"
	c := Connect{ClientID: []byte("d1"), UserName: []byte("u"), Password: NewSecret([]byte(password))}
	testkit.Hides(t, "a Secret", password, c.Password)
	testkit.Hides(t, "a Connect", password, c)
	testkit.Hides(t, "a Login", password, Login{ClientID: "d1", UserName: "u", Password: c.Password})
	parsed, err := ParseConnect(c.AppendTo(nil))
	if err != nil {
		t.Fatal(err)
	}
	testkit.Hides(t, "a parsed Connect", password, parsed)
	if got := fmt.Sprintf("%v %v %x", c.Password, c, struct{ Password Secret }{c.Password}); strings.Count(got, redacted) != 3 {
		t.Errorf("not everything says that something is hidden: %s", got)
	}
}

func TestSecretsTellNoneFromEmpty(t *testing.T) {
	none, empty, word := Secret{}, NewSecret([]byte{}), NewSecret([]byte("pw"))
	if !none.IsZero() || !NewSecret(nil).IsZero() || empty.IsZero() || word.IsZero() {
		t.Error("IsZero is not true of no password, or not of nothing else")
	}
	if none.Reveal() != nil || empty.Reveal() == nil || string(word.Reveal()) != "pw" {
		t.Errorf("revealed: %v, %v, %q", none.Reveal(), empty.Reveal(), word.Reveal())
	}
	all := []Secret{none, empty, word, NewSecret([]byte("pW")), NewSecret([]byte("pw2"))}
	for i, a := range all {
		for j, b := range all {
			if a.Equal(NewSecret(b.Reveal())) != (i == j) {
				t.Errorf("%q equal to %q: %v", a.Reveal(), b.Reveal(), i != j)
			}
		}
	}
}

func TestATraceShowsNoSecret(t *testing.T) {
	c := Connect{ClientID: []byte("d1"), UserName: []byte("the-user"), Password: NewSecret([]byte("the-password"))}
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
