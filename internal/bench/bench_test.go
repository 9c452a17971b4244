package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klpforge/klpforge/pipeline"
)

func TestReport(t *testing.T) {
	one := func(d time.Duration, stages ...pipeline.Stage) sample { return sample{total: d, stages: stages} }
	good := report{pure: 2 * time.Second, runs: 3, memory: 100 << 20,
		cold:  one(11*time.Second, pipeline.Stage{Name: "prepare", Seconds: 7}, pipeline.Stage{Name: "compile", Seconds: 4}),
		fresh: one(3*time.Second, pipeline.Stage{Name: "compile", Seconds: 2}),
		warm:  one(2*time.Second, pipeline.Stage{Name: "compile", Seconds: 1}, pipeline.Stage{Name: "late", Seconds: 1}),
		lint:  one(time.Second, pipeline.Stage{Name: "compile", Seconds: 1})}
	good.cold.started, good.cold.all = []int64{8000, 12}, 8012
	var out bytes.Buffer
	if !good.print(&out) || strings.Contains(out.String(), "MISSED") {
		t.Errorf("targets are missed:\n%s", out.String())
	}
	for _, want := range [][]string{
		{"prepare", "7.00", "(8000)", "-", "-", "-"},
		{"compile", "4.00", "(12)", "2.00", "1.00", "1.00"},
		{"whole", "run", "11.0", "(8012)", "3.0", "(0)", "2.0", "(0)", "1.0", "(0)"},
		{"times", "the", "compilations", "5.50", "1.50", "1.00", "0.50"},
	} {
		if !slices.ContainsFunc(strings.Split(out.String(), "\n"),
			func(line string) bool { return slices.Equal(strings.Fields(line), want) }) {
			t.Errorf("no line of %q in:\n%s", want, out.String())
		}
	}
	for name, spoil := range map[string]func(*report){
		"cold":   func(r *report) { r.cold.total = 13 * time.Second },
		"fresh":  func(r *report) { r.fresh.total = 4 * time.Second },
		"warm":   func(r *report) { r.warm.total = 3 * time.Second },
		"lint":   func(r *report) { r.lint.total = 3 * time.Second },
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

func TestPerStage(t *testing.T) {
	saw := watched{counts: []count{{0, 100}, {time.Second, 104}, {2 * time.Second, 110}, {3 * time.Second, 110}}}
	each, all := saw.perStage([]pipeline.Stage{{Seconds: 1}, {Seconds: 1}, {Seconds: 5}})
	if !slices.Equal(each, []int64{4, 6, 0}) || all != 10 {
		t.Errorf("got %v, %d", each, all)
	}
	if each, all := (&watched{}).perStage([]pipeline.Stage{{Seconds: 1}}); !slices.Equal(each, []int64{0}) || all != 0 {
		t.Errorf("nothing seen: %v, %d", each, all)
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
