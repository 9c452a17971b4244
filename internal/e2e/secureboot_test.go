//go:build secureboot

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
	"github.com/klpforge/klpforge/modsign"
)

// Debian's ovmf brings firmware whose variables hold a published key ("snake
// oil") as owner and in db, and that key, with the passphrase "snakeoil".
const (
	ovmfCode = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	ovmfVars = "/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd"
	ovmfKey  = "/usr/share/ovmf/PkKek-1-snakeoil.key"
	ovmfCert = "/usr/share/ovmf/PkKek-1-snakeoil.pem"
)

// TestSecureBoot boots a Debian kernel as it is shipped, under UEFI Secure Boot
// and so locked down. It takes a livepatch signed with the key of a certificate
// in the firmware's db, and no other. `make secureboot` runs it.
func TestSecureBoot(t *testing.T) {
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	dir := t.TempDir()
	openssl := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	key, other := filepath.Join(dir, "key.pem"), filepath.Join(dir, "other.pem")
	openssl("rsa", "-in", ovmfKey, "-passin", "pass:snakeoil", "-out", key)
	openssl("req", "-new", "-x509", "-nodes", "-subj", "/CN=nobody", "-newkey", "rsa:2048", "-keyout", other, "-out", other+".crt")

	good := filepath.Join(dir, "livepatch_signed.ko")
	c.build(t, exitDone, nil, good, "--sign-key", key, "--sign-cert", ovmfCert, c.patch(t, cmdlineEdit))
	signed := readFile(t, good)
	body, _, err := modsign.Split(signed)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(key, cert, hash string) []byte {
		t.Helper()
		s, err := modsign.Load(key, cert, hash)
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Sign(body)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	tampered := bytes.Clone(signed)
	tampered[len(body)/2] ^= 1

	s := vm.Script{Files: []vm.File{vm.ModuleFile(good)}}
	for _, m := range []struct {
		name string
		data []byte
	}{
		{"unsigned", body}, {"unknown", sign(other, other+".crt", "sha256")}, {"tampered", tampered},
		{"sha512", sign(key, ovmfCert, "sha512")}, // a module of 6.1's configuration, and not loaded
	} {
		p := filepath.Join(dir, m.name+".ko")
		if err := os.WriteFile(p, m.data, 0o666); err != nil {
			t.Fatal(err)
		}
		f := vm.ModuleFile(p)
		s.Files = append(s.Files, f)
		// Secure Boot alone refuses what is unsigned with EPERM; sig_enforce, which
		// comes first, with EKEYREJECTED as the rest (kernel/module/signing.c, v6.1).
		s = s.Add(guest.Insmod(f.Name, "").Fails("EKEYREJECTED").Labelled(m.name))
	}
	s = s.Add(
		guest.Insmod(vm.ModuleFile(good).Name, ""),
		guest.WaitTransition("livepatch_signed", 0),
		guest.ExpectEnabled("livepatch_signed"),
		guest.Disable("livepatch_signed", 0),
	)

	vars := filepath.Join(dir, "vars.fd")
	if err := os.WriteFile(vars, readFile(t, ovmfVars), 0o666); err != nil {
		t.Fatal(err)
	}
	o, err := e.VM(t.Context(), CloudRelease)
	if err != nil {
		t.Fatal(err)
	}
	o.Append, o.Memory, o.Stall = "module.sig_enforce=1 loglevel=7", 1024, 5*time.Minute
	o.Args = []string{"-drive", "if=pflash,format=raw,readonly=on,file=" + ovmfCode, "-drive", "if=pflash,format=raw,file=" + vars}
	r, err := vm.Run(t.Context(), o, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err(); err != nil {
		t.Fatalf("%+v", err)
	}
	for _, want := range []string{"Secure boot enabled", "UEFI:db", "Loading of module with unavailable key is rejected", "Loading of unsigned module is rejected", "Loading of module with unsupported crypto is rejected"} {
		if !strings.Contains(r.Log, want) {
			t.Errorf("the kernel does not say %q:\n%s", want, r.Log)
		}
	}
}
