package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/passes/ownership"
	"github.com/klpforge/klpforge/internal/asmtest"
)

func TestContracts(t *testing.T) {
	c := &contracts{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
	c.read(`
BTF_ID_FLAGS(func, bpf_get, KF_ACQUIRE | KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_put, KF_RELEASE)
BTF_ID_FLAGS(func, bpf_plain)
extern int __must_check one(struct x *x);
int __must_check two(void);
__must_check struct y *three(int a);
struct y * __must_check
four(int a);
static inline int __must_check five(int a) { return __must_check_overflow(six(a)); }
int seven(int a);
`)
	for _, list := range []struct {
		got  map[string]bool
		want []string
	}{
		{c.retNull, []string{"bpf_get"}}, {c.acquire, []string{"bpf_get"}}, {c.release, []string{"bpf_put"}},
		{c.mustCheck, []string{"five", "four", "one", "three", "two"}},
	} {
		if d := cmp.Diff(list.want, slices.Sorted(maps.Keys(list.got))); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	}
	if _, err := readContracts(t.TempDir()); err == nil {
		t.Error("a tree without flags is no error")
	}
}

func TestScores(t *testing.T) {
	m := asmtest.Function(t, "f", "xor %eax, %eax\nret")
	if got := each(m, map[string]bool{"f": true, "not_there": true}, returnsNull(m)); got.agrees != 1 {
		t.Errorf("%+v", got)
	}
	m = asmtest.Function(t, "f", "mov $1, %eax\nret")
	if got := each(m, map[string]bool{"f": true}, returnsNull(m)); !slices.Equal(got.otherwise, []string{"f"}) {
		t.Errorf("%+v", got)
	}
	of := func(list ...ownership.Summary) func(model.FuncID) []ownership.Summary {
		return func(model.FuncID) []ownership.Summary { return list }
	}
	for _, c := range []struct {
		of    func(model.FuncID) []ownership.Summary
		takes bool
		want  verdict
	}{
		{of(), true, unknown}, {of(ownership.Summary{Takes: true}), true, agrees},
		{of(ownership.Summary{Takes: true}), false, otherwise}, {of(ownership.Summary{Drops: true}), false, agrees},
	} {
		if got := counts(c.of, c.takes)(0); got != c.want {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
	s := score{agrees: 3, otherwise: []string{"b", "a"}}
	if got := s.row("x"); !strings.Contains(got, "| x | 5 | 3 (60 %) | 0 (0 %) | 2 (40 %) | a, b |") {
		t.Error(got)
	}
}
