package kimage

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/internal/syntax"
	"github.com/klpforge/klpforge/kernel/kconfig"
	"github.com/klpforge/klpforge/kernel/kerneltest"
)

// Kallsyms, a symbol table and a System.map of one kernel must agree.
func TestSymbolSourcesAgree(t *testing.T) {
	syms := kerneltest.Symbols(true)
	im, err := parse("fake", kerneltest.Vmlinux(kerneltest.Layouts[3], syms, true))
	if err != nil {
		t.Fatal(err)
	}
	k, err := im.Kallsyms()
	if err != nil {
		t.Fatal(err)
	}
	s, err := im.SymtabSymbols(nil)
	if err != nil {
		t.Fatal(err)
	}
	ignoreType := cmp.Transformer("type", func(n kerneltest.Symbol) string { return fmt.Sprintf("%x %s", n.Addr, n.Name) })
	// The per-CPU range has no end symbol here, so only its types differ.
	if d := cmp.Diff(nmOf(k), nmOf(s), ignoreType); d != "" {
		t.Errorf("symtab differs from kallsyms:\n%s", d)
	}
	var b strings.Builder
	for _, x := range syms {
		fmt.Fprintf(&b, "%016x %c %s\n", x.Addr, x.Type, x.Name)
	}
	// nm prints absolute symbols in lower case for local ones, which are dropped.
	text := strings.ReplaceAll(b.String(), " A ", " D ")
	m, err := ParseSystemMap("System.map", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(nmOf(k), nmOf(m), ignoreType); d != "" {
		t.Errorf("System.map differs from kallsyms:\n%s", d)
	}
	if what, x, y := k.Differ(m); what != "" {
		t.Errorf("Differ: %s, %s, %s", what, x, y)
	}
}

func TestKallsymsOrder(t *testing.T) {
	cfg := func(s string) *kconfig.Config {
		c, err := kconfig.Parse("config", s)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	all := "CONFIG_KALLSYMS_ALL=y\nCONFIG_KALLSYMS_ABSOLUTE_PERCPU=y\n"
	for _, c := range []struct {
		name, config, in string
		want             []string
	}{
		{"aliases: weak, linker-made and underscored names go last", all,
			"10 T __x64_f\n10 T ___g\n10 W aaa\n10 T __start_x\n10 T b\n10 T a\n",
			[]string{"T b", "T a", "T __x64_f", "T ___g", "T __start_x", "W aaa"}},
		{"ignored symbols", all,
			"10 a abs\n11 A ABS\n12 U undef\n13 N dbg\n14 w weak\n15 t __crc_f\n16 r __kstrtab_f\n17 t $x\n18 t .Lx\n19 t kallsyms_names\n1a t __kcfi_typeid_f\n1b t f_veneer\n1c t a.long_branch.b\n1d t keep\n",
			[]string{"t keep"}},
		{"per-CPU symbols become absolute", all,
			"0 D __per_cpu_start\n8 D var\n10 D __per_cpu_end\n18 D other\n",
			[]string{"A __per_cpu_start", "A var", "A __per_cpu_end", "D other"}},
		{"without KALLSYMS_ALL only text remains", "CONFIG_KALLSYMS=y\n",
			"10 T _stext\n12 t f\n20 T _etext\n20 R other\n30 D data\n40 T _sinittext\n44 t g\n50 T _einittext\n",
			[]string{"T _stext", "t f", "T _etext", "T _sinittext", "t g", "T _einittext"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := ParseSystemMap("m", c.in, cfg(c.config))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for x := range s.All() {
				got = append(got, fmt.Sprintf("%c %s", x.Type, x.Name))
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseSystemMapErrors(t *testing.T) {
	_, err := ParseSystemMap("m", "ffffffffffffffff B The real System.map is in the linux-image-<version>-dbg package\n", nil)
	if !errors.Is(err, ErrStubSystemMap) {
		t.Errorf("stub: %v", err)
	}
	for in, line := range map[string]int{"10 T a\nzz T b\n": 2, "10 T\n": 1, "10 TT a\n": 1, "": 1, "10 T a b\n": 1} {
		var se *syntax.Error
		if _, err := ParseSystemMap("m", in, nil); !errors.As(err, &se) || se.Line != line {
			t.Errorf("%q: %v", in, err)
		}
	}
}
