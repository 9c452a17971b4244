// Package asmtest makes instructions, and models of small programs, of assembly
// for the tests of the analyses. Its assembler is gcc's, in AT&T syntax.
package asmtest

import (
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfobj"
)

// At is the address of what Inst decodes.
const At = 0x1000

// Inst decodes one x86-64 instruction from hex, which must be all of it.
func Inst(t testing.TB, text string) machine.Inst {
	t.Helper()
	code, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	in, err := machine.X86.Decode(code, At)
	if err != nil || in.Len != len(code) {
		t.Fatalf("decode %s: %d bytes, error %v", text, in.Len, err)
	}
	return in
}

// Object assembles source text.
func Object(t testing.TB, source string) *elfobj.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "asm.o")
	cmd := exec.Command("gcc", "-c", "-x", "assembler", "-o", path, "-")
	cmd.Stdin = strings.NewReader(source)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("assemble: %v\n%s", err, out)
	}
	f, err := elfobj.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Model is the model of assembled source text.
func Model(t testing.TB, source string) *model.Model {
	t.Helper()
	p, err := model.FromObject(Object(t, source), model.ObjectOptions{Name: "asm"})
	if err != nil {
		t.Fatal(err)
	}
	return model.Build(p)
}

// Function is the model of one global function. Its code may go on in other
// sections.
func Function(t testing.TB, name, code string) *model.Model {
	t.Helper()
	return Model(t, fmt.Sprintf(".text\n.globl %s\n.type %[1]s,@function\n%[1]s:\n%s\n.text\n.size %[1]s,.-%[1]s\n", name, code))
}

// Only returns the function of a name, of which there must be one.
func Only(t testing.TB, m *model.Model, name string) model.FuncID {
	t.Helper()
	ids := m.Lookup(name)
	if len(ids) != 1 {
		t.Fatalf("%d functions are called %s", len(ids), name)
	}
	return ids[0]
}

// Want is what a fixture says of one of its functions.
type Want struct{ Func, Text string }

var wants = regexp.MustCompile(`(?m)^# want (\w+): (.*)$`)

// Fixture is the model of a file of assembly, and what its lines "# want
// FUNCTION: TEXT" say, of which there must be some.
func Fixture(t testing.TB, path string) (*model.Model, []Want) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []Want
	for _, m := range wants.FindAllStringSubmatch(string(text), -1) {
		out = append(out, Want{m[1], m[2]})
	}
	if len(out) == 0 {
		t.Fatalf("%s wants nothing", path)
	}
	return Model(t, string(text)), out
}
