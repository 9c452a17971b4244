package main

import (
	"fmt"
	"io"
	"time"
)

// report is what was measured.
type report struct {
	pure                    time.Duration // both compilations
	cold, fresh, warm, lint sample
	runs                    int
	memory                  int64 // bytes
}

// columns are the runs that are shown, with their heads.
func (r report) columns() []column {
	return []column{{"unpacked", r.cold}, {"prepared", r.fresh}, {"warm", r.warm}, {"lint", r.lint}}
}

type column struct {
	head string
	sample
}

// print writes the tables and says whether every target is met.
func (r report) print(out io.Writer) (met bool) {
	row := func(name string, cell func(s sample) string) {
		fmt.Fprintf(out, "%-34s", name)
		for _, c := range r.columns() {
			fmt.Fprintf(out, " %14s", cell(c.sample))
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "%-34s", "seconds in each stage (processes)")
	for _, c := range r.columns() {
		fmt.Fprintf(out, " %14s", c.head)
	}
	fmt.Fprintln(out)
	for _, name := range r.names() {
		row(name, func(s sample) string { return s.stage(name) })
	}
	row("", func(sample) string { return "--------" })
	row("whole run", func(s sample) string { return fmt.Sprintf("%.1f (%d)", s.total.Seconds(), s.all) })
	ratio := func(s sample) float64 { return float64(s.total) / float64(r.pure) }
	row("times the compilations", func(s sample) string { return fmt.Sprintf("%.2f", ratio(s)) })
	fmt.Fprintf(out, `
unpacked: the source tree is unpacked, nothing else was done before
prepared: the tree is prepared, no object was compiled before
warm:     the object before the patch is in the cache
lint:     klpforge lint, warm
In brackets is how many processes the machine started meanwhile, klpforge's or not.
The two compilations by themselves take %.2f s. Medians of %d runs, but for the first column.

`, r.pure.Seconds(), r.runs)
	met = true
	verdict := func(what, got string, ok bool) {
		word := "met"
		if !ok {
			word, met = "MISSED", false
		}
		fmt.Fprintf(out, "%-50s %12s  %s\n", what, got, word)
	}
	times := func(what string, limit float64, s sample) {
		verdict(fmt.Sprintf("%s: at most %.1f times the compilations", what, limit), fmt.Sprintf("%.2f", ratio(s)),
			ratio(s) <= limit)
	}
	times("unpacked, nothing prepared", coldLimit, r.cold)
	times("prepared", preparedLimit, r.fresh)
	times("warm", warmLimit, r.warm)
	times("lint, warm", warmLimit, r.lint)
	verdict(fmt.Sprintf("peak memory of klpforge itself: under %d MB", memoryLimit>>20), fmt.Sprintf("%d MB", r.memory>>20), r.memory < memoryLimit)
	return met
}

// names lists the stages of all columns, in the order of the first that has them.
func (r report) names() []string {
	var out []string
	seen := map[string]bool{}
	for _, c := range r.columns() {
		for _, st := range c.stages {
			if !seen[st.Name] {
				seen[st.Name] = true
				out = append(out, st.Name)
			}
		}
	}
	return out
}

// stage is the time of a stage and its processes as text, "-" where it did not happen.
func (s sample) stage(name string) string {
	for i, st := range s.stages {
		if st.Name == name {
			text := fmt.Sprintf("%.2f", st.Seconds)
			if i < len(s.started) && s.started[i] > 0 {
				text += fmt.Sprintf(" (%d)", s.started[i])
			}
			return text
		}
	}
	return "-"
}
