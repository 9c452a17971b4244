package kernel

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/kernel/kimage"
	"github.com/klpforge/klpforge/kernel/kmod"
)

// e2eTargets returns the fetched releases of the cache that
// KLPFORGE_E2E_CACHE names. The tests in this file check real kernels.
func e2eTargets(t testing.TB) (cachedir.Dir, []string) {
	dir := os.Getenv("KLPFORGE_E2E_CACHE")
	if dir == "" {
		t.Skip("KLPFORGE_E2E_CACHE names no cache with fetched kernels")
	}
	list, err := List(t.TempDir(), cachedir.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, i := range list {
		if i.Image && i.Modules && i.Headers {
			out = append(out, i.Release)
		}
	}
	if len(out) == 0 {
		t.Fatalf("no fetched kernel in %s; run `klpforge kernel fetch`", dir)
	}
	return cachedir.Dir(dir), out
}

func TestE2ETargets(t *testing.T) {
	c, releases := e2eTargets(t)
	for _, r := range releases {
		t.Run(r, func(t *testing.T) {
			tg := open(t, Options{Release: r, Root: t.TempDir(), Cache: c})
			in := tg.Info()
			for _, m := range in.Missing {
				if !strings.Contains(m, "kernel source") { // an image may be fetched alone
					t.Error(m)
				}
			}
			if !in.Livepatch || in.Package == "" || in.API == nil || in.Symbols < 50000 || in.Traceable < 20000 || in.Modules < 500 || in.Exports < 5000 {
				t.Errorf("implausible: %+v", in)
			}
			e2eExports(t, tg)
			e2eTrace(t, tg)
			e2eModules(t, tg)
			t.Run("debug package", func(t *testing.T) { e2eDebug(t, tg) })
		})
	}
}

// e2eExports checks every export of vmlinux that Module.symvers lists against
// kallsyms, by name and by address: a table decoded wrongly could not pass.
func e2eExports(t *testing.T, tg *Target) {
	syms, err := tg.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	sv, err := tg.Symvers()
	if err != nil {
		t.Fatal(err)
	}
	im, err := tg.Image()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for e := range sv.All() {
		if e.Module != "vmlinux" {
			continue
		}
		// The first word of a __ksymtab entry is the symbol's distance from
		// that word (CONFIG_HAVE_ARCH_PREL32_RELOCATIONS).
		entry, ok := syms.Unique("__ksymtab_" + e.Name)
		if !ok {
			t.Errorf("no __ksymtab_%s in kallsyms", e.Name)
			continue
		}
		w, err := im.Read(entry.Addr, 4)
		if err != nil {
			t.Fatal(err)
		}
		addr := entry.Addr + uint64(int64(int32(im.Order.Uint32(w))))
		found := slices.ContainsFunc(syms.Lookup(e.Name), func(s kimage.Symbol) bool { return s.Addr == addr })
		// A per-CPU symbol is exported by its offset.
		if !found && !slices.ContainsFunc(syms.Lookup(e.Name), func(s kimage.Symbol) bool { return s.Type == 'A' }) {
			t.Errorf("%s is exported at %#x, kallsyms says %+v", e.Name, addr, syms.Lookup(e.Name))
		}
		n++
	}
	t.Logf("%d symbols from %s, %d exports", syms.Len(), syms.Source, n)
}

// e2eTrace checks that ftrace locations look like the call to __fentry__ and
// lie within functions.
func e2eTrace(t *testing.T, tg *Target) {
	tr, err := tg.Trace()
	if err != nil {
		t.Fatal(err)
	}
	im, err := tg.Image()
	if err != nil {
		t.Fatal(err)
	}
	syms, err := tg.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	weak := 0
	for _, a := range tr.Locs {
		b, err := im.Read(a, 5)
		if err != nil {
			t.Fatal(err)
		}
		s, ok := syms.Find(a)
		if !ok || b[0] != 0xe8 {
			t.Errorf("ftrace location %#x in %s: % x", a, s.Name, b)
		}
		if l, ok := tr.Loc(s.Addr, a-s.Addr+1); !ok || l != a {
			weak++
		}
	}
	if weak*20 > len(tr.Locs) { // 1.5 % in 6.1
		t.Errorf("%d of %d ftrace locations belong to no function", weak, len(tr.Locs))
	}
	if s, ok := syms.Unique("vfs_read"); !ok || tr.Traceable(s.Addr, 16) != kimage.Yes {
		t.Error("vfs_read is not traceable")
	}
	t.Logf("%d ftrace locations, %d of overridden weak functions, %d kprobe blacklist entries, %d regions", len(tr.Locs), weak, len(tr.Blacklist), len(tr.Regions()))
}

// e2eModules reads every module and compares its exports with Module.symvers.
func e2eModules(t *testing.T, tg *Target) {
	ms, err := tg.Modules()
	if err != nil {
		t.Fatal(err)
	}
	sv, err := tg.Symvers()
	if err != nil {
		t.Fatal(err)
	}
	magic, err := tg.Vermagic()
	if err != nil {
		t.Fatal(err)
	}
	want, got, unstable := 0, 0, 0
	for e := range sv.All() {
		if e.Module != "vmlinux" {
			want++
		}
	}
	for _, f := range ms.List() {
		m, err := kmod.Read(f.Path)
		if err != nil {
			t.Error(err)
			continue
		}
		if m.Name != f.Name || m.Info.Get("vermagic") != magic {
			t.Errorf("%s: name %s, vermagic %s", f.Path, m.Name, m.Info.Get("vermagic"))
		}
		ex, err := m.Exports()
		if err != nil {
			t.Error(err)
		}
		for _, e := range ex {
			v, ok := sv.Lookup(e.Name)
			if !ok || v.Object() != m.Name || v.GPL() != e.GPL {
				t.Errorf("%s exports %+v, Module.symvers says %+v", m.Name, e, v)
			}
			got++
		}
		for _, s := range m.Symbols() {
			if s.CorePos != 0 && !s.SymposStable() {
				unstable++
			}
		}
		for _, l := range m.FtraceLocs() {
			if s := &m.File.Sections[l.Sec]; l.Sec == elfobj.SecUndef || l.Off >= s.Size {
				t.Errorf("%s: ftrace location %+v is outside its section", m.Name, l)
			}
		}
	}
	if got != want {
		t.Errorf("%d exports in modules, Module.symvers has %d", got, want)
	}
	t.Logf("%d modules, %d exports, %d symbols whose position changes after init", len(ms.List()), got, unstable)
}

// e2eDebug compares kallsyms with the debug package where that is unpacked:
// same symbols, same order, same types from all three sources.
func e2eDebug(t *testing.T, tg *Target) {
	path, err := tg.DebugImagePath()
	if err != nil {
		t.Skipf("not compared with a symbol table: %v", err)
	}
	im, err := kimage.Open(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	cfg, err := tg.Config()
	if err != nil {
		t.Fatal(err)
	}
	k, err := tg.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	fromTab, err := im.SymtabSymbols(cfg)
	if err != nil {
		t.Fatal(err)
	}
	compareSymbols(t, k, fromTab)
	for _, r := range tg.finder.(*distribution).roots {
		for _, p := range r.existing(r.systemMaps(tg.release)[:1]) {
			fromMap, err := tg.readSystemMap(p)
			if err != nil {
				t.Fatal(err)
			}
			compareSymbols(t, k, fromMap)
		}
	}
}

func compareSymbols(t *testing.T, want, got *kimage.Symbols) {
	if want.Len() != got.Len() {
		t.Errorf("%s has %d symbols, %s %d", got.Source, got.Len(), want.Source, want.Len())
	}
	differ := 0
	for i := range min(want.Len(), got.Len()) {
		if a, b := want.Index(i), got.Index(i); a != b {
			if differ++; differ < 10 {
				t.Errorf("symbol %d is %+v in %s, %+v in %s", i, a, want.Source, b, got.Source)
			}
		}
	}
	t.Logf("%s agrees with %s on %d symbols, %d differ", got.Source, want.Source, want.Len(), differ)
}

func BenchmarkOpenSymbols(b *testing.B) {
	c, releases := e2eTargets(b)
	for _, r := range releases {
		b.Run(r, func(b *testing.B) {
			open(b, Options{Release: r, Root: b.TempDir(), Cache: c}).Image() // fill the cache of unpacked images
			b.ReportAllocs()
			for b.Loop() {
				tg, err := Open(Options{Release: r, Root: "/", Cache: c})
				if err != nil {
					b.Fatal(err)
				}
				for _, step := range []func() error{
					func() error { _, err := tg.Config(); return err },
					func() error { _, err := tg.Symvers(); return err },
					func() error { _, err := tg.Symbols(); return err },
					func() error { _, err := tg.Trace(); return err },
					func() error { _, err := tg.Modules(); return err },
					func() error { _, err := tg.API(); return err },
					func() error { _, err := tg.Vermagic(); return err },
				} {
					if err := step(); err != nil {
						b.Fatal(err)
					}
				}
				tg.Close()
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.Sys)/1e6, "MB-from-OS")
		})
	}
}

func BenchmarkUnpackImage(b *testing.B) {
	c, releases := e2eTargets(b)
	for _, r := range releases {
		b.Run(r, func(b *testing.B) {
			p, err := open(b, Options{Release: r, Root: b.TempDir(), Cache: c}).ImagePath()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				im, err := kimage.Open(p, "")
				if err != nil {
					b.Fatal(err)
				}
				im.Close()
			}
		})
	}
}

func BenchmarkReadModule(b *testing.B) {
	c, releases := e2eTargets(b)
	for _, r := range releases {
		b.Run(r, func(b *testing.B) {
			ms, err := open(b, Options{Release: r, Root: b.TempDir(), Cache: c}).Modules()
			if err != nil {
				b.Fatal(err)
			}
			f, ok := ms.Find("xfs")
			if !ok {
				b.Skip("no xfs module")
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := kmod.Read(f.Path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
