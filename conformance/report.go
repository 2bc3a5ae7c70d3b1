package main

import (
	"fmt"
	"strings"
)

// head begins the file. What is to be filled in is the sentence with the counts.
const head = `# Conformance

What Azure IoT Hub has for devices and for back ends, over which protocol, and the tests that prove that it works here, with the
clients of this module and with those that nobody here wrote. Do not edit: ` + "`go run ./conformance`" + ` makes this file of
the results of the tests, and CI fails when it is not what they give, or a cell that was ok is not.

%s

- **ok**: our clients do it with the hub, from both ends, in the tests that are named below.
- **ok, judged**: so do the official SDKs or other clients that nobody here wrote, unmodified ([interop](interop/README.md)).
- **ok\***: with limits, or only in a way, which is told below.
- **impossible**: IoT Hub has no such thing over this protocol. Where that can be noticed, a test says how.
- **not yet**: IoT Hub has it, hubwire has not, or not all of it.

`

// files says in which file a test function is: by package and name, as in the table.
type files map[string]string

// report writes the whole file.
func report(all []filled, in files) string {
	var b strings.Builder
	fmt.Fprintf(&b, head, summary(all))
	for _, f := range all {
		f.counts(&b)
		f.matrix(&b)
	}
	b.WriteString("## Proofs\n\nIn the name of a test `*` stands for the protocol. Scripted are conversations of the SDKs for C, Python, .NET and Java, byte by byte.\n")
	for _, f := range all {
		f.proofs(&b, in)
	}
	return b.String()
}

// summary is one sentence about all tables.
func summary(all []filled) string {
	sum := tally{of: map[state]int{}}
	for _, f := range all {
		t := f.tally(-1)
		for s, n := range t.of {
			sum.of[s] += n
		}
		sum.judged += t.judged
	}
	return fmt.Sprintf("**%d cells are ok, %d of them judged by clients that nobody here wrote; %d failed, %d not yet, %d impossible on the service itself.**",
		sum.of[stateOK], sum.judged, sum.of[stateFailed], sum.of[stateNotYet], sum.of[stateImpossible])
}

// line writes a row of a table of Markdown.
func line(b *strings.Builder, cells ...string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// ruled writes the head of one.
func ruled(b *strings.Builder, cells ...string) {
	line(b, cells...)
	b.WriteString(strings.Repeat("| --- ", len(cells)) + "|\n")
}

// counts writes how many cells of each column are what.
func (f *filled) counts(b *strings.Builder) {
	fmt.Fprintf(b, "## %s\n\n", f.title)
	ruled(b, append([]string{"cells"}, f.columns...)...)
	write := func(name string, n func(tally) int) {
		cells := []string{name}
		for i := range f.columns {
			cells = append(cells, fmt.Sprint(n(f.tally(i))))
		}
		line(b, cells...)
	}
	write("ok", func(t tally) int { return t.of[stateOK] })
	write("of those, judged", func(t tally) int { return t.judged })
	for _, s := range []state{stateFailed, stateNotYet, stateImpossible} {
		write(string(s), func(t tally) int { return t.of[s] })
	}
	b.WriteString("\n")
}

func (f *filled) matrix(b *strings.Builder) {
	ruled(b, append([]string{"row", "feature"}, f.columns...)...)
	for i, r := range f.rows {
		cells := []string{link(r.id), r.title}
		for _, c := range f.cells[i] {
			cells = append(cells, c.String())
		}
		line(b, cells...)
	}
	b.WriteString("\n")
}

// link leads from a row of the matrix to its proofs.
func link(id string) string { return fmt.Sprintf("[%s](#%s)", id, strings.ToLower(id)) }

// proofs writes for each row what its cells rest on.
func (f *filled) proofs(b *strings.Builder, in files) {
	for i, r := range f.rows {
		fmt.Fprintf(b, "\n### %s\n\n%s:\n\n", r.id, r.title)
		for _, c := range r.claims {
			fmt.Fprintf(b, "- %s over %s", c.state, strings.Join(c.columns, ", "))
			if c.note != "" {
				b.WriteString(": " + c.note)
			}
			b.WriteString("\n")
			for _, test := range c.tests {
				cite(b, test, in)
			}
		}
		for j, c := range f.cells[i] {
			for _, what := range c.trouble {
				fmt.Fprintf(b, "- **failed** over %s: %s\n", f.columns[j], what)
			}
		}
	}
}

// cite writes the name of a test, with a link to its file.
func cite(b *strings.Builder, test string, in files) {
	pkg, function, _ := cutTest(test)
	by := ""
	switch {
	case judges(test):
		by = "judged: "
	case scripted(test):
		by = "scripted: "
	}
	fmt.Fprintf(b, "  - %s[`%s`](%s)\n", by, test, in[pkg+"."+function])
}
