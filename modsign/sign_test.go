package modsign

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func openssl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("openssl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// newKey makes a key and a certificate as the kernel's build does, in one file.
func newKey(t *testing.T, dir, name string, alg ...string) (key, cert string) {
	t.Helper()
	key, cert = filepath.Join(dir, name+".key"), filepath.Join(dir, name+".crt")
	openssl(t, append([]string{"req", "-new", "-x509", "-nodes", "-subj", "/O=Example/CN=" + name, "-days", "3650", "-keyout", key, "-out", cert}, alg...)...)
	return key, cert
}

// TestSign: what is signed here, openssl verifies, and what openssl signs as
// sign-file does, is verified here.
func TestSign(t *testing.T) {
	dir := t.TempDir()
	module := []byte(strings.Repeat("a module of sorts\n", 1000))
	for _, c := range []struct {
		name string
		alg  []string
	}{{"rsa", []string{"-newkey", "rsa:2048"}}, {"ecdsa", []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"}}} {
		key, cert := newKey(t, dir, c.name, c.alg...)
		for _, hash := range []string{"", "sha256", "sha384", "sha512"} {
			s, err := Load(key, cert, hash)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := s.Sign(module)
			if err != nil {
				t.Fatalf("%s %s: %v", c.name, hash, err)
			}
			body, sig, err := Split(signed)
			if err != nil || !bytes.Equal(body, module) || !bytes.HasSuffix(signed, []byte("~Module signature appended~\n")) {
				t.Fatalf("%s %s: %v", c.name, hash, err)
			}
			for name, data := range map[string][]byte{"body": body, "sig": sig} {
				if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			openssl(t, "cms", "-verify", "-binary", "-inform", "DER", "-in", filepath.Join(dir, "sig"), "-content", filepath.Join(dir, "body"),
				"-certfile", cert, "-CAfile", cert, "-purpose", "any", "-out", os.DevNull)
			p, err := Parse(signed)
			if err != nil || !strings.Contains(p.Issuer, "CN="+c.name) || hash != "" && p.Hash != hash {
				t.Errorf("%s %s: %+v, %v", c.name, hash, p, err)
			}
			again, err := s.Sign(signed)
			if body, _, _ := Split(again); err != nil || !bytes.Equal(body, module) {
				t.Errorf("%s %s: signing again: %v", c.name, hash, err)
			}
			broken := bytes.Clone(signed)
			broken[5] ^= 1
			if Verify(broken, s.cert) == nil {
				t.Errorf("%s %s: a changed module verifies", c.name, hash)
			}
		}
		// As sign-file does: no attributes, no certificates, detached.
		openssl(t, "cms", "-sign", "-binary", "-noattr", "-nocerts", "-nosmimecap", "-md", "sha512", "-signer", cert, "-inkey", key, "-outform", "DER",
			"-in", filepath.Join(dir, "body"), "-out", filepath.Join(dir, "sig"))
		sig, err := os.ReadFile(filepath.Join(dir, "sig"))
		if err != nil {
			t.Fatal(err)
		}
		tail := []byte{0, 0, 2, 0, 0, 0, 0, 0, 0, 0, byte(len(sig) >> 8), byte(len(sig))}
		x, err := ReadCert(cert)
		if err != nil {
			t.Fatal(err)
		}
		if err := Verify(bytes.Join([][]byte{module, sig, tail, []byte(magic)}, nil), x); err != nil {
			t.Errorf("%s: signed by openssl: %v", c.name, err)
		}
	}
}

// TestFor: a kernel's hash is used when none was chosen.
func TestFor(t *testing.T) {
	key, cert := newKey(t, t.TempDir(), "ec", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384")
	for _, c := range []struct{ chosen, kernel, hash, config string }{
		{"", "sha256", "sha256", "CRYPTO_SHA256"}, {"", "", "sha512", "CRYPTO_SHA512"}, {"sha384", "sha256", "sha384", "CRYPTO_SHA512"},
	} {
		s, err := Load(key, cert, c.chosen)
		if err == nil {
			s, err = s.For(c.kernel)
		}
		if err != nil {
			t.Fatal(err)
		}
		signed, err := s.Sign([]byte("module"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := Parse(signed)
		if err != nil || p.Hash != c.hash || strings.Join(s.Needs(), " ") != c.config+" CRYPTO_ECDSA" {
			t.Errorf("%+v: %+v, %v, needs %v", c, p, err, s.Needs())
		}
	}
	s, err := Load(key, cert, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.For("sha1"); err == nil || !strings.Contains(err.Error(), "sha1") {
		t.Errorf("sha1: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	key, cert := newKey(t, dir, "one", "-newkey", "rsa:2048")
	_, other := newKey(t, dir, "two", "-newkey", "rsa:2048")
	locked := filepath.Join(dir, "locked")
	openssl(t, "rsa", "-aes256", "-passout", "pass:x", "-in", key, "-out", locked)
	for name, c := range map[string][4]string{
		"another's certificate": {key, other, "", "not that of the certificate"},
		"passphrase":            {locked, cert, "", "passphrase"},
		"no key":                {cert, cert, "", "no private key"},
		"no certificate":        {key, key, "", "read certificate"},
		"hash":                  {key, cert, "md5", `hash "md5"`},
		"missing":               {filepath.Join(dir, "none"), cert, "", "no such file"},
	} {
		if _, err := Load(c[0], c[1], c[2]); err == nil || !strings.Contains(err.Error(), c[3]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, err := Load(key, cert, "")
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign([]byte("module"))
	if err != nil {
		t.Fatal(err)
	}
	x, err := ReadCert(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(signed, x); err == nil || !strings.Contains(err.Error(), "signed by certificate") {
		t.Errorf("another's certificate: %v", err)
	}
	if _, err := Parse([]byte("module")); !errors.Is(err, ErrUnsigned) {
		t.Errorf("unsigned: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("x" + strings.Repeat("\x00", infoLen) + magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := Parse(b); (s == nil) == (err == nil) {
			t.Errorf("%v, %v", s, err)
		}
	})
}
