package generate_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/plan"
)

// assembled is the object of a text in assembly.
func assembled(t *testing.T, text string) []byte {
	t.Helper()
	return keep("as "+text, func() []byte {
		object := filepath.Join(t.TempDir(), "unit.o")
		cmd := exec.Command("as", "--64", "-o", object, "-")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("assemble: %v\n%s", err, out)
		}
		return read(t, object)
	})
}

// contentDigest is the digest in the manifest of the one replacement, new_f, of an object.
func contentDigest(t *testing.T, text string) string {
	t.Helper()
	m, err := generate.Emit(t.TempDir(), generate.Input{API: apiOf("5.8"), Units: []generate.Unit{{Name: "x.o", Object: assembled(t, text)}},
		Plan: plan.Plan{Name: "lp", Release: "6.1.0", Objects: []plan.Object{{Name: plan.Vmlinux,
			Funcs: []plan.Func{{Name: "f", NewSymbol: "new_f", Unit: "x.o", Shipped: shipped(0x10)}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	digest := m.Objects[0].Funcs[0].Content
	if len(digest) != 32 {
		t.Errorf("digest %q", digest)
	}
	return digest
}

// The digest of a replacement tells whether two builds hold the same function, wherever
// it stands: its code, what it refers to, and the literals that it uses, as the differ
// lays them out.
func TestContentDigest(t *testing.T) {
	fn := func(body string) string {
		return ".section .text.f,\"ax\"\n.globl new_f\n.type new_f,@function\nnew_f:\n" + body + "\n.size new_f,.-new_f\n"
	}
	behind := func(more, text string) string { return strings.Replace(text, "new_f:", more+"\nnew_f:", 1) }
	str := func(list ...string) string {
		return ".section .rodata.klpforge.str,\"a\"\n.string \"" + strings.Join(list, "\"\n.string \"") + "\"\n"
	}
	cst := func(list ...string) string {
		return ".section .rodata.klpforge.cst,\"a\"\n.balign 8\n.quad " + strings.Join(list, ", ") + "\n"
	}
	table := func(lines string) string { return ".section .rodata,\"a\"\n.balign 8\n" + lines + "\n" }
	absolute, relative := fn("mov $.rodata.klpforge.str, %rdi\nret"), fn("lea .rodata.klpforge.str(%rip), %rdi\nret")
	constant, array := fn("mov .rodata.klpforge.cst(%rip), %rax\nret"), fn("mov .rodata(,%rdi,8), %rax\nret")
	call := fn("call helper\nret")
	code := ".section .text.a,\"ax\"\nnop\nnop\nret\n.section .text.b,\"ax\"\nnop\nnop\nret\n"
	for _, c := range []struct {
		name, a, b string
		same       bool
	}{
		{"the same", call, call, true},
		{"behind other code", call, behind("nop\nnop\ncall other", call), true},
		{"in front of other code", call, call + "call other\n", true},
		{"another instruction", call, fn("call helper\nnop\nret"), false},
		{"its last byte", call, fn("call helper\nnop"), false},
		{"its first byte", fn("nop\nret"), fn("push %rax\nret"), false},
		{"another callee", call, fn("call helpex\nret"), false},
		{"another place of the callee", call, fn("call helper+8\nret"), false},
		{"another kind of reference", fn("mov $helper, %edi\nret"), fn(".byte 0xbf\n.long helper-.\nret"), false},
		{"a reference elsewhere in it", fn("nop\ncall helper\n.byte 0xe8,0,0,0,0"), fn("nop\n.byte 0xe8,0,0,0,0\ncall helper"), false},

		{"the code of what it calls", fn("call near\nret") + "near: nop\n.type near,@function\n", fn("call near\nret") + "near: ret\n.type near,@function\n", true},

		{"the same string", absolute + str("left"), absolute + str("left"), true},
		{"first byte of a string", absolute + str("left"), absolute + str("lift"), false},
		{"last byte of a string", absolute + str("left"), absolute + str("lefs"), false},
		{"the string behind", absolute + str("left", "one"), absolute + str("left", "two"), true},
		{"no string behind", absolute + str("l", "one"), absolute + str("l"), true},
		{"first byte of a string, from its place", relative + str("left"), relative + str("lift"), false},
		{"last byte of a string, from its place", relative + str("left"), relative + str("lefs"), false},
		{"the string behind, from its place", relative + str("left", "one"), relative + str("left", "two"), true},
		{"another string", absolute + str("left", "left"), strings.Replace(absolute, ".str,", ".str+5,", 1) + str("left", "left"), true},

		{"the same constant", constant + cst("0x4000000000000000"), constant + cst("0x4000000000000000"), true},
		{"last byte of a constant that begins with zero", constant + cst("0x4000000000000000"), constant + cst("0x4100000000000000"), false},
		{"first byte of a constant", constant + cst("0x4000000000000000"), constant + cst("0x4000000000000001"), false},

		{"the same table", array + table(".quad 0, 1, helper"), array + table(".quad 0, 1, helper"), true},
		{"a number of a table", array + table(".quad 0, 1, 2, 3, 4, 5, 6, 7, 8"), array + table(".quad 0, 1, 2, 3, 4, 5, 6, 7, 9"), false},
		{"an address in a table", array + table(".quad 0, 1, helper"), array + table(".quad 0, 1, helpex"), false},
		{"an address in another place of a table", array + table(".quad 0, helper"), array + table(".quad helper, 0"), false},
		{"a place in code without a name", array + table(".quad .text.a+1") + code, array + table(".quad .text.a+1") + code, true},
		{"a place in other code without a name", array + table(".quad .text.a+1") + code, array + table(".quad .text.b+1") + code, false},
		{"another place in code without a name", array + table(".quad .text.a+1") + code, array + table(".quad .text.a+2") + code, false},
		{"an offset in a table", array + table(".quad 0, helper+8"), array + table(".quad 0, helper+16"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a, b := contentDigest(t, c.a), contentDigest(t, c.b); (a == b) != c.same {
				t.Errorf("same is %v, want %v\n%s--\n%s", a == b, c.same, c.a, c.b)
			}
		})
	}
}
