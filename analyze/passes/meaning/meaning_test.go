package meaning

import (
	"testing"

	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/internal/asmtest"
	"github.com/klpforge/klpforge/internal/checktest"
)

func TestCases(t *testing.T) { checktest.Run(t, "testdata", New()) }

// TestMasks: one mask is another one where both are constants. Where one is computed, it may
// have the same value: on the path on which the size is zero, it is (fs/ext4/dir.c, v6.12).
func TestMasks(t *testing.T) {
	m := asmtest.Model(t, `.text
.macro stores name
.globl \name
.type \name, @function
\name:
	mov (%rdi), %rcx
	neg %rcx
	and 8(%rsi), %rcx
	mov %rcx, 8(%rsi)
	ret
.size \name, .-\name
.endm
stores computed
.globl low
.type low, @function
low:
	mov 8(%rsi), %rcx
	and $0xff, %rcx
	or (%rdi), %rcx
	mov %rcx, 8(%rsi)
	ret
.size low, .-low
.globl lower
.type lower, @function
lower:
	mov 8(%rsi), %rcx
	and $0x7f, %rcx
	or (%rdi), %rcx
	mov %rcx, 8(%rsi)
	ret
.size lower, .-lower
.globl twice
.type twice, @function
twice:
	mov 8(%rsi), %rcx
	and $0xff, %rcx
	mov (%rdi), %rdx
	and $0xff, %rdx
	or %rdx, %rcx
	mov %rcx, 8(%rsi)
	ret
.size twice, .-twice
.globl both
.type both, @function
both:
	mov (%rdi), %rcx
	neg %rcx
	and 8(%rsi), %rcx
	and $0xfc, %rcx
	mov %rcx, 8(%rsi)
	ret
.size both, .-both
`)
	probe := locks.NewProber(m, nil)
	stored := func(name string) *locks.Expr {
		for _, ev := range probe.Events(asmtest.Only(t, m, name)).List {
			if ev.Kind == locks.EventWrite {
				return ev.Value
			}
		}
		t.Fatalf("%s stores nothing", name)
		return nil
	}
	for _, c := range []struct{ old, newer, want string }{
		{"low", "computed", ""}, {"computed", "low", ""}, {"low", "lower", "by another mask"}, {"low", "low", ""},
		{"computed", "both", "by another mask"}, {"low", "twice", ""}, {"twice", "lower", "by another mask"},
	} {
		if got := otherForm(stored(c.old), stored(c.newer), false); got != c.want {
			t.Errorf("%s, then %s: %q, want %q", stored(c.old), stored(c.newer), got, c.want)
		}
	}
}
