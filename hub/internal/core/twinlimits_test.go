package core

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hubwire/hubwire"
)

func nested(depth int) string {
	return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat(`}`, depth)
}

func TestTwinLimits(t *testing.T) {
	k, s := strings.Repeat, strings.Repeat("x", 4096)
	big := func(n int) string { // a section that counts n bytes
		var b strings.Builder
		for i := 0; n > 0; i++ {
			size := min(n-4, 4000)
			fmt.Fprintf(&b, `,"%04d":"%s"`, i, k("y", size))
			n -= size + 4
		}
		return "{" + b.String()[1:] + "}"
	}
	cases := []struct {
		name, json string
		code       hubwire.Code // 0: legal
	}{
		{"the smallest integer", `{"n":-4503599627370496}`, 0},
		{"the largest integer", `{"n":4503599627370495}`, 0},
		{"an integer too small", `{"n":-4503599627370497}`, hubwire.ArgumentInvalid},
		{"an integer too large", `{"n":4503599627370496}`, hubwire.ArgumentInvalid},
		{"an integer beyond 64 bits", `{"n":99999999999999999999}`, hubwire.ArgumentInvalid},
		{"a large float", `{"n":1e300}`, 0},
		{"a float beyond 64 bits", `{"n":1e999}`, hubwire.ArgumentInvalid},
		{"a string of 4096 bytes", `{"s":"` + s + `"}`, 0},
		{"a string of 4097 bytes", `{"s":"x` + s + `"}`, hubwire.ArgumentInvalid},
		{"a string of 4097 bytes in an array", `{"s":["x` + s + `"]}`, hubwire.ArgumentInvalid},
		{"a key of 1024 bytes", `{"` + k("k", 1024) + `":1}`, 0},
		{"a key of 1025 bytes", `{"` + k("k", 1025) + `":1}`, hubwire.ArgumentInvalid},
		{"an empty key", `{"":1}`, hubwire.ArgumentInvalid},
		{"a key with a dot", `{"a.b":1}`, hubwire.ArgumentInvalid},
		{"a key with a dollar sign", `{"$a":1}`, hubwire.ArgumentInvalid},
		{"a key with a space", `{"a b":1}`, hubwire.ArgumentInvalid},
		{"a key with a C0 control", `{"a\u0001b":1}`, hubwire.ArgumentInvalid},
		{"a key with a C1 control", `{"a\u0085b":1}`, hubwire.ArgumentInvalid},
		{"a key with an umlaut", `{"größe":1}`, 0},
		{"$version deeper than the top", `{"a":{"$version":1}}`, hubwire.ArgumentInvalid},
		{"ten objects inside each other", `{"top":` + nested(10) + `}`, 0},
		{"eleven objects inside each other", `{"top":` + nested(11) + `}`, hubwire.ArgumentInvalid},
		{"eleven objects inside each other in an array", `{"top":[` + nested(11) + `]}`, hubwire.ArgumentInvalid},
		{"many arrays inside each other", `{"a":` + k("[", 100) + k("]", 100) + `}`, 0},
		{"arrays beyond reason", `{"a":` + k("[", 20000) + k("]", 20000) + `}`, hubwire.FormatError},
		{"exactly 32 KiB", big(32 << 10), 0},
		{"one byte more", big(32<<10 + 1), hubwire.ArgumentInvalid},
		{"an array of 40,000 empty things", `{"a":[` + k("{},", 39999) + `[]]}`, hubwire.ArgumentInvalid},
		{"an array that counts 32 KiB", `{"a":[` + k("1,", 4094) + `1,true,"abc"]}`, 0},
		{"an array that counts a byte more", `{"a":[` + k("1,", 4094) + `1,{"z":1},""]}`, hubwire.ArgumentInvalid},
		{"malformed JSON", `{"a":`, hubwire.FormatError},
		{"bytes that are not UTF-8", "{\"a\":\"\xff\"}", hubwire.FormatError},
		{"nothing", ``, hubwire.FormatError},
		{"an array instead of an object", `[1]`, hubwire.ArgumentInvalid},
		{"null instead of an object", `null`, hubwire.ArgumentInvalid},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c := newCore(t, nil)
			session, _ := connect(t, c, dev)
			_, err1 := session.PatchReported(ctx, []byte(tc.json), 0)
			_, err2 := c.ReplaceTwin(ctx, dev, &TwinUpdate{Desired: json.RawMessage(tc.json)}, "")
			for i, err := range []error{err1, err2} {
				if tc.code == 0 && err != nil {
					t.Errorf("write %d: %v", i, err)
				} else if tc.code != 0 {
					wantCode(t, "write", err, tc.code)
				}
			}
			tw, err := c.Twin(ctx, dev)
			if want := map[bool]int64{true: 2, false: 1}[tc.code == 0]; err != nil || tw.Desired.Version != want || tw.Reported.Version != want {
				t.Errorf("versions %d, %d; want %d", tw.Desired.Version, tw.Reported.Version, want)
			}
		})
	}
}

// BenchmarkHostilePatches has patches of the most that a packet holds, made to
// cost work: it must grow with their length, not with its square.
func BenchmarkHostilePatches(b *testing.B) {
	var keys strings.Builder
	for i := range 25_000 {
		fmt.Fprintf(&keys, `,"%05x":1`, i)
	}
	for name, patch := range map[string]string{
		"many keys":     `{` + keys.String()[1:] + `}`,
		"nested arrays": `{"a":` + strings.Repeat("[", 9990) + strings.Repeat("]", 9990) + `}`,
		"many elements": `{"a":[` + strings.Repeat(`"",`, 85_000) + `1]}`,
		"many escapes":  `{"a":"` + strings.Repeat(`\u0001`, 43_000) + `"}`,
	} {
		b.Run(name, func(b *testing.B) {
			c := newCore(b, nil)
			s, _ := connect(b, c, dev)
			b.SetBytes(int64(len(patch)))
			for b.Loop() {
				s.PatchReported(ctx, []byte(patch), 0)
			}
		})
	}
}

func TestTagsHaveALimitOfTheirOwn(t *testing.T) {
	c := newCore(t, nil)
	half := `"` + strings.Repeat("x", 4095) + `"`
	_, err := c.PatchTwin(ctx, dev, &TwinUpdate{Tags: json.RawMessage(`{"a":` + half + `,"b":` + half + `}`)}, "")
	must(t, err)
	_, err = c.PatchTwin(ctx, dev, &TwinUpdate{Tags: json.RawMessage(`{"c":""}`)}, "")
	wantCode(t, "a byte over 8 KiB", err, hubwire.ArgumentInvalid)
}

func TestAnOverfullSectionMayShrink(t *testing.T) {
	over, under := &node{}, &node{}
	for i := range 40000 / 104 {
		over.Members = append(over.Members, &node{Key: fmt.Sprintf("%04d", i), Raw: `"` + strings.Repeat("x", 100) + `"`})
	}
	under.Members = over.Members[1:]
	if err := checkGrowth("op", "s", over, under, hubwire.MaxTwinSectionSize); err != nil {
		t.Errorf("shrinking: %v", err)
	}
	wantCode(t, "growing", checkGrowth("op", "s", under, over, hubwire.MaxTwinSectionSize), hubwire.ArgumentInvalid)
}

// TestASectionIsBoundedAsText has a section grow by what the service's rules count as
// little: long numbers and control characters. What a device is sent stays a packet that it takes.
func TestASectionIsBoundedAsText(t *testing.T) {
	number := "1." + strings.Repeat("0", 40_000)
	control := `"` + strings.Repeat(`\u0001`, 4096) + `"`
	for name, value := range map[string]string{"numbers": number, "control characters": control} {
		t.Run(name, func(t *testing.T) {
			c := newCore(t, nil)
			s, _ := connect(t, c, dev)
			var reported, desired error
			for i := range 10 {
				patch := fmt.Appendf(nil, `{"k%d":%s}`, i, value)
				if reported == nil {
					_, reported = s.PatchReported(ctx, patch, 0)
				}
				if desired == nil {
					_, desired = c.PatchTwin(ctx, dev, &TwinUpdate{Desired: patch}, "")
				}
			}
			wantCode(t, "reported properties", reported, hubwire.ArgumentInvalid)
			wantCode(t, "desired properties", desired, hubwire.ArgumentInvalid)
			tw, err := s.Twin(ctx)
			must(t, err)
			if n := len(TwinBody(tw)); n > 250_000 {
				t.Errorf("the twin has %d bytes", n)
			}
			_, err = s.PatchReported(ctx, []byte(`{"k0":null,"k1":1}`), 0)
			must(t, err) // it may shrink
		})
	}
	t.Run("a patch that only deletes", func(t *testing.T) {
		c := newCore(t, nil)
		_, l := connect(t, c, dev)
		var keys strings.Builder
		for i := range 20_000 {
			fmt.Fprintf(&keys, `,"%d":null`, i)
		}
		_, err := c.PatchTwin(ctx, dev, &TwinUpdate{Desired: json.RawMessage("{" + keys.String()[1:] + "}")}, "")
		wantCode(t, "the patch", err, hubwire.ArgumentInvalid)
		if len(l.changes) != 0 {
			t.Error("the device was told of it")
		}
	})
}
