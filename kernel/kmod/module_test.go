package kmod

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/internal/unpack/packtest"
	"github.com/klpforge/klpforge/kernel/kconfig"
	"github.com/klpforge/klpforge/kernel/kerneltest"
)

// sign appends what scripts/sign-file appends.
func sign(module []byte) []byte {
	sig := []byte("not really a signature")
	out := append(bytes.Clone(module), sig...)
	var s [12]byte
	s[2] = 2
	binary.BigEndian.PutUint32(s[8:], uint32(len(sig)))
	return append(append(out, s[:]...), moduleSigMagic...)
}

func TestReadModule(t *testing.T) {
	plain := kerneltest.Module(t, "6.1.0-9-test")
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"fake-mod.ko": plain, "signed/fake-mod.ko": sign(plain), "fake-mod.ko.xz": packtest.Packers["xz"](t, sign(plain)),
		"fake-mod.ko.zst": packtest.Packers["zstd"](t, plain), "fake-mod.ko.gz": packtest.Packers["gzip"](t, plain),
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Read(kerneltest.Write(t, filepath.Join(dir, name), data))
			if err != nil {
				t.Fatal(err)
			}
			checkFakeModule(t, m)
		})
	}
}

func checkFakeModule(t *testing.T, m *Module) {
	if m.Name != "fake_mod" || m.Info.Get("depends") != "a,b" || len(m.Info.All("alias")) != 2 || m.Info.Get("none") != "" {
		t.Errorf("name %q, modinfo %v", m.Name, m.Info)
	}
	type row struct {
		Name                              string
		Type                              byte
		Sec                               elfobj.SecID
		Off                               uint64
		Init, Stable                      bool
		Pos, Count, CorePos, CoreCount, S int
	}
	var got []row
	for _, s := range m.Symbols() {
		got = append(got, row{s.Name, s.Type, s.Sec, s.Off, s.Init, s.SymposStable(), s.Pos, s.Count, s.CorePos, s.CoreCount, s.Sympos()})
	}
	want := []row{
		{"show", 't', 2, 0, true, false, 1, 3, 0, 0, 1},
		{"show", 't', 1, 0, false, false, 2, 3, 1, 2, 2},
		{"show", 't', 1, 16, false, false, 3, 3, 2, 2, 3},
		{"pcpu", 'a', 3, 0, false, true, 1, 1, 1, 1, 0},
		{"fake_export", 't', 1, 32, false, true, 1, 1, 1, 1, 0},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("symbols (-want +got):\n%s", d)
	}
	if l := m.Lookup("show"); len(l) != 3 || l[2].Off != 16 || m.Lookup("printk") != nil {
		t.Errorf("Lookup = %+v", l)
	}
	if d := cmp.Diff([]Loc{{1, 4}, {1, 36}}, m.FtraceLocs()); d != "" {
		t.Error(d)
	}
	if !m.Traceable(Loc{1, 0}, 16) || m.Traceable(Loc{1, 16}, 16) || m.Traceable(Loc{2, 0}, 16) || !m.Traceable(Loc{1, 32}, 16) {
		t.Error("Traceable is wrong")
	}
	ex, err := m.Exports()
	if d := cmp.Diff([]OwnExport{{"fake_export", true, Loc{1, 32}}}, ex); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	if a := m.At(Loc{1, 32}); len(a) != 1 || a[0].Name != "fake_export" {
		t.Errorf("At = %+v", a)
	}
	v, err := m.Versions()
	if d := cmp.Diff([]Version{{"module_layout", 0x12345678}}, v); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
}

func TestModuleRules(t *testing.T) {
	c, err := kconfig.Parse("c", "CONFIG_KALLSYMS=y\n")
	if err != nil {
		t.Fatal(err)
	}
	m, err := parse("fake.ko", kerneltest.Module(t, "r"), rulesOf(c))
	if err != nil {
		t.Fatal(err)
	}
	if p := m.Lookup("pcpu")[0]; p.CorePos != 0 {
		t.Errorf("without KALLSYMS_ALL data is not kept: %+v", p)
	}
}

func TestStripSignatureErrors(t *testing.T) {
	for name, in := range map[string]string{
		"too short":      "x" + moduleSigMagic,
		"length too big": "x" + strings.Repeat("\xff", 12) + moduleSigMagic,
	} {
		if _, _, err := StripSignature([]byte(in)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	got, signed, err := StripSignature([]byte("abc"))
	if string(got) != "abc" || signed || err != nil {
		t.Errorf("%q %v %v", got, signed, err)
	}
}

func TestModuleName(t *testing.T) {
	for in, want := range map[string]string{
		"/lib/modules/x/kernel/fs/a-b.ko.xz": "a_b", "drivers/net/veth": "veth", "x-y": "x_y", "a.ko": "a", "a.ko.zst": "a", "a.ko.gz": "a", "fs/ext4/ext4.o": "ext4",
	} {
		if got := Name(in); got != want {
			t.Errorf("Name(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestModules(t *testing.T) {
	dir := t.TempDir()
	for _, p := range []string{"kernel/fs/a-b.ko", "updates/dkms/a-b.ko", "kernel/fs/fake-mod.ko", "kernel/fs/readme.txt"} {
		kerneltest.Write(t, filepath.Join(dir, p), kerneltest.Module(t, "r"))
	}
	kerneltest.Write(t, filepath.Join(dir, "modules.builtin"), []byte("kernel/fs/ext4/ext4.ko\nkernel/x/in-tree.ko\n"))
	m, err := Open(dir, "r", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []File{{"a_b", filepath.Join(dir, "updates/dkms/a-b.ko")}, {"fake_mod", filepath.Join(dir, "kernel/fs/fake-mod.ko")}}
	if d := cmp.Diff(want, m.List()); d != "" {
		t.Error(d)
	}
	if !m.Builtin("ext4") || !m.Builtin("in_tree") || m.Builtin("a_b") {
		t.Error("Builtin is wrong")
	}
	a, err := m.Module("fake-mod")
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := m.Module("fake_mod"); a != b {
		t.Error("read twice")
	}
	var nf *NotFoundError
	if _, err := m.Module("ext4"); !errors.As(err, &nf) || !nf.Builtin || !strings.Contains(err.Error(), "built into vmlinux") {
		t.Errorf("%v", err)
	}
	if _, err := m.Module("nope"); !errors.As(err, &nf) || nf.Builtin {
		t.Errorf("%v", err)
	}
}

func FuzzModule(f *testing.F) {
	plain := kerneltest.Module(f, "r")
	f.Add(plain)
	f.Add(sign(plain))
	f.Add(packtest.Packers["gzip"](f, plain))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse("fuzz.ko", b, rulesOf(nil))
		if (m == nil) == (err == nil) {
			t.Fatalf("module %v, error %v", m, err)
		}
		if m != nil {
			m.Exports()
			m.Versions()
		}
	})
}
