package elfdiff

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// sanitized is an object as gcc 12 writes it with -fsanitize=kernel-address: strings lie in
// .rodata without names, each with a red zone behind it, and .LASAN0 describes them (struct
// kasan_global, mm/kasan/kasan.h, v6.1).
func sanitized(t *testing.T, strs []string, funcs map[string]string, spoil func(string) string) *elfobj.File {
	t.Helper()
	var b strings.Builder
	table := ".section .data..LASAN0,\"aw\"\n.balign 32\n.LASAN0:\n"
	label := map[string]string{}
	b.WriteString(".section .rodata,\"a\"\n.balign 32\n")
	for i, s := range strs {
		label[s] = fmt.Sprintf(".LC%d", i)
		zone := (len(s)+1+31)/32*32 + 32
		fmt.Fprintf(&b, "%s: .string %q\n.zero %d\n", label[s], s, zone-len(s)-1)
		table += fmt.Sprintf(".quad %s, %d, %d, .Lname, .Lname, 0, 0, 0\n", label[s], len(s)+1, zone)
	}
	if spoil != nil {
		table = spoil(table)
	}
	b.WriteString(table + ".section .text.startup._sub_I_65535_1,\"ax\"\n.type _sub_I_65535_1,@function\n" +
		"_sub_I_65535_1: mov $.LASAN0, %rdi\njmp __asan_register_globals\n.size _sub_I_65535_1,.-_sub_I_65535_1\n" +
		".section .init_array,\"aw\"\n.quad _sub_I_65535_1\n.section .rodata.str1.1,\"aMS\",@progbits,1\n.Lname: .string \"x.c\"\n")
	for _, name := range slices.Sorted(maps.Keys(funcs)) {
		fmt.Fprintf(&b, ".section .text.%s,\"ax\"\n.globl %[1]s\n.type %[1]s,@function\n%[1]s: call __fentry__\nmov $%[2]s, %%rdi\nret\n.size %[1]s,.-%[1]s\n",
			name, label[funcs[name]])
	}
	path := filepath.Join(t.TempDir(), "a.o")
	cmd := exec.CommandContext(t.Context(), "gcc", "-c", "-x", "assembler", "-o", path, "-")
	cmd.Stdin = strings.NewReader(b.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("assemble: %v\n%s", err, out)
	}
	f, err := elfobj.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// changedBut are the names of the changed functions but one.
func changedBut(r *Result, but string) []string {
	var out []string
	for _, ch := range r.Functions {
		if ch.Name != but {
			out = append(out, ch.Name)
		}
	}
	return out
}

// TestSanitizedStrings: a string more or less moves the others, and changes none of the
// functions that use them.
func TestSanitizedStrings(t *testing.T) {
	before := map[string]string{"a": "one", "b": "two", "c": "one"}
	for _, c := range []struct {
		name  string
		strs  []string
		after map[string]string
		want  []string
	}{
		{"nothing", []string{"one", "two"}, before, nil},
		{"one more", []string{"new", "one", "two"}, map[string]string{"a": "new", "b": "two", "c": "one"}, []string{"a"}},
		{"one less", []string{"two"}, map[string]string{"a": "two", "b": "two", "c": "two"}, []string{"a", "c"}},
		{"another order", []string{"two", "one"}, before, nil},
		{"other words", []string{"one", "too"}, map[string]string{"a": "one", "b": "too", "c": "one"}, []string{"b"}},
	} {
		r, err := Diff(sanitized(t, []string{"one", "two"}, before, nil), sanitized(t, c.strs, c.after, nil))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if d := cmp.Diff(c.want, changedBut(r, "_sub_I_65535_1")); d != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, d)
		}
		for _, p := range r.Problems {
			if p.ID != finding.IDRegistration || p.Severity != finding.Note {
				t.Errorf("%s: %v", c.name, p)
			}
		}
	}
}

// TestSanitizedDamage: a table that cannot be true is not used, and breaks nothing.
func TestSanitizedDamage(t *testing.T) {
	funcs := map[string]string{"a": "one", "b": "two"}
	for _, spoil := range []struct{ old, new string }{
		{", 64,", ", 65,"}, {", 64,", ", 0,"}, {", 64,", ", -1,"}, {".LC1", ".LC0"}, {".LC1", ".LC1+8"}, {".quad .LC0", ".quad 0"},
	} {
		damaged := func(table string) string {
			out := strings.Replace(table, spoil.old, spoil.new, 1)
			if out == table {
				t.Fatalf("%q is not in the table", spoil.old)
			}
			return out
		}
		r, err := Diff(sanitized(t, []string{"one", "two"}, funcs, damaged), sanitized(t, []string{"new", "one", "two"}, funcs, damaged))
		if err != nil {
			t.Errorf("%+v: %v", spoil, err)
		} else if d := cmp.Diff([]string{"a", "b"}, changedBut(r, "_sub_I_65535_1")); d != "" {
			t.Errorf("%+v (-want +got)\n%s", spoil, d)
		}
	}
}
