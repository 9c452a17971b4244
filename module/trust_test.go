package module

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/modsign"
)

// TestCheck: whose signature is believed, whose is refused, and whose says nothing.
func TestCheck(t *testing.T) {
	dir, root := t.TempDir(), t.TempDir()
	const release = "6.1.0-test"
	signer := func(name string) *modsign.Signer {
		key, cert := filepath.Join(dir, name+".key"), filepath.Join(dir, name+".pem")
		tool(t, "openssl", "req", "-new", "-x509", "-nodes", "-subj", "/CN="+name, "-newkey", "rsa:2048", "-keyout", key, "-out", cert)
		s, err := modsign.Load(key, cert, "sha256")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	sign := func(s *modsign.Signer, data []byte) []byte {
		out, err := s.Sign(data)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	plain := []byte("a module of sorts")
	known, stranger := sign(signer("known"), plain), sign(signer("stranger"), plain)
	keys := filepath.Join(root, KeysDir)
	if err := os.MkdirAll(keys, 0o755); err != nil {
		t.Fatal(err)
	}
	tool(t, "cp", filepath.Join(dir, "known.pem"), keys)
	put(t, keys, "README.txt", []byte("no key"))

	forged := bytes.Clone(known)
	forged[0] ^= 1
	damaged := bytes.Clone(known)
	damaged[len(plain)] ^= 0xff // the first byte of the signature's DER
	asked := 0
	for name, c := range map[string]struct {
		data []byte
		want Trust
		part string
		asks int
	}{
		"unsigned": {plain, Trust{}, "not signed", 0},
		"known":    {known, Trust{Trusted: true}, "signed by CN=known", 1},
		"stranger": {stranger, Trust{}, "signed by CN=stranger", 1},
		"forged":   {forged, Trust{Forged: true}, "does not match", 1},
		"damaged":  {damaged, Trust{}, "cannot be checked", 0},
	} {
		asked = 0
		got := Check(c.data, func() *Keyring { asked++; return ReadKeyring(root, release) })
		if got.Trusted != c.want.Trusted || got.Forged != c.want.Forged || !strings.Contains(got.Reason, c.part) || asked != c.asks {
			t.Errorf("%s: %+v, asked for keys %d times", name, got, asked)
		}
		if strings.Contains(got.Reason, "\n") {
			t.Errorf("%s: %q has more than a line", name, got.Reason)
		}
		// There is no image, so the kernel may know more keys.
		if name == "stranger" && (!strings.Contains(got.Reason, "no image of "+release) || !strings.Contains(got.Reason, "the 1 of this kernel")) {
			t.Errorf("%s: %s", name, got.Reason)
		}
	}
}
