package module

import (
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"debug/elf"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/modsign"
	"github.com/klpforge/klpforge/module/note"
)

// signer makes a key, writes its certificate as PEM beside it, and signs.
func signer(t *testing.T, dir, name string) *modsign.Signer {
	t.Helper()
	key, cert := filepath.Join(dir, name+".key"), filepath.Join(dir, name+".pem")
	tool(t, "openssl", "req", "-new", "-x509", "-nodes", "-subj", "/CN="+name, "-set_serial", "0xabcdef", "-newkey", "rsa:2048", "-keyout", key, "-out", cert)
	s, err := modsign.Load(key, cert, "sha256")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// An image is the module as the kernel takes it, with the notes that sysfs will show.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	ko := build(t, dir)
	file, err := elfobj.Read(ko)
	if err != nil {
		t.Fatal(err)
	}
	file.Sections = append(file.Sections, elfobj.Section{Name: ".note.loaded", Type: elf.SHT_NOTE, Flags: elf.SHF_ALLOC, Data: []byte{1, 2, 3, 4}, Size: 4, Align: 4},
		elfobj.Section{Name: ".note.left", Type: elf.SHT_NOTE, Data: []byte{5, 6, 7, 8}, Size: 4, Align: 4},
		elfobj.Section{Name: ".note.empty", Type: elf.SHT_NOTE, Flags: elf.SHF_ALLOC, Align: 4, Data: []byte{}},
		elfobj.Section{Name: ".note.none", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC, Data: []byte{9}, Size: 1, Align: 4})
	if ko, err = file.Write(); err != nil {
		t.Fatal(err)
	}
	signed, err := signer(t, dir, "Example").Sign(ko)
	if err != nil {
		t.Fatal(err)
	}
	gz := func(b []byte) []byte {
		return compress(t, b, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
	}
	for name, c := range map[string]struct {
		file       string
		raw, data  []byte
		compressed bool
	}{
		"plain":      {"a.ko", ko, ko, false},
		"signed":     {"a.ko", signed, signed, false},
		"compressed": {"a.ko.gz", gz(signed), signed, true},
	} {
		img, err := Open(put(t, dir, c.file, c.raw))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(img.Data, c.data) || img.Compressed != c.compressed || img.Info.Note == nil || img.Info.Signed != (name != "plain") {
			t.Errorf("%s: %d bytes, compressed %v, %+v", name, len(img.Data), img.Compressed, img.Info)
		}
		var names []string
		for n := range img.Notes {
			names = append(names, n)
		}
		slices.Sort(names)
		if d := cmp.Diff([]string{note.Section, ".note.loaded"}, names); d != "" || !bytes.Equal(img.Notes[".note.loaded"], []byte{1, 2, 3, 4}) {
			t.Errorf("%s: notes (-want +got)\n%s", name, d)
		}
	}

	for name, raw := range map[string][]byte{"a.ko": []byte("no module"), "a.ko.gz": gz(ko)[:100], "b.ko": ko[:len(ko)/2]} {
		path := put(t, dir, name, raw)
		if img, err := Open(path); err == nil || img != nil || !strings.HasPrefix(err.Error(), "read "+path) {
			t.Errorf("open %s: %v, %v", name, img, err)
		}
		if info, err := Read(path); err == nil || info != nil || !strings.HasPrefix(err.Error(), "read "+path) {
			t.Errorf("read %s: %v, %v", name, info, err)
		}
	}
	for _, read := range []func(string) error{func(p string) error { _, err := Open(p); return err }, func(p string) error { _, err := Read(p); return err }} {
		if err := read(filepath.Join(dir, "absent.ko")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v", err)
		}
	}
}

// Each object that livepatch relocations name is listed once; damage is an error, and so
// is a note that cannot be read.
func TestInfoOfRelocations(t *testing.T) {
	dir := t.TempDir()
	f, err := elfobj.Read(build(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*elfobj.File)) (*Info, error) {
		g := *f
		g.Sections = slices.Clone(f.Sections)
		change(&g)
		b, err := g.Write()
		if err != nil {
			t.Fatal(err)
		}
		return Read(put(t, dir, "x.ko", b))
	}
	at := slices.IndexFunc(f.Sections, func(s elfobj.Section) bool { return len(s.KlpRelocs) > 0 })
	klp := f.Sections[at].KlpRelocs[0]
	tables := func(names ...string) func(*elfobj.File) {
		return func(g *elfobj.File) {
			g.Sections[at].KlpRelocs = nil
			for _, n := range names {
				g.Sections[at].KlpRelocs = append(g.Sections[at].KlpRelocs, elfobj.KlpRelocs{Name: n, Relocs: klp.Relocs})
			}
		}
	}
	info, err := with(tables(".klp.rela.xfs.text", ".klp.rela.ext4.text", ".klp.rela.xfs.text2"))
	if err != nil || !cmp.Equal(info.Objects, []string{"ext4", "xfs"}) {
		t.Errorf("objects %v, %v", info.Objects, err)
	}
	if info, err := with(tables(".klp.rela.xfs")); err == nil || info != nil {
		t.Errorf("a table without a section: %+v, %v", info, err)
	}
	damaged := func(g *elfobj.File) {
		i := slices.IndexFunc(g.Sections, func(s elfobj.Section) bool { return s.Name == note.Section })
		g.Sections[i].Data = bytes.Replace(g.Sections[i].Data, []byte("klpforge"), []byte("klpforgx"), -1)
	}
	if _, err := with(damaged); err == nil {
		t.Error("a damaged note is read")
	}

	// The same of a loaded module.
	notes := filepath.Join(dir, "lp", filepath.Dir(NoteFile))
	if err := os.MkdirAll(notes, 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, notes, filepath.Base(NoteFile), []byte("no note"))
	if m, err := ReadLoaded(dir, "lp"); !errors.Is(err, note.ErrMalformed) || m != nil || !strings.HasPrefix(err.Error(), "loaded module lp: ") {
		t.Errorf("%+v, %v", m, err)
	}
	if err := errors.Join(os.Remove(filepath.Join(notes, filepath.Base(NoteFile))), os.Mkdir(filepath.Join(notes, filepath.Base(NoteFile)), 0o755)); err != nil {
		t.Fatal(err)
	}
	if m, err := ReadLoaded(dir, "lp"); err == nil || errors.Is(err, note.ErrNoNote) || m != nil {
		t.Errorf("a directory: %+v, %v", m, err)
	}
}

// The administrator's keys are read in both forms and by their names; what cannot be read
// is counted, as it might be the key that a signature asks for.
func TestKeyring(t *testing.T) {
	dir := t.TempDir()
	s := signer(t, dir, "known")
	text, err := os.ReadFile(filepath.Join(dir, "known.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	other := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte{1}})
	bad := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}})
	module, err := s.Sign([]byte("a module of sorts"))
	if err != nil {
		t.Fatal(err)
	}
	twinDir := t.TempDir()
	signer(t, twinDir, "known") // the same name and number, another key
	twin, err := os.ReadFile(filepath.Join(twinDir, "known.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		files   map[string][]byte
		trusted bool
		says    string // of the unread, beside the image that is not there
	}{
		{"none", nil, false, ""},
		{"PEM", map[string][]byte{"a.pem": text}, true, ""}, {"crt", map[string][]byte{"a.crt": text}, true, ""},
		{"DER", map[string][]byte{"a.der": block.Bytes}, true, ""}, {"x509", map[string][]byte{"a.x509": block.Bytes}, true, ""}, {"cer", map[string][]byte{"a.cer": block.Bytes}, true, ""},
		{"another name", map[string][]byte{"a.txt": text, "b": text, "pem": text}, false, ""},
		{"behind another block", map[string][]byte{"a.pem": slices.Concat(other, text)}, true, ""},
		{"behind a bad certificate", map[string][]byte{"a.pem": slices.Concat(bad, text)}, true, ""},
		{"another block alone", map[string][]byte{"a.pem": other}, false, ""},
		{"bad certificates", map[string][]byte{"a.pem": slices.Concat(bad, bad), "b.der": {1, 2}}, false, "3 certificate(s) in "},
		{"too long", map[string][]byte{"a.der": make([]byte, 1<<20+1)}, false, "1 certificate(s) in "},
		{"behind one of that name", map[string][]byte{"a.pem": twin, "b.pem": text}, true, ""},
		{"before one of that name", map[string][]byte{"a.pem": text, "b.pem": twin}, true, ""},
		{"one of two", map[string][]byte{"a.pem": bad, "b.pem": text}, true, ""},
	} {
		root := t.TempDir()
		keys := filepath.Join(root, KeysDir)
		if c.files != nil {
			if err := os.MkdirAll(keys, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for name, data := range c.files {
			put(t, keys, name, data)
		}
		got := Check(module, func() *Keyring { return ReadKeyring(root, "6.1.0") })
		if got.Trusted != c.trusted || got.Forged || c.trusted && !strings.Contains(got.Reason, "signed by CN=known, a key in "+keys) {
			t.Errorf("%s: %+v", c.name, got)
		}
		if unread := strings.Contains(got.Reason, "certificate(s) in"); unread != (c.says != "") || !strings.Contains(got.Reason, c.says) {
			t.Errorf("%s: %s", c.name, got.Reason)
		}
	}

	// A file in place of the directory.
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(root, KeysDir)), 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Dir(filepath.Join(root, KeysDir)), filepath.Base(KeysDir), text)
	if got := Check(module, func() *Keyring { return ReadKeyring(root, "6.1.0") }); got.Trusted || !strings.Contains(got.Reason, "some could not be read") || !strings.Contains(got.Reason, KeysDir+": ") {
		t.Errorf("%+v", got)
	}

	// Who signed it, as openssl writes that.
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	info, err := Read(put(t, dir, "signed.ko", mustSign(t, s, build(t, dir))))
	if err != nil || info.Signature.Serial != "abcdef" || info.Signature.Issuer != cert.Issuer.String() {
		t.Errorf("%+v, %v", info, err)
	}
}

func mustSign(t *testing.T, s *modsign.Signer, data []byte) []byte {
	t.Helper()
	out, err := s.Sign(data)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
