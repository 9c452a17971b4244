package kimage

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"sort"
)

// Decoding the kallsyms tables of a stripped vmlinux.
//
// scripts/kallsyms.c writes these tables into .rodata, each aligned to 8 (to 4
// in the newest kernels):
//
//	num_syms     the number of symbols, 4 bytes (8 before 4.20)
//	names        per symbol a length and that many token numbers; the tokens
//	             concatenated are the type character and the name. A length
//	             with the top bit set has a second byte (since 6.1): 7 bits + 8
//	markers      the offset in names of every 256th symbol, 4 bytes (8 before 4.20)
//	token_table  256 NUL-terminated strings
//	token_index  the offset of each token in token_table, 2 bytes each
//	offsets, relative_base   or, without KALLSYMS_BASE_RELATIVE, addresses;
//	             the newest kernels have offsets from the place of the offset
//	seqs_of_names            for lookups by name (since 6.2); not needed here
//
// Their order differs: up to 6.3 the addresses come first and names follow
// num_syms; since 6.4 the addresses come last. Nothing points at them, so they
// are found by structure and not by version: token_index is 256 increasing
// offsets that fit the strings in front of it; names is the only place where
// a count, that many decodable names and matching markers follow each other;
// of the possible address tables one gives ascending addresses that put
// _stext into code. Every candidate is checked in full before it is believed.

const (
	minSymbols = 500     // a real kernel has tens of thousands
	maxSymbols = 8 << 20 // 3 bytes of seqs_of_names number 16 M at most
	maxKsymLen = 2048    // KSYM_NAME_LEN is 512 since 6.1
)

// kallsymsTables are the raw tables, as found.
type kallsymsTables struct {
	d        []byte // the section searched
	base     uint64 // address of d[0]
	bo       binary.ByteOrder
	tokens   [256][]byte
	tokenEnd int // offset in d after token_index
	numOff   int // offset in d of num_syms
	n        int
	names    int // offset in d of names
	algn     int // of every table, bytes
}

// Kallsyms finds and decodes the image's own tables of symbols. The error wraps
// [ErrNoKallsyms] when there are none that could be decoded.
func (im *Image) Kallsyms() (*Symbols, error) {
	type region struct {
		base uint64
		data []byte
	}
	var regions []region
	for i := range im.Sections {
		section := &im.Sections[i]
		if section.Flags&elf.SHF_ALLOC != 0 && section.Flags&elf.SHF_EXECINSTR == 0 && len(section.data) > 1<<12 {
			regions = append(regions, region{section.Addr, section.data})
		}
	}
	// .rodata first: it is there in every kernel that keeps its sections.
	sort.SliceStable(regions, func(i, j int) bool {
		ro := im.Section(".rodata")
		return ro != nil && regions[i].base == ro.Addr && regions[j].base != ro.Addr
	})
	if len(regions) == 0 {
		for _, s := range im.segs {
			regions = append(regions, region{s.addr, s.data})
		}
	}
	why := "no token table"
	for _, r := range regions {
		for _, algn := range []int{8, 4} {
			tables := &kallsymsTables{d: r.data, base: r.base, bo: im.Order, algn: algn}
			for at := 0; ; {
				ti, ok := tables.findTokens(at)
				if !ok {
					break
				}
				at = ti + algn
				if !tables.findNames(ti) {
					why = fmt.Sprintf("token table at %#x has no names", tables.base+uint64(ti))
					continue
				}
				addrs, err := tables.findAddresses(im)
				if err != nil {
					why = err.Error()
					continue
				}
				b := newSymbolsBuilder(tables.n)
				b.addrs = addrs
				tables.expand(b)
				return b.finish("kallsyms", im.Path), nil
			}
		}
	}
	return nil, fmt.Errorf("%s: %w: %s", im.Path, ErrNoKallsyms, why)
}

// align rounds an offset up to where the next table may begin.
func (t *kallsymsTables) align(off int) int {
	return off + int(-(t.base+uint64(off))&uint64(t.algn-1))
}

// findTokens looks for token_index from offset at on, fills tokens and
// returns the offset of token_index.
func (t *kallsymsTables) findTokens(at int) (int, bool) {
	data := t.d
	for pos := t.align(at); pos+512 <= len(data); pos += t.algn {
		if data[pos] != 0 || data[pos+1] != 0 || t.bo.Uint16(data[pos+2:]) > 256 {
			continue
		}
		prev, ok := -1, true
		for k := 0; k < 512 && ok; k += 2 {
			v := int(t.bo.Uint16(data[pos+k:]))
			ok = v > prev && v-prev <= 512
			prev = v
		}
		if ok && t.tokensBefore(pos) {
			t.tokenEnd = t.align(pos + 512)
			return pos, true
		}
	}
	return 0, false
}

// tokensBefore checks that the token table that token_index at pos describes
// ends right before pos.
func (t *kallsymsTables) tokensBefore(pos int) bool {
	data := t.d
	lastOff := int(t.bo.Uint16(data[pos+510:]))
	for start := t.align(pos-lastOff-2) - t.algn; start >= 0 && start >= pos-lastOff-2-1024; start -= t.algn {
		ok := true
		for k := range 256 {
			off := start + int(t.bo.Uint16(data[pos+2*k:]))
			if off >= pos || k > 0 && data[off-1] != 0 {
				ok = false
				break
			}
			length := bytes.IndexByte(data[off:pos], 0)
			if length < 0 || k < 255 && off+length+1 != start+int(t.bo.Uint16(data[pos+2*k+2:])) ||
				!printable(data[off:off+length]) {
				ok = false
				break
			}
			t.tokens[k] = data[off : off+length]
			if k == 255 && t.align(off+length+1) != pos {
				ok = false
			}
		}
		if ok {
			return true
		}
	}
	return false
}

func printable(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// findNames looks for num_syms, names and markers in front of offset end.
func (t *kallsymsTables) findNames(end int) bool {
	for pos := t.align(0); pos+16 < end; pos += t.algn {
		count := uint64(t.bo.Uint32(t.d[pos:]))
		if count == 0 && t.bo != binary.LittleEndian {
			count = t.bo.Uint64(t.d[pos:])
		}
		// Each symbol takes at least two bytes.
		if count < minSymbols || count > maxSymbols || uint64(end-pos) < 2*count {
			continue
		}
		names := pos + t.algn // num_syms itself is 4 bytes, or 8 where the alignment is 8
		if t.checkNames(names, end, int(count)) {
			t.numOff, t.names, t.n = pos, names, int(count)
			return true
		}
	}
	return false
}

// symLen reads the length at offset p: the number of tokens and of bytes
// that the length itself takes.
func (t *kallsymsTables) symLen(p int) (at, width int) {
	at = int(t.d[p])
	if at&0x80 != 0 && p+1 < len(t.d) {
		return at&0x7f | int(t.d[p+1])<<7, 2
	}
	return at, 1
}

// checkNames walks n names from offset pos and compares the markers behind
// them.
func (t *kallsymsTables) checkNames(pos, end, n int) bool {
	start := pos
	var marks []int
	for i := range n {
		if i&0xff == 0 {
			marks = append(marks, pos-start)
		}
		if pos+1 >= end {
			return false
		}
		length, width := t.symLen(pos)
		if length == 0 || pos+width+length > end {
			return false
		}
		// The first token begins with the type. Checked for the first block
		// and then now and then: enough to leave wrong candidates early.
		if i < 256 || i&0x3f == 0 {
			total := 0
			for _, c := range t.d[pos+width : pos+width+length] {
				total += len(t.tokens[c])
			}
			first := t.tokens[t.d[pos+width]]
			if total < 2 || total > maxKsymLen || len(first) == 0 || !isSymType(first[0]) {
				return false
			}
		}
		pos += width + length
	}
	pos = t.align(pos)
	for _, width := range []int{4, 8} {
		if pos+width*len(marks) > end {
			continue
		}
		ok := true
		for i, mark := range marks {
			var value uint64
			if width == 4 {
				value = uint64(t.bo.Uint32(t.d[pos+4*i:]))
			} else {
				value = t.bo.Uint64(t.d[pos+8*i:])
			}
			if value != uint64(mark) {
				ok = false
				break
			}
		}
		// A table of one marker proves nothing: its only value is zero.
		if ok && len(marks) > 1 {
			return true
		}
	}
	return false
}

func isSymType(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '?' || c == '-'
}

// expand appends all names and types to builder; its addrs are already filled.
func (t *kallsymsTables) expand(builder *symbolsBuilder) {
	var buf []byte
	pos := t.names
	for range t.n {
		length, width := t.symLen(pos)
		buf = buf[:0]
		for _, c := range t.d[pos+width : pos+width+length] {
			buf = append(buf, t.tokens[c]...)
		}
		pos += width + length
		builder.types = append(builder.types, buf[0])
		builder.names = append(builder.names, buf[1:]...)
		builder.off = append(builder.off, uint32(len(builder.names)))
	}
}

// findAddresses decodes every plausible address table and returns the one
// that holds.
func (t *kallsymsTables) findAddresses(im *Image) ([]uint64, error) {
	table := (4*t.n + t.algn - 1) &^ (t.algn - 1)
	var found [][]uint64
	try := func(decode func() []uint64) {
		if addrs := decode(); addrs != nil && t.plausible(im, addrs) {
			for _, f := range found {
				same := true
				for i := range f {
					if f[i] != addrs[i] {
						same = false
						break
					}
				}
				if same {
					return
				}
			}
			found = append(found, addrs)
		}
	}
	// Offsets and relative_base: in front of num_syms (4.6 to 6.3), or
	// behind token_index (since 6.4).
	for _, at := range []int{t.numOff - 8 - table, t.tokenEnd} {
		try(func() []uint64 { return t.relative(at, at+table, true) })
		try(func() []uint64 { return t.relative(at, at+table, false) })
		try(func() []uint64 { return t.placeRelative(at) })
	}
	for _, at := range []int{t.numOff - table, t.numOff - 8*t.n, t.tokenEnd} {
		try(func() []uint64 { return t.placeRelative(at) })
		try(func() []uint64 { return t.absolute(at) })
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("the %d names at %#x have no address table", t.n, t.base+uint64(t.names))
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("the %d names at %#x have %d possible address tables", t.n, t.base+uint64(t.names),
		len(found))
}

// relative decodes KALLSYMS_BASE_RELATIVE: offsets at off, the base at baseOff.
// With percpu (KALLSYMS_ABSOLUTE_PERCPU) an offset that is not negative is an
// absolute value and a negative one means base - 1 - offset
// (kallsyms_sym_address, kernel/kallsyms.c).
func (t *kallsymsTables) relative(off, baseOff int, percpu bool) []uint64 {
	if off < 0 || baseOff+8 > len(t.d) {
		return nil
	}
	base := t.bo.Uint64(t.d[baseOff:])
	if base == 0 {
		return nil
	}
	out := make([]uint64, t.n)
	for i := range out {
		rel := t.bo.Uint32(t.d[off+4*i:])
		switch {
		case !percpu:
			out[i] = base + uint64(rel)
		case int32(rel) >= 0:
			out[i] = uint64(rel)
		default:
			out[i] = base - 1 - uint64(int64(int32(rel)))
		}
		if i > 0 && out[i] < out[i-1] {
			return nil
		}
	}
	return out
}

// placeRelative decodes offsets from the place that holds them, which newer
// kernels use instead of a base.
func (t *kallsymsTables) placeRelative(off int) []uint64 {
	if off < 0 || off+4*t.n > len(t.d) {
		return nil
	}
	out := make([]uint64, t.n)
	for i := range out {
		p := off + 4*i
		out[i] = t.base + uint64(p) + uint64(int64(int32(t.bo.Uint32(t.d[p:]))))
		if i > 0 && out[i] < out[i-1] {
			return nil
		}
	}
	return out
}

// absolute decodes kallsyms_addresses.
func (t *kallsymsTables) absolute(off int) []uint64 {
	if off < 0 || off+8*t.n > len(t.d) {
		return nil
	}
	out := make([]uint64, t.n)
	for i := range out {
		out[i] = t.bo.Uint64(t.d[off+8*i:])
		if i > 0 && out[i] < out[i-1] {
			return nil
		}
	}
	return out
}

// plausible checks ascending addresses against the image: _stext (or _text)
// must be where code is and be the first symbol of its section but for
// aliases, and most text symbols must lie in code.
func (t *kallsymsTables) plausible(im *Image, addrs []uint64) bool {
	text, inCode, sawStart := 0, 0, false
	p := t.names
	for i := range t.n {
		k, w := t.symLen(p)
		toks := t.d[p+w : p+w+k]
		p += w + k
		typ := t.tokens[toks[0]][0]
		if typ != 't' && typ != 'T' {
			continue
		}
		if !sawStart {
			var name []byte
			for _, c := range toks {
				name = append(name, t.tokens[c]...)
			}
			if s := string(name[1:]); s == "_stext" || s == "_text" {
				if !im.Executable(addrs[i]) {
					return false
				}
				sawStart = true
			}
		}
		if text++; text&0xf == 0 && im.Executable(addrs[i]) {
			inCode++
		}
	}
	return sawStart && inCode >= text/16*9/10
}
