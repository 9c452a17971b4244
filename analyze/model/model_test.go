package model

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/pack"
	"github.com/klpforge/klpforge/elfobj"
)

//go:generate sh -c "gcc -O2 -c -fno-pic -mcmodel=kernel -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -w -o testdata/calls.o testdata/calls.c"
//go:generate sh -c "gcc -O2 -c -fno-pic -mcmodel=kernel -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -w -mindirect-branch=thunk-extern -mindirect-branch-register -mfunction-return=thunk-extern -fno-jump-tables -o testdata/calls_retpoline.o testdata/calls.c"

func fixture(t testing.TB, name string) *Model {
	t.Helper()
	f, err := elfobj.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	p, err := FromObject(f, ObjectOptions{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return Build(p)
}

func (m *Model) one(t testing.TB, name string) FuncID {
	t.Helper()
	ids := m.Lookup(name)
	if len(ids) != 1 {
		t.Fatalf("%d functions are called %s", len(ids), name)
	}
	return ids[0]
}

// calls lists what a function calls: "direct leaf".
func calls(m *Model, id FuncID) []string {
	var l []string
	for _, c := range m.Calls(id) {
		to := "?"
		if c.Target != NoFunc {
			to = m.Func(c.Target).Name
		}
		l = append(l, fmt.Sprintf("%v %s", c.Kind, to))
	}
	slices.Sort(l)
	return l
}

func TestCalls(t *testing.T) {
	for _, object := range []string{"calls.o", "calls_retpoline.o"} {
		m := fixture(t, object)
		for name, want := range map[string][]string{
			"leaf":                {"tail printk"},
			"direct":              {"direct leaf", "direct leaf"},
			"tail":                {"tail leaf"},
			"conditional_tail":    {"tail leaf"},
			"through_table":       {"indirect ?"},
			"tail_through_table":  {"tail-indirect ?"},
			"installs":            {"tail register_handler"},
			"cold_part":           {"direct complain", "direct leaf"},
			"dies":                {"direct panic", "direct printk"},
			"calls_dies":          {"direct dies", "tail leaf"},
			"endless":             {"direct leaf"},
			"endless_unless_done": {"direct leaf"},
		} {
			if d := cmp.Diff(want, calls(m, m.one(t, name))); d != "" {
				t.Errorf("%s: calls of %s (-want +got):\n%s", object, name, d)
			}
		}
	}
}

func TestCallersAndPointers(t *testing.T) {
	m := fixture(t, "calls.o")
	var callers []string
	for c := range m.Callers(m.one(t, "leaf")) {
		if n := m.Func(c.Caller).Name; !slices.Contains(callers, n) {
			callers = append(callers, n)
		}
	}
	slices.Sort(callers)
	want := []string{"calls_dies", "cold_part", "conditional_tail", "direct", "endless", "endless_unless_done", "handler", "local_close", "local_open", "switches", "tail"}
	if d := cmp.Diff(want, callers); d != "" {
		t.Errorf("callers of leaf (-want +got):\n%s", d)
	}

	table, _ := m.Prog.Lookup("file_operations")
	for name, off := range map[string]uint64{"local_open": 0, "local_close": 8} {
		id := m.one(t, name)
		var at []uint64
		for d := range m.DataRefsTo(id) {
			at = append(at, d.Addr-table)
		}
		if d := cmp.Diff([]uint64{off}, at); d != "" {
			t.Errorf("where file_operations holds %s (-want +got):\n%s", name, d)
		}
		if !m.AddressTaken(id) {
			t.Errorf("the address of %s does not count as taken", name)
		}
	}

	n := 0
	for r := range m.CodeRefsTo(m.one(t, "handler")) {
		n++
		if m.Func(r.In).Name != "installs" || r.Arg != 1 || r.Call == 0 {
			t.Errorf("handler is taken in %s as argument %d of the call at %#x", m.Func(r.In).Name, r.Arg, r.Call)
		}
	}
	if n != 1 {
		t.Errorf("the address of handler is taken %d times, want once", n)
	}
	if m.AddressTaken(m.one(t, "direct")) {
		t.Error("nobody takes the address of direct")
	}
}

func TestFlags(t *testing.T) {
	m := fixture(t, "calls.o")
	for name, want := range map[string]FuncFlags{
		"leaf": 0, "dies": FuncNoReturn, "calls_dies": 0, "cold_part": 0,
		"endless": FuncNoReturn | FuncEndless, "endless_unless_done": 0,
		"through_table": FuncIndirect, "tail_through_table": FuncIndirect, "panic": FuncExtern | FuncNoReturn,
	} {
		if got := m.Func(m.one(t, name)).Flags; got != want {
			t.Errorf("%s has flags %#x, want %#x", name, got, want)
		}
	}
}

// The cold part belongs to its function: it is no function of its own, and its
// address leads to the parent.
func TestColdPart(t *testing.T) {
	m := fixture(t, "calls.o")
	if ids := m.Lookup("cold_part.cold"); len(ids) > 0 {
		t.Errorf("cold_part.cold is a function of its own")
	}
	id := m.one(t, "cold_part")
	f := m.Func(id)
	if len(f.Parts) != 1 {
		t.Fatalf("cold_part has %d parts out of line, want 1", len(f.Parts))
	}
	if got := m.At(f.Parts[0].Start); got != id {
		t.Errorf("the cold part belongs to function %d, want %d", got, id)
	}
}

func TestPadding(t *testing.T) {
	m := fixture(t, "calls.o")
	if ids := m.Lookup("__pfx_padded"); len(ids) > 0 {
		t.Error("__pfx_padded is a function")
	}
	m.one(t, "padded")
}

// A jump table's targets are edges, and all blocks are reached.
func TestJumpTable(t *testing.T) {
	m := fixture(t, "calls.o")
	id := m.one(t, "switches")
	edges := 0
	for i := range m.Blocks(id) {
		b := &m.Blocks(id)[i]
		for _, e := range m.Edges(b) {
			if e.Kind == EdgeIndirect {
				edges++
			}
		}
	}
	if edges < 5 {
		t.Errorf("the jump table has %d edges, want one per case", edges)
	}
	if m.Func(id).Unknown() {
		t.Error("switches counts as unknown")
	}
}

// Every edge leads to a block of the same function, every block belongs to it,
// and blocks do not overlap.
func TestBlocks(t *testing.T) {
	for _, object := range []string{"calls.o", "calls_retpoline.o"} {
		m := fixture(t, object)
		for i := range m.Funcs {
			id := FuncID(i)
			blocks := slices.Clone(m.Blocks(id))
			for k := range blocks {
				for _, e := range m.Edges(&blocks[k]) {
					if int(e.To) >= len(blocks) {
						t.Errorf("%s: %s has an edge to block %d of %d", object, m.Func(id).Name, e.To, len(blocks))
					}
				}
				if !m.Func(id).Contains(blocks[k].Start) {
					t.Errorf("%s: %s has a block at %#x", object, m.Func(id).Name, blocks[k].Start)
				}
			}
			slices.SortFunc(blocks, func(a, b Block) int { return cmpU64(a.Start, b.Start) })
			for k := 1; k < len(blocks); k++ {
				if blocks[k].Start < blocks[k-1].End {
					t.Errorf("%s: blocks of %s overlap at %#x", object, m.Func(id).Name, blocks[k].Start)
				}
			}
		}
	}
}

func TestPack(t *testing.T) {
	m := fixture(t, "calls.o")
	var w pack.Writer
	m.Pack(&w)
	back, err := Unpack(m.Prog, pack.NewReader(w.B))
	if err != nil {
		t.Fatal(err)
	}
	var again pack.Writer
	back.Pack(&again)
	if !bytes.Equal(w.B, again.B) {
		t.Error("packed, unpacked and packed again, a model is other bytes")
	}
	if d := cmp.Diff(calls(m, m.one(t, "direct")), calls(back, back.one(t, "direct"))); d != "" {
		t.Errorf("calls of direct (-before +after):\n%s", d)
	}
	for n := range len(w.B) {
		if _, err := Unpack(m.Prog, pack.NewReader(w.B[:n])); err == nil {
			t.Errorf("%d of %d bytes are taken for a model", n, len(w.B))
		}
	}
}

func FuzzUnpack(f *testing.F) {
	m := fixture(f, "calls.o")
	var w pack.Writer
	m.Pack(&w)
	f.Add(w.B)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		back, err := Unpack(m.Prog, pack.NewReader(b))
		if (back == nil) == (err == nil) {
			t.Fatalf("model %v, error %v", back != nil, err)
		}
	})
}

// TestArgRegsForget: an argument register that an instruction changes without
// naming it does not hold a function's address any more.
func TestArgRegsForget(t *testing.T) {
	for text, left := range map[string]int{
		"48f7e1": 5, // mul rcx: rdx
		"0fa2":   4, // cpuid: rdx, rcx
		"f348ab": 4, // rep stos: rdi, rcx
		"48a5":   4, // movs: rsi, rdi
		"4899":   5, // cqo: rdx
		"4839fe": 6, // cmp rsi, rdi
		"57":     6, // push rdi
		"48f7ff": 5, // idiv rdi: rdx
	} {
		code, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		in, err := machine.X86.Decode(code, 0x1000)
		if err != nil {
			t.Fatal(err)
		}
		s := &scanner{b: &builder{convention: machine.X86.Convention()}}
		regs := argRegs{ref: [6]int32{1, 2, 3, 4, 5, 6}}
		s.forget(&regs, &in)
		got := 0
		for _, r := range regs.ref {
			if r != 0 {
				got++
			}
		}
		if got != left {
			t.Errorf("%s: %v left, want %d", text, regs.ref, left)
		}
	}
}
