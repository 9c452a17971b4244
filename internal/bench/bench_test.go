package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/klpforge/klpforge/pipeline"
)

func TestReport(t *testing.T) {
	one := func(d time.Duration, stages ...pipeline.Stage) sample { return sample{total: d, stages: stages} }
	good := report{pure: 2 * time.Second, runs: 3, memory: 100 << 20,
		cold:  one(50*time.Second, pipeline.Stage{Name: "prepare", Seconds: 40}, pipeline.Stage{Name: "compile", Seconds: 4}),
		fresh: one(5*time.Second, pipeline.Stage{Name: "compile", Seconds: 4}),
		warm:  one(3*time.Second, pipeline.Stage{Name: "compile", Seconds: 2}, pipeline.Stage{Name: "late", Seconds: 1})}
	var out bytes.Buffer
	if !good.print(&out) || strings.Contains(out.String(), "MISSED") {
		t.Errorf("targets are missed:\n%s", out.String())
	}
	for _, want := range []string{"prepare                         40.00          -          -\n", "times the compilations          25.00       2.50       1.50\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	for name, spoil := range map[string]func(*report){
		"cold":   func(r *report) { r.cold.total = coldLimit },
		"fresh":  func(r *report) { r.fresh.total = 7 * time.Second },
		"warm":   func(r *report) { r.warm.total = 7 * time.Second },
		"memory": func(r *report) { r.memory = memoryLimit },
	} {
		r := good
		spoil(&r)
		out.Reset()
		if r.print(&out) || strings.Count(out.String(), "MISSED") != 1 {
			t.Errorf("%s: want one missed target:\n%s", name, out.String())
		}
	}
}

func TestHighWater(t *testing.T) {
	n, err := highWater(os.Getpid())
	if err != nil || n < 1<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := highWater(-1); err == nil {
		t.Error("a process that does not exist has memory")
	}
}

func TestMedian(t *testing.T) {
	s := median([]sample{{total: 9}, {total: 1}, {total: 5}})
	if s.total != 5 {
		t.Errorf("got %v", s.total)
	}
}
