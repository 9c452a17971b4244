package vm

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/internal/vm/guest"
)

// fakeVM plays boots. Labels say what a livepatch does: "die" ends the VM,
// "fail" fails, "stuck" cannot be unloaded, "after-X" ends the VM when X was
// loaded earlier in the boot, "late" ends it after its own end.
type fakeVM struct {
	boots [][]string
	dirs  []string
}

func (f *fakeVM) run(_ context.Context, o Options, s Script) (*Result, error) {
	f.dirs = append(f.dirs, o.Dir)
	r := &Result{Kernel: "k", Command: "qemu in " + o.Dir}
	var seen []string
	f.boots = append(f.boots, nil)
	batch := s.Steps[len(s.Steps)-1]
	for _, m := range batch.Batch {
		f.boots[len(f.boots)-1] = append(f.boots[len(f.boots)-1], m.Label)
		kind, _, _ := strings.Cut(m.Label, "#")
		if x, ok := strings.CutPrefix(kind, "after-"); kind == "die" || ok && slices.Contains(seen, x) {
			r.OpenModule = m.Label
			r.Panic = &Panic{Text: "BUG", Function: "f"}
			return r, nil
		}
		mr := guest.ModuleResult{Label: m.Label, OK: kind != "fail" && kind != "stuck", Stuck: kind == "stuck"}
		r.Modules = append(r.Modules, mr)
		seen = append(seen, m.Label)
		if kind == "late" {
			r.Panic = &Panic{Text: "BUG", Function: "timer"}
			return r, nil
		}
		if mr.Stuck {
			break
		}
	}
	r.Done = true
	return r, nil
}

func TestBatchPolicy(t *testing.T) {
	ko := writeFile(t, "x.ko", fakeModule("name=x"))
	tests := []struct {
		name        string
		labels      []string
		perBoot     int
		boots       [][]string
		outcome     string // one letter each: + passed, - failed, D died
		unexplained int
	}{
		{"all well", []string{"a", "b", "c"}, 0, [][]string{{"a", "b", "c"}}, "+++", 0},
		{"split", []string{"a", "b", "c"}, 2, [][]string{{"a", "b"}, {"c"}}, "+++", 0},
		{"one fails", []string{"a", "fail", "c"}, 0, [][]string{{"a", "fail", "c"}}, "+-+", 0},
		{"first dies", []string{"die", "b"}, 0, [][]string{{"die"}, {"b"}}, "D+", 0},
		{"second dies, proven alone", []string{"a", "die", "c"}, 0, [][]string{{"a", "die"}, {"die"}, {"c"}}, "+D+", 0},
		{"two die", []string{"die#1", "die#2"}, 0, [][]string{{"die#1"}, {"die#2"}}, "DD", 0},
		{"last dies", []string{"a", "die"}, 0, [][]string{{"a", "die"}, {"die"}}, "+D", 0},
		{"stuck", []string{"stuck", "b"}, 0, [][]string{{"stuck"}, {"b"}}, "-+", 0},
		{"someone else's fault", []string{"a", "after-a", "c"}, 0, [][]string{{"a", "after-a"}, {"after-a", "c"}}, "+++", 1},
		{"between two", []string{"late", "b"}, 0, [][]string{{"late"}, {"b"}}, "++", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var lps []Livepatch
			for _, l := range tt.labels {
				lps = append(lps, Livepatch{Label: l, Path: ko})
			}
			var vm fakeVM
			calls := 0
			res, err := batch(t.Context(), Options{Dir: t.TempDir()}, lps, BatchOptions{PerBoot: tt.perBoot, Progress: func(BatchItem) { calls++ }}, vm.run)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.boots, vm.boots); d != "" {
				t.Errorf("boots (-want +got):\n%s", d)
			}
			got := ""
			for i, it := range res.Items {
				if it.Livepatch.Label != tt.labels[i] {
					t.Errorf("item %d is %s", i, it.Livepatch.Label)
				}
				switch {
				case it.Death != nil:
					got += "D"
				case it.OK:
					got += "+"
				default:
					got += "-"
				}
			}
			if got != tt.outcome || len(res.Unexplained) != tt.unexplained || res.Boots != len(tt.boots) || calls != len(lps) {
				t.Errorf("outcome %s, %d unexplained, %d boots, %d calls", got, len(res.Unexplained), res.Boots, calls)
			}
			if want := !strings.ContainsAny(tt.outcome, "-D") && tt.unexplained == 0; res.OK() != want {
				t.Errorf("OK is %v", res.OK())
			}
		})
	}
}

func TestBatchErrors(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ko := writeFile(t, "x.ko", fakeModule("name=x"))
	two := []Livepatch{{Path: ko}, {Path: ko}}
	if _, err := batch(t.Context(), Options{}, two, BatchOptions{}, new(fakeVM).run); err == nil {
		t.Error("two livepatches with one label are accepted")
	}
	boom := errors.New("no qemu")
	_, err := batch(t.Context(), Options{}, two[:1], BatchOptions{}, func(context.Context, Options, Script) (*Result, error) { return nil, boom })
	if !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	// A kernel that does not come up once is tried again.
	var vm fakeVM
	n := 0
	res, err := batch(t.Context(), Options{}, two[:1], BatchOptions{}, func(ctx context.Context, o Options, s Script) (*Result, error) {
		if n++; n == 1 {
			return &Result{Panic: &Panic{Text: "early"}}, nil
		}
		return vm.run(ctx, o, s)
	})
	if err != nil || !res.OK() || res.FalseStarts != 1 || res.Boots != 2 {
		t.Errorf("after a false start: %+v, %v", res, err)
	}
	// One that never comes up must not loop.
	_, err = batch(t.Context(), Options{}, two[:1], BatchOptions{}, func(context.Context, Options, Script) (*Result, error) { return &Result{}, nil })
	if err == nil || !strings.Contains(err.Error(), "did not come up") {
		t.Errorf("got %v", err)
	}
	// A file that is no module fails by itself.
	res, err = batch(t.Context(), Options{}, []Livepatch{{Path: writeFile(t, "bad.ko", "x")}, {Path: ko}}, BatchOptions{}, new(fakeVM).run)
	if err != nil {
		t.Fatal(err)
	}
	if res.Items[0].OK || res.Items[0].Result.Err == "" || !res.Items[1].OK {
		t.Errorf("items %+v", res.Items)
	}
}

// TestBatchFiles checks that only boots that died leave files behind.
func TestBatchFiles(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ko := writeFile(t, "x.ko", fakeModule("name=x"))
	var vm fakeVM
	_, err := batch(t.Context(), Options{}, []Livepatch{{Label: "die", Path: ko}, {Label: "fail", Path: ko}}, BatchOptions{}, vm.run)
	if err != nil {
		t.Fatal(err)
	}
	var left []bool
	for _, d := range vm.dirs {
		_, err := os.Stat(d)
		left = append(left, err == nil)
	}
	if d := cmp.Diff([]bool{true, false}, left); d != "" {
		t.Errorf("directories left (-want +got):\n%s", d)
	}
}

func TestBatchScript(t *testing.T) {
	ko := writeFile(t, "x.ko", fakeModule("name=real"))
	var got Script
	run := func(_ context.Context, _ Options, s Script) (*Result, error) {
		got = s
		return &Result{Kernel: "k", Done: true, Modules: []guest.ModuleResult{{Label: "l", OK: true}}}, nil
	}
	lp := Livepatch{Label: "l", Path: ko, Params: "a=1", Before: []string{"ext4"}, After: []string{"loop"}}
	if _, err := batch(t.Context(), Options{}, []Livepatch{lp}, BatchOptions{Load: 3, Allow: []string{"x"}}, run); err != nil {
		t.Fatal(err)
	}
	want := Script{
		Files: []File{{Name: "/ko/0/real.ko", Host: ko}},
		Steps: []guest.Step{guest.Background(3), guest.Batch(0, []string{"x"}, guest.BatchModule{
			Label: "l", Name: "real", Path: "/ko/0/real.ko", Params: "a=1",
			Before: []guest.ModFile{{Name: "ext4"}}, After: []guest.ModFile{{Name: "loop"}},
		})},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("script (-want +got):\n%s", d)
	}
}
