package elfdiff

import (
	"bytes"
	"cmp"
	"debug/elf"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
)

// longest is the length of a longest common subsequence, by definition.
func longest(a, b string) int {
	switch {
	case a == "" || b == "":
		return 0
	case a[0] == b[0]:
		return 1 + longest(a[1:], b[1:])
	}
	return max(longest(a[1:], b), longest(a, b[1:]))
}

// Pairs of references are of equal keys, in the order of both sides, and as many as can be.
func TestAlign(t *testing.T) {
	refs := func(keys string) []ref {
		var out []ref
		for _, k := range keys {
			out = append(out, ref{refKey{text: string(k)}, -1})
		}
		return out
	}
	rng := rand.New(rand.NewPCG(1, 1))
	word := func() string {
		b := make([]byte, rng.IntN(9))
		for i := range b {
			b[i] = 'a' + byte(rng.IntN(3))
		}
		return string(b)
	}
	for range 3000 {
		a, b := word(), word()
		pairs := align(nil, refs(a), refs(b))
		slices.SortFunc(pairs, func(x, y [2]int) int { return cmp.Compare(x[0], y[0]) })
		for i, p := range pairs {
			if a[p[0]] != b[p[1]] || i > 0 && (pairs[i-1][0] >= p[0] || pairs[i-1][1] >= p[1]) {
				t.Fatalf("%q and %q: %v", a, b, pairs)
			}
		}
		if want := longest(a, b); len(pairs) != want {
			t.Fatalf("%q and %q: %d pairs, want %d: %v", a, b, len(pairs), want, pairs)
		}
	}
	if got := align([][2]int{{7, 8}}, refs("a"), refs("a")); !slices.Equal(got, [][2]int{{7, 8}, {0, 0}}) {
		t.Errorf("appended: %v", got)
	}

	// Where a table would be too large, the n-th use of a key pairs with the n-th.
	var a, b []ref
	for i := range 2100 {
		a = append(a, ref{refKey{text: string(rune('a' + i%3))}, -1})
		b = append(b, ref{refKey{text: string(rune('c' - i%3))}, -1})
	}
	seen := map[string]int{}
	for _, p := range align(nil, a, b) {
		x, y := a[p[0]].key.text, b[p[1]].key.text
		if x != y {
			t.Fatalf("%q with %q", x, y)
		}
		seen[x]++
	}
	if seen["a"] != 700 || seen["b"] != 700 || seen["c"] != 700 {
		t.Errorf("pairs %v", seen)
	}
}

// What stands at a place of a section of strings, or of constants.
func TestPieces(t *testing.T) {
	text := &elfobj.Section{Data: []byte("ab\x00c\x00\x00de"), EntSize: 1}
	for off, want := range map[int64]string{0: "ab\x00", 1: "b\x00", 2: "\x00", 3: "c\x00", 5: "\x00", 6: "", 7: "", 8: "", -1: "", 9: ""} {
		if got := stringAt(text, off); string(got) != want || (got == nil) != (want == "") {
			t.Errorf("string at %d: %q, want %q", off, got, want)
		}
	}
	wide := &elfobj.Section{Data: []byte("a\x00\x00b\x00\x00c\x00\x00\x00x"), EntSize: 2}
	for off, want := range map[int64]string{0: "a\x00\x00b\x00\x00", 4: "\x00\x00", 6: "c\x00\x00\x00", 8: "\x00\x00", 10: ""} {
		if got := stringAt(wide, off); string(got) != want {
			t.Errorf("wide string at %d: %q, want %q", off, got, want)
		}
	}
	long := &elfobj.Section{Data: append(bytes.Repeat([]byte("x"), maxString), 0), EntSize: 1}
	if got := stringAt(long, 0); got != nil {
		t.Errorf("a string of %d bytes", len(got))
	}
	if got := stringAt(long, 1); len(got) != maxString {
		t.Errorf("a string of %d bytes, want %d", len(got), maxString)
	}
	if got := stringAt(&elfobj.Section{Data: []byte("a\x00")}, 0); string(got) != "a\x00" {
		t.Errorf("without a size: %q", got)
	}

	constants := &elfobj.Section{Data: []byte("0123456789"), EntSize: 4}
	for off, want := range map[int64]string{0: "0123", 4: "4567", 6: "6789", 7: "", 10: "", 11: "", -1: ""} {
		if got := constAt(constants, off); string(got) != want || (got == nil) != (want == "") {
			t.Errorf("constant at %d: %q, want %q", off, got, want)
		}
	}

	o := &Object{}
	for _, c := range []struct {
		sym             elfobj.Symbol
		loc, size, want int64
	}{
		{elfobj.Symbol{Type: elf.STT_SECTION}, 13, 8, 8}, {elfobj.Symbol{Type: elf.STT_SECTION}, 16, 8, 16}, {elfobj.Symbol{Type: elf.STT_SECTION}, 13, 1, 13}, {elfobj.Symbol{Type: elf.STT_SECTION}, -3, 8, -3},
		{elfobj.Symbol{Type: elf.STT_SECTION}, 0, 8, 0}, {elfobj.Symbol{Value: 24}, 40, 8, 24}, {elfobj.Symbol{Value: 24}, 20, 1, 24},
	} {
		if got := o.pieceStart(&c.sym, c.loc, c.size); got != c.want {
			t.Errorf("%+v: starts at %d", c, got)
		}
	}
}

// The key of a long string stands for all of it.
func TestContentKey(t *testing.T) {
	base := []byte(strings.Repeat("x", 100))
	seen := map[string]int{contentKey(base): -1}
	for i := range base {
		other := bytes.Clone(base)
		other[i] = 'y'
		key := contentKey(other)
		if at, ok := seen[key]; ok {
			t.Errorf("bytes %d and %d: one key", i, at)
		}
		seen[key] = i
		if key != contentKey(bytes.Clone(other)) || len(key) != 64 {
			t.Errorf("key of %d bytes", len(key))
		}
	}
	for _, n := range []int{0, 1, 64} {
		if got := contentKey(base[:n]); got != string(base[:n]) {
			t.Errorf("%d bytes: %q", n, got)
		}
	}
}

// Small sums that places depend on.
func TestAlignment(t *testing.T) {
	for _, c := range []struct {
		align uint64
		off   int64
		want  uint64
	}{{16, 0, 16}, {16, 8, 8}, {16, 24, 8}, {16, 32, 16}, {4, 32, 4}, {16, 1, 1}, {0, 0, 1}, {0, 8, 1}, {1, 6, 1}, {64, 96, 32}} {
		if got := alignedAt(c.align, c.off); got != c.want {
			t.Errorf("alignedAt(%d, %d) is %d, want %d", c.align, c.off, got, c.want)
		}
	}
	for _, c := range [][3]uint64{{0, 8, 0}, {1, 8, 8}, {8, 8, 8}, {9, 8, 16}, {5, 1, 5}, {17, 16, 32}} {
		if got := alignTo(c[0], c[1]); got != c[2] {
			t.Errorf("alignTo(%d, %d) is %d", c[0], c[1], got)
		}
	}
	a, b := []byte("0123456789"), []byte("01x345678y")
	for _, c := range []struct {
		from uint64
		to   []uint64
		want int
	}{{0, nil, 2}, {2, nil, 2}, {3, nil, 9}, {3, []uint64{9}, -1}, {3, []uint64{10}, 9}, {0, []uint64{2}, -1}, {0, []uint64{3}, 2}, {10, nil, -1}, {11, nil, -1}, {5, []uint64{2}, -1}, {9, []uint64{100}, 9}} {
		if got := firstDiff(a, b, c.from, c.to...); got != c.want {
			t.Errorf("firstDiff from %d to %v is %d, want %d", c.from, c.to, got, c.want)
		}
	}
	if firstDiff(a, a[:4], 0) != -1 || firstDiff(nil, b, 0) != -1 {
		t.Error("a shorter one differs where it ends")
	}
	relocs := []elfobj.Reloc{{Off: 2}, {Off: 4}, {Off: 4}, {Off: 9}}
	for off, want := range map[uint64]int{0: 0, 2: 0, 3: 1, 4: 1, 5: 3, 9: 3, 10: 4} {
		if got := searchOff(relocs, off); got != want {
			t.Errorf("searchOff(%d) is %d, want %d", off, got, want)
		}
	}
	for _, c := range [][3]string{{".text.f", "f", ".text.f"}, {".text", "f", ".text.f"}, {".text.unlikely.f", "f.cold", ".text.unlikely.f"}, {".text.unlikely", "f.cold", ".text.f.cold"}, {".noinstr.text", "f", ".text.f"}, {".text.g", "f", ".text.f"}, {".text.g", "", ".text.g"}} {
		if got := textSection(c[0], &Atom{Name: c[1]}); got != c[2] {
			t.Errorf("code of %s in %s goes to %s, want %s", c[1], c[0], got, c[2])
		}
	}
	x := &extractor{opt: ExtractOptions{Unit: "fs/ext4-b/x.o"}, taken: map[string]int{}}
	for i, want := range []string{"klp_fs_ext4_b_x__f_isra_0", "klp_fs_ext4_b_x__f_isra_0_2", "klp_fs_ext4_b_x__f_isra_0_3"} {
		if name := x.uniqueName("f.isra.0"); name != want {
			t.Errorf("%d: %s, want %s", i, name, want)
		}
	}
	if got := x.uniqueName("azAZ09_`{@[/:"); got != "klp_fs_ext4_b_x__azAZ09_______" {
		t.Error(got)
	}
}

// What is gone once the kernel has booted, and what may not be written then.
func TestSectionKinds(t *testing.T) {
	for name, want := range map[string]bool{".init.text": true, ".init.data": true, ".exit.text": true, ".text": false, ".text.f": false, ".data": false, ".rodata": false, "none": false} {
		if got := InitSection(name); got != want {
			t.Errorf("%s is gone after booting: %v", name, got)
		}
	}
	for name, want := range map[string]string{".data": "", ".bss": "", ".text": "", ".text.f": "", "none": "", ".rodata": "the kernel write-protects it", ".rodata.x": "the kernel write-protects it",
		".data..ro_after_init": "the kernel sets it while it boots or loads a module and write-protects it then"} {
		if why, ok := WriteProtected(name); why != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", name, why, ok)
		}
	}
}
