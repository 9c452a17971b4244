package kernel

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/kernel/kconfig"
	"github.com/klpforge/klpforge/kernel/kerneltest"
	"github.com/klpforge/klpforge/kernel/kimage"
)

// fakeRoot makes a Debian-like root with everything but source and a debug
// package.
func fakeRoot(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	put := func(path, text string) { kerneltest.Write(t, filepath.Join(dir, path), []byte(text)) }
	link := func(path, to string) {
		if err := os.Symlink(to, filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	vmlinux := kerneltest.Vmlinux(kerneltest.Layouts[3], kerneltest.Symbols(true), false)
	kerneltest.Write(t, filepath.Join(dir, "boot/vmlinuz-"+kerneltest.Release), kerneltest.BzImage(t, "lz4", vmlinux))
	put("boot/config-"+kerneltest.Release, "CONFIG_LIVEPATCH=y\nCONFIG_KALLSYMS_ALL=y\nCONFIG_KALLSYMS_ABSOLUTE_PERCPU=y\nCONFIG_SMP=y\nCONFIG_MODULE_UNLOAD=y\nCONFIG_CC_VERSION_TEXT=\"gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0\"\n")
	put("boot/System.map-"+kerneltest.Release, "ffffffffffffffff B The real System.map is in the linux-image-<version>-dbg package\n")
	mods := "lib/modules/" + kerneltest.Release
	kerneltest.Write(t, filepath.Join(dir, mods, "kernel/fs/fake-mod.ko"), kerneltest.Module(t, kerneltest.Release))
	put(mods+"/modules.builtin", "kernel/fs/ext4/ext4.ko\n")
	hdr := "usr/src/linux-headers-" + kerneltest.Release
	put(hdr+"/Makefile", "include /usr/src/linux-headers-6.1.0-9-common/Makefile\n")
	put(hdr+"/Module.symvers", "0x4c9d28b0\tphys_base\tvmlinux\tEXPORT_SYMBOL\t\n")
	put(hdr+"/include/generated/utsrelease.h", "#define UTS_RELEASE \""+kerneltest.Release+"\"\n")
	put(hdr+"/include/generated/utsversion.h", "#define UTS_VERSION \"#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-11-14)\"\n")
	common := "usr/src/linux-headers-6.1.0-9-common"
	put(common+"/Makefile", "# SPDX\nVERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 192\nEXTRAVERSION =\n")
	api, err := os.ReadFile("../testdata/livepatch/5.8/linux/livepatch.h")
	if err != nil {
		t.Fatal(err)
	}
	put(common+"/include/linux/livepatch.h", string(api))
	put(common+"/include/linux/module.h", "#define MODULE_IMPORT_NS(ns)\tMODULE_INFO(import_ns, __stringify(ns))\n")
	link(mods+"/build", "/"+hdr)
	link(mods+"/source", "/"+common)
	return dir
}

func sourceTree(t testing.TB, sublevel string) string {
	t.Helper()
	dir := t.TempDir()
	kerneltest.Write(t, filepath.Join(dir, "Makefile"), []byte("# SPDX\nVERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = "+sublevel+"\nEXTRAVERSION =\nNAME = x\n"))
	return dir
}

func open(t testing.TB, o Options) *Target {
	t.Helper()
	if o.Cache == "" {
		o.Cache = cachedir.Dir(t.TempDir())
	}
	tg, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tg.Close() })
	return tg
}

func TestTarget(t *testing.T) {
	dir := fakeRoot(t)
	tg := open(t, Options{Release: kerneltest.Release, Root: dir, Source: sourceTree(t, "192")})
	in := tg.Info()
	in.API = nil
	want := Info{
		Schema: "klpforge.kernel/v2", Release: kerneltest.Release, Arch: "x86_64", Version: "6.1.192", Package: "6.1.192-1",
		Banner: strings.TrimSpace(kerneltest.Banner), Compiler: "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0", Vermagic: kerneltest.Release + " SMP mod_unload ",
		Livepatch: true, BTF: true, Symbols: len(kerneltest.Symbols(true)), SymbolsBy: "kallsyms", Traceable: 3, Modules: 1, Exports: 1,
		Paths: map[string]string{
			"image": filepath.Join(dir, "boot/vmlinuz-"+kerneltest.Release), "config": filepath.Join(dir, "boot/config-"+kerneltest.Release),
			"modules": filepath.Join(dir, "lib/modules", kerneltest.Release), "headers": filepath.Join(dir, "usr/src/linux-headers-"+kerneltest.Release),
			"headersCommon": filepath.Join(dir, "usr/src/linux-headers-6.1.0-9-common"), "source": tg.opts.Source,
			"symvers": filepath.Join(dir, "usr/src/linux-headers-"+kerneltest.Release, "Module.symvers"),
		},
	}
	if d := cmp.Diff(want, in); d != "" {
		t.Errorf("Info (-want +got):\n%s", d)
	}
	if _, err := json.Marshal(in); err != nil {
		t.Error(err)
	}
	if a, err := tg.API(); err != nil || a.Generation() != "5.8" || !a.ImportNS || a.ImportNSString {
		t.Errorf("API = %+v, %v", a, err)
	}
	if m, err := tg.MatchCompiler("gcc (Debian 12.2.0-14+deb12u1) 12.2.0"); err != nil || m != kconfig.CompilerSame {
		t.Errorf("MatchCompiler = %v, %v", m, err)
	}
	if m, err := tg.Module("fake-mod"); err != nil || m.Name != "fake_mod" {
		t.Errorf("Module = %v, %v", m, err)
	}
}

func TestOpenUnknownRelease(t *testing.T) {
	_, err := Open(Options{Release: "5.5.5-none", Root: t.TempDir(), Cache: cachedir.Dir(t.TempDir())})
	var ue *UnknownReleaseError
	if !errors.As(err, &ue) || len(ue.Searched) != 8 || !strings.Contains(err.Error(), "klpforge kernel fetch 5.5.5-none") || !strings.Contains(err.Error(), "boot/vmlinuz-5.5.5-none") {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"..", "a/b", "a b", "../../etc"} {
		if _, err := Open(Options{Release: bad, Cache: cachedir.Dir(t.TempDir())}); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
	if _, err := Open(Options{Cache: cachedir.Dir(t.TempDir())}); err == nil {
		t.Error("no error without a release")
	}
	if _, err := Open(Options{Release: "x", Config: "/no/such/file", Cache: cachedir.Dir(t.TempDir())}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "--config") {
		t.Errorf("%v", err)
	}
}

func TestMissingPartsAreLazy(t *testing.T) {
	dir := t.TempDir()
	kerneltest.Write(t, filepath.Join(dir, "boot/vmlinuz-"+kerneltest.Release), kerneltest.BzImage(t, "gzip", kerneltest.Vmlinux(kerneltest.Layouts[3], kerneltest.Symbols(true), false)))
	tg := open(t, Options{Release: kerneltest.Release, Root: dir})
	if _, err := tg.Symbols(); err != nil {
		t.Error(err)
	}
	for name, get := range map[string]func() error{
		"--config":  func() error { _, err := tg.Config(); return err },
		"--symvers": func() error { _, err := tg.Symvers(); return err },
		"--headers": func() error { _, err := tg.Headers(); return err },
		"--source":  func() error { _, err := tg.Source(); return err },
		"--vmlinux": func() error { _, err := tg.DebugImage(); return err },
		"fetch":     func() error { _, err := tg.Modules(); return err },
	} {
		var me *MissingPartError
		if err := get(); !errors.As(err, &me) || !strings.Contains(me.Remedy, name) || len(me.Searched) == 0 || !strings.Contains(err.Error(), "klpforge kernel fetch") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if in := tg.Info(); len(in.Missing) == 0 {
		t.Error("Info names no missing part")
	}
}

func TestOverridesAlone(t *testing.T) {
	dir := fakeRoot(t)
	elf := kerneltest.Write(t, filepath.Join(t.TempDir(), "vmlinux"), kerneltest.Vmlinux(kerneltest.Layouts[5], kerneltest.Symbols(true), true))
	tg := open(t, Options{Root: t.TempDir(), Vmlinux: elf})
	if tg.Release() != kerneltest.Release {
		t.Errorf("release %q from the banner", tg.Release())
	}
	if s, err := tg.Symbols(); err != nil || s.Source != "kallsyms" || s.Len() != len(kerneltest.Symbols(true)) {
		t.Errorf("%v", err)
	}
	tg = open(t, Options{Root: t.TempDir(), Headers: filepath.Join(dir, "usr/src/linux-headers-"+kerneltest.Release)})
	if tg.Release() != kerneltest.Release {
		t.Errorf("release %q from the headers", tg.Release())
	}
	if s, err := tg.Symvers(); err != nil || s.Len() != 1 {
		t.Errorf("%v", err)
	}
}

// Without kallsyms tables the symbol table is used, without that a System.map.
func TestSymbolFallbacks(t *testing.T) {
	none := kerneltest.Layout{Name: "none", Align: 8, MarkWidth: 4, Mode: "relative"}
	tmp := t.TempDir()
	img := func(symtab bool) string {
		v := kerneltest.Vmlinux(none, kerneltest.Symbols(false)[:10], symtab)
		return kerneltest.Write(t, filepath.Join(tmp, map[bool]string{true: "with", false: "without"}[symtab]), v)
	}
	tg := open(t, Options{Release: kerneltest.Release, Root: tmp, Vmlinux: img(true)})
	if s, err := tg.Symbols(); err != nil || s.Source != "symtab" || s.Len() != 10 {
		t.Errorf("symtab: %v", err)
	}
	m := kerneltest.Write(t, filepath.Join(tmp, "System.map"), []byte("ffffffff81000000 T _text\nffffffff81000010 t f\n"))
	tg = open(t, Options{Release: kerneltest.Release, Root: tmp, Vmlinux: img(false), SystemMap: m})
	if s, err := tg.Symbols(); err != nil || s.Source != "System.map" || s.Len() != 2 {
		t.Errorf("System.map: %v", err)
	}
	tg = open(t, Options{Release: kerneltest.Release, Root: tmp, Vmlinux: img(false)})
	if _, err := tg.Symbols(); !errors.Is(err, kimage.ErrNoKallsyms) {
		t.Errorf("none: %v", err)
	}
	stub := kerneltest.Write(t, filepath.Join(tmp, "boot/System.map-"+kerneltest.Release), []byte("ffffffffffffffff B The real System.map is in the linux-image-<version>-dbg package\n"))
	tg = open(t, Options{Release: kerneltest.Release, Root: tmp, Vmlinux: img(false)})
	if _, err := tg.Symbols(); !errors.Is(err, kimage.ErrNoKallsyms) || !errors.Is(err, kimage.ErrStubSystemMap) {
		t.Errorf("stub %s: %v", stub, err)
	}
}

func TestSystemMapMustAgree(t *testing.T) {
	dir := fakeRoot(t)
	good := "ffffffff81000000 T _stext\nffffffff81000000 T _text\nffffffff81000020 t ext4_do_thing_1\n"
	for text, ok := range map[string]bool{
		good: true,
		strings.Replace(good, "20 t ext4", "28 t ext4", 1): false,
		good + "ffffffff81000030 t ext4_do_thing_1\n":      false,
	} {
		m := kerneltest.Write(t, filepath.Join(t.TempDir(), "System.map"), []byte(text))
		tg := open(t, Options{Release: kerneltest.Release, Root: dir, SystemMap: m})
		s, err := tg.Symbols()
		var pe *PartsMismatchError
		if ok && (err != nil || s.Source != "kallsyms") || !ok && (!errors.As(err, &pe) || !strings.Contains(err.Error(), "ext4_do_thing_1")) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSourceMismatch(t *testing.T) {
	dir := fakeRoot(t)
	other := sourceTree(t, "187")
	tg := open(t, Options{Release: kerneltest.Release, Root: dir, Source: other})
	_, err := tg.Source()
	var se *SourceMismatchError
	if !errors.As(err, &se) || se.Have != "6.1.187" || se.Want != "6.1.192" || se.Path != other {
		t.Errorf("%v", err)
	}
	if err := tg.CheckSource(sourceTree(t, "192")); err != nil {
		t.Error(err)
	}
	if err := tg.CheckSource(t.TempDir()); err == nil {
		t.Error("no error for a directory that is no source")
	}
	// A fetched tarball's package version is compared in full.
	c := cachedir.Dir(t.TempDir())
	kerneltest.Write(t, filepath.Join(c.TargetSource(kerneltest.Release), "linux-source-6.1.tar.xz"), []byte("x"))
	for v, ok := range map[string]bool{"6.1.192-1": true, "6.1.192-2": false} {
		kerneltest.Write(t, filepath.Join(c.Target(kerneltest.Release), "manifest.json"), []byte(`{"release":"`+kerneltest.Release+`","source":"`+v+`"}`))
		tg := open(t, Options{Release: kerneltest.Release, Root: dir, Cache: c})
		s, err := tg.Source()
		if ok && (err != nil || s.Tarball == "" || s.Version != v) || !ok && !errors.As(err, &se) {
			t.Errorf("%s: %+v, %v", v, s, err)
		}
	}
}

// The release of an RPM kernel names the package that it was built from.
func TestSourceOfRPM(t *testing.T) {
	dir := t.TempDir()
	for release, versions := range map[string]map[string]bool{
		"5.14.0-503.1.el9_5.x86_64":       {"5.14.0-503.1.el9_5": true, "5.14.0-503.2.el9_5": false, "5.14.0-503.1": false},
		"5.14.0-503.1.el9_5.x86_64+debug": {"5.14.0-503.1.el9_5": true, "6.12.0-503.1.el9_5": false},
		"5.14.0-own":                      {"5.14.0-1.el9": true, "5.15.0-1.el9": false},
	} {
		headers := filepath.Join(dir, "usr/src/kernels", release)
		kerneltest.Write(t, filepath.Join(headers, "Makefile"), []byte("VERSION = 5\nPATCHLEVEL = 14\nSUBLEVEL = 0\n"))
		kerneltest.Write(t, filepath.Join(headers, "include/linux/module.h"), nil)
		for version, ok := range versions {
			c := cachedir.Dir(t.TempDir())
			kerneltest.Write(t, filepath.Join(c.TargetSource(release), "kernel.tar.zst"), []byte("x"))
			if err := c.WriteManifest(cachedir.Manifest{Release: release, Source: version}); err != nil {
				t.Fatal(err)
			}
			_, err := open(t, Options{Release: release, Root: dir, Cache: c}).Source()
			var mismatch *SourceMismatchError
			if ok && err != nil || !ok && !errors.As(err, &mismatch) {
				t.Errorf("%s built from %s: %v", release, version, err)
			}
		}
	}
}

func TestPartsMismatch(t *testing.T) {
	dir := fakeRoot(t)
	if err := open(t, Options{Release: kerneltest.Release, Root: dir}).CheckParts(); err != nil {
		t.Error(err)
	}
	var pe *PartsMismatchError
	kerneltest.Write(t, filepath.Join(dir, "usr/src/linux-headers-"+kerneltest.Release, "include/generated/utsversion.h"), []byte("#define UTS_VERSION \"#1 SMP Debian 6.1.187-1 (2026-10-01)\"\n"))
	if err := open(t, Options{Release: kerneltest.Release, Root: dir}).CheckParts(); !errors.As(err, &pe) || !strings.Contains(err.Error(), "6.1.187-1") {
		t.Errorf("%v", err)
	}
	// An image of another release under the requested name.
	if err := os.Rename(filepath.Join(dir, "boot/vmlinuz-"+kerneltest.Release), filepath.Join(dir, "boot/vmlinuz-6.1.0-8-test")); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, Options{Release: "6.1.0-8-test", Root: dir}).Banner(); !errors.As(err, &pe) {
		t.Errorf("%v", err)
	}
}

func TestCacheIsSearched(t *testing.T) {
	dir := fakeRoot(t)
	c := cachedir.Dir(t.TempDir())
	if err := os.MkdirAll(c.Target(kerneltest.Release), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, c.TargetRoot(kerneltest.Release)); err != nil {
		t.Fatal(err)
	}
	tg := open(t, Options{Release: kerneltest.Release, Root: t.TempDir(), Cache: c})
	if s, err := tg.Symvers(); err != nil || !strings.HasPrefix(s.Path, string(c)) {
		t.Errorf("%v", err)
	}
	l, err := List(t.TempDir(), c)
	want := []Installed{{Release: kerneltest.Release, Where: c.TargetRoot(kerneltest.Release), Cached: true, Image: true, Modules: true, Headers: true}}
	if d := cmp.Diff(want, l); d != "" || err != nil {
		t.Errorf("List: %v\n%s", err, d)
	}
}
