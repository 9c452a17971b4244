package equiv

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
)

// place is a position in a function: the piece (0 is the function itself,
// others are cold parts) and the offset in it, bytes.
type place struct {
	piece int
	off   uint64
}

// left is the place where a function is after it jumped to another at p: what
// remains is that it returns.
func (p place) left() place { return place{-1 - p.piece, p.off} }

// String writes the offset; cold parts are numbered.
func (p place) String() string {
	if p.piece < 0 {
		return "left" + place{-1 - p.piece, p.off}.String()
	}
	if p.piece == 0 {
		return fmt.Sprintf("+%#x", p.off)
	}
	return fmt.Sprintf("cold%d+%#x", p.piece, p.off)
}

// insn is one decoded instruction with what its relocations refer to.
type insn struct {
	machine.Inst
	at place
	// disp, imm and rel name what a relocation of that field refers to; nil
	// without one.
	disp, imm, rel *ref
	special        string // table of the object that says more about it, "" if none
	extra          string // what the table says
	site           site
}

func (in *insn) next() place { return place{in.at.piece, in.at.off + uint64(in.Len)} }

// ref is the meaning of a relocation, the same in both objects.
type ref struct {
	name  string
	off   uint64 // added to the address of name
	piece int    // of the own function, -1 if elsewhere
	code  bool   // names a function
}

// body is a function's decoded code. Instructions are decoded when they are
// first reached.
type body struct {
	o       *elfdiff.Object
	arch    machine.Arch // nil when its instructions are not known
	name    string
	atoms   []elfdiff.AtomID
	refs    [][]elfdiff.Reference
	special map[place]site
	same    func(elfdiff.AtomID) bool // whether an atom has an equal partner
	cache   map[place]*insn
	inside  map[elfdiff.AtomID]string // names of atoms that content alone tells
}

type site struct {
	table, extra string
	key          *ref  // __jump_table: what decides
	target       place // __jump_table: where the jump leads
	branch       bool  // __jump_table: it jumps while the key is off
}

// load finds the pieces of a function.
func load(o *elfdiff.Object, a elfdiff.AtomID, same func(elfdiff.AtomID) bool) *body {
	code := &body{o: o, name: o.Atoms[a].Name, atoms: []elfdiff.AtomID{a}, special: map[place]site{}, same: same,
		cache: map[place]*insn{}, inside: map[elfdiff.AtomID]string{}}
	if arch, err := machine.For(o.File.Machine); err == nil {
		code.arch = arch
	}
	for i := range o.Atoms {
		if piece := elfdiff.AtomID(i); piece != a && o.Root(piece) == a && o.IsCode(piece) {
			code.atoms = append(code.atoms, piece)
		}
	}
	for _, piece := range code.atoms {
		refs := o.References(piece)
		code.refs = append(code.refs, refs)
	}
	code.readTables()
	return code
}

// tables are the sections that change what an instruction does.
var tables = []string{"__ex_table", "__bug_table", "__jump_table", ".altinstructions", ".parainstructions"}

// readTables notes which instructions special sections speak of.
func (b *body) readTables() {
	file := b.o.File
	for i := range file.Sections {
		section := &file.Sections[i]
		if !slices.Contains(tables, section.Name) {
			continue
		}
		for k := range section.Relocs {
			rel := &section.Relocs[k]
			sym := &file.Symbols[rel.Sym]
			at, ok := b.placeOf(sym.Sec, sym.Value+uint64(rel.Addend))
			if !ok {
				continue
			}
			extra := ""
			entry := site{}
			switch section.Name {
			case "__bug_table":
				// 12 bytes: distances to the code and to the file's name, line, flags
				// (include/asm-generic/bug.h, v6.1); only the first is in the function.
				if at := rel.Off + 10; rel.Off%12 == 0 && at+2 <= uint64(len(section.Data)) {
					extra = hex.EncodeToString(section.Data[at : at+2])
				}
			case "__jump_table":
				// 16 bytes: code, target, key (include/linux/jump_label.h, v6.1).
				if rel.Off%16 != 0 {
					continue // the target, which is no more than a place to jump to
				}
				entry = b.jumpEntry(section, rel.Off)
			}
			entry.table, entry.extra = section.Name, extra
			b.special[at] = entry
		}
	}
}

// jumpEntry reads the rest of an entry of __jump_table: its key stays nil when it
// is not understood. The lowest bit of the key says that the branch is taken while
// the key is off (include/linux/jump_label.h, jump_entry_is_branch, v6.1).
func (b *body) jumpEntry(s *elfobj.Section, off uint64) site {
	var out site
	for k := range s.Relocs {
		rel := &s.Relocs[k]
		sym := &b.o.File.Symbols[rel.Sym]
		to := sym.Value + uint64(rel.Addend)
		switch rel.Off {
		case off + 4:
			at, ok := b.placeOf(sym.Sec, to)
			if !ok {
				return site{}
			}
			out.target = at
		case off + 8:
			out.branch = to&1 == 1
			if sym.Sec <= 0 {
				if sym.Name != "" {
					out.key = &ref{name: sym.Name, off: to &^ 1, piece: -1}
				}
				continue
			}
			for i := range b.o.Atoms {
				if at := &b.o.Atoms[i]; at.Sec == sym.Sec && to >= at.Base && to < at.Base+at.Size {
					if name, err := b.atomName(elfdiff.AtomID(i)); err == nil {
						out.key = &ref{name: name, off: (to - at.Base) &^ 1, piece: -1}
					}
				}
			}
		}
	}
	return out
}

// placeOf finds an offset of a section in the function.
func (b *body) placeOf(sec elfobj.SecID, off uint64) (place, bool) {
	for i, piece := range b.atoms {
		at := &b.o.Atoms[piece]
		if at.Sec == sec && off >= at.Base && off < at.Base+at.Size {
			return place{i, off - at.Base}, true
		}
	}
	return place{}, false
}

// at decodes the instruction at a place.
func (b *body) at(p place) (*insn, error) {
	if in := b.cache[p]; in != nil {
		return in, nil
	}
	if b.arch == nil {
		return nil, refuse(p, "code of another architecture")
	}
	code := b.o.Code(b.atoms[p.piece])
	if p.off >= uint64(len(code)) {
		return nil, refuse(p, "control leaves the function's code")
	}
	inst, err := b.arch.Decode(code[p.off:], 0)
	if err != nil || !inst.Known() {
		return nil, refuse(p, "an instruction that is not known")
	}
	in := &insn{Inst: inst, at: p}
	for i := range b.refs[p.piece] {
		ref := &b.refs[p.piece][i]
		if ref.Off+uint64(ref.Width) <= p.off || ref.Off >= p.off+uint64(in.Len) {
			continue
		}
		if ref.Off < p.off {
			return nil, refuse(p, "a relocation that begins before the instruction")
		}
		if err := b.attach(in, code[p.off:p.off+uint64(in.Len)], ref, int(ref.Off-p.off)); err != nil {
			return nil, err
		}
	}
	if special, ok := b.special[p]; ok {
		in.special, in.extra, in.site = special.table, special.extra, special
	}
	b.cache[p] = in
	return in, nil
}

// attach finds which field of the instruction a relocation fills: it decodes
// the instruction once more with a mark in the place.
func (b *body) attach(in *insn, code []byte, r *elfdiff.Reference, at int) error {
	to, err := b.meaning(r)
	if err != nil {
		return refuse(in.at, "%v", err)
	}
	if at+r.Width > len(code) {
		return refuse(in.at, "a relocation that reaches over the instruction's end")
	}
	if r.Width != 4 && r.Width != 8 {
		return refuse(in.at, "a relocation of %d bytes", r.Width)
	}
	marked := slices.Clone(code)
	for i := range r.Width {
		marked[at+i] = 0
	}
	plain, err := b.arch.Decode(marked, 0)
	if err != nil {
		return refuse(in.at, "an instruction that is not known")
	}
	marked[at] = 0x35
	other, err := b.arch.Decode(marked, 0)
	if err != nil {
		return refuse(in.at, "an instruction that is not known")
	}
	found := 0
	for nth := range plain.Args {
		if plain.Args[nth] == other.Args[nth] {
			continue
		}
		found++
		switch plain.Args[nth].Kind {
		case machine.KindMem:
			in.disp = to
			in.Args[nth] = plain.Args[nth]
			in.Args[nth].Mem.Disp = 0
		case machine.KindImm:
			in.imm = to
		case machine.KindRel:
			in.rel = to
		default:
			return refuse(in.at, "a relocation in no known field")
		}
	}
	if found != 1 {
		return refuse(in.at, "a relocation in no known field")
	}
	return nil
}

// meaning names what a relocation refers to.
func (b *body) meaning(r *elfdiff.Reference) (*ref, error) {
	target := r.Target
	out := &ref{piece: -1, off: uint64(target.Off)}
	switch target.Kind {
	case elfdiff.TargetExtern:
		out.name = target.Name
		if r.PCRel {
			out.off += uint64(r.Skew)
		}
	case elfdiff.TargetString:
		out.name, out.off = fmt.Sprintf("%q", target.Text), uint64(target.Skip)
	case elfdiff.TargetConst:
		out.name, out.off = "const:"+hex.EncodeToString(target.Text), uint64(target.Skip)
	case elfdiff.TargetAtom:
		if i := slices.Index(b.atoms, target.Atom); i >= 0 {
			out.piece, out.name = i, b.name
			return out, nil
		}
		name, err := b.atomName(target.Atom)
		if err != nil {
			return nil, err
		}
		out.name, out.code = name, b.o.IsCode(target.Atom)
	default:
		return nil, fmt.Errorf("a reference to a place without a name")
	}
	return out, nil
}

// atomName names a piece of the object so that the name means the same on
// both sides: by its symbol, or, where it has none, by what it holds.
func (b *body) atomName(a elfdiff.AtomID) (string, error) {
	at := &b.o.Atoms[a]
	if at.Name != "" && !strings.HasPrefix(at.Name, ".L") {
		if !b.same(a) {
			return "", fmt.Errorf("a reference to %s, which has no partner of that name", at.Name)
		}
		count := 0
		for i := range b.o.Atoms {
			if b.o.Atoms[i].Name == at.Name {
				count++
			}
		}
		if count != 1 {
			return "", fmt.Errorf("a reference to %s, a name that several have", at.Name)
		}
		return at.Name, nil
	}
	sec := &b.o.File.Sections[at.Sec]
	if sec.Flags&(elf.SHF_WRITE|elf.SHF_EXECINSTR) != 0 || len(b.o.References(a)) > 0 || sec.Type == elf.SHT_NOBITS {
		return "", fmt.Errorf("a reference to data without a name")
	}
	sum := sha256.Sum256(sec.Data[at.Start:at.End])
	return "data:" + hex.EncodeToString(sum[:8]), nil
}

// target gives the place that a direct branch leads to. to is nil when it
// stays in the function.
func (b *body) target(in *insn) (p place, to *ref, err error) {
	if in.rel != nil {
		if in.rel.piece < 0 {
			return place{}, in.rel, nil
		}
		return place{in.rel.piece, in.rel.off}, nil, nil
	}
	if in.Args[0].Kind != machine.KindRel {
		return place{}, nil, refuse(in.at, "a jump through a pointer")
	}
	p = place{in.at.piece, in.next().off + uint64(in.Args[0].Imm)}
	if p.off >= b.o.Atoms[b.atoms[p.piece]].Size {
		return place{}, nil, refuse(in.at, "a jump out of the function")
	}
	return p, nil, nil
}

// Obstacle says which obligation failed, and where.
type Obstacle struct {
	At     string // offset in the function
	Source string // file and line of it, "" if not known
	Why    string
	side   int
	where  place
}

func (o *Obstacle) Error() string {
	if o.At == "" {
		return o.Why
	}
	return o.At + in(o.Source) + ": " + o.Why
}

// in writes a place in the source behind an offset.
func in(source string) string {
	if source == "" {
		return ""
	}
	return " (" + source + ")"
}

func refuse(at place, format string, args ...any) *Obstacle {
	return &Obstacle{At: at.String(), Why: fmt.Sprintf(format, args...), where: at}
}
