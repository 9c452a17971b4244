package main

import (
	"bytes"
	"debug/elf"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/klpforge/klpforge/elfdiff"
)

// side is one object as the tools see it.
type side struct {
	code    map[string]listing
	symbols []symbol
	names   map[string]string // section index -> name
	data    map[string][]byte // section name -> contents, of the first of a name
	relocs  map[string]reloc  // by section and offset
}

func readSide(path string, t tools) (*side, error) {
	s := &side{names: map[string]string{}, data: map[string][]byte{}, relocs: map[string]reloc{}}
	var err error
	if s.code, err = disassemble(path, t); err != nil {
		return nil, err
	}
	if s.symbols, err = readSymbols(path, t); err != nil {
		return nil, err
	}
	list, err := readRelocs(path, t)
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		s.relocs[fmt.Sprintf("%s+%x", strings.TrimPrefix(r.section, ".rela"), r.off)] = r
	}
	// The contents are read by Go's own reader, not by ours.
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for i, sec := range f.Sections {
		s.names[strconv.Itoa(i)] = sec.Name
		if sec.Type == elf.SHT_PROGBITS && s.data[sec.Name] == nil {
			if s.data[sec.Name], err = sec.Data(); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// artefact reports a symbol that assemblers make for themselves.
func artefact(s symbol) bool {
	return s.name == "" || s.kind == "SECTION" || s.kind == "FILE" || strings.HasPrefix(s.name, "$") || strings.HasPrefix(s.name, ".L")
}

// find returns the symbol of a name, the last of its definitions.
func (s *side) find(name string) (symbol, bool) {
	for _, y := range slices.Backward(s.symbols) {
		if y.name == name && y.index != "UND" && !artefact(y) {
			return y, true
		}
	}
	return symbol{}, false
}

// place is what a relocation refers to.
type place struct {
	name    string // of the symbol; "" for a nameless place
	off     int64  // from the symbol, else in the section
	section string
	at      int64 // offset in the section
}

var cloneRE = regexp.MustCompile(`(\.\d+)+$`)

// meaning resolves a relocation. base is the distance from the place of a
// PC-relative relocation to where its value counts from.
func (s *side) meaning(r reloc, base int64) place {
	off := r.addend + base
	if name, ok := strings.CutPrefix(r.symbol, klpPrefix); ok {
		name, _, _ = strings.Cut(name, ",")
		return place{name: name, off: off}
	}
	section, at, named := "", int64(0), false
	for _, y := range s.symbols {
		if y.name != r.symbol || y.kind == "SECTION" || y.kind == "FILE" {
			continue
		}
		if y.index == "UND" || y.index == "COM" {
			return place{name: y.name, off: off}
		}
		section, at = s.names[y.index], int64(y.value)+off
		if named = !artefact(y); named {
			return place{name: y.name, off: off, section: section, at: at}
		}
	}
	if section == "" {
		section, at = r.symbol, off
	}
	if toc, ok := s.relocs[fmt.Sprintf("%s+%x", section, at)]; ok && section == ".toc" {
		return s.meaning(reloc{symbol: toc.symbol, addend: toc.addend}, 0)
	}
	for _, y := range s.symbols {
		if s.names[y.index] == section && !artefact(y) && at >= int64(y.value) && (at < int64(y.value+y.size) || at == int64(y.value)) {
			return place{name: y.name, off: at - int64(y.value), section: section, at: at}
		}
	}
	return place{section: section, off: at, at: at}
}

// compared is how many bytes of nameless data are compared.
const compared = 64

// same says how two places differ, "" if they do not. unit is the prefix of the
// global names of replacements.
func same(ps, rs *side, p, r place) string {
	clean := func(n string) string {
		if i := strings.LastIndex(n, "__"); strings.HasPrefix(n, "klp_") && i > 0 {
			n = n[i+2:]
		}
		return cloneRE.ReplaceAllString(n, "")
	}
	if p.name != "" || r.name != "" {
		if x, y := clean(p.name), clean(r.name); (x != y && !strings.HasSuffix(r.name, "__"+strings.ReplaceAll(x, ".", "_"))) || p.off != r.off {
			if p.section != "" && p.name != "" && r.name == "" || p.name == "" && r.section != "" {
				// A constant that the compiler named travels without its name, or the reverse.
			} else {
				return fmt.Sprintf("%s%+d, not %s%+d", r.name, r.off, p.name, p.off)
			}
		} else {
			return ""
		}
	}
	x, y := ps.data[p.section], rs.data[r.section]
	if p.at < 0 || r.at < 0 || p.at > int64(len(x)) || r.at > int64(len(y)) {
		if strings.HasPrefix(p.section, ".bss") || p.at == r.at && p.section == r.section {
			return ""
		}
		return fmt.Sprintf("a place outside of %s (%d) or %s (%d)", p.section, p.at, r.section, r.at)
	}
	x, y = x[p.at:], y[r.at:]
	if i := bytes.IndexByte(x, 0); i >= 0 && strings.Contains(p.section, ".str") {
		x = x[:i+1]
	} else if strings.Contains(p.section, ".cst") {
		x = x[:min(8, len(x))]
	} else {
		x = x[:min(compared, len(x))]
	}
	if !bytes.Equal(x, y[:min(len(x), len(y))]) {
		return fmt.Sprintf("%s+%d has other bytes than %s+%d", r.section, r.at, p.section, p.at)
	}
	return ""
}

var addressRE = regexp.MustCompile(`\b(?:0x)?([0-9a-f]+) <([^>]*)>`)

// code compares the disassembly of each function that travels.
func (p *pair) code(patched, cut string, r *elfdiff.Result, x *elfdiff.Extracted, t tools) error {
	before, err := readSide(patched, t)
	if err != nil {
		return err
	}
	after, err := readSide(cut, t)
	if err != nil {
		return err
	}
	names := map[string]string{} // in the patched object -> in the result
	for a, name := range x.NewSymbols {
		names[r.Patched.Atoms[a].Name] = name
	}
	for _, name := range x.NewFuncs {
		names[name] = name
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		f, ok := before.find(name)
		g, ok2 := after.find(names[name])
		if !ok || !ok2 {
			p.wrong = append(p.wrong, fmt.Sprintf("function %s is not in both objects", name))
			continue
		}
		if e := sameCode(before, after, f, g); e != "" {
			p.wrong = append(p.wrong, fmt.Sprintf("function %s %s", name, e))
		}
	}
	return nil
}

func sameCode(before, after *side, f, g symbol) string {
	if f.size != g.size {
		return fmt.Sprintf("has %d bytes, not %d", g.size, f.size)
	}
	x, y := before.code[before.names[f.index]], after.code[after.names[g.index]]
	seen := 0
	for off := range f.size {
		l, m := x[f.value+off], y[g.value+off]
		if (l == nil) != (m == nil) {
			return fmt.Sprintf("+%#x: an instruction on one side only", off)
		}
		if l == nil {
			continue
		}
		seen++
		if e := sameLine(before, after, l, m, f.value, g.value); e != "" {
			return fmt.Sprintf("+%#x: %s", off, e)
		}
	}
	if seen == 0 && f.size > 0 {
		return "is not disassembled"
	}
	return ""
}

func sameLine(before, after *side, l, m *line, fbase, gbase uint64) string {
	rl, rm := l.relocs, m.relocs
	lt, mt := relative(l.text, fbase), relative(m.text, gbase)
	if len(rl) == 0 && len(rm) == 1 {
		// A branch between functions of one section, which the assembler resolved.
		to := after.meaning(rm[0], counts(rm[0], gbase))
		a := addressRE.FindStringSubmatch(l.text)
		if a == nil || !strings.HasPrefix(cloneRE.ReplaceAllString(to.name, ""), cloneRE.ReplaceAllString(strings.SplitN(a[2], "+", 2)[0], "")) {
			return fmt.Sprintf("%q became a reference to %s", l.text, rm[0].symbol)
		}
		return ""
	}
	if lt != mt {
		return fmt.Sprintf("%q, not %q", m.text, l.text)
	}
	if len(rl) != len(rm) {
		return fmt.Sprintf("%d relocations, not %d", len(rm), len(rl))
	}
	for i := range rl {
		if rl[i].name != rm[i].name || rl[i].off-fbase != rm[i].off-gbase {
			return fmt.Sprintf("%s at %#x, not %s at %#x", rm[i].name, rm[i].off-gbase, rl[i].name, rl[i].off-fbase)
		}
		if e := same(before, after, before.meaning(rl[i], counts(rl[i], 0)), after.meaning(rm[i], counts(rm[i], 0))); e != "" {
			return fmt.Sprintf("%s refers to %s", rm[i].name, e)
		}
	}
	return ""
}

// counts is the distance from the place of a relocation in code to where its
// value counts from: s390 has its fields 2 bytes behind the start of the
// instruction.
func counts(r reloc, _ uint64) int64 {
	if strings.HasPrefix(r.name, "R_390_") && (strings.HasSuffix(r.name, "DBL") || strings.HasSuffix(r.name, "ENT")) {
		return -2
	}
	return 0
}

// relative writes addresses in an instruction as distances from the function.
func relative(text string, base uint64) string {
	return addressRE.ReplaceAllStringFunc(text, func(a string) string {
		n, err := strconv.ParseUint(addressRE.FindStringSubmatch(a)[1], 16, 64)
		if err != nil {
			return a
		}
		return fmt.Sprintf("%+d", int64(n-base))
	})
}
