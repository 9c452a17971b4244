package kimage

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/klpforge/klpforge/internal/syntax"
	"github.com/klpforge/klpforge/kernel/kconfig"
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

// rules are the config facts that decide what kallsyms holds.
type rules struct {
	all            bool // KALLSYMS_ALL: data symbols too
	absolutePercpu bool // KALLSYMS_ABSOLUTE_PERCPU: per-CPU symbols get type 'A'
}

func rulesOf(config *kconfig.Config) rules {
	if config == nil {
		return rules{all: true, absolutePercpu: true}
	}
	return rules{
		all:            config.Bool("KALLSYMS_ALL"),
		absolutePercpu: config.Bool("KALLSYMS_ABSOLUTE_PERCPU"),
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
func kallsymsOrder(in []nmSymbol, rule rules) []nmSymbol {
	bound := map[string]uint64{}
	for _, sym := range in {
		switch sym.name {
		case "_stext", "_etext", "_sinittext", "_einittext", "__per_cpu_start", "__per_cpu_end":
			bound[sym.name] = sym.addr
		}
	}
	inRange := func(a uint64, from, to string) bool {
		lo, ok1 := bound[from]
		hi, ok2 := bound[to]
		return ok1 && ok2 && a >= lo && a <= hi
	}
	out := in[:0]
	for _, sym := range in {
		if sym.ignored() {
			continue
		}
		if !rule.all {
			if !inRange(sym.addr, "_stext", "_etext") && !inRange(sym.addr, "_sinittext", "_einittext") {
				continue
			}
			if sym.addr == bound["_etext"] && sym.name != "_etext" ||
				sym.addr == bound["_einittext"] && sym.name != "_einittext" {
				continue
			}
		}
		if rule.absolutePercpu && inRange(sym.addr, "__per_cpu_start", "__per_cpu_end") {
			sym.typ = 'A'
		}
		out = append(out, sym)
	}
	// compare_symbols: address, then weak last, then linker-script names
	// last, then fewer leading underscores first, then nm's order.
	rank := func(sym nmSymbol) int {
		count := underscores(sym.name)
		if linkerProvided(sym.name) {
			count += 1 << 16
		}
		if sym.typ == 'w' || sym.typ == 'W' {
			count += 1 << 17
		}
		return count
	}
	sort.SliceStable(out, func(i, j int) bool {
		if out[i].addr != out[j].addr {
			return out[i].addr < out[j].addr
		}
		return rank(out[i]) < rank(out[j])
	})
	return out
}

func symbolsOf(in []nmSymbol, r rules, source, path string) *Symbols {
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
func ParseSystemMap(path, text string, cfg *kconfig.Config) (*Symbols, error) {
	list := make([]nmSymbol, 0, strings.Count(text, "\n"))
	line := 0
	for row := range strings.Lines(text) {
		line++
		row = strings.TrimRight(row, "\r\n")
		if row == "" {
			continue
		}
		a, rest, ok1 := strings.Cut(row, " ")
		typ, name, ok2 := strings.Cut(rest, " ")
		addr, err := strconv.ParseUint(a, 16, 64)
		if !ok1 || !ok2 || err != nil || len(typ) != 1 || name == "" {
			return nil, syntax.Errorf(path, line, "want address, type and symbol, have %q", syntax.Clip(row))
		}
		if strings.ContainsRune(name, ' ') {
			if line == 1 && strings.Contains(name, "System.map") {
				return nil, fmt.Errorf("%s: %w (%q)", path, ErrStubSystemMap, name)
			}
			return nil, syntax.Errorf(path, line, "blank in symbol %q", syntax.Clip(name))
		}
		list = append(list, nmSymbol{addr, typ[0], name})
	}
	if len(list) == 0 {
		return nil, syntax.Errorf(path, 1, "no symbols")
	}
	return symbolsOf(list, rulesOf(cfg), "System.map", path), nil
}
