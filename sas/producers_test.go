package sas_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/hubwire/hubwire/internal/testkit"
	"github.com/hubwire/hubwire/sas"
)

// The percent-encoders of those whose tokens a hub meets, made the slow way.
var encoders = map[string]func(string) string{
	"none":              func(s string) string { return s },
	"rfc3986-upper":     percent("-_.~", "%20", "%02X"),
	"rfc3986-lower":     percent("-_.~", "%20", "%02x"),
	"node":              func(s string) string { return strings.ReplaceAll(percent("-_.~", "%20", "%02X")(s), "%2A", "%2a") },
	"dotnet-webutility": percent("-_.!*()", "+", "%02X"),
	"java-urlencoder":   percent("-_.*", "+", "%02X"),
	"go-queryescape":    url.QueryEscape,
	"c-utility": func(s string) string {
		var latin1 strings.Builder // what it takes the bytes for
		for i := range len(s) {
			latin1.WriteRune(rune(s[i]))
		}
		return percent("-_.!*()", "%20", "%02x")(latin1.String())
	},
}

func percent(unreserved, blank, hex string) func(string) string {
	return func(s string) string {
		var b strings.Builder
		for i := range len(s) {
			switch c := s[i]; {
			case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte(unreserved, c) >= 0:
				b.WriteByte(c)
			case c == ' ':
				b.WriteString(blank)
			default:
				fmt.Fprintf(&b, "%%"+hex, c)
			}
		}
		return b.String()
	}
}

func TestEncodersOfTheVectors(t *testing.T) {
	var v struct {
		Encoders    map[string]string
		Punctuation map[string]map[string]string `json:"ascii_punctuation_table"`
	}
	if err := json.Unmarshal(testkit.Vectors(t, "sas.json"), &v); err != nil {
		t.Fatal(err)
	}
	for name := range v.Encoders {
		if encoders[name] == nil {
			t.Errorf("no encoder %s in this test", name)
		}
	}
	check := func(in, name, want string) {
		t.Helper()
		if got := encoders[name](in); got != want {
			t.Errorf("%s of %q is %q, want %q", name, in, got, want)
		}
		if name == "c-utility" && strings.ContainsFunc(in, func(r rune) bool { return r > 0x7f }) {
			return // outside ASCII it encodes twice, and no decoder gives back what it was
		}
		if got := string(sas.AppendUnescape(nil, want)); got != in {
			t.Errorf("%s: AppendUnescape(%q) = %q, want %q", name, want, got, in)
		}
	}
	for in, row := range v.Punctuation {
		for name, want := range row {
			check(in, name, want)
		}
	}
	for _, row := range load(t).URLEncoding {
		in := row["input"].(string)
		for name := range encoders {
			if want, ok := row[name].(string); ok {
				check(in, name, want)
			}
		}
	}
}

// compose makes a token the long way.
func compose(raw, sr, sigEncoder, se, skn string, order []string) string {
	mac := hmac.New(sha256.New, []byte(raw))
	fmt.Fprintf(mac, "%s\n%s", sr, se)
	fields := map[string]string{
		"sr": sr, "se": se, "skn": skn,
		"sig": encoders[sigEncoder](base64.StdEncoding.EncodeToString(mac.Sum(nil))),
	}
	var all []string
	for _, name := range order {
		all = append(all, name+"="+fields[name])
	}
	return "SharedAccessSignature " + strings.Join(all, "&")
}

func TestTokensOfEveryProducer(t *testing.T) {
	withSKN := []string{"sr", "sig", "se", "skn"}
	type args struct{ host, device, module string }
	raw := func(a args) string {
		if a.module == "" {
			return a.host + "/devices/" + a.device
		}
		return a.host + "/devices/" + a.device + "/modules/" + a.module
	}
	ids := func(a args, enc string) args { return args{a.host, encoders[enc](a.device), encoders[enc](a.module)} }
	producers := []struct {
		name  string
		sr    func(args) string
		sig   string
		order []string
	}{
		{"embedded C", func(a args) string { return strings.ReplaceAll(raw(ids(a, "rfc3986-upper")), "/", "%2F") }, "rfc3986-upper", withSKN[:3]},
		{"Python", func(a args) string { return encoders["rfc3986-upper"](raw(a)) }, "rfc3986-upper", withSKN[:3]},
		{"Node", func(a args) string { return encoders["node"](raw(a)) }, "node", []string{"sr", "sig", "skn", "se"}},
		{"Node, as it is", raw, "node", []string{"sr", "sig", "se"}},
		{"C#", func(a args) string { return encoders["dotnet-webutility"](raw(ids(a, "dotnet-webutility"))) }, "dotnet-webutility", withSKN},
		{"Java", func(a args) string { return raw(ids(a, "java-urlencoder")) }, "java-urlencoder", []string{"sig", "se", "sr"}},
		{"C over MQTT", raw, "c-utility", withSKN},
		{"C over HTTPS", func(a args) string { return raw(ids(a, "c-utility")) }, "c-utility", withSKN},
		{"Go, of the host", func(a args) string { return encoders["go-queryescape"](a.host) }, "go-queryescape", withSKN[:3]},
		{"Go, encoded twice", func(a args) string { return encoders["go-queryescape"](encoders["go-queryescape"](raw(a))) }, "go-queryescape", withSKN[:3]},
		{"a workload API in lower case", func(a args) string { return encoders["rfc3986-lower"](raw(a)) }, "rfc3986-lower", withSKN[:3]},
		{"one that encodes three times", func(a args) string {
			e := encoders["rfc3986-upper"]
			return e(e(e(raw(a))))
		}, "rfc3986-upper", withSKN},
		{"one with the API version at the end", func(a args) string {
			return encoders["rfc3986-upper"](raw(a) + "/api-version=2016-11-14")
		}, "rfc3986-upper", withSKN},
		{"one with a signature that is not encoded", raw, "none", withSKN},
		{"one with a host in capitals", func(a args) string { a.host = strings.ToUpper(a.host); return raw(a) }, "none", withSKN},
	}
	resources := []args{
		{"hub.azure-devices.net", "d", ""}, {"localhost", "dev-1.2_3:4", "$edgeAgent"},
		{"h", "all-:.+%_#*?!(),=@;$'", "m-:.+%_#*?!(),=@;$'"}, {"h", "%41%%2", ""}, {"h", "+", "%2F"},
	}
	k, err := sas.NewTextKey(sas.NewSecret(rawKey))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range producers {
		for _, r := range resources {
			for _, se := range []string{"1700000000", "9007199254740993", "17.25", "0017"} {
				text := compose(rawKey, p.sr(r), p.sig, se, "", p.order)
				tok, err := sas.ParseToken(text)
				if err != nil {
					t.Errorf("%s: %s: %v", p.name, text, err)
					continue
				}
				if by, err := tok.SignedBy(k, nil); by != 0 || err != nil || tok.Policy != "" {
					t.Errorf("%s: %s: SignedBy = %d, %v; policy %q", p.name, text, by, err, tok.Policy)
				}
				path := []string{r.host, "devices", r.device}
				if r.module != "" {
					path = append(path, "modules", r.module)
				}
				if err := tok.CheckResource(path...); err != nil {
					t.Errorf("%s: %s: %v", p.name, text, err)
				}
				path[0] = "another"
				if err := tok.CheckResource(path...); err == nil {
					t.Errorf("%s: %s is good for another host", p.name, text)
				}
			}
		}
	}
}
