package module

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/modsign"
	"github.com/klpforge/klpforge/module/note"
	"github.com/klpforge/klpforge/plan"
)

func testManifest() *note.Note {
	return generate.NewNote(plan.Plan{
		Name: "livepatch_fix", Product: "fix", Vendor: "Example & Co", Version: "7", Release: "6.1.0-test", Replace: true,
		Objects: []plan.Object{{Name: "ext4", Funcs: []plan.Func{{Name: "ext4_f", NewSymbol: "replacement", Unit: "fs/ext4/f.o"}},
			Callbacks: plan.Callbacks{PrePatch: "pre", PostUnpatch: "post"}}},
		States:  []plan.State{{ID: 7, Version: 2, Meaning: "limit is raised"}},
		Shadows: []plan.Shadow{{ID: 0x6b6c70}},
		Patches: []plan.Patch{{Name: "a.patch", IDs: []string{"CVE-2026-12345"}, Content: "aa"}},
		Allowed: []plan.Allowed{{ID: "KLP103", Reason: "set by the callback"}},
	}, klpapi.API{OldSympos: true, ElfRelocs: true, Callbacks: true, Replace: true, States: true, EarlyRelocs: true})
}

func tool(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
}

// compileFix compiles the fixture. The assembler takes no comma in a name.
func compileFix(t *testing.T, o string) {
	t.Helper()
	tool(t, "gcc", "-c", "-O2", "-g", "-fno-pic", "-mcmodel=kernel", "-o", o, "testdata/fix.c")
	tool(t, "objcopy", "--redefine-sym", "klp__original=.klp.sym.ext4.ext4_original,2", o)
}

// built is the fixture, which is made once.
var built []byte

// build compiles the fixture and finishes it as klpforge does.
func build(t *testing.T, dir string) []byte {
	t.Helper()
	if built != nil {
		return bytes.Clone(built)
	}
	o := filepath.Join(dir, "fix.o")
	compileFix(t, o)
	in, err := os.ReadFile(o)
	if err != nil {
		t.Fatal(err)
	}
	ko, err := generate.PostLink(in, testManifest())
	if err != nil {
		t.Fatal(err)
	}
	built = bytes.Clone(ko)
	return ko
}

func put(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.WriteFile(p, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return p
}

func compress(t *testing.T, data []byte, construct func(io.Writer) (io.WriteCloser, error)) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := construct(&b)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestInfoSurvives: whatever packaging does to a module, it says the same.
func TestInfoSurvives(t *testing.T) {
	dir := t.TempDir()
	ko := build(t, dir)
	files := map[string]string{"plain": put(t, dir, "livepatch_fix.ko", ko)}
	for name, flag := range map[string]string{"strip -g": "-g", "strip": "-s", "strip --strip-unneeded": "--strip-unneeded"} {
		out := filepath.Join(dir, "stripped"+flag+".ko")
		tool(t, "strip", flag, "-o", out, files["plain"])
		files[name] = out
	}
	files["xz"] = put(t, dir, "x.ko.xz", compress(t, ko, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }))
	files["zstd"] = put(t, dir, "x.ko.zst", compress(t, ko, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }))
	files["gzip"] = put(t, dir, "x.ko.gz", compress(t, ko, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }))
	for name, file := range files {
		info, err := Read(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(testManifest(), info.Note); d != "" {
			t.Errorf("%s: manifest (-want +got)\n%s", name, d)
		}
		if info.Name != "livepatch_fix" || !info.Livepatch || info.Signed || info.Get(note.InfoVendor) != "Example & Co" || info.Get("version") != "7" {
			t.Errorf("%s: %+v", name, info)
		}
	}
	info, err := Read(files["plain"])
	if err != nil || !cmp.Equal(info.Objects, []string{"ext4"}) {
		t.Errorf("objects %v, %v", info.Objects, err)
	}
}

func TestInfoSigned(t *testing.T) {
	dir := t.TempDir()
	key, cert := filepath.Join(dir, "key"), filepath.Join(dir, "cert")
	tool(t, "openssl", "req", "-new", "-x509", "-nodes", "-subj", "/CN=Example", "-newkey", "rsa:2048", "-keyout", key, "-out", cert)
	s, err := modsign.Load(key, cert, "sha256")
	if err != nil {
		t.Fatal(err)
	}
	ko, err := s.Sign(build(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	ko = compress(t, ko, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
	info, err := Read(put(t, dir, "x.ko.zst", ko))
	if err != nil || !info.Signed || info.Signature == nil || info.Signature.Issuer != "CN=Example" || info.Signature.Hash != "sha256" || info.Note == nil {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestInfoForeign(t *testing.T) {
	dir := t.TempDir()
	o := filepath.Join(dir, "foreign.ko")
	compileFix(t, o)
	info, err := Read(o)
	if err != nil || info.Note != nil || !info.Livepatch || info.Get("license") != "GPL" {
		t.Errorf("%+v, %v", info, err)
	}
	src := put(t, dir, "empty.c", []byte("int x;\n"))
	tool(t, "gcc", "-c", "-o", o, src)
	if _, err := Read(o); !errors.Is(err, ErrNotModule) {
		t.Errorf("an object that is no module: %v", err)
	}
}

func TestReadLoaded(t *testing.T) {
	dir := t.TempDir()
	ko := put(t, dir, "fix.ko", build(t, dir))
	if err := os.MkdirAll(filepath.Join(dir, "livepatch_fix", "notes"), 0o777); err != nil {
		t.Fatal(err)
	}
	tool(t, "objcopy", "-O", "binary", "--only-section=.note.klpforge", ko, filepath.Join(dir, "livepatch_fix", NoteFile))
	m, err := ReadLoaded(dir, "livepatch_fix")
	if d := cmp.Diff(testManifest(), m); err != nil || d != "" {
		t.Errorf("%v (-want +got)\n%s", err, d)
	}
	if _, err := ReadLoaded(dir, "other"); !errors.Is(err, note.ErrNoNote) {
		t.Errorf("a module without a note: %v", err)
	}
}
