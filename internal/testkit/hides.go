package testkit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// printing are the formats that Hides tries: all verbs of package fmt, one it does
// not know, and the flags that change what they show.
var printing = func() (formats []string) {
	for _, verb := range "vTtbcdoOqxXUeEfFgGspwz" {
		for _, flag := range []string{"", "+", "#", " ", "-", "0", "+#"} {
			formats = append(formats, "%"+flag+string(verb))
		}
	}
	return formats
}()

// Hides fails t when secret can be read in what printing, logging or encoding v
// gives: v by each verb of package fmt, encoding/json and log/slog; by itself, behind a
// pointer, in a slice, a map, an interface or an error, and in fields, exported and
// not, of a struct of another package. It looks for the secret as text and as each
// verb writes a string or bytes.
func Hides[T any](t testing.TB, name, secret string, v T) {
	t.Helper()
	shown := renderings(secret)
	for nesting, v := range nestings(v) {
		for how, out := range prints(v) {
			for form := range shown {
				if strings.Contains(out, form) {
					t.Errorf("%s, %s, by %s shows its secret:\n%s", name, nesting, how, out)
					return
				}
			}
		}
	}
}

// renderings gives what a careless formatter could write of the secret.
func renderings(secret string) map[string]bool {
	forms := map[string]bool{secret: true}
	for _, format := range printing {
		if strings.HasSuffix(format, "T") {
			continue // the name of its type
		}
		for _, s := range []string{fmt.Sprintf(format, secret), fmt.Sprintf(format, []byte(secret))} {
			if s = strings.Trim(s, `[]{}"`+"`"); len(s) >= len(secret) {
				forms[s] = true
			}
		}
	}
	for _, v := range []any{secret, []byte(secret)} {
		b, _ := json.Marshal(v) // can't fail
		forms[strings.Trim(string(b), `"`)] = true
	}
	return forms
}

type open[T any] struct{ V T }

type closed[T any] struct {
	v     T
	p     *T
	s     []T
	m     map[string]T
	i     any
	array [1]T
	deep  struct{ again *closed[T] }
}

type failure[T any] struct{ v T }

func (failure[T]) Error() string { return "failure" }

func nestings[T any](v T) map[string]any {
	hidden := closed[T]{v: v, p: &v, s: []T{v}, m: map[string]T{"k": v}, i: v, array: [1]T{v}}
	outer := hidden
	outer.deep.again = &hidden
	return map[string]any{
		"by itself": v, "behind a pointer": &v, "in a slice": []T{v}, "in an array": [1]T{v},
		"in a slice of pointers": []*T{&v}, "in a map": map[string]T{"k": v}, "in a map of any": map[string]any{"k": v},
		"in a field": open[T]{v}, "in a field behind a pointer": &open[*T]{&v}, "in a field that is any": open[any]{v},
		"in fields that are not exported": outer, "in such fields behind a pointer": &outer,
		"in such fields of a field": open[closed[T]]{outer}, "in a slice of such": []closed[T]{outer},
		"in an error": failure[T]{v}, "in a wrapped error": fmt.Errorf("outer: %w", failure[T]{v}),
		"in a joined error": errors.Join(failure[T]{v}),
	}
}

// prints gives what the ways to print make of v, by their names.
func prints(v any) map[string]string {
	out := map[string]string{}
	for _, format := range printing {
		out[format] = fmt.Sprintf(format, v)
	}
	out["Println"] = fmt.Sprintln(v)
	if b, err := json.Marshal(v); err == nil {
		out["json"] = string(b)
	} else {
		out["the error of json"] = err.Error()
	}
	var b bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(h).With("with", v).WithGroup("g").Info("x", "v", v, slog.Group("h", "v", v))
	}
	out["slog"] = b.String()
	return out
}
