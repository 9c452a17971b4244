package equiv

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/internal/asmtest"
)

// object is an object with a function for each name and code.
func object(t *testing.T, functions map[string]string) *elfobj.File {
	t.Helper()
	var text strings.Builder
	for name, code := range functions {
		fmt.Fprintf(&text, ".section .text.%s,\"ax\",@progbits\n.globl %[1]s\n.type %[1]s,@function\n%[1]s:\n%s\n.size %[1]s,.-%[1]s\n", name, code)
	}
	return asmtest.Object(t, text.String())
}

// proveFunc compares the function "f" of two objects.
func proveFunc(t *testing.T, before, after map[string]string) error {
	t.Helper()
	d, err := elfdiff.Diff(object(t, before), object(t, after))
	if err != nil {
		t.Fatal(err)
	}
	for _, ch := range d.Functions {
		if ch.Name == "f" && ch.Kind == elfdiff.Changed {
			_, err := Prove(d, ch, Options{})
			return err
		}
	}
	t.Fatal("f has not changed")
	return nil
}

// What a called function is given, and what it leaves behind, where nothing is known
// of it but its code.
func TestCalls(t *testing.T) {
	// A call, with something before it and something behind it; nop makes a difference.
	f := func(before, after string) string {
		return fmt.Sprintf("push %%rbx\nmov %%rdi, %%rbx\n%s\ncall g\n%s\npop %%rbx\nret", before, after)
	}
	for _, c := range []struct {
		name, g, before, after string
		same                   bool
	}{
		{"nothing", "mov %rdi, %rax\nret", f("", ""), f("nop", ""), true},
		{"an argument that it reads", "lea (%rdi,%rsi), %rax\nret", f("mov $1, %esi", ""), f("mov $2, %esi", ""), false},
		{"an argument that it does not read", "mov %rdi, %rax\nret", f("mov $1, %esi", ""), f("mov $2, %esi", ""), true},
		{"an argument that it sets before", "xor %esi, %esi\nlea (%rdi,%rsi), %rax\nret", f("mov $1, %esi", ""), f("mov $2, %esi", ""), true},
		{"an argument that it reads on one path", "test %rdi, %rdi\nje 1f\nmov %rsi, %rax\n1: ret", f("mov $1, %esi", ""), f("mov $2, %esi", ""), false},
		{"an argument that a loop counts", "1: inc %rdi\nloop 1b\nret", f("mov $1, %ecx", ""), f("mov $2, %ecx", ""), false},
		{"an argument for what it jumps to", "jmp h", f("mov $1, %esi", ""), f("mov $2, %esi", ""), false},
		{"a pointer that a thunk calls", "jmp __x86_indirect_thunk_rcx", f("lea h(%rip), %rcx", ""), f("lea k(%rip), %rcx", ""), false},
		{"the second word of a result", "mov %rdi, %rax\nret", f("mov $1, %edx", "mov %rdx, (%rbx)"), f("mov $2, %edx", "mov %rdx, (%rbx)"), false},
		{"the second word of a result, computed", "mov %rdi, %rax\nlea 1(%rdx), %rdx\nret", f("mov $1, %edx", "mov %rdx, (%rbx)"), f("nop\nmov $1, %edx", "mov %rdx, (%rbx)"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := proveFunc(t, map[string]string{"f": c.before, "g": c.g}, map[string]string{"f": c.after, "g": c.g})
			var why *Obstacle
			if err != nil && !errors.As(err, &why) {
				t.Fatal(err)
			}
			if same := err == nil; same != c.same {
				t.Errorf("proven the same: %v (%v), want %v", same, err, c.same)
			}
		})
	}
}
