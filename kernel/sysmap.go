package kernel

import (
	"debug/elf"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// When the image has no kallsyms tables that can be read, the symbols come
// from a symbol table or a System.map, and scripts/mksysmap and
// scripts/kallsyms.c are followed to arrive at what kallsyms would hold: the
// same symbols in the same order, since sympos counts in that order. The
// rules are those of v6.1 to v6.12; where versions differ, only symbols that
// no livepatch refers to are affected.

// nmSymbol is a line of `nm -n`.
type nmSymbol struct {
	addr uint64
	typ  byte
	name string
}

// kallsymsRules are the config facts that decide what kallsyms holds.
type kallsymsRules struct {
	all            bool // KALLSYMS_ALL: data symbols too
	absolutePercpu bool // KALLSYMS_ABSOLUTE_PERCPU: per-CPU symbols get type 'A'
	unload         bool // MODULE_UNLOAD: a module's .exit sections are kept
}

func rulesOf(c *Config) kallsymsRules {
	if c == nil {
		return kallsymsRules{all: true, absolutePercpu: true, unload: true}
	}
	return kallsymsRules{
		all:            c.Bool("KALLSYMS_ALL"),
		absolutePercpu: c.Bool("KALLSYMS_ABSOLUTE_PERCPU"),
		unload:         c.Bool("MODULE_UNLOAD"),
	}
}

var (
	ignoredNames = map[string]bool{
		"kallsyms_addresses": true, "kallsyms_offsets": true, "kallsyms_relative_base": true,
		"kallsyms_num_syms": true, "kallsyms_names": true, "kallsyms_markers": true,
		"kallsyms_token_table": true, "kallsyms_token_index": true, "kallsyms_seqs_of_names": true,
		"_SDA_BASE_": true, "_SDA2_BASE_": true, "L0": true,
	}
	ignoredPrefixes = []string{
		"$", ".L", "__crc_", "__kstrtab_", "__kstrtabns_", // scripts/mksysmap
		"__efistub_", "__kvm_nvhe_$", "__kvm_nvhe_.L", "__AArch64ADRPThunk_", "__ARMV5PILongThunk_",
		"__ARMV7PILongThunk_", "__ThumbV7PILongThunk_", "__LA25Thunk_", "__microLA25Thunk_", "__kcfi_typeid_",
	}
	ignoredSuffixes = []string{"_from_arm", "_from_thumb", "_veneer"}
	ignoredParts    = []string{".long_branch.", ".plt_branch."}
)

// ignored reports whether kallsyms leaves the symbol out.
func (s nmSymbol) ignored() bool {
	switch s.typ {
	case 'a', 'A', 'N', 'n', 'U', 'u', 'w':
		return true
	}
	if s.name == "" || ignoredNames[s.name] || hasSuffixAny(s.name, ignoredSuffixes...) {
		return true
	}
	for _, p := range ignoredPrefixes {
		if strings.HasPrefix(s.name, p) {
			return true
		}
	}
	for _, p := range ignoredParts {
		if strings.Contains(s.name, p) {
			return true
		}
	}
	return false
}

// linkerProvided mirrors may_be_linker_script_provide_symbol.
func linkerProvided(name string) bool {
	rest, ok := strings.CutPrefix(name, "__")
	if !ok || len(name) < 8 {
		return false
	}
	return strings.HasPrefix(rest, "start_") || strings.HasPrefix(rest, "stop_") || strings.HasPrefix(rest, "end_") ||
		strings.HasSuffix(name, "_start") || strings.HasSuffix(name, "_end")
}

func underscores(name string) int { return len(name) - len(strings.TrimLeft(name, "_")) }

// kallsymsOrder applies kallsyms' own rules to the lines of `nm -n`, which
// it may reorder.
func kallsymsOrder(in []nmSymbol, r kallsymsRules) []nmSymbol {
	bound := map[string]uint64{}
	for _, s := range in {
		switch s.name {
		case "_stext", "_etext", "_sinittext", "_einittext", "__per_cpu_start", "__per_cpu_end":
			bound[s.name] = s.addr
		}
	}
	inRange := func(a uint64, from, to string) bool {
		lo, ok1 := bound[from]
		hi, ok2 := bound[to]
		return ok1 && ok2 && a >= lo && a <= hi
	}
	out := in[:0]
	for _, s := range in {
		if s.ignored() {
			continue
		}
		if !r.all {
			if !inRange(s.addr, "_stext", "_etext") && !inRange(s.addr, "_sinittext", "_einittext") {
				continue
			}
			if s.addr == bound["_etext"] && s.name != "_etext" || s.addr == bound["_einittext"] && s.name != "_einittext" {
				continue
			}
		}
		if r.absolutePercpu && inRange(s.addr, "__per_cpu_start", "__per_cpu_end") {
			s.typ = 'A'
		}
		out = append(out, s)
	}
	// compare_symbols: address, then weak last, then linker-script names
	// last, then fewer leading underscores first, then nm's order.
	rank := func(s nmSymbol) int {
		n := underscores(s.name)
		if linkerProvided(s.name) {
			n += 1 << 16
		}
		if s.typ == 'w' || s.typ == 'W' {
			n += 1 << 17
		}
		return n
	}
	sort.SliceStable(out, func(i, j int) bool {
		if out[i].addr != out[j].addr {
			return out[i].addr < out[j].addr
		}
		return rank(out[i]) < rank(out[j])
	})
	return out
}

func symbolsOf(in []nmSymbol, r kallsymsRules, source, path string) *Symbols {
	in = kallsymsOrder(in, r)
	b := newSymbolsBuilder(len(in))
	for _, s := range in {
		b.add(s.name, s.addr, s.typ)
	}
	return b.finish(source, path)
}

// ErrStubSystemMap means that a System.map holds only Debian's note that the
// real one is elsewhere.
var ErrStubSystemMap = fmt.Errorf("the System.map is only a stub")

// ParseSystemMap reads the text of a System.map; cfg may be nil, which means
// CONFIG_KALLSYMS_ALL and CONFIG_KALLSYMS_ABSOLUTE_PERCPU.
func ParseSystemMap(path, text string, cfg *Config) (*Symbols, error) {
	list := make([]nmSymbol, 0, strings.Count(text, "\n"))
	line := 0
	for l := range strings.Lines(text) {
		line++
		l = strings.TrimRight(l, "\r\n")
		if l == "" {
			continue
		}
		a, rest, ok1 := strings.Cut(l, " ")
		typ, name, ok2 := strings.Cut(rest, " ")
		addr, err := strconv.ParseUint(a, 16, 64)
		if !ok1 || !ok2 || err != nil || len(typ) != 1 || name == "" {
			return nil, &SyntaxError{path, line, fmt.Sprintf("want address, type and symbol, have %q", clip(l))}
		}
		if strings.ContainsRune(name, ' ') {
			if line == 1 && strings.Contains(name, "System.map") {
				return nil, fmt.Errorf("%s: %w (%q)", path, ErrStubSystemMap, name)
			}
			return nil, &SyntaxError{path, line, fmt.Sprintf("blank in symbol %q", clip(name))}
		}
		list = append(list, nmSymbol{addr, typ[0], name})
	}
	if len(list) == 0 {
		return nil, &SyntaxError{path, 1, "no symbols"}
	}
	return symbolsOf(list, rulesOf(cfg), "System.map", path), nil
}

// ELFSymbol is one entry of a vmlinux's .symtab.
type ELFSymbol struct {
	Name    string
	Addr    uint64
	Size    uint64
	Type    elf.SymType
	Bind    elf.SymBind
	Section int // index into the ELF section table, or a SHN_ value
}

// HasSymtab reports whether the image has a symbol table (a debug package's
// vmlinux has, the one inside a bzImage has not).
func (im *Image) HasSymtab() bool { return im.Section(".symtab") != nil }

// Symtab returns the entries of .symtab in file order, without the null entry.
func (im *Image) Symtab() ([]ELFSymbol, error) {
	const entry = 24 // Elf64_Sym
	s := im.Section(".symtab")
	if s == nil {
		return nil, fmt.Errorf("%s: no symbol table", im.Path)
	}
	if s.Link == 0 || int(s.Link) > len(im.Sections) {
		return nil, fmt.Errorf("%s: symbol table names string table %d", im.Path, s.Link)
	}
	strtab := string(im.Sections[s.Link-1].data)
	d := s.data
	out := make([]ELFSymbol, 0, len(d)/entry)
	for o := entry; o+entry <= len(d); o += entry {
		no := im.Order.Uint32(d[o:])
		if uint64(no) >= uint64(len(strtab)) {
			return nil, fmt.Errorf("%s: symbol %d has its name at %#x, outside the string table", im.Path, o/entry, no)
		}
		name := strtab[no:]
		i := strings.IndexByte(name, 0)
		if i < 0 {
			return nil, fmt.Errorf("%s: symbol %d has an unterminated name", im.Path, o/entry)
		}
		out = append(out, ELFSymbol{
			Name: name[:i], Type: elf.SymType(d[o+4] & 0xf), Bind: elf.SymBind(d[o+4] >> 4),
			Section: int(im.Order.Uint16(d[o+6:])), Addr: im.Order.Uint64(d[o+8:]), Size: im.Order.Uint64(d[o+16:]),
		})
	}
	return out, nil
}

// symtabSymbols derives kallsyms' view from .symtab.
func symtabSymbols(im *Image, cfg *Config) (*Symbols, error) {
	syms, err := im.Symtab()
	if err != nil {
		return nil, err
	}
	list := make([]nmSymbol, 0, len(syms))
	for _, s := range syms {
		if s.Type == elf.STT_FILE || s.Type == elf.STT_SECTION || s.Name == "" {
			continue
		}
		list = append(list, nmSymbol{s.Addr, im.nmType(s), s.Name})
	}
	// nm -n sorts by value and then by name.
	sort.SliceStable(list, func(i, j int) bool {
		if list[i].addr != list[j].addr {
			return list[i].addr < list[j].addr
		}
		return list[i].name < list[j].name
	})
	return symbolsOf(list, rulesOf(cfg), "symtab", im.Path), nil
}

// nmType is the letter nm prints for a symbol, as far as sections decide it.
func (im *Image) nmType(s ELFSymbol) byte {
	upper := func(c byte) byte {
		if s.Bind != elf.STB_LOCAL {
			c -= 'a' - 'A'
		}
		return c
	}
	undef := s.Section == int(elf.SHN_UNDEF)
	if s.Bind == elf.STB_WEAK {
		c := byte('w')
		if s.Type == elf.STT_OBJECT {
			c = 'v'
		}
		if undef {
			return c
		}
		return upper(c)
	}
	switch {
	case undef:
		return 'U'
	case s.Section == int(elf.SHN_ABS):
		return upper('a')
	case s.Section == int(elf.SHN_COMMON):
		return 'C'
	case s.Section > len(im.Sections):
		return '?'
	}
	sec := &im.Sections[s.Section-1]
	switch {
	case sec.Flags&elf.SHF_EXECINSTR != 0:
		return upper('t')
	case sec.Flags&elf.SHF_ALLOC == 0:
		return 'N'
	case sec.Type == elf.SHT_NOBITS:
		return upper('b')
	case sec.Flags&elf.SHF_WRITE == 0:
		return upper('r')
	}
	return upper('d')
}
