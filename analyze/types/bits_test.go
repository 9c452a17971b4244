package types

import (
	"debug/dwarf"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFieldBit: bit-fields lie where the ABI puts them, in whatever version of DWARF:
// from the low end of their unit on (System V ABI, AMD64).
func TestFieldBit(t *testing.T) {
	const source = `struct iphdr { unsigned char ihl:4, version:4; unsigned char tos; };
struct wide { unsigned first; unsigned a:1, b:12, c:19; unsigned long d:40, e:24; } w;
struct iphdr h;
`
	want := map[string]int64{"ihl": 0, "version": 4, "a": 32, "b": 33, "c": 45, "d": 64, "e": 104}
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("there is no gcc")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.c"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"-gdwarf-2", "-gdwarf-3", "-gdwarf-4", "-gdwarf-5"} {
		cc := exec.CommandContext(t.Context(), "gcc", version, "-gstrict-dwarf", "-c", "a.c")
		cc.Dir = dir
		if out, err := cc.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		f, err := elf.Open(filepath.Join(dir, "a.o"))
		if err != nil {
			t.Fatal(err)
		}
		d, err := f.DWARF()
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int64{}
		for r := d.Reader(); ; {
			e, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if e == nil {
				break
			}
			if e.Tag != dwarf.TagStructType {
				continue
			}
			typ, err := d.Type(e.Offset)
			if err != nil {
				t.Fatal(err)
			}
			for _, field := range typ.(*dwarf.StructType).Field {
				if field.BitSize > 0 {
					got[field.Name] = FieldBit(field)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", version, diff)
		}
	}
}
