package code

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
)

const constArgSource = `
void *take(void *obj, unsigned long id, unsigned long size);
int cond(void);
#define F(name, body) void name(void *p, unsigned long u) { body }
F(small, take(p, 7, 8); cond();)
F(zero, take(p, 0, 8); cond();)
F(wide, take(p, 0x123456789abcdef0UL, 8); cond();)
F(negative, take(p, -1UL, 8); cond();)
F(variable, take(p, u, 8); cond();)
F(chosen, take(p, cond() ? 7 : 9, 8); cond();)
F(second, take(p, cond(), 8); take(p, 5, 8); cond();)
`

// TestConstArg: constants in compiled calls are found, and nothing else is.
func TestConstArg(t *testing.T) {
	want := map[string][]uint64{"small": {7}, "zero": {0}, "wide": {0x123456789abcdef0}, "negative": {^uint64(0)}, "variable": nil, "chosen": nil, "second": {5}}
	for _, opt := range []string{"-O1", "-O2", "-Os"} {
		dir := t.TempDir()
		src, o := filepath.Join(dir, "x.c"), filepath.Join(dir, "x.o")
		if err := os.WriteFile(src, []byte(constArgSource), 0o666); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("gcc", opt, "-ffunction-sections", "-mcmodel=kernel", "-fno-pic", "-c", "-o", o, src).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		f, err := elfobj.ReadFile(o)
		if err != nil {
			t.Fatal(err)
		}
		arch, err := elfobj.ArchOf(f.Machine)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range f.Symbols {
			list, tested := want[s.Name]
			if !tested || s.Sec <= 0 {
				continue
			}
			var got []uint64
			for _, r := range f.Sections[s.Sec].Relocs {
				if f.Symbols[r.Sym].Name != "take" {
					continue
				}
				if v, ok := ConstArg(arch, f.Sections[s.Sec].Data, int(r.Off)-1, 1); ok {
					got = append(got, v)
				}
			}
			if len(got) != len(list) || len(got) == 1 && got[0] != list[0] {
				t.Errorf("%s %s: got %#x, want %#x", opt, s.Name, got, list)
			}
		}
	}
}
