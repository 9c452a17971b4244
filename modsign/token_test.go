package modsign

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// token makes a software token with a key in it and returns the key's URI and a
// certificate. It needs what scripts/install-deps installs.
func token(t *testing.T, dir, pin string, alg ...string) (uri, cert string) {
	t.Helper()
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
	}
	modules, _ := filepath.Glob("/usr/lib/*/softhsm/libsofthsm2.so")
	modules = append(modules, "/usr/lib/softhsm/libsofthsm2.so")
	conf := filepath.Join(dir, "softhsm.conf")
	if err := os.Mkdir(filepath.Join(dir, "tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+filepath.Join(dir, "tokens")+"\nobjectstore.backend = file\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	t.Setenv("PKCS11_MODULE_PATH", modules[0])
	key, cert := newKey(t, dir, "token", alg...)
	run("openssl", "pkcs8", "-topk8", "-nocrypt", "-in", key, "-out", key+"8")
	run("softhsm2-util", "--init-token", "--free", "--label", "klpforge", "--pin", pin, "--so-pin", "12345678")
	run("softhsm2-util", "--import", key+"8", "--token", "klpforge", "--label", "modules", "--id", "01", "--pin", pin)
	for _, f := range []string{key, key + "8"} {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	return "pkcs11:token=klpforge;object=modules;type=private", cert
}

// TestToken signs with keys that are in a token only.
func TestToken(t *testing.T) {
	module := []byte(strings.Repeat("a module of sorts\n", 1000))
	for name, alg := range map[string][]string{"rsa": {"-newkey", "rsa:2048"}, "ecdsa": {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			uri, cert := token(t, dir, "246813579", alg...)
			t.Setenv(PINVariable, "246813579")
			x, err := ReadCert(cert)
			if err != nil {
				t.Fatal(err)
			}
			for _, hash := range []string{"sha256", "sha384", "sha512"} {
				s, err := Load(uri, cert, hash)
				if err != nil {
					t.Fatal(err)
				}
				signed, err := s.Sign(module)
				if err != nil {
					t.Fatal(err)
				}
				if body, _, err := Split(signed); err != nil || !bytes.Equal(body, module) || Verify(signed, x) != nil {
					t.Errorf("%s: the signature is not good: %v", hash, err)
				}
				if p, err := Parse(signed); err != nil || p.Hash != hash {
					t.Errorf("%s: %+v, %v", hash, p, err)
				}
			}
			_, other := newKey(t, dir, "other", "-newkey", "rsa:2048")
			if _, err := Load(uri, other, ""); err == nil || !strings.Contains(err.Error(), "not that of the certificate") {
				t.Errorf("another's certificate: %v", err)
			}
			t.Setenv(PINVariable, "")
			if _, err := Load(uri+"?pin-value=246813579", cert, ""); err != nil {
				t.Errorf("PIN in the URI: %v", err)
			}
			for what, bad := range map[string]string{"wrong PIN": uri + "?pin-value=13579", "no such key": strings.Replace(uri, "modules", "none", 1) + "?pin-value=246813579", "no PIN": uri} {
				_, err := Load(bad, cert, "")
				if err == nil || !strings.Contains(err.Error(), "libengine-pkcs11-openssl") || strings.Contains(err.Error(), "13579") {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}
