package sas_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

func ExampleParseToken() {
	t, err := sas.ParseToken("SharedAccessSignature sr=myhub.azure-devices.net%2Fdevices&sig=c2ln&se=1767225600&skn=device")
	if err != nil {
		panic(err)
	}
	fmt.Println(t.Resource, t.Policy, t.Expires)
	fmt.Println(t)
	// Output:
	// myhub.azure-devices.net%2Fdevices device 2026-01-01 00:00:00 +0000 UTC
	// SharedAccessSignature sr=myhub.azure-devices.net%2Fdevices&sig=(secret)&se=1767225600&skn=device
}

func TestTokensThatParse(t *testing.T) {
	const ok = "SharedAccessSignature sr=h&sig=s&se=1"
	many := ok
	for c := 'A'; c < 'A'+29; c++ {
		many += "&" + string(c) + "=1"
	}
	tests := []struct {
		name, token, sr, policy string
		seconds                 int64
	}{
		{"the shortest", ok, "h", "", 1},
		{"a tab for the blank", "SharedAccessSignature\tsr=h&sig=s&se=1", "h", "", 1},
		{"a carriage return for the blank", "SharedAccessSignature\rsr=h&sig=s&se=1", "h", "", 1},
		{"a line feed for the blank", "SharedAccessSignature\nsr=h&sig=s&se=1", "h", "", 1},
		{"names in capitals, any order", "SharedAccessSignature SKN=p&SE=1&SIG=s&SR=h", "h", "p", 1},
		{"an empty skn", ok + "&skn=", "h", "", 1},
		{"a skn in escapes of both cases", ok + "&skn=a%2fb%2Fc+d", "h", "a/b/c d", 1},
		{"a skn with what is no escape", ok + "&skn=a%_%4%zz%", "h", "a%_%4%zz%", 1},
		{"an equals sign in sr", "SharedAccessSignature sr=h=i=&sig=s&se=1", "h=i=", "", 1},
		{"escapes in sr, which stay", "SharedAccessSignature sr=h%2fdevices%2Fd+%25&sig=s&se=1", "h%2fdevices%2Fd+%25", "", 1},
		{"UTF-8 and control characters in sr", "SharedAccessSignature sr=h/é\x00\x7f&sig=s&se=1", "h/é\x00\x7f", "", 1},
		{"all that base64 has in sig, as it is", "SharedAccessSignature sr=h&sig=+/=&se=1", "h", "", 1},
		{"an unknown field", ok + "&x=1", "h", "", 1},
		{"an unknown field without a name", ok + "&=1", "h", "", 1},
		{"32 fields", many, "h", "", 1},
		{"seconds with a fraction", ok + ".75", "h", "", 1},
		{"seconds with zeros before them", "SharedAccessSignature sr=h&sig=s&se=0000000000000000000000001", "h", "", 1},
		{"seconds in escapes", "SharedAccessSignature sr=h&sig=s&se=%31%37", "h", "", 17},
		{"the second 0", "SharedAccessSignature sr=h&sig=s&se=0", "h", "", 0},
		{"a second beyond 2^32", ok + "00000000000", "h", "", 100000000000},
		{"the last second of the year 9999", "SharedAccessSignature sr=h&sig=s&se=253402300799", "h", "", 253402300799},
		{"a second beyond 2^53", "SharedAccessSignature sr=h&sig=s&se=9007199254740993", "h", "", 9007199254740993},
	}
	for _, tt := range tests {
		tok, err := sas.ParseToken(tt.token)
		if err != nil || tok.Resource != tt.sr || tok.Policy != tt.policy || tok.Expires.Unix() != tt.seconds {
			t.Errorf("%s: %v (%d), %v", tt.name, tok, tok.Expires.Unix(), err)
		}
	}
}

func TestAnExpiryBeyondAllTimesIsNeverReached(t *testing.T) {
	for _, se := range []string{"9223372036854775807", "9223372036854775808", strings.Repeat("9", 4000) + ".5"} {
		tok, err := sas.ParseToken("SharedAccessSignature sr=h&sig=s&se=" + se)
		if err != nil {
			t.Errorf("%.30s: %v", se, err)
			continue
		}
		for _, now := range []time.Time{time.Unix(0, 0), time.Unix(253402300799, 0), time.Unix(1<<62, 0)} {
			if err := tok.CheckExpiry(now, sas.DefaultSkew); err != nil {
				t.Errorf("%.30s: %v at %v", se, err, now)
			}
		}
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	const ok = "SharedAccessSignature sr=h&sig=s&se=1"
	many := ok
	for c := 'A'; c < 'A'+30; c++ {
		many += "&" + string(c) + "=1"
	}
	tests := []struct {
		name, token, part string
		offset, limit     int
		err               error
	}{
		{"nothing", "", "token", 0, 0, sas.ErrMalformed},
		{"the scheme alone", "SharedAccessSignature", "token", 21, 0, sas.ErrMalformed},
		{"the scheme and a blank", "SharedAccessSignature ", "token", 22, 0, sas.ErrMalformed},
		{"the scheme in lower case", "sharedaccesssignature sr=h&sig=s&se=1", "token", 0, 0, sas.ErrMalformed},
		{"a longer scheme", "SharedAccessSignatures sr=h&sig=s&se=1", "token", 21, 0, sas.ErrMalformed},
		{"white space that is none", "SharedAccessSignature\u00a0sr=h&sig=s&se=1", "token", 21, 0, sas.ErrMalformed},
		{"a blank before", " " + ok, "token", 0, 0, sas.ErrMalformed},
		{"two blanks", "SharedAccessSignature  sr=h&sig=s&se=1", "token", 22, 0, sas.ErrMalformed},
		{"a blank at the end", ok + " ", "token", 37, 0, sas.ErrMalformed},
		{"a line feed within", "SharedAccessSignature sr=h\n&sig=s&se=1", "token", 26, 0, sas.ErrMalformed},
		{"a field without a value", ok + "&skn", "token", 38, 0, sas.ErrMalformed},
		{"an empty field", "SharedAccessSignature sr=h&&sig=s&se=1", "token", 27, 0, sas.ErrMalformed},
		{"an empty field at the end", ok + "&", "token", 38, 0, sas.ErrMalformed},
		{"no sr", "SharedAccessSignature sig=s&se=1", "sr", 32, 0, sas.ErrMissingSR},
		{"an empty sr", "SharedAccessSignature sr=&sig=s&se=1", "sr", 36, 0, sas.ErrMissingSR},
		{"no sig", "SharedAccessSignature sr=h&se=1", "sig", 31, 0, sas.ErrMissingSig},
		{"an empty sig", "SharedAccessSignature sr=h&sig=&se=1", "sig", 36, 0, sas.ErrMissingSig},
		{"no se", "SharedAccessSignature sr=h&sig=s", "se", 32, 0, sas.ErrMissingSE},
		{"an empty se", "SharedAccessSignature sr=h&sig=s&se=", "se", 36, 0, sas.ErrMissingSE},
		{"nothing but unknown fields", "SharedAccessSignature a=1&b=2", "sr", 29, 0, sas.ErrMissingSR},
		{"a name with a blank in an escape", "SharedAccessSignature sr%20=h&sig=s&se=1", "sr", 40, 0, sas.ErrMissingSR},
		{"a Kelvin sign for the k of skn is unknown, twice", ok + "&s\u212an=a&s\u212an=b", "field", 46, 0, sas.ErrDuplicateField},
		{"sr twice", ok + "&sr=h", "field", 38, 0, sas.ErrDuplicateField},
		{"sr twice, of different case", ok + "&Sr=h", "field", 38, 0, sas.ErrDuplicateField},
		{"an empty skn twice", ok + "&skn=&skn=", "field", 43, 0, sas.ErrDuplicateField},
		{"an unknown field twice, of different case", ok + "&xY=1&z=&Xy=1", "field", 46, 0, sas.ErrDuplicateField},
		{"33 fields", many, "token", 154, 32, sas.ErrTooManyFields},
		{"seconds below 0", "SharedAccessSignature sr=h&sig=s&se=-1", "se", 33, 0, sas.ErrBadSE},
		{"seconds with a sign", "SharedAccessSignature sr=h&sig=s&se=%2B1", "se", 33, 0, sas.ErrBadSE},
		{"seconds with an exponent", ok + "e9", "se", 33, 0, sas.ErrBadSE},
		{"seconds in hex", "SharedAccessSignature sr=h&sig=s&se=0x1", "se", 33, 0, sas.ErrBadSE},
		{"seconds with a blank", ok + "+", "se", 33, 0, sas.ErrBadSE},
		{"a fraction without digits", ok + ".", "se", 33, 0, sas.ErrBadSE},
		{"a fraction without seconds", "SharedAccessSignature sr=h&sig=s&se=.5", "se", 33, 0, sas.ErrBadSE},
		{"two fractions", ok + ".2.3", "se", 33, 0, sas.ErrBadSE},
		{"digits of another script", "SharedAccessSignature sr=h&sig=s&se=١", "se", 33, 0, sas.ErrBadSE},
		{"a byte too many", ok + strings.Repeat("0", sas.MaxToken+1-len(ok)), "token", sas.MaxToken, sas.MaxToken, sas.ErrTooLong},
	}
	for _, tt := range tests {
		tok, err := sas.ParseToken(tt.token)
		want := sas.SyntaxError{Part: tt.part, Offset: tt.offset, Limit: tt.limit, Err: tt.err}
		var got *sas.SyntaxError
		if !errors.As(err, &got) || *got != want || !errors.Is(err, tt.err) || tok.Resource != "" {
			t.Errorf("%s: %v, %v, want %v", tt.name, tok, err, &want)
		}
	}
	if _, err := sas.ParseToken(ok + strings.Repeat("0", sas.MaxToken-len(ok))); err != nil {
		t.Errorf("a token of MaxToken bytes: %v", err)
	}
}

func TestErrorsSayWhereAndTheLimit(t *testing.T) {
	_, err := sas.ParseToken("SharedAccessSignature sr=h&sig=s&se=x")
	if got, want := err.Error(), "sas: se at offset 33 is not a number of seconds"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	_, err = sas.ParseToken(strings.Repeat("x", sas.MaxToken+1))
	if got, want := err.Error(), "sas: token at offset 8192 has too many bytes, the limit is 8192"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestParsingAndCheckingAllocateNothing(t *testing.T) {
	k := newKey(t, key, "base64", false)
	now := expires.Add(-time.Hour)
	testkit.NoAllocs(t, "a good token", func() {
		tok, err := sas.ParseToken(token)
		if err != nil || tok.CheckExpiry(now, sas.DefaultSkew) != nil {
			t.Fatal(tok, err)
		}
		if by, err := tok.SignedBy(nil, k); by != 1 || err != nil {
			t.Fatal(by, err)
		}
		if err := tok.CheckResource("myhub.azure-devices.net", "devices", "dev-0001"); err != nil {
			t.Fatal(err)
		}
	})
	for name, s := range refusedTokens {
		testkit.NoAllocs(t, name, func() {
			if _, err := sas.ParseToken(s); err == nil {
				t.Fatal("not refused")
			}
		})
	}
}
