package vm

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fakeModule returns an ELF file that has a .modinfo section with records and
// nothing else.
func fakeModule(records ...string) string {
	info := strings.Join(records, "\x00") + "\x00"
	const names = "\x00.modinfo\x00.shstrtab\x00"
	const ehsize, shsize = 64, 64
	var b bytes.Buffer
	le := binary.LittleEndian
	h := elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', 2, 1, 1}, Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: 1,
		Shoff: ehsize + uint64(len(info)+len(names)), Ehsize: ehsize, Shentsize: shsize, Shnum: 3, Shstrndx: 2,
	}
	_ = binary.Write(&b, le, h) // a bytes.Buffer takes everything
	b.WriteString(info)
	b.WriteString(names)
	for _, s := range []elf.Section64{
		{},
		{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: ehsize, Size: uint64(len(info)), Addralign: 1},
		{Name: 10, Type: uint32(elf.SHT_STRTAB), Off: ehsize + uint64(len(info)), Size: uint64(len(names)), Addralign: 1},
	} {
		_ = binary.Write(&b, le, s)
	}
	return b.String()
}

// fakeTree makes a root with modules of release "r"; keys are paths below lib/modules/r.
func fakeTree(t *testing.T, files map[string]string) *ModuleTree {
	t.Helper()
	root := t.TempDir()
	for name, data := range files {
		p := filepath.Join(root, "lib/modules/r", name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := OpenModuleTree(root, "r")
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

var ext4Files = map[string]string{
	"kernel/fs/ext4/ext4.ko":           fakeModule("softdep=pre: crypto-crc32c post: nothing", "depends=jbd2,mbcache,crc16", "name=ext4"),
	"kernel/fs/jbd2/jbd2.ko":           fakeModule("depends=", "softdep=pre: crypto-crc32c"),
	"kernel/fs/mbcache.ko":             fakeModule("depends="),
	"kernel/lib/crc16.ko":              fakeModule("depends="),
	"kernel/crypto/crc32c_generic.ko":  fakeModule("alias=crypto-crc32c", "alias=crc32c", "depends="),
	"kernel/arch/crc32c-intel.ko":      fakeModule("alias=crypto-crc32c", "alias=cpu:type:x86*", "depends=helper"),
	"kernel/arch/helper.ko":            fakeModule("depends="),
	"kernel/drivers/block/loop.ko":     fakeModule("depends=", "alias=block-major-7-*"),
	"kernel/drivers/uses-helper.ko":    fakeModule("softdep=pre: crypto-crc32c", "depends=helper,crc32c-intel"),
	"kernel/drivers/broken.ko":         fakeModule("depends=nowhere"),
	"kernel/drivers/wishful.ko":        fakeModule("softdep=pre: nowhere", "depends=built_in"),
	"modules.builtin":                  "kernel/lib/built-in.ko\n",
	"modules.builtin.modinfo":          "built_in.alias=fs-builtin\x00built_in.alias=x*\x00built_in.license=GPL\x00",
	"kernel/drivers/notamodule.ko.txt": "ignored",
}

func names(ms []Module) (out []string) {
	for _, m := range ms {
		n := m.Name
		if m.Optional {
			n += "?"
		}
		out = append(out, n)
	}
	return out
}

func TestClosure(t *testing.T) {
	tree := fakeTree(t, ext4Files)
	tests := []struct {
		module string
		want   []string
	}{
		{"ext4", []string{"crc32c_generic?", "helper?", "crc32c_intel?", "jbd2", "mbcache", "crc16", "ext4"}},
		{"loop", []string{"loop"}},
		{"crc32c-intel", []string{"helper", "crc32c_intel"}},
		{"crc32c", []string{"crc32c_generic"}}, // by alias
		{"built-in", nil},
		{"fs-builtin", nil},
		{"wishful", []string{"wishful"}},
		// A soft dependency that is a hard one elsewhere is not optional, nor is what it needs.
		{"uses_helper", []string{"crc32c_generic?", "helper", "crc32c_intel", "uses_helper"}},
	}
	for _, tt := range tests {
		got, err := tree.Closure(tt.module)
		if err != nil {
			t.Errorf("%s: %v", tt.module, err)
		}
		if d := cmp.Diff(tt.want, names(got)); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.module, d)
		}
	}
	for _, m := range []string{"nowhere", "broken", "block-major-7-0"} {
		if _, err := tree.Closure(m); !errors.Is(err, ErrNoModule) {
			t.Errorf("%s: got %v, want %v", m, err, ErrNoModule)
		}
	}
}

func TestClosureWithModulesDep(t *testing.T) {
	tree := fakeTree(t, map[string]string{
		"kernel/a.ko.xz": compressed(t, ".xz", fakeModule("depends=b")),
		"kernel/b.ko.xz": compressed(t, ".xz", fakeModule("depends=c")),
		"kernel/c.ko.xz": compressed(t, ".xz", fakeModule("depends=")),
		"updates/c.ko":   fakeModule("depends="),
		"modules.dep":    "kernel/a.ko.xz: kernel/b.ko.xz updates/c.ko\nkernel/b.ko.xz: updates/c.ko\nupdates/c.ko:\n",
	})
	got, err := tree.Closure("a")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"c", "b", "a"}, names(got)); d != "" {
		t.Errorf("closure (-want +got):\n%s", d)
	}
	if filepath.Base(filepath.Dir(got[0].Path)) != "updates" {
		t.Errorf("%s hides the update", got[0].Path)
	}
}

func TestOpenModuleTreeErrors(t *testing.T) {
	if _, err := OpenModuleTree(t.TempDir(), "6.1"); err == nil || !strings.Contains(err.Error(), "lib/modules/6.1") {
		t.Errorf("missing tree: %v", err)
	}
	if _, err := OpenModuleTree("/", ""); err == nil {
		t.Error("no release: want an error")
	}
}

func TestModuleName(t *testing.T) {
	tests := []struct{ file, data, want string }{
		{"some-file.ko", fakeModule("license=GPL", "name=real_name"), "real_name"},
		{"old-file.ko", fakeModule("license=GPL"), "old_file"},
	}
	for _, tt := range tests {
		got, err := ModuleName(writeFile(t, tt.file, tt.data))
		if got != tt.want || err != nil {
			t.Errorf("%s: got %q, %v", tt.file, got, err)
		}
	}
	whole := fakeModule("name=x")
	for _, bad := range []string{"", "no ELF", whole[:40], whole[:70], whole[:len(whole)-10]} {
		if n, err := ModuleName(writeFile(t, "bad.ko", bad)); err == nil {
			t.Errorf("%d bytes of a module give the name %q", len(bad), n)
		}
	}
}
