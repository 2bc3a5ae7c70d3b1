package fuzz

import (
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubwire/hubwire/sas"
)

const sasToken = "SharedAccessSignature sr=myhub.azure-devices.net%2Fdevices%2Fdev-0001&sig=VxtxdkXdQfw5u5IyLBKYY92FXX7TEK26znIZ5guwzRM%3D&se=1767225600"

var escapeOrPlus = regexp.MustCompile(`%[0-9A-Fa-f]{2}|\+`)

// slowUnescape is sas.AppendUnescape, as its documentation has it.
func slowUnescape(s string) string {
	return escapeOrPlus.ReplaceAllStringFunc(s, func(e string) string {
		if e == "+" {
			return " "
		}
		c, _ := strconv.ParseUint(e[1:], 16, 8) // the expression lets nothing else through
		return string([]byte{byte(c)})
	})
}

func FuzzSASEscape(f *testing.F) {
	f.Add("a b+%_/é\x00")
	f.Add("myhub.azure-devices.net/devices/dev-0001")
	f.Add("~_{|}`@[^?\x7f\x80\xff:;<=>,-./0189")
	f.Add("%41%4%zz%%2B%2b+%")
	f.Fuzz(func(t *testing.T, s string) {
		want := strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
		spare := []byte("before" + strings.Repeat("x", len(want)) + "behind")
		for name, dst := range map[string][]byte{"no room": []byte("before"), "room": spare[:len("before")], "more room": make([]byte, 0, 4*len(s)+16)} {
			before := string(dst)
			if got := string(sas.AppendEscape(dst, s)); got != before+want {
				t.Fatalf("%s: AppendEscape(%q) = %q, want %q", name, s, got, before+want)
			}
		}
		if got := string(spare[len(spare)-len("behind"):]); got != "behind" {
			t.Fatalf("AppendEscape(%q) wrote behind its result: %q", s, got)
		}
		if got := string(sas.AppendUnescape(nil, want)); got != s {
			t.Fatalf("%q -> %q -> %q", s, want, got)
		}
		b := []byte(s)
		if got, want := string(sas.AppendUnescape(b[:0], b)), slowUnescape(s); got != want {
			t.Fatalf("AppendUnescape(%q) = %q, want %q", s, got, want)
		}
	})
}

var seconds = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

// slowToken reads a token with a map and regular expressions.
func slowToken(s string) (sr, skn string, err error) {
	fields := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" \t\r\n", r) })
	if len(fields) != 2 || fields[0] != "SharedAccessSignature" || len(s) != len(fields[0])+1+len(fields[1]) {
		return "", "", sas.ErrMalformed
	}
	values := map[string]string{}
	for _, field := range strings.Split(fields[1], "&") {
		name, value, ok := strings.Cut(field, "=")
		if !ok {
			return "", "", sas.ErrMalformed
		}
		name = asciiLower(name)
		if len(values) == 32 {
			return "", "", sas.ErrTooManyFields
		}
		if _, twice := values[name]; twice {
			return "", "", sas.ErrDuplicateField
		}
		values[name] = value
	}
	switch {
	case values["sr"] == "":
		return "", "", sas.ErrMissingSR
	case values["sig"] == "":
		return "", "", sas.ErrMissingSig
	case values["se"] == "":
		return "", "", sas.ErrMissingSE
	case !seconds.MatchString(slowUnescape(values["se"])):
		return "", "", sas.ErrBadSE
	}
	return values["sr"], slowUnescape(values["skn"]), nil
}

func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return string(b)
}

// cause is what a syntax error of package sas wraps; of two, the outer one.
func cause(err error) error {
	var e *sas.SyntaxError
	if !errors.As(err, &e) {
		return err
	}
	if errors.Is(e, sas.ErrBadSignature) {
		return sas.ErrBadSignature
	}
	return e.Err
}

func FuzzSASToken(f *testing.F) {
	f.Add(sasToken)
	f.Add("SharedAccessSignature\tse=1.5&SR=%2&sig=+/=&skn=")
	f.Add("SharedAccessSignature sr=h&sig=s&se=1&x=1&X=2&skn=a%2Fb+c")
	f.Add("SharedAccessSignature sr=h&sig=s&se=99999999999999999999")
	key, err := sas.NewTextKey(sas.NewSecret("key"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > sas.MaxToken {
			return
		}
		tok, err := sas.ParseToken(s)
		sr, skn, slowErr := slowToken(s)
		if cause(err) != slowErr || tok.Resource != sr || tok.Policy != skn {
			t.Fatalf("%q: %v, %v; the slow way %q, %q, %v", s, tok, err, sr, skn, slowErr)
		}
		if err != nil {
			var e *sas.SyntaxError
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(s) {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if _, err := tok.SignedBy(key, nil); err == nil {
			t.Fatalf("%q is signed", s)
		}
		if tok.Expires.Unix() < 0 || tok.CheckResource() == nil {
			t.Fatalf("%q: %v", s, tok)
		}
		_ = tok.CheckResource("hub", "devices", "d") // whatever it says: it must not panic
	})
}

func FuzzSASAppendToken(f *testing.F) {
	f.Add("myhub.azure-devices.net/devices/dev-0001", "", int64(1767225600), "key")
	f.Add("h/devices/a b+c%41/é\x00", "my policy&=", int64(1)<<53+1, "\x00")
	f.Fuzz(func(t *testing.T, resource, policy string, expires int64, text string) {
		key, err := sas.NewTextKey(sas.NewSecret(text))
		if err != nil {
			return
		}
		at := time.Unix(expires, 0)
		b, err := sas.AppendToken(t.Context(), []byte("before"), key, resource, policy, at)
		if err != nil {
			if string(b) != "before" || resource != "" && at.Unix() >= 0 && len(resource)+len(policy) < sas.MaxToken/4 {
				t.Fatalf("%q, %q, %d: %q, %v", resource, policy, expires, b, err)
			}
			return
		}
		tok, err := sas.ParseToken(strings.TrimPrefix(string(b), "before"))
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if got := string(sas.AppendUnescape(nil, tok.Resource)); got != resource || tok.Policy != policy {
			t.Fatalf("%q -> %q, %q -> %q", resource, got, policy, tok.Policy)
		}
		if tok.Expires.Unix() != at.Unix() && at.Unix() < 1<<62 {
			t.Fatalf("expires %d, not %d", tok.Expires.Unix(), at.Unix())
		}
		if by, err := tok.SignedBy(nil, key); by != 1 || err != nil {
			t.Fatalf("%q: SignedBy = %d, %v", b, by, err)
		}
		if err := tok.CheckResource(strings.Split(resource, "/")...); err != nil && !strings.Contains(resource, "api-version=") {
			t.Fatalf("%q: %v", resource, err)
		}
	})
}

// pairStart is where a pair of a connection string begins, as the reference has it.
var (
	pairStart = regexp.MustCompile(`(?:^|;)([^;=]*)=`)
	hostName  = regexp.MustCompile(`^[A-Za-z0-9_.\-]+(:[0-9]+)?$`)
)

// slowConnectionString gives the values by lower-case name.
func slowConnectionString(s string) (map[string]string, error) {
	s = strings.Trim(strings.Trim(s, " \t\r\n"), ";")
	if s == "" {
		return nil, sas.ErrEmpty
	}
	starts := pairStart.FindAllStringSubmatchIndex(s, -1)
	if len(starts) == 0 || starts[0][0] != 0 {
		return nil, sas.ErrNotPairs
	}
	values := map[string]string{}
	for i, at := range starts {
		end := len(s)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		name := asciiLower(s[at[2]:at[3]])
		if _, twice := values[name]; twice {
			return nil, sas.ErrDuplicateKey
		}
		values[name] = strings.TrimRight(s[at[1]:end], ";")
	}
	return values, slowCheck(values)
}

func slowCheck(v map[string]string) error {
	is := func(name string) bool { return strings.EqualFold(v[name], "true") }
	n := 0
	for _, has := range []bool{v["sharedaccesskey"] != "", v["sharedaccesssignature"] != "", is("x509") || is("x509cert"), is("useprovisioning")} {
		if has {
			n++
		}
	}
	_, _, tokenErr := slowToken(v["sharedaccesssignature"])
	switch {
	case strings.HasPrefix(v["endpoint"], "sb://"):
		return nil
	case v["endpoint"] != "":
		return sas.ErrEndpointScheme
	case v["hostname"] == "":
		return sas.ErrMissingHostName
	case !hostName.MatchString(v["hostname"]):
		return sas.ErrBadHostName
	case v["deviceid"] == "" && (v["sharedaccesskeyname"] == "" || v["moduleid"] != ""):
		return sas.ErrIncomplete
	case n > 1:
		return sas.ErrMixedCredentials
	case n == 0:
		return sas.ErrMissingCredentials
	case v["sharedaccesssignature"] != "" && tokenErr != nil:
		return sas.ErrBadSignature
	}
	return nil
}

func FuzzSASConnectionString(f *testing.F) {
	f.Add("HostName=h;DeviceId=d;SharedAccessKey=k;=")
	f.Add(" ;;HOSTNAME=h:1;ModuleId=m;DeviceId=d;;x509=TRUE;; \n")
	f.Add("HostName=h;SharedAccessKeyName=p;SharedAccessSignature=" + sasToken)
	f.Add("Endpoint=sb://h/;SharedAccessKeyName=p;SharedAccessKey=k;EntityPath=e")
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > sas.MaxToken {
			return
		}
		c, err := sas.ParseConnectionString(s)
		values, slowErr := slowConnectionString(s)
		if cause(err) != slowErr {
			t.Fatalf("%q: %v; the slow way %v", s, err, slowErr)
		}
		if err != nil {
			return
		}
		for name, got := range map[string]string{
			"hostname": c.HostName, "deviceid": c.DeviceID, "moduleid": c.ModuleID, "gatewayhostname": c.GatewayHostName,
			"sharedaccesskeyname": c.SharedAccessKeyName, "sharedaccesskey": c.SharedAccessKey.Reveal(),
			"sharedaccesssignature": c.SharedAccessSignature.Reveal(), "endpoint": c.Endpoint, "entitypath": c.EntityPath,
		} {
			if got != values[name] {
				t.Fatalf("%q: %s is %q, the slow way %q", s, name, got, values[name])
			}
		}
		text := string(c.AppendTo(nil))
		if strings.TrimRight(text, " \t\r\n") != text {
			return // the blank at the end of the last value is what AppendTo can't keep
		}
		again, err := sas.ParseConnectionString(text)
		if err != nil || !cmp.Equal(c, again) {
			t.Fatalf("%q -> %q: %v %s", s, text, err, cmp.Diff(c, again))
		}
	})
}
