package deploy

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/module"
)

// sign signs a module file in place with a new key, and returns its certificate.
func sign(t *testing.T, path string) (cert string) {
	t.Helper()
	dir := t.TempDir()
	key, cert := filepath.Join(dir, "key"), filepath.Join(dir, "cert.pem")
	run := func(argv ...string) {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", argv, err, out)
		}
	}
	run("openssl", "req", "-new", "-x509", "-nodes", "-subj", "/CN=vendor", "-newkey", "rsa:2048", "-keyout", key, "-out", cert)
	// As sign-file does, so that this test does not rest on modsign alone.
	run("openssl", "cms", "-sign", "-binary", "-noattr", "-nocerts", "-nosmimecap", "-md", "sha256", "-signer", cert, "-inkey", key,
		"-outform", "DER", "-in", path, "-out", filepath.Join(dir, "sig"))
	sig, err := os.ReadFile(filepath.Join(dir, "sig"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	tail := []byte{0, 0, 2, 0, 0, 0, 0, 0, 0, 0, byte(len(sig) >> 8), byte(len(sig))}
	if _, err := f.Write(append(append(sig, tail...), "~Module signature appended~\n"...)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestNoteTrust: an upgrade says on whose word it is one, and what the kernel
// will refuse is refused before the livepatch in force is touched.
func TestNoteTrust(t *testing.T) {
	const sigEnforce = "sys/module/module/parameters/sig_enforce"
	for name, c := range map[string]struct {
		known   bool // the administrator trusts the key
		change  bool // the module, after it was signed
		signed  bool
		enforce string
		trusted bool
		refused string // part of the refusal, "" for none
		note    string // part of a note, "" for none of trust
	}{
		"unsigned":                  {note: "nobody vouches for the note: the module is not signed"},
		"unsigned, enforced":        {enforce: "Y", refused: "is not signed, and module.sig_enforce is on"},
		"unsigned, not enforced":    {enforce: "N", note: "nobody vouches"},
		"signed, unknown":           {signed: true, note: "nobody vouches for the note: signed by CN=vendor"},
		"signed, unknown, enforced": {signed: true, enforce: "Y", note: "the kernel may refuse the module"},
		"signed, known":             {signed: true, known: true, trusted: true},
		"signed, known, enforced":   {signed: true, known: true, enforce: "Y", trusted: true},
		"signed, changed":           {signed: true, known: true, change: true, refused: "does not match"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
				mustLoad(t, m, k.file("old", series("1", "f")), Options{})
				k.did = nil
				path := k.install(t, "new.ko", k.file("new", series("2", "f")))
				if c.signed {
					cert := sign(t, path)
					if c.known {
						text, err := os.ReadFile(cert)
						k.check(err)
						k.put(filepath.Join(module.KeysDir, "vendor.pem"), string(text))
					}
				}
				if c.change {
					text, err := os.ReadFile(path)
					k.check(err)
					text = bytes.Replace(text, []byte("license=GPL"), []byte("license=GPl"), 1)
					k.check(os.WriteFile(path, text, 0o644))
				}
				if c.enforce != "" {
					k.put(sigEnforce, c.enforce+"\n")
				}
				mod, err := ReadModule(path)
				k.check(err)
				p, err := m.Plan(mod, Auto)
				k.check(err)
				if p.NoteTrusted != c.trusted || p.NoteTrust == "" {
					t.Errorf("trusted %v: %q", p.NoteTrusted, p.NoteTrust)
				}
				notes := strings.Join(p.Notes, "\n")
				if c.note != "" && !strings.Contains(notes, c.note) || c.note == "" && strings.Contains(notes, "vouches") {
					t.Errorf("notes %q", notes)
				}
				_, err = m.Load(t.Context(), mod, Options{})
				refusal := new(Refusal)
				switch {
				case c.refused == "" && err != nil:
					t.Error(err)
				case c.refused != "" && (!errors.As(err, &refusal) || !strings.Contains(refusal.Reason, c.refused) || len(k.did) > 0):
					t.Errorf("did %q: %v", k.did, err)
				}
			})
		})
	}
}

// TestLoadedTrust: of a loaded module the kernel's own mark tells.
func TestLoadedTrust(t *testing.T) {
	bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
		mustLoad(t, m, k.file("a", single("f")), Options{})
		check := func(want bool, part string) {
			t.Helper()
			s, err := m.Status(Places{})
			k.check(err)
			if l := s.Livepatches[0]; l.NoteTrusted != want || !strings.Contains(l.NoteTrust, part) {
				t.Errorf("%v, %q", l.NoteTrusted, l.NoteTrust)
			}
		}
		check(false, "does not check signatures")
		k.put("sys/module/module/parameters/sig_enforce", "N\n")
		check(false, "no valid signature")
		k.put("sys/module/a/taint", "OK\n")
		check(true, "the kernel checked its signature")
	})
}
