package elfdiff

import (
	"bytes"
	"debug/elf"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
)

// neutral is a change of an object that means nothing: another compiler or assembler, or
// the same with a line more above, could have written it.
type neutral struct {
	name string
	do   func(f *elfobj.File, rng *rand.Rand)
}

var neutrals = []neutral{
	{"symbols in another order", shuffleSymbols},
	{"sections in another order", shuffleSections},
	{"other numbers of statics", renumberStatics},
	{"other numbers of clones", renumberClones},
	{"more strings in front", shiftPieces},
	{"references by section", bySection},
	{"all of it", func(f *elfobj.File, rng *rand.Rand) {
		bySection(f, rng)
		shiftPieces(f, rng)
		renumberStatics(f, rng)
		renumberClones(f, rng)
		shuffleSymbols(f, rng)
		shuffleSections(f, rng)
	}},
}

// shuffleSymbols numbers the symbols anew.
func shuffleSymbols(f *elfobj.File, rng *rand.Rand) {
	to := make([]elfobj.SymID, len(f.Symbols))
	symbols := make([]elfobj.Symbol, len(f.Symbols))
	for i, n := range rng.Perm(len(f.Symbols) - 1) {
		to[i+1] = elfobj.SymID(n + 1)
		symbols[n+1] = f.Symbols[i+1]
	}
	f.Symbols = symbols
	for i := range f.Sections {
		f.Sections[i].Group = to[f.Sections[i].Group]
		for k := range f.Sections[i].Relocs {
			f.Sections[i].Relocs[k].Sym = to[f.Sections[i].Relocs[k].Sym]
		}
	}
}

// shuffleSections numbers the sections anew. Those of one name keep their order, in which
// the linker takes them.
func shuffleSections(f *elfobj.File, rng *rand.Rand) {
	byName := map[string][]int{}
	for i := 1; i < len(f.Sections); i++ {
		byName[f.Sections[i].Name] = append(byName[f.Sections[i].Name], i)
	}
	order := make([]elfobj.Section, 1, len(f.Sections))
	to := make([]elfobj.SecID, len(f.Sections))
	for _, n := range rng.Perm(len(f.Sections) - 1) {
		list := byName[f.Sections[n+1].Name]
		byName[f.Sections[n+1].Name] = list[1:]
		to[list[0]] = elfobj.SecID(len(order))
		order = append(order, f.Sections[list[0]])
	}
	f.Sections = order
	for i := range f.Symbols {
		if sec := f.Symbols[i].Sec; sec > 0 {
			f.Symbols[i].Sec = to[sec]
		}
	}
	for i := range f.Sections {
		f.Sections[i].Link = to[f.Sections[i].Link]
		f.Sections[i].Members = slices.Clone(f.Sections[i].Members)
		for k, member := range f.Sections[i].Members {
			f.Sections[i].Members[k] = to[member]
		}
	}
}

// renumberStatics adds to the numbers that compilers give to static locals and to what
// macros count.
func renumberStatics(f *elfobj.File, _ *rand.Rand) {
	for i := range f.Symbols {
		sym := &f.Symbols[i]
		if dot := strings.LastIndexByte(sym.Name, '.'); dot > 0 && sym.Type == elf.STT_OBJECT && digits(sym.Name[dot+1:]) {
			sym.Name = sym.Name[:dot+1] + "4" + sym.Name[dot+1:]
		}
		if rest, ok := strings.CutPrefix(sym.Name, "__UNIQUE_ID_"); ok {
			sym.Name = "__UNIQUE_ID_" + strings.TrimRight(rest, "0123456789") + "77" + strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz_")
		}
	}
}

// renumberClones lets the numbers of the clones of one function count the other way.
func renumberClones(f *elfobj.File, _ *rand.Rand) {
	marked := func(name string) (stemmed, tail string, ok bool) {
		for _, mark := range []string{".isra.", ".constprop."} {
			if i := strings.Index(name, mark); i > 0 {
				number, rest, _ := strings.Cut(name[i+len(mark):], ".")
				if rest != "" {
					rest = "." + rest
				}
				return name[:i+len(mark)], rest, digits(number)
			}
		}
		return "", "", false
	}
	numbers := map[string]map[string]bool{}
	for i := range f.Symbols {
		if stemmed, tail, ok := marked(f.Symbols[i].Name); ok {
			if numbers[stemmed] == nil {
				numbers[stemmed] = map[string]bool{}
			}
			numbers[stemmed][strings.TrimSuffix(f.Symbols[i].Name[len(stemmed):], tail)] = true
		}
	}
	for i := range f.Symbols {
		sym := &f.Symbols[i]
		if stemmed, tail, ok := marked(sym.Name); ok {
			all := slices.Sorted(maps.Keys(numbers[stemmed]))
			at := slices.Index(all, strings.TrimSuffix(sym.Name[len(stemmed):], tail))
			sym.Name = stemmed + all[len(all)-1-at] + tail
		}
	}
}

// shiftPieces puts another string or constant in front of the merged ones.
func shiftPieces(f *elfobj.File, _ *rand.Rand) {
	for i := range f.Sections {
		s := &f.Sections[i]
		if s.Flags&elf.SHF_MERGE == 0 || !strings.HasPrefix(s.Name, ".rodata") || s.EntSize == 0 || len(s.Relocs) > 0 {
			continue
		}
		front := bytes.Repeat([]byte{0x7a}, int(max(s.EntSize, s.Align, 1)*4))
		clear(front[len(front)-int(s.EntSize):])
		s.Data = append(front, s.Data...)
		s.Size = uint64(len(s.Data))
		shift(f, elfobj.SecID(i), uint64(len(front)))
	}
}

// shift moves what lies in a section by n bytes, for symbols and for references over the
// section's own symbol.
func shift(f *elfobj.File, sec elfobj.SecID, n uint64) {
	for i := range f.Symbols {
		if sym := &f.Symbols[i]; sym.Sec == sec && sym.Type != elf.STT_SECTION {
			sym.Value += n
		}
	}
	for i := range f.Sections {
		for k := range f.Sections[i].Relocs {
			rel := &f.Sections[i].Relocs[k]
			if sym := &f.Symbols[rel.Sym]; sym.Sec == sec && sym.Type == elf.STT_SECTION {
				rel.Addend += int64(n)
			}
		}
	}
}

// bySection makes absolute references to a place inside a local symbol go over the
// section's symbol, as the assembler does.
func bySection(f *elfobj.File, _ *rand.Rand) {
	sections := map[elfobj.SecID]elfobj.SymID{}
	for i := range f.Symbols {
		if f.Symbols[i].Type == elf.STT_SECTION {
			sections[f.Symbols[i].Sec] = elfobj.SymID(i)
		}
	}
	for i := range f.Sections {
		for k := range f.Sections[i].Relocs {
			rel := &f.Sections[i].Relocs[k]
			sym := &f.Symbols[rel.Sym]
			id, ok := sections[sym.Sec]
			if !ok || sym.Bind != elf.STB_LOCAL || f.Sections[sym.Sec].Flags&elf.SHF_MERGE != 0 || rel.Addend < 0 || uint64(rel.Addend) >= sym.Size {
				continue
			}
			switch elf.R_X86_64(rel.Type) {
			case elf.R_X86_64_64, elf.R_X86_64_32, elf.R_X86_64_32S:
				rel.Sym, rel.Addend = id, rel.Addend+int64(sym.Value)
			}
		}
	}
}

// meaning is what an extracted object says, whatever the order of its parts: each section
// that holds a symbol or describes code, with what its references lead to.
func meaning(f *elfobj.File) map[string][]string {
	out := map[string][]string{}
	place := func(rel *elfobj.Reloc) string {
		sym := &f.Symbols[rel.Sym]
		if sym.Sec <= 0 {
			base, _ := stem(strings.TrimSuffix(strings.TrimPrefix(sym.Name, klpPrefix), ",0"))
			return fmt.Sprintf("%s%+d", base, rel.Addend)
		}
		s := &f.Sections[sym.Sec]
		if !strings.HasPrefix(s.Name, ".rodata.klpforge.") {
			base, _ := stem(s.Name)
			if sym.Type == elf.STT_SECTION && s.Flags&elf.SHF_EXECINSTR == 0 {
				return base // of which entry, the order tells
			}
			return fmt.Sprintf("%s%+d", base, int64(sym.Value)+rel.Addend)
		}
		// Strings and constants lie in the order of their use; what stands around tells which it is.
		at := int64(sym.Value) + rel.Addend
		from, to := max(at-8, 0), min(at+24, int64(len(s.Data)))
		if from > to {
			return s.Name
		}
		if end := bytes.IndexByte(s.Data[max(from, min(at+8, to)):to], 0); end >= 0 {
			to = max(from, min(at+8, to)) + int64(end)
		}
		return fmt.Sprintf("%s %q", s.Name, s.Data[max(at, from):to])
	}
	for i := 1; i < len(f.Sections); i++ {
		s := &f.Sections[i]
		if strings.HasPrefix(s.Name, ".rodata.klpforge.") {
			continue
		}
		text := fmt.Sprintf("%v %v align %d: %x", s.Type, s.Flags, s.Align, s.Data)
		for k := range s.Relocs {
			text += fmt.Sprintf("\n %#x %d %s", s.Relocs[k].Off, s.Relocs[k].Type, place(&s.Relocs[k]))
		}
		base, _ := stem(s.Name)
		out[base] = append(out[base], text)
	}
	for i := range f.Symbols {
		if sym := &f.Symbols[i]; sym.Sec > 0 && sym.Type != elf.STT_SECTION {
			base, _ := stem(sym.Name)
			out["symbols"] = append(out["symbols"], fmt.Sprintf("%s %v %v %d bytes at %#x", squashDigits(base), sym.Bind, sym.Type, sym.Size, sym.Value))
		}
	}
	for _, list := range out {
		slices.Sort(list)
	}
	return out
}

// aliased reports a place with two names that are as good: the first stands for it.
func aliased(f *elfobj.File) bool {
	type place struct {
		sec  elfobj.SecID
		at   uint64
		bind elf.SymBind
	}
	seen := map[place]bool{}
	for i := range f.Symbols {
		sym := &f.Symbols[i]
		if sym.Sec <= 0 || sym.Type != elf.STT_FUNC && sym.Type != elf.STT_OBJECT {
			continue
		}
		at := place{sym.Sec, sym.Value, sym.Bind}
		if seen[at] {
			return true
		}
		seen[at] = true
	}
	return false
}

// stemmed lists what a result says, with stable names alone.
func stemmed(r *Result) []string {
	out := describe(r)
	for i := range out {
		fields := strings.Fields(out[i])
		for k := range fields {
			fields[k], _ = stem(fields[k])
		}
		out[i] = strings.Join(fields, " ")
	}
	slices.Sort(out)
	return out
}

// TestNeutralChanges: what means nothing is no change, and beside a change it changes
// nothing of what is found and of what is cut out.
func TestNeutralChanges(t *testing.T) {
	for i, f := range fixtures(t) {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			before, after := f.read(t, "before"), f.read(t, "after")
			plain, err := Diff(before, after)
			if err != nil {
				t.Fatal(err)
			}
			want, wantErr := f.extract(t, plain)
			itself, err := Diff(after, after)
			if err != nil {
				t.Fatal(err)
			}
			alone := stemmed(itself) // nothing, but for macros that are judged by the patched side alone
			for n, change := range neutrals {
				if (n+i)%3 != 0 && n+1 < len(neutrals) {
					continue // each of them on a third of the cases, all of them at once on each
				}
				if aliased(after) && (change.name == "all of it" || strings.HasPrefix(change.name, "symbols")) {
					continue
				}
				other := copyFile(after)
				change.do(other, rand.New(rand.NewPCG(uint64(n), 1)))
				if same, err := Diff(after, other); err != nil || !slices.Equal(stemmed(same), alone) {
					t.Errorf("%s: %v, %q", change.name, err, stemmed(same))
				}
				r, err := Diff(before, other)
				if err != nil {
					t.Fatalf("%s: %v", change.name, err)
				}
				if d := cmp.Diff(stemmed(plain), stemmed(r)); d != "" {
					t.Errorf("%s: what is found (-before +with it)\n%s", change.name, d)
					continue
				}
				got, err := f.extract(t, r)
				if (err == nil) != (wantErr == nil) {
					t.Errorf("%s: cut out: %v, want %v", change.name, err, wantErr)
				}
				if err != nil || wantErr != nil {
					continue
				}
				if d := cmp.Diff(meaning(want.File), meaning(got.File)); d != "" {
					t.Errorf("%s: what is cut out (-before +with it)\n%.3000s", change.name, d)
				}
			}
		})
	}
}
