package main

import (
	"fmt"
	"io"
	"time"
)

// report is what was measured.
type report struct {
	pure              time.Duration // both compilations
	cold, fresh, warm sample
	runs              int
	memory            int64 // bytes
}

// print writes the tables and says whether every target is met.
func (r report) print(out io.Writer) (met bool) {
	fmt.Fprintf(out, "%-26s %10s %10s %10s\n", "seconds in each stage", "unpacked", "prepared", "warm")
	for _, name := range r.names() {
		fmt.Fprintf(out, "%-26s %10s %10s %10s\n", name, r.cold.stage(name), r.fresh.stage(name), r.warm.stage(name))
	}
	rule := "--------"
	fmt.Fprintf(out, "%-26s %10s %10s %10s\n", "", rule, rule, rule)
	fmt.Fprintf(out, "%-26s %10.1f %10.1f %10.1f\n", "whole run", r.cold.total.Seconds(), r.fresh.total.Seconds(), r.warm.total.Seconds())
	ratio := func(s sample) float64 { return float64(s.total) / float64(r.pure) }
	fmt.Fprintf(out, "%-26s %10.2f %10.2f %10.2f\n", "times the compilations", ratio(r.cold), ratio(r.fresh), ratio(r.warm))
	fmt.Fprintf(out, `
unpacked: the source tree is unpacked, nothing else was done before
prepared: the tree is prepared, no object was compiled before
warm:     the object before the patch is in the cache
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
	verdict(fmt.Sprintf("unpacked, nothing prepared: under %.0f s", coldLimit.Seconds()), fmt.Sprintf("%.1f s", r.cold.total.Seconds()), r.cold.total < coldLimit)
	verdict(fmt.Sprintf("prepared: at most %.0f times the compilations", warmLimit), fmt.Sprintf("%.2f", ratio(r.fresh)), ratio(r.fresh) <= warmLimit)
	verdict(fmt.Sprintf("warm: at most %.0f times the compilations", warmLimit), fmt.Sprintf("%.2f", ratio(r.warm)), ratio(r.warm) <= warmLimit)
	verdict(fmt.Sprintf("peak memory of klpforge itself: under %d MB", memoryLimit>>20), fmt.Sprintf("%d MB", r.memory>>20), r.memory < memoryLimit)
	return met
}

// names lists the stages of all columns, in the order of the first that has them.
func (r report) names() []string {
	var out []string
	seen := map[string]bool{}
	for _, s := range []sample{r.cold, r.fresh, r.warm} {
		for _, st := range s.stages {
			if !seen[st.Name] {
				seen[st.Name] = true
				out = append(out, st.Name)
			}
		}
	}
	return out
}

// stage is the time of a stage as text, "-" where it did not happen.
func (s sample) stage(name string) string {
	for _, st := range s.stages {
		if st.Name == name {
			return fmt.Sprintf("%.2f", st.Seconds)
		}
	}
	return "-"
}
