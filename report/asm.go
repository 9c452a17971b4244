package report

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"github.com/klpforge/klpforge/elfdiff"
)

// maxCompared bounds the instructions that are put side by side: comparing
// takes time in proportion to the product of both sides.
const maxCompared = 2000

// Instructions puts the code of a changed function side by side, without what
// stays the same far from a change. It returns nil for code that is too long.
func Instructions(d *elfdiff.Result, ch elfdiff.Change) []Row {
	if ch.Orig < 0 || ch.Patched < 0 {
		return nil
	}
	old, newer := disassemble(d.Orig, ch.Orig), disassemble(d.Patched, ch.Patched)
	head := 0
	for head < len(old) && head < len(newer) && old[head].key == newer[head].key {
		head++
	}
	tail := 0
	for tail < len(old)-head && tail < len(newer)-head && old[len(old)-1-tail].key == newer[len(newer)-1-tail].key {
		tail++
	}
	a, b := old[head:len(old)-tail], newer[head:len(newer)-tail]
	if len(a) > maxCompared || len(b) > maxCompared {
		return nil
	}
	var rows []Row
	pair := func(x, y *insn) {
		r := Row{Kind: Same}
		if x != nil {
			r.OldNo, r.Old, r.HasOld = x.off, x.text, true
		}
		if y != nil {
			r.NewNo, r.New, r.HasNew = y.off, y.text, true
		}
		rows = append(rows, r.settle())
	}
	for i := range head {
		pair(&old[i], &newer[i])
	}
	for _, m := range align(a, b) {
		switch {
		case m[0] < 0:
			pair(nil, &b[m[1]])
		case m[1] < 0:
			pair(&a[m[0]], nil)
		default:
			pair(&a[m[0]], &b[m[1]])
		}
	}
	for i := range tail {
		pair(&old[len(old)-tail+i], &newer[len(newer)-tail+i])
	}
	return fold(rows)
}

// align returns the longest common subsequence of both lists as pairs of
// indices, -1 where a side has nothing.
func align(a, b []insn) [][2]int {
	w := len(b) + 1
	best := make([]int32, (len(a)+1)*w)
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i].key == b[j].key {
				best[i*w+j] = best[(i+1)*w+j+1] + 1
			} else {
				best[i*w+j] = max(best[(i+1)*w+j], best[i*w+j+1])
			}
		}
	}
	var out [][2]int
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i].key == b[j].key:
			out = append(out, [2]int{i, j})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && best[(i+1)*w+j] >= best[i*w+j+1]:
			out = append(out, [2]int{i, -1})
			i++
		default:
			out = append(out, [2]int{-1, j})
			j++
		}
	}
	return out
}

// fold replaces what is far from every change by gaps.
func fold(rows []Row) []Row {
	near := make([]bool, len(rows))
	for i := range rows {
		if rows[i].Kind != Same {
			for k := max(0, i-around); k <= min(len(rows)-1, i+around); k++ {
				near[k] = true
			}
		}
	}
	var out []Row
	for i, r := range rows {
		switch {
		case near[i]:
			out = append(out, r)
		case len(out) == 0 || out[len(out)-1].Kind != Gap:
			out = append(out, Row{Kind: Gap})
		}
	}
	return out
}

// insn is one instruction. key leaves out distances of jumps within the
// function, which shift with every insertion.
type insn struct {
	off       int // bytes from the function's start
	text, key string
}

func disassemble(o *elfdiff.Object, a elfdiff.AtomID) []insn {
	code := o.Code(a)
	refs := o.References(a)
	var out []insn
	for off := 0; off < len(code); {
		in, err := o.Arch.Decode(code[off:])
		n := in.Len
		if err != nil || n <= 0 {
			out = append(out, insn{off, "(undecodable)", "(undecodable)"})
			break
		}
		var targets []string
		for len(refs) > 0 && refs[0].Off < uint64(off+n) {
			if refs[0].Off >= uint64(off) {
				targets = append(targets, targetName(o, refs[0].Target))
			}
			refs = refs[1:]
		}
		text, key := render(code[off:off+n], off, targets)
		out = append(out, insn{off, text, key})
		off += n
	}
	return out
}

func render(code []byte, off int, targets []string) (text, key string) {
	in, err := x86asm.Decode(code, 64)
	if err != nil || in.Op == 0 {
		text = fmt.Sprintf("(% x)", code)
		return text, text
	}
	text = x86asm.GNUSyntax(in, uint64(off), nil)
	rel, direct := in.Args[0].(x86asm.Rel)
	switch op, _, _ := strings.Cut(text, " "); {
	case direct && len(targets) > 0:
		text = op + " " + targets[0]
	case direct:
		return fmt.Sprintf("%s +%#x", op, off+len(code)+int(rel)), op
	case len(targets) > 0:
		text += "  # " + strings.Join(targets, ", ")
	case slices.Contains([]x86asm.Op{x86asm.NOP}, in.Op):
		text = "nop"
	}
	return text, text
}

func targetName(o *elfdiff.Object, t elfdiff.Target) string {
	name := ""
	switch t.Kind {
	case elfdiff.TargetExtern:
		name = t.Name
		if t.Off == -4 || t.Off == 0 {
			return name
		}
	case elfdiff.TargetAtom:
		name = o.Atoms[t.Atom].Name
		if name == "" {
			name = o.Section(t.Atom)
		}
		if t.Off == 0 {
			return name
		}
	case elfdiff.TargetString:
		s := string(t.Text)
		if t.Skip > 0 && t.Skip < int64(len(s)) {
			s = s[t.Skip:]
		}
		return fmt.Sprintf("%.40q", strings.TrimRight(s, "\x00"))
	case elfdiff.TargetConst:
		return fmt.Sprintf("constant %x", t.Text)
	default:
		return "local data"
	}
	return fmt.Sprintf("%s%+#x", name, t.Off)
}
