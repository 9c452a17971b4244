package elfdiff

import (
	"debug/elf"
	"errors"
	"fmt"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// TestEntryShape infers the size of entries from what the object shows.
func TestEntryShape(t *testing.T) {
	tests := []struct {
		section string
		size    uint64   // of an entry
		refs    []uint64 // offsets of relocations in it
	}{
		{"__bug_table", 12, []uint64{0, 4}},
		{"__bug_table", 8, []uint64{0}},
		{"__bug_table", 16, []uint64{0, 4, 8}},
		{"__bug_table", 16, []uint64{0}},
		{"__bug_table", 24, []uint64{0, 8}},
		{"__ex_table", 12, []uint64{0, 4}},
		{"__ex_table", 8, []uint64{0, 4}},
		{"__jump_table", 16, []uint64{0, 4, 8}},
		{"__jump_table", 24, []uint64{0, 8, 16}},
		{".static_call_sites", 8, []uint64{0, 4}},
		{".altinstructions", 12, []uint64{0, 4}},
		{".altinstructions", 14, []uint64{0, 4}},
		{".altinstructions", 13, []uint64{0, 4}},
		{".parainstructions", 16, []uint64{0}},
		{".smp_locks", 4, []uint64{0}},
		{".orc_unwind_ip", 4, []uint64{0}},
		{"__mcount_loc", 8, []uint64{0}},
	}
	for _, tt := range tests {
		for _, n := range []uint64{1, 2, 3, 7, 12} {
			t.Run(fmt.Sprintf("%s/%d/%d", tt.section, tt.size, n), func(t *testing.T) {
				s := &elfobj.Section{Name: tt.section, Type: elf.SHT_PROGBITS, Size: n * tt.size, Data: make([]byte, n*tt.size)}
				for i := range n {
					for _, off := range tt.refs {
						s.Relocs = append(s.Relocs, elfobj.Reloc{Off: i*tt.size + off, Type: 2, Sym: 1})
					}
				}
				got, err := x86Object(t).entryShape(tableRow(tt.section), s)
				if err != nil {
					t.Fatal(err)
				}
				if got.size != tt.size {
					t.Errorf("%d bytes, want %d", got.size, tt.size)
				}
			})
		}
	}
}

func TestEntryShapeRefuses(t *testing.T) {
	tests := map[string]*elfobj.Section{
		"odd size":            {Name: "__jump_table", Size: 17, Relocs: []elfobj.Reloc{{Off: 0}}},
		"no relocations":      {Name: "__bug_table", Size: 24},
		"irregular":           {Name: "__bug_table", Size: 36, Relocs: []elfobj.Reloc{{Off: 0}, {Off: 11}, {Off: 24}}},
		"entry without owner": {Name: "__ex_table", Size: 24, Relocs: []elfobj.Reloc{{Off: 0}, {Off: 4}}},
	}
	for name, s := range tests {
		t.Run(name, func(t *testing.T) {
			s.Data = make([]byte, s.Size)
			sh, err := x86Object(t).entryShape(tableRow(s.Name), s)
			var p *finding.Finding
			if !errors.As(err, &p) || p.ID != "KLP112" || p.Remedy == "" {
				t.Errorf("shape %+v, error %v", sh, err)
			}
		})
	}
}

func x86Object(t *testing.T) *Object {
	f := &elfobj.File{Machine: elf.EM_X86_64, Sections: make([]elfobj.Section, 1), Symbols: make([]elfobj.Symbol, 2)}
	return &Object{File: f, Arch: elfArch(t, f)}
}
