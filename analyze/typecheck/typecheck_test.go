package typecheck

import (
	"debug/elf"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
)

var update = flag.Bool("update", false, "compile testdata again; needs gcc, ld and pahole")

func TestMain(m *testing.M) {
	flag.Parse()
	if *update {
		compile()
	}
	os.Exit(m.Run())
}

func compile() {
	here, err := filepath.Abs("testdata")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, argv := range [][]string{
		{"gcc", "-O2", "-g", "-fdebug-prefix-map=" + here + "=.", "-fno-pic", "-mcmodel=kernel", "-mno-red-zone", "-fcf-protection=none", "-DKERNEL", "-c", "-o", "kernel.o", "types.c"},
		{"gcc", "-O2", "-g", "-fdebug-prefix-map=" + here + "=.", "-fno-pic", "-mcmodel=kernel", "-mno-red-zone", "-fcf-protection=none", "-c", "-o", "same.o", "types.c"},
		{"gcc", "-O2", "-g", "-fdebug-prefix-map=" + here + "=.", "-fno-pic", "-mcmodel=kernel", "-mno-red-zone", "-fcf-protection=none", "-DOTHER", "-c", "-o", "other.o", "types.c"},
		{"ld", "-e", "0", "-o", "kernel.elf", "kernel.o"},
		{"pahole", "--btf_encode_detached=kernel.btf", "kernel.elf"},
		{"rm", "kernel.o"},
	} {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Dir = "testdata"
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%q: %v\n%s", argv, err, out)
			os.Exit(1)
		}
	}
}

func object(t *testing.T, name string) *Object {
	t.Helper()
	f, err := elfobj.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	o, err := ReadObject(f)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// sources are the kernel's types as BTF and as DWARF.
func sources(t *testing.T) []Source {
	t.Helper()
	raw, err := os.ReadFile("testdata/kernel.btf")
	if err != nil {
		t.Fatal(err)
	}
	b, err := LoadBTF("BTF", raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	e, err := elf.Open("testdata/kernel.elf")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	im, err := OpenImage("DWARF", func(name string) []byte {
		s := e.Section(name)
		if s == nil {
			return nil
		}
		data, err := s.Data()
		if err != nil {
			t.Fatal(err)
		}
		return data
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := im.Prefer("types.c"); err != nil {
		t.Fatal(err)
	}
	return []Source{b, im}
}

func all(string) bool { return true }

func none() (*Object, error) { return nil, nil }

func texts(list []Mismatch) []string {
	var out []string
	for i := range list {
		for j := range list[i].Parts {
			out = append(out, list[i].Parts[j].Say("here", "there"))
		}
	}
	slices.Sort(out)
	return out
}

func TestSame(t *testing.T) {
	o := object(t, "same.o")
	for _, s := range sources(t) {
		r, err := Check(o, s, all, none)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string(nil), texts(r.Mismatches)); d != "" {
			t.Errorf("%s (-want +got)\n%s", s.Name(), d)
		}
		if d := cmp.Diff([]string{"struct only_here"}, r.Absent); d != "" {
			t.Errorf("%s, absent (-want +got)\n%s", s.Name(), d)
		}
		for _, name := range []string{"struct bits", "struct anon", "struct shape", "union all", "enum mode", "enum wide", "count_t", "ANON_TWO", "callee()", "takes()", "variadic()", "fits()"} {
			if !slices.Contains(r.Checked, name) {
				t.Errorf("%s: %s is not compared: %v", s.Name(), name, r.Checked)
			}
		}
		if len(s.Digest()) != 64 {
			t.Errorf("%s: digest %q", s.Name(), s.Digest())
		}
	}
}

// otherTexts are the differences that IF of types.c makes, by hand. Of one member the
// first of offset, width and kind is told.
var otherTexts = []string{
	"callee() takes 3 parameters in here, 2 in there",
	"changed_t has 8 bytes in here, 4 in there",
	"changed_t.v is s8 in here, s4 in there",
	"enumerator ANON_TWO is 3 in here, 2 in there",
	"enumerator MODE_B is 6 in here, 5 in there",
	"parameter 1 of takes() is *struct bits in here, *struct plain in there",
	"returns() returns s8 in here, s4 in there",
	"struct anon has 48 bytes in here, 32 in there",
	"struct anon.list is [2]struct{i@0 s4; s@32 c1; 8} in here, [2]struct{i@0 s4; s@32 s2; 8} in there",
	"struct anon.named.p is at offset 24 in here, 20 in there",
	"struct anon.named.q is at offset 32 in here, 24 in there",
	"struct anon.tail is at offset 40 in here, 28 in there",
	"struct bits.a has 4 bits in here, 3 bits in there",
	"struct bits.b is at offset 0, bit 4 in here, 0, bit 3 in there",
	"struct bits.c is at offset 1, bit 1 in here, 1, bit 0 in there",
	"struct leads.call is *s4(*struct plain, s8) in here, *s4(*struct plain, s4) in there",
	"struct leads.sized is u4 in here, c1 in there",
	"struct leads.to is *struct bits in here, *struct plain in there",
	"struct plain has 48 bytes in here, 40 in there",
	"struct plain.first is at offset 0 in here, 8 in there",
	"struct plain.flag is at offset 32 in here, 28 in there",
	"struct plain.name is at offset 12 in here, 16 in there",
	"struct plain.next is at offset 40 in here, 32 in there",
	"struct plain.refs is at offset 28 in here, 24 in there",
	"struct plain.second is at offset 8 in here, 0 in there",
	"union all has 24 bytes in here, 16 in there",
	"union all.l is [3]s8 in here, [2]s8 in there",
}

func TestOther(t *testing.T) {
	o := object(t, "other.o")
	for _, s := range sources(t) {
		r, err := Check(o, s, all, none)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(otherTexts, texts(r.Mismatches)); d != "" {
			t.Errorf("%s (-want +got)\n%s", s.Name(), d)
		}
	}
}

// TestPatched: what the patch changes is judged by what it was.
func TestPatched(t *testing.T) {
	for _, s := range sources(t) {
		r, err := Check(object(t, "other.o"), s, all, func() (*Object, error) { return object(t, "same.o"), nil })
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string(nil), texts(r.Mismatches)); d != "" {
			t.Errorf("%s: the patch changes them (-want +got)\n%s", s.Name(), d)
		}
		r, err = Check(object(t, "other.o"), s, func(fn string) bool { return fn != "callee" }, func() (*Object, error) { return object(t, "other.o"), nil })
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(otherTexts[1:], texts(r.Mismatches)); d != "" { // the first is of callee()
			t.Errorf("%s: the source differs, and one name is of several functions (-want +got)\n%s", s.Name(), d)
		}
	}
}
