package elfdiff

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

const klpPrefix = ".klp.sym.vmlinux."

// fakeResolver names everything as a symbol of vmlinux.
func fakeResolver(e External) (string, error) { return klpPrefix + e.Name + ",0", nil }

// replaceable returns the changed functions that a livepatch would redirect.
func replaceable(r *Result) []AtomID {
	var out []AtomID
	for _, ch := range r.Functions {
		if ch.Kind == Changed && !ch.Init {
			out = append(out, ch.Patched)
		}
	}
	return out
}

func extractAll(r *Result) (*Extracted, error) {
	return r.Extract(ExtractOptions{Unit: "dir/unit.o", Object: "vmlinux", Functions: replaceable(r), Resolve: fakeResolver})
}

// TestExtractFixtures cuts every case. Lines of after.c say more:
//
//	// extract: fails KLP109     the result is that problem
//	// extract: entries S n      the object has n entries in section S
//	// extract: externs a b      it refers to these symbols and no others
//	// extract: carries a b      it holds these new variables and no others
//	// extract: note KLP105 f    cutting left this note on function f
func TestExtractFixtures(t *testing.T) {
	for _, f := range fixtures(t) {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			r := f.diff(t)
			x, err := f.extract(t, r)
			refused := slices.ContainsFunc(r.Problems, func(p finding.Finding) bool { return p.Severity == finding.Error })
			for _, d := range f.directives(t, "extract") {
				w := strings.Fields(d)
				if w[0] == "fails" {
					var p *finding.Finding
					if !errors.As(err, &p) || string(p.ID) != w[1] || p.Remedy == "" {
						t.Fatalf("error %v, want %s with a remedy", err, w[1])
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				wantDirective(t, x, w)
			}
			if err != nil {
				var p *finding.Finding
				if refused && errors.As(err, &p) {
					return
				}
				t.Fatal(err)
			}
			if len(f.directives(t, "module")) == 0 {
				checkExtracted(t, r, x)
			}
		})
	}
}

// extract cuts all changed functions of a fixture. A line "// module m: a b" says
// that the symbols a and b are those of module m.
func (f fixture) extract(t testing.TB, r *Result) (*Extracted, error) {
	t.Helper()
	opt := ExtractOptions{Unit: "dir/unit.o", Object: "vmlinux", Functions: replaceable(r), Resolve: fakeResolver}
	for _, line := range f.directives(t, "module") {
		w := strings.Fields(line)
		opt.Object, opt.Resolve = "mod", moduleResolver(w[0], w[1:]...)
	}
	return r.Extract(opt)
}

func wantDirective(t *testing.T, x *Extracted, w []string) {
	t.Helper()
	switch w[0] {
	case "entries":
		n := uint64(0)
		for i := range x.File.Sections {
			if s := &x.File.Sections[i]; s.Name == w[1] {
				sh, err := (&Object{File: x.File, Arch: elfArch(t, x.File)}).entryShape(tableRow(s.Name), s)
				if err != nil {
					t.Fatal(err)
				}
				count, _ := sh.count(s.Size)
				n += count
			}
		}
		if got := fmt.Sprint(n); got != w[2] {
			t.Errorf("%s entries in %s, want %s", got, w[1], w[2])
		}
	case "externs":
		got := []string{}
		for _, e := range x.Externals {
			if elfArch(t, x.File).ByName(e) {
				continue
			}
			base, _ := stem(strings.TrimSuffix(strings.TrimPrefix(e, klpPrefix), ",0"))
			got = append(got, base)
		}
		slices.Sort(w[1:])
		slices.Sort(got)
		if d := cmp.Diff(w[1:], got); d != "" {
			t.Errorf("externals (-want +got)\n%s", d)
		}
	case "note":
		if !slices.ContainsFunc(x.Problems, func(p finding.Finding) bool {
			return string(p.ID) == w[1] && p.Severity == finding.Note && p.Symbol == strings.Join(w[2:], " ")
		}) {
			t.Errorf("problems %+v, want a note %s on %s", x.Problems, w[1], w[2:])
		}
	case "carries":
		got := []string{}
		for _, n := range x.NewData {
			base, _ := stem(n)
			got = append(got, base)
		}
		slices.Sort(w[1:])
		if d := cmp.Diff(w[1:], got); d != "" {
			t.Errorf("new data (-want +got)\n%s", d)
		}
	default:
		t.Fatalf("unknown directive %q", w)
	}
}

// checkExtracted compares the meaning of the extracted object with that of the
// patched one it was cut from.
func checkExtracted(t *testing.T, r *Result, x *Extracted) {
	t.Helper()
	out, err := x.File.Write()
	if err != nil {
		t.Fatal(err)
	}
	f, err := elfobj.Read(out)
	if err != nil {
		t.Fatalf("read back: %v", err)
	}
	again, err := extractAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := again.File.Write(); err != nil || !bytes.Equal(out, second) {
		t.Error("a second extraction gives other bytes")
	}
	nameAdjoined(r, x, f)
	e, err := Load(f)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	c := &extractChecker{t: t, r: r, x: x, p: r.Patched, e: e, toE: map[AtomID]AtomID{}, toP: map[AtomID]AtomID{}}
	c.run()
	if !testing.Short() && f.Machine == elf.EM_X86_64 {
		ld, err := exec.LookPath("ld")
		if err != nil {
			t.Fatalf("what is extracted is given to ld: %v", err)
		}
		dir := t.TempDir()
		in := filepath.Join(dir, "x.o")
		if err := os.WriteFile(in, out, 0o666); err != nil {
			t.Fatal(err)
		}
		if text, err := exec.Command(ld, "-r", "-o", filepath.Join(dir, "y.o"), in).CombinedOutput(); err != nil || len(text) > 0 {
			t.Errorf("ld -r: %v\n%s", err, text)
		}
	}
}

// nameAdjoined gives the pieces behind their functions symbols again, where they have
// to be: then what is extracted compares with the patched object.
func nameAdjoined(r *Result, x *Extracted, f *elfobj.File) {
	p := r.Patched
	for a := range p.Atoms {
		if !p.coldPart(AtomID(a)) {
			continue
		}
		root := p.Root(AtomID(a))
		name, ok := x.NewSymbols[root]
		if !ok {
			name = p.Atoms[root].Name
		}
		for i := range f.Symbols {
			s := f.Symbols[i]
			if s.Name != name || s.Sec <= 0 || s.Type != elf.STT_FUNC {
				continue
			}
			piece, at := &p.Atoms[a], &p.Atoms[root]
			for k := range f.Symbols {
				if g := &f.Symbols[k]; g.Sec == s.Sec && g.Type == elf.STT_FUNC && g.Value == s.Value {
					g.Size = at.Size
				}
			}
			align := commonAlign(max(p.File.Sections[piece.Sec].Align, 1), int64(piece.Start))
			end := int64(s.Value + p.room(root) - (at.Base - at.Start))
			// Named after the symbol that the function goes by in the result.
			f.Symbols = append(f.Symbols, elfobj.Symbol{Name: name + strings.TrimPrefix(piece.Name, at.Name), Type: elf.STT_FUNC, Sec: s.Sec, Size: piece.Size,
				Value: uint64((end+align-1)/align*align) + piece.Base - piece.Start})
			break
		}
	}
}

type extractChecker struct {
	t        *testing.T
	r        *Result
	x        *Extracted
	p, e     *Object
	toE, toP map[AtomID]AtomID // carried atoms: patched object <-> extracted object
	work     []AtomID          // patched atoms to compare
}

func (c *extractChecker) run() {
	t := c.t
	allowed := map[AtomID]bool{}
	for _, a := range replaceable(c.r) {
		allowed[a] = true
		name, ok := c.x.NewSymbols[a]
		if !ok {
			t.Errorf("%s has no symbol in the result", c.p.Atoms[a].Name)
			continue
		}
		c.meet(a, c.find(name, true))
	}
	for _, ch := range c.r.Functions {
		if ch.Kind == New {
			allowed[ch.Patched] = true
		}
	}
	c.atoms()
	c.tables()
	c.atoms() // those that only a table refers to
	// Whatever the object holds is there because something refers to it.
	for i := range c.e.Atoms {
		ea := AtomID(i)
		at := &c.e.Atoms[ea]
		pa, ok := c.toP[ea]
		if !ok {
			if at.Size > 0 && !c.prefix(ea) && !strings.HasPrefix(c.e.Section(ea), ".rodata.klpforge.") && c.e.class[at.Sec] != classTable {
				t.Errorf("%s in %s is carried but nothing refers to it", at.Name, c.e.Section(ea))
			}
			continue
		}
		root := c.p.Root(pa)
		switch {
		case c.p.Atoms[pa].Class == classText && !allowed[root] && !c.p.thunk(root):
			t.Errorf("unchanged function %s is carried", c.p.Atoms[root].Name)
		case variable(c.p, pa) && c.r.pairs.toO[pa] >= 0 && !c.r.carry[pa]:
			t.Errorf("existing variable %s is carried", c.p.Atoms[pa].Name)
		}
	}
	c.symbols()
}

func (c *extractChecker) atoms() {
	for len(c.work) > 0 {
		a := c.work[0]
		c.work = c.work[1:]
		c.atom(a)
	}
}

// prefix reports whether ea is the nameless space before a function's entry.
func (c *extractChecker) prefix(ea AtomID) bool {
	at := &c.e.Atoms[ea]
	list := c.e.atomsIn(at.Sec)
	if at.Class != classText || at.Name != "" || len(list) != 2 || list[0] != ea {
		return false
	}
	pa, ok := c.toP[list[1]]
	p := &c.p.Atoms[pa]
	return ok && p.Base-p.Start == at.Size && bytes.Equal(c.p.File.Sections[p.Sec].Data[p.Start:p.Base], c.e.File.Sections[at.Sec].Data[:at.Size])
}

// find returns the extracted atom that a symbol of the name is in.
func (c *extractChecker) find(name string, global bool) AtomID {
	for i := range c.e.File.Symbols {
		s := &c.e.File.Symbols[i]
		if s.Name == name && s.Sec > 0 && (s.Bind != elf.STB_LOCAL) == global {
			return c.e.symAtom[i]
		}
	}
	c.t.Errorf("the result has no symbol %s", name)
	return -1
}

// meet notes that two atoms are one.
func (c *extractChecker) meet(pa, ea AtomID) {
	if ea < 0 {
		return
	}
	if old, ok := c.toE[pa]; ok {
		if old != ea {
			c.t.Errorf("%s is in the result twice", c.p.Atoms[pa].Name)
		}
		return
	}
	if old, ok := c.toP[ea]; ok && old != pa {
		c.t.Errorf("%s and %s became one", c.p.Atoms[old].Name, c.p.Atoms[pa].Name)
		return
	}
	c.toE[pa], c.toP[ea] = ea, pa
	c.work = append(c.work, pa)
}

func (c *extractChecker) errorf(pa AtomID, format string, args ...any) {
	c.t.Helper()
	n := c.p.Atoms[pa].Name
	if n == "" {
		n = c.p.Section(pa)
	}
	c.t.Errorf("%s: %s", n, fmt.Sprintf(format, args...))
}

func (c *extractChecker) atom(pa AtomID) {
	ea := c.toE[pa]
	p, e := &c.p.Atoms[pa], &c.e.Atoms[ea]
	if p.Size != e.Size && p.Name != "" {
		c.errorf(pa, "%d bytes, want %d", e.Size, p.Size)
		return
	}
	ps, es := &c.p.File.Sections[p.Sec], &c.e.File.Sections[e.Sec]
	if keep := elf.SHF_WRITE | elf.SHF_ALLOC | elf.SHF_EXECINSTR; ps.Flags&keep != es.Flags&keep || ps.Type != es.Type {
		c.errorf(pa, "section %v %v, want %v %v", es.Type, es.Flags, ps.Type, ps.Flags)
	}
	if p.Class != e.Class {
		c.errorf(pa, "section %s is of another kind than %s", es.Name, ps.Name)
	}
	if p.Class == classText && p.Name != "" && c.p.Root(pa) == pa && (es.Name != ps.Name && es.Name != ".text."+p.Name || !strings.Contains(es.Name, "."+strings.SplitN(p.Name, ".", 2)[0])) {
		c.errorf(pa, "from %s lies in %s", ps.Name, es.Name) // -ffunction-sections: nothing else goes there
	}
	align := max(ps.Align, 1)
	for p.Base%align != 0 {
		align /= 2
	}
	if es.Align < align || e.Base%align != 0 {
		c.errorf(pa, "aligned to %d at %#x, want %d", es.Align, e.Base, align)
	}
	pref, eref := c.p.References(pa), c.e.References(ea)
	for _, r := range c.e.relocs(e.Sec) {
		if w := c.e.Arch.Width(r.Type); w != 4 && w != 8 && w != 0 && c.e.File.Machine == elf.EM_X86_64 {
			c.errorf(pa, "relocation %s, which the module loader does not know", c.e.Arch.RelocName(r.Type))
		}
	}
	pref = slices.DeleteFunc(pref, func(r Reference) bool {
		if r.Width == 1 {
			c.shortJump(pa, r)
		}
		return r.Width == 1
	})
	pb, eb := bytes.Clone(c.p.Code(pa)), bytes.Clone(c.e.Code(ea))
	for _, r := range c.p.References(pa) {
		if r.Width == 1 {
			pb[r.Off], eb[r.Off] = 0, 0
		}
	}
	if len(pref) != len(eref) {
		c.errorf(pa, "%d references, want %d", len(eref), len(pref))
		return
	}
	for i := range pref {
		a, b := pref[i], eref[i]
		if a.Off != b.Off || a.Width != b.Width || a.Type != b.Type || a.PCRel != b.PCRel || a.Skew != b.Skew {
			c.errorf(pa, "reference at +%#x became %+v", a.Off, b)
			return
		}
		c.p.Arch.Clear(pb[a.Off:a.Off+uint64(a.Width)], a.Type)
		c.e.Arch.Clear(eb[b.Off:b.Off+uint64(b.Width)], b.Type)
		c.target(pa, fmt.Sprintf("reference at +%#x", a.Off), a.Target, b.Target, a.Branch, a.Skew)
	}
	if !bytes.Equal(pb, eb) {
		c.errorf(pa, "bytes differ")
	}
}

// shortJump follows the two steps that a short jump out of a function becomes.
func (c *extractChecker) shortJump(pa AtomID, r Reference) {
	e := &c.e.Atoms[c.toE[pa]]
	s := &c.e.File.Sections[e.Sec]
	place := e.Base + r.Off
	stub := int(place) + 1 + int(int8(s.Data[place]))
	if stub < int(e.Base+e.Size) || stub+5 > len(s.Data) || s.Data[stub] != 0xe9 {
		c.errorf(pa, "short jump at +%#x leads to +%#x", r.Off, stub)
		return
	}
	for k := range c.e.relocs(e.Sec) {
		if near := &c.e.relocs(e.Sec)[k]; near.Off == uint64(stub+1) {
			c.target(pa, "short jump", r.Target, c.e.target(e.Sec, near, k), true, 4)
			return
		}
	}
	c.errorf(pa, "jump at +%#x goes nowhere", stub)
}

// target checks one reference. branch tells a call or jump, skew what an
// addend lacks to the offset that is meant.
func (c *extractChecker) target(from AtomID, where string, a, b Target, branch bool, skew int64) {
	wantExtern := func(name string, off int64) {
		want := klpPrefix + name + ",0"
		if c.e.Arch.ByName(name) {
			want = name
		}
		if b.Kind != TargetExtern || b.Name != want {
			c.errorf(from, "%s: to %s, want the kernel's %s", where, c.r.pairs.targetName(c.e, b), name)
			return
		}
		if b.Off+skew != off {
			c.errorf(from, "%s: to %s%+d, want %+d", where, name, b.Off+skew, off)
		}
	}
	switch a.Kind {
	case TargetExtern:
		wantExtern(a.Name, a.Off+skew)
	case TargetString, TargetConst:
		// What lies around the place meant must be the same, wherever it is now.
		if b.Kind != TargetAtom && b.Kind != TargetString && b.Kind != TargetConst {
			c.errorf(from, "%s: to %s, want a copy of %q", where, c.r.pairs.targetName(c.e, b), a.Text)
			return
		}
		s := &c.e.File.Sections[b.Sec]
		start := b.Off - a.Skip
		if b.Kind == TargetAtom {
			start += int64(c.e.Atoms[b.Atom].Base)
		}
		if start < 0 || start+int64(len(a.Text)) > int64(len(s.Data)) || !bytes.Equal(s.Data[start:start+int64(len(a.Text))], a.Text) {
			c.errorf(from, "%s: not a copy of %q", where, a.Text)
		} else if al := commonAlign(c.p.File.Sections[a.Sec].Align, a.Off-a.Skip); a.Kind == TargetConst && (start%al != 0 || s.Align < uint64(al)) {
			c.errorf(from, "%s: constant at %#x in a section aligned to %d, want %d", where, start, s.Align, al)
		}
	case TargetAtom:
		c.atomTarget(from, where, a, b, branch, wantExtern)
	case TargetAbs:
		if b.Kind != TargetAbs || a.Off != b.Off {
			c.errorf(from, "%s: absolute %#x became %+v", where, a.Off, b)
		}
	case TargetNone:
	case TargetPiece:
		// An entry of a table must be that of the same place in the same function.
		ent, _, ok := c.p.siteAt(a)
		copied, _, okCopy := c.e.siteAt(b)
		if !ok || !okCopy || ent.row != copied.row || c.toE[ent.owner] != copied.owner || ent.at != copied.at ||
			a.Off-int64(ent.off) != b.Off-int64(copied.off) {
			c.errorf(from, "%s: to %s, want the entry of its own place", where, c.r.pairs.targetName(c.e, b))
		}
	default:
		c.errorf(from, "%s: of kind %d", where, a.Kind)
	}
}

func (c *extractChecker) atomTarget(from AtomID, where string, a, b Target, branch bool, wantExtern func(string, int64)) {
	at := &c.p.Atoms[a.Atom]
	root := c.p.Root(a.Atom)
	orig := c.r.pairs.toO[a.Atom]
	carried := false
	switch {
	case at.Class == classText:
		replaced := slices.Contains(replaceable(c.r), root)
		carried = c.p.thunk(root) || c.r.pairs.toO[root] < 0 || replaced && (branch || a.Off != 0 || root != a.Atom)
	case at.Name == "" || generatedConst(at.Name) || c.p.labels[a.Atom]:
		carried = true
	default:
		carried = orig < 0 || c.r.carry[a.Atom]
	}
	if !carried {
		wantExtern(c.r.Orig.Atoms[orig].Name, a.Off)
		return
	}
	if b.Kind != TargetAtom {
		c.errorf(from, "%s: to %s, want the copy of %s", where, c.r.pairs.targetName(c.e, b), c.r.pairs.targetName(c.p, a))
		return
	}
	off := b.Off
	if at.Name == "" {
		// A nameless atom is a section of its own in the result.
		off += int64(c.e.Atoms[b.Atom].Base) - int64(at.Base-at.Start)
	}
	if off != a.Off {
		c.errorf(from, "%s: to %s, want %s", where, c.r.pairs.targetName(c.e, b), c.r.pairs.targetName(c.p, a))
	}
	c.meet(a.Atom, b.Atom)
}

// entries is the number of all entries of special sections.
func (o *Object) entries() int {
	if len(o.tables) == 0 {
		return 0
	}
	return int(o.after(len(o.tables) - 1))
}

// tables checks that the entries of all carried code are there, in order, and
// no others, each with the same meaning.
func (c *extractChecker) tables() {
	pick := func(o *Object, ok func(AtomID) bool) map[string][]*entry {
		m := map[string][]*entry{}
		for i := range o.entries() {
			e := new(entry)
			*e = o.entry(uint32(i))
			if e.owner >= 0 && ok(e.owner) && e.row.policy == carry {
				m[e.row.section] = append(m[e.row.section], e)
			}
		}
		return m
	}
	want := pick(c.p, func(a AtomID) bool { _, ok := c.toE[c.p.Root(a)]; return ok })
	got := pick(c.e, func(AtomID) bool { return true })
	for i := range siteRows {
		sec := siteRows[i].section
		w, g := want[sec], got[sec]
		if len(w) != len(g) {
			c.t.Errorf("%s: %d entries, want %d", sec, len(g), len(w))
			continue
		}
		for k := range w {
			c.entry(sec, w[k], g[k])
		}
	}
	total := 0
	for _, g := range got {
		total += len(g)
	}
	if total != c.e.entries() {
		c.t.Errorf("%d of %d table entries belong to no carried code", c.e.entries()-total, c.e.entries())
	}
	c.pairTables()
}

func (c *extractChecker) entry(sec string, a, b *entry) {
	ps, es := &c.p.File.Sections[a.sec], &c.e.File.Sections[b.sec]
	if _, ok := c.toE[a.owner]; !ok {
		c.meet(a.owner, b.owner) // a piece that only a table refers to
	}
	if c.toE[a.owner] != b.owner || a.at != b.at || a.shape.size != b.shape.size || len(a.relocs) != len(b.relocs) || a.altLen != b.altLen {
		c.errorf(a.owner, "%s entry at %#x became another", sec, a.off)
		return
	}
	if ps.Flags&(elf.SHF_WRITE|elf.SHF_ALLOC) != es.Flags&(elf.SHF_WRITE|elf.SHF_ALLOC) || ps.Align > es.Align || ps.EntSize != es.EntSize {
		c.t.Errorf("%s: flags %v, alignment %d, entry size %d; want %v, %d, %d", sec, es.Flags, es.Align, es.EntSize, ps.Flags, ps.Align, ps.EntSize)
	}
	pb, eb := c.p.whole(a), c.e.whole(b)
	for i := range a.relocs {
		ra, rb := a.relocs[i], b.relocs[i]
		if ra.Off-a.off != rb.Off-b.off || ra.Type != rb.Type {
			c.errorf(a.owner, "%s entry: relocation %d moved or changed type", sec, i)
			continue
		}
		w := uint64(c.p.Arch.Width(ra.Type))
		c.p.Arch.Clear(pb[ra.Off-a.off:][:w], ra.Type)
		c.p.Arch.Clear(eb[rb.Off-b.off:][:w], rb.Type)
		ta, tb := c.p.target(a.sec, &ra, a.first+i), c.e.target(b.sec, &rb, b.first+i)
		if ta.Kind == TargetPiece && a.shape.alt != 0 {
			if tb.Kind != TargetPiece || a.altLen > 0 && ta.Off-int64(a.altOff) != tb.Off-int64(b.altOff) {
				c.errorf(a.owner, "%s entry: bounds of the replacement moved", sec)
			}
			if a.altLen == 0 {
				continue
			}
			c.piece(a, b)
			continue
		}
		c.target(a.owner, sec+" entry", ta, tb, true, 0)
	}
	if !bytes.Equal(pb, eb) {
		c.errorf(a.owner, "%s entry: bytes differ", sec)
	}
}

// piece compares the replacement code of an alternative.
func (c *extractChecker) piece(a, b *entry) {
	pb := bytes.Clone(c.p.File.Sections[a.alt].Data[a.altOff:][:a.altLen])
	eb := bytes.Clone(c.e.File.Sections[b.alt].Data[b.altOff:][:b.altLen])
	ra, fa := c.p.pieceRelocs(a)
	rb, fb := c.e.pieceRelocs(b)
	if len(ra) != len(rb) {
		c.errorf(a.owner, "replacement has %d relocations, want %d", len(rb), len(ra))
		return
	}
	for i := range ra {
		if ra[i].Off-a.altOff != rb[i].Off-b.altOff || ra[i].Type != rb[i].Type {
			c.errorf(a.owner, "replacement: relocation %d moved", i)
			return
		}
		w := uint64(c.p.Arch.Width(ra[i].Type))
		c.p.Arch.Clear(pb[ra[i].Off-a.altOff:][:w], ra[i].Type)
		c.p.Arch.Clear(eb[rb[i].Off-b.altOff:][:w], rb[i].Type)
		skew := c.p.location(a.alt, &ra[i], fa+i) - int64(c.p.File.Symbols[ra[i].Sym].Value) - ra[i].Addend
		if other := c.e.location(b.alt, &rb[i], fb+i) - int64(c.e.File.Symbols[rb[i].Sym].Value) - rb[i].Addend; other != skew {
			c.errorf(a.owner, "replacement: field %d bytes before the end of its instruction, want %d", other, skew)
		}
		branch := c.p.Arch.BranchReloc(c.p.File.Sections[a.alt].Data, ra[i])
		c.target(a.owner, "replacement", c.p.target(a.alt, &ra[i], fa+i), c.e.target(b.alt, &rb[i], fb+i), branch, skew)
	}
	if !bytes.Equal(pb, eb) {
		c.errorf(a.owner, "replacement: bytes differ")
	}
}

// pairTables checks tables in two halves: entry by entry, both match.
func (c *extractChecker) pairTables() {
	half := func(o *Object, name string) []byte {
		for i := range o.File.Sections {
			if o.File.Sections[i].Name == name {
				return o.File.Sections[i].Data
			}
		}
		return nil
	}
	for _, row := range siteRows {
		if row.pair == "" {
			continue
		}
		var want []byte
		n := 0
		data := half(c.p, row.pair)
		total := 0
		for i := range c.p.entries() {
			if c.p.entry(uint32(i)).row.section == row.section {
				total++
			}
		}
		if total == 0 {
			continue
		}
		size := len(data) / total
		for i := range c.p.entries() {
			e := c.p.entry(uint32(i))
			if e.row.section != row.section {
				continue
			}
			if _, ok := c.toE[c.p.Root(e.owner)]; ok {
				want = append(want, data[n*size:(n+1)*size]...)
			}
			n++
		}
		if !bytes.Equal(want, half(c.e, row.pair)) {
			c.t.Errorf("%s does not match %s", row.pair, row.section)
		}
	}
}

// sizes checks that each section is as long as what is in it, that what refers to it stays
// within, and that symbols do.
func (c *extractChecker) sizes() {
	for i := range c.x.File.Sections {
		s := &c.x.File.Sections[i]
		if s.Type != elf.SHT_NOBITS && s.Size != uint64(len(s.Data)) {
			c.t.Errorf("section %s of %d bytes has %d", s.Name, s.Size, len(s.Data))
		}
		for k, rel := range s.Relocs {
			if width := uint64(c.p.Arch.Width(rel.Type)); rel.Off+width > s.Size || k > 0 && s.Relocs[k-1].Off > rel.Off {
				c.t.Errorf("section %s: relocation at %#x of %d bytes", s.Name, rel.Off, s.Size)
			}
		}
	}
	for i := range c.x.File.Symbols {
		if sym := &c.x.File.Symbols[i]; sym.Sec > 0 && sym.Value+sym.Size > c.x.File.Sections[sym.Sec].Size {
			c.t.Errorf("symbol %s reaches behind its section", sym.Name)
		}
	}
}

// symbols checks what the result says of itself.
func (c *extractChecker) symbols() {
	c.sizes()
	used := map[elfobj.SymID]bool{}
	for i := range c.e.File.Sections {
		for _, r := range c.e.File.Sections[i].Relocs {
			used[r.Sym] = true
		}
	}
	var externals []string
	globals := map[string]bool{}
	for i := range c.e.File.Symbols {
		s := &c.e.File.Symbols[i]
		switch {
		case s.Sec == elfobj.SecUndef && i > 0:
			externals = append(externals, s.Name)
			if !used[elfobj.SymID(i)] {
				c.t.Errorf("symbol %s is not used", s.Name)
			}
		case s.Bind != elf.STB_LOCAL:
			if globals[s.Name] {
				c.t.Errorf("two global symbols %s", s.Name)
			}
			globals[s.Name] = true
		}
	}
	slices.Sort(externals)
	if d := cmp.Diff(externals, c.x.Externals); d != "" {
		c.t.Errorf("externals (-symbols +listed)\n%s", d)
	}
	for i := range c.e.File.Sections {
		if n := c.e.File.Sections[i].Name; strings.HasPrefix(n, ".init") || strings.HasPrefix(n, ".exit") {
			c.t.Errorf("section %s is carried", n)
		}
	}
}

// TestExtractReal does the same with real kernel objects.
func TestExtractReal(t *testing.T) {
	for _, p := range realPairs(t) {
		t.Run(filepath.Base(p), func(t *testing.T) {
			r, err := Diff(readObject(t, p+".orig.o"), readObject(t, p+".patched.o"))
			if err != nil {
				t.Fatal(err)
			}
			x, err := extractAll(r)
			if err != nil {
				t.Fatal(err)
			}
			checkExtracted(t, r, x)
		})
	}
}

// cutEach cuts each function of an object alone, as if it had changed: far more shapes of
// code than patches change.
func cutEach(t *testing.T, r *Result) {
	alike := unambiguous(r.Patched.File) && r.Patched.File.Machine == elf.EM_X86_64
	n := 0
	for a := range r.Patched.Atoms {
		a := AtomID(a)
		if !r.Patched.IsFunction(a) || r.Patched.InitOnly(a) {
			continue
		}
		one := *r
		one.Functions = []Change{{Name: r.Patched.Atoms[a].Name, Kind: Changed, Orig: r.pairs.toO[a], Patched: a}}
		x, err := extractAll(&one)
		if err != nil {
			var p *finding.Finding
			if !errors.As(err, &p) {
				t.Errorf("%s: %v", r.Patched.Atoms[a].Name, err)
			} else {
				t.Logf("%s: %v", r.Patched.Atoms[a].Name, err)
			}
			continue
		}
		n++
		if alike && !shortJumps(r.Patched, a) {
			linksAlike(t, r.Patched.File, x, r.Patched.Atoms[a].Name)
		}
		out, err := x.File.Write()
		if err != nil {
			t.Fatal(err)
		}
		back, err := elfobj.Read(out)
		if err != nil {
			t.Fatal(err)
		}
		nameAdjoined(&one, x, back)
		e, err := Load(back)
		if err != nil {
			t.Fatal(err)
		}
		(&extractChecker{t: t, r: &one, x: x, p: r.Patched, e: e, toE: map[AtomID]AtomID{}, toP: map[AtomID]AtomID{}}).run()
	}
	t.Logf("%d functions cut", n)
}

// shortJumps reports jumps of one byte to other functions, which are led over another jump.
func shortJumps(o *Object, atom AtomID) bool {
	relocs, _ := o.relocsIn(atom)
	return slices.ContainsFunc(relocs, func(r elfobj.Reloc) bool { return o.Arch.Width(r.Type) == 1 })
}

func TestExtractEveryFunction(t *testing.T) {
	for _, f := range fixtures(t) {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			file := f.read(t, "after")
			r, err := Diff(file, file)
			if err != nil {
				t.Fatal(err)
			}
			cutEach(t, r)
		})
	}
}

func TestExtractEveryFunctionReal(t *testing.T) {
	for _, p := range realPairs(t) {
		t.Run(filepath.Base(p), func(t *testing.T) {
			t.Parallel()
			f := readObject(t, p+".orig.o")
			r, err := Diff(f, f)
			if err != nil {
				t.Fatal(err)
			}
			cutEach(t, r)
		})
	}
}

// commonAlign is the largest alignment, in bytes, that divides the section's and
// the offset in it.
func commonAlign(section uint64, off int64) int64 {
	al := int64(max(section, 1))
	for off%al != 0 {
		al /= 2
	}
	return al
}
