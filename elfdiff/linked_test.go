package elfdiff

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
)

// linked links copies of all real pairs into one pair of objects, as vmlinux.o
// is linked of all objects. Globals and sections of one symbol are renamed in each
// copy. It returns the paths of the two objects.
func linked(b *testing.B, copies int) (before, after string) {
	b.Helper()
	ld, err := exec.LookPath("ld")
	if err != nil {
		b.Skip("ld is not installed")
	}
	dir := b.TempDir()
	link := func(suffix string) string {
		var in []string
		for _, p := range realPairs(b) {
			for k := range copies {
				f := readObject(b, p+suffix)
				rename(f, k)
				raw, err := f.Write()
				if err != nil {
					b.Fatal(err)
				}
				name := filepath.Join(dir, fmt.Sprintf("%s.%d%s", filepath.Base(p), k, suffix))
				if err := os.WriteFile(name, raw, 0o644); err != nil {
					b.Fatal(err)
				}
				in = append(in, name)
			}
		}
		out := filepath.Join(dir, "linked"+suffix)
		if text, err := exec.Command(ld, append([]string{"-r", "-z", "muldefs", "-o", out}, in...)...).CombinedOutput(); err != nil {
			b.Fatalf("ld -r: %v\n%s", err, text)
		}
		return out
	}
	return link(".orig.o"), link(".patched.o")
}

func rename(f *elfobj.File, k int) {
	for i := range f.Symbols {
		if s := &f.Symbols[i]; s.Sec != elfobj.SecUndef && s.Bind != elf.STB_LOCAL {
			s.Name = fmt.Sprintf("%s_copy%d", s.Name, k)
		}
	}
	for i := range f.Sections {
		s := &f.Sections[i]
		if s.Flags&elf.SHF_STRINGS != 0 || strings.Contains(s.Name, "..") || s.Name == ".data.once" {
			continue
		}
		for _, p := range []string{".text.", ".data.", ".bss.", ".rodata."} {
			if strings.HasPrefix(s.Name, p) && s.Flags&elf.SHF_MERGE == 0 {
				s.Name = fmt.Sprintf("%s_copy%d", s.Name, k)
				break
			}
		}
	}
}

// BenchmarkLinked shows how time and memory grow with the size of real objects:
// cpu-ns/B, processor time by bytes of both objects, is flat when they grow in step. At 64 copies the pair is of the size of a
// whole kernel.
func BenchmarkLinked(b *testing.B) {
	for _, copies := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprint(copies), func(b *testing.B) {
			before, after := linked(b, copies)
			x, err := os.ReadFile(before)
			if err != nil {
				b.Fatal(err)
			}
			y, err := os.ReadFile(after)
			if err != nil {
				b.Fatal(err)
			}
			size := len(x) + len(y)
			changed := 0
			b.SetBytes(int64(size))
			b.ReportAllocs()
			start := cpuTime(b, rusageSelf)
			for b.Loop() {
				f, err := elfobj.Read(x)
				if err != nil {
					b.Fatal(err)
				}
				g, err := elfobj.Read(y)
				if err != nil {
					b.Fatal(err)
				}
				r, err := Diff(f, g)
				if err != nil {
					b.Fatal(err)
				}
				changed = len(replaceable(r))
			}
			b.ReportMetric(float64(cpuTime(b, rusageSelf)-start)/float64(b.N)/float64(size), "cpu-ns/B")
			b.ReportMetric(float64(changed)/float64(copies), "changed/copy")
			b.ReportMetric(float64(size)/(1<<20), "MiB")
		})
	}
}
