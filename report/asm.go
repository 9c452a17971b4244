package report

import (
	"fmt"
	"strings"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
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

	// What is equal at both ends needs no alignment, whose cost grows with the square.
	head := 0
	for head < len(old) && head < len(newer) && old[head].key == newer[head].key {
		head++
	}
	tail := 0
	for tail < len(old)-head && tail < len(newer)-head && old[len(old)-1-tail].key == newer[len(newer)-1-tail].key {
		tail++
	}

	oldPart, newPart := old[head:len(old)-tail], newer[head:len(newer)-tail]
	if len(oldPart) > maxCompared || len(newPart) > maxCompared {
		return nil
	}

	var rows []Row
	pair := func(left, right *insn) {
		row := Row{Kind: Same}
		if left != nil {
			row.OldNo, row.Old, row.HasOld = left.off, left.text, true
		}
		if right != nil {
			row.NewNo, row.New, row.HasNew = right.off, right.text, true
		}
		rows = append(rows, row.settle())
	}
	for i := range head {
		pair(&old[i], &newer[i])
	}
	for _, match := range align(oldPart, newPart) {
		switch {
		case match[0] < 0:
			pair(nil, &newPart[match[1]])
		case match[1] < 0:
			pair(&oldPart[match[0]], nil)
		default:
			pair(&oldPart[match[0]], &newPart[match[1]])
		}
	}
	for i := range tail {
		pair(&old[len(old)-tail+i], &newer[len(newer)-tail+i])
	}
	return fold(rows)
}

// align returns the longest common subsequence of both lists as pairs of
// indices, -1 where a side has nothing.
func align(old, newer []insn) [][2]int {
	width := len(newer) + 1
	best := make([]int32, (len(old)+1)*width)
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(newer) - 1; j >= 0; j-- {
			if old[i].key == newer[j].key {
				best[i*width+j] = best[(i+1)*width+j+1] + 1
			} else {
				best[i*width+j] = max(best[(i+1)*width+j], best[i*width+j+1])
			}
		}
	}
	var out [][2]int
	i, j := 0, 0
	for i < len(old) || j < len(newer) {
		switch {
		case i < len(old) && j < len(newer) && old[i].key == newer[j].key:
			out = append(out, [2]int{i, j})
			i, j = i+1, j+1
		case j == len(newer) || i < len(old) && best[(i+1)*width+j] >= best[i*width+j+1]:
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
	for i, row := range rows {
		switch {
		case near[i]:
			out = append(out, row)
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

func disassemble(obj *elfdiff.Object, a elfdiff.AtomID) []insn {
	code := obj.Code(a)
	refs := obj.References(a)
	var out []insn
	for off := 0; off < len(code); {
		in, err := obj.Arch.Decode(code[off:])
		length := in.Len
		if err != nil || length <= 0 {
			out = append(out, insn{off, "(undecodable)", "(undecodable)"})
			break
		}
		var targets []string
		for len(refs) > 0 && refs[0].Off < uint64(off+length) {
			if refs[0].Off >= uint64(off) {
				targets = append(targets, targetName(obj, refs[0].Target))
			}
			refs = refs[1:]
		}
		text, key := render(obj.Arch, code[off:off+length], off, targets)
		out = append(out, insn{off, text, key})
		off += length
	}
	return out
}

func render(arch elfobj.Arch, code []byte, off int, targets []string) (text, key string) {
	text, ok := arch.Text(code, uint64(off))
	if !ok {
		text = fmt.Sprintf("(% x)", code)
		return text, text
	}
	insn, err := arch.Decode(code)
	direct := err == nil && insn.PCLen > 0 &&
		(insn.Kind == elfobj.BranchCall || insn.Kind == elfobj.BranchJump || insn.Kind == elfobj.BranchCond)
	switch op := withoutLast(text); {
	case direct && len(targets) > 0:
		text = op + targets[0]
	case direct:
		return fmt.Sprintf("%s+%#x", op, off+insn.PCBase+int(insn.Disp)), op
	case len(targets) > 0:
		text += "  # " + strings.Join(targets, ", ")
	}
	return text, text
}

// withoutLast cuts the last operand of an instruction off, where a branch has its target.
func withoutLast(text string) string {
	if i := strings.LastIndex(text, ","); i >= 0 {
		return text[:i+1]
	}
	op, _, _ := strings.Cut(text, " ")
	return op + " "
}

func targetName(obj *elfdiff.Object, target elfdiff.Target) string {
	name := ""
	switch target.Kind {
	case elfdiff.TargetExtern:
		name = target.Name
		if target.Off == -4 || target.Off == 0 {
			return name
		}
	case elfdiff.TargetAtom:
		name = obj.Atoms[target.Atom].Name
		if name == "" {
			name = obj.Section(target.Atom)
		}
		if target.Off == 0 {
			return name
		}
	case elfdiff.TargetString:
		s := string(target.Text)
		if target.Skip > 0 && target.Skip < int64(len(s)) {
			s = s[target.Skip:]
		}
		return fmt.Sprintf("%.40q", strings.TrimRight(s, "\x00"))
	case elfdiff.TargetConst:
		return fmt.Sprintf("constant %x", target.Text)
	default:
		return "local data"
	}
	return fmt.Sprintf("%s%+#x", name, target.Off)
}
