package elfobj

import (
	"bytes"
	"debug/elf"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// withDebug is an object with size bytes of debug information between its sections.
func withDebug(t *testing.T, size int) []byte {
	t.Helper()
	section := func(name string, flags elf.SectionFlag, data []byte, relocs ...Reloc) Section {
		return Section{Name: name, Type: elf.SHT_PROGBITS, Flags: flags, Align: 1, Data: data, Size: uint64(len(data)),
			Relocs: relocs}
	}
	r64 := uint32(elf.R_X86_64_64)
	file := &File{Machine: elf.EM_X86_64, Type: elf.ET_REL, Sections: []Section{{},
		section(".text", elf.SHF_ALLOC|elf.SHF_EXECINSTR, bytes.Repeat([]byte{0x90}, 16), Reloc{Off: 2, Type: r64, Sym: 2}),
		section(".debug_info", 0, bytes.Repeat([]byte{7}, size), Reloc{Off: 8, Type: r64, Sym: 2}, Reloc{Off: 1, Type: r64, Sym: 2}),
		section(".debug_kept", elf.SHF_ALLOC, []byte("of the kernel"), Reloc{Off: 0, Type: r64, Sym: 2}),
		section(".data", elf.SHF_ALLOC|elf.SHF_WRITE, []byte("12345678"), Reloc{Off: 0, Type: r64, Sym: 2}),
	}, Symbols: []Symbol{{}, {Name: "f", Type: elf.STT_FUNC, Sec: 1, Size: 16}, {Name: "g", Bind: elf.STB_GLOBAL}}}
	b, err := file.Write()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestReadCode: everything but the debug information is there at once, and all of it
// when it is asked for.
func TestReadCode(t *testing.T) {
	plain := cmpopts.IgnoreUnexported(File{})
	for name, size := range map[string]int{"read at once": 64, "read by windows": 2 * wholeFile} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.o")
			if err := os.WriteFile(path, withDebug(t, size), 0o600); err != nil {
				t.Fatal(err)
			}
			want, err := ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if all, err := want.Whole(); err != nil || all != want {
				t.Errorf("a file that is whole becomes another one (error %v)", err)
			}
			code, err := ReadCode(path)
			if err != nil {
				t.Fatal(err)
			}
			if all, err := code.Whole(); err != nil || !cmp.Equal(want, all, plain) {
				t.Errorf("error %v, %s", err, cmp.Diff(want, all, plain))
			}
			if held := cap(code.Sections[1].Data); held > size/2+64 {
				t.Errorf("the code holds %d bytes", held)
			}
			want.Sections[2].Data, want.Sections[2].Relocs = nil, nil
			if diff := cmp.Diff(want, code, plain); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWholeOfAnother: what lies at the path now is not what was read.
func TestWholeOfAnother(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"removed":  os.Remove,
		"replaced": func(path string) error { return replaceFile(path, withDebug(t, 64)) },
		"longer":   func(path string) error { return os.WriteFile(path, withDebug(t, 65), 0o600) },
		"later":    func(path string) error { return os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.o")
			if err := os.WriteFile(path, withDebug(t, 64), 0o600); err != nil {
				t.Fatal(err)
			}
			code, err := ReadCode(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			if _, err := code.Whole(); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want one that names the file", err)
			}
		})
	}
}

func replaceFile(path string, data []byte) error {
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
