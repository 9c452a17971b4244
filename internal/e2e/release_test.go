package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/internal/build"
	"github.com/klpforge/klpforge/internal/releases"
	"github.com/klpforge/klpforge/modsign"
)

// OlderRelease lacks a fix of fs/fcntl.c that CloudRelease has.
const OlderRelease = "6.1.0-53-cloud-amd64"

var fcntlFix = edit{"fs/fcntl.c", "\tcase F_SET_RW_HINT:\n\t\tif (copy_from_user",
	"\tcase F_SET_RW_HINT:\n\t\t/* nothing is ever written to it */\n\t\tif (IS_IMMUTABLE(inode))\n\t\t\treturn -EPERM;\n\t\tif (copy_from_user"}

// TestRelease builds one manifest for two kernels, of which one has one of the
// fixes already.
func TestRelease(t *testing.T) {
	t.Parallel() // mostly waits for a VM
	e := env(t)
	newer := newCLI(t, e, CloudRelease)
	older := newCLI(t, e, OlderRelease)
	dir := t.TempDir()
	named := func(name, patch string) string {
		p := filepath.Join(dir, name)
		if err := os.Rename(patch, p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	fix, cmdline := named("fcntl.patch", older.patch(t, fcntlFix)), named("cmdline.patch", older.patch(t, cmdlineEdit))
	conflict := named("conflict.patch", older.patch(t, edit{cmdlineEdit.file, cmdlineEdit.old, "\tseq_puts(m, \" otherwise\\n\");\n"}))
	if out, err := exec.CommandContext(t.Context(), "openssl", "req", "-new", "-x509", "-nodes", "-subj", "/CN=klpforge test", "-newkey", "rsa:2048",
		"-keyout", filepath.Join(dir, "key.pem"), "-out", filepath.Join(dir, "cert.pem")).CombinedOutput(); err != nil {
		t.Fatalf("make a key: %v\n%s", err, out)
	}
	write := func(version string, patches ...string) string {
		p := filepath.Join(dir, "livepatch.yaml")
		text := fmt.Sprintf("name: test\nvendor: Example\nversion: %q\nsigning: {key: key.pem, cert: cert.pem}\ntargets:\n  - release: %s\n  - release: %s\npatches:\n", version, OlderRelease, CloudRelease)
		for i, f := range patches {
			text += fmt.Sprintf("  - file: %s\n    ids: [CVE-2026-1000%d]\n", f, i)
		}
		if err := os.WriteFile(p, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return p
	}

	out := filepath.Join(dir, "1")
	newer.run(t, "release", "build", "-f", write("1", cmdline), "-o", out, CloudRelease).want(t, exitDone)
	r := newer.run(t, "release", "build", "-f", write("2", fix, cmdline), "-o", filepath.Join(dir, "2"), "--format", "json").want(t, exitDone)
	var s releases.Summary
	if err := json.Unmarshal([]byte(r.out), &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Targets) != 2 || len(s.Targets[0].Included) != 2 || len(s.Targets[0].Skipped) != 0 || len(s.Targets[1].Included) != 1 || len(s.Targets[1].Skipped) != 1 {
		t.Errorf("the summary is %+v", s)
	}
	for _, f := range s.Targets[1].Functions {
		if f != "vmlinux:cmdline_proc_show" {
			t.Errorf("%s patches %s", CloudRelease, f)
		}
	}
	for _, target := range s.Targets {
		newer.run(t, "verify", "-k", target.Release, target.Module).want(t, exitDone)
		checkSigned(t, target, filepath.Join(dir, "cert.pem"))
	}
	r = newer.run(t, "release", "diff", filepath.Join(out, CloudRelease, "livepatch_test_1.ko"), filepath.Join(dir, "2", CloudRelease, "livepatch_test_2.ko")).want(t, exitDone)
	if !strings.Contains(r.out, "upgrade: allowed") || !strings.Contains(r.out, "downgrade: allowed") || !strings.Contains(r.out, "side by side: refused") || strings.Contains(r.out, "\nfunctions") {
		t.Errorf("the comparison is\n%s", r.out)
	}
	// The same function, but for the other kernel.
	r = newer.run(t, "release", "diff", filepath.Join(out, CloudRelease, "livepatch_test_1.ko"), s.Targets[0].Module).want(t, exitRefused)
	if !strings.Contains(r.out, "KLP407") || !strings.Contains(r.out, "+ "+filepath.Base(fix)) {
		t.Errorf("the comparison is\n%s", r.out)
	}

	r = newer.run(t, "release", "build", "-f", write("3", cmdline, conflict), "-o", filepath.Join(dir, "3")).want(t, exitRefused)
	for _, target := range []string{OlderRelease, CloudRelease} {
		if want := fmt.Sprintf("%s: FAILED: patch %s conflicts with patch %s", target, filepath.Base(conflict), filepath.Base(cmdline)); !strings.Contains(r.out, want) {
			t.Errorf("the summary does not say %q:\n%s", want, r.out)
		}
	}
}

// checkSigned checks the signature of a module with the certificate, and that
// its provenance is about that very file and names the patches.
func checkSigned(t *testing.T, target releases.Target, certFile string) {
	t.Helper()
	ko := readFile(t, target.Module)
	cert, err := modsign.ReadCert(certFile)
	if err == nil {
		err = modsign.Verify(ko, cert)
	}
	if err != nil {
		t.Errorf("%s: %v", target.Release, err)
	}
	var s struct {
		Subject []struct {
			Digest, Annotations map[string]string
		}
		Predicate struct {
			BuildDefinition struct {
				InternalParameters struct {
					CompilerVersion string
					Signature       struct{ Issuer, Hash string }
				}
				ResolvedDependencies []struct {
					Name   string
					Digest map[string]string
				}
			}
		}
	}
	if err := json.Unmarshal(readFile(t, target.Module+build.ProvenanceSuffix), &s); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(ko)
	if len(s.Subject) != 1 || s.Subject[0].Digest["sha256"] != hex.EncodeToString(sum[:]) {
		t.Errorf("%s: the provenance is about %+v", target.Release, s.Subject)
	}
	body, _, err := modsign.Split(ko)
	if err != nil {
		t.Fatal(err)
	}
	sum = sha256.Sum256(body)
	p := s.Predicate.BuildDefinition.InternalParameters
	if s.Subject[0].Annotations["unsigned-sha256"] != hex.EncodeToString(sum[:]) || !strings.Contains(p.Signature.Issuer, "klpforge test") || p.Signature.Hash != "sha256" || !strings.Contains(p.CompilerVersion, "gcc") {
		t.Errorf("%s: the provenance says %+v of %+v", target.Release, p, s.Subject)
	}
	patches, names := 0, []string{}
	for _, d := range s.Predicate.BuildDefinition.ResolvedDependencies {
		if len(d.Digest["sha256"]) != 64 {
			t.Errorf("%s: no digest of %s", target.Release, d.Name)
		}
		names = append(names, d.Name)
		if strings.HasPrefix(d.Name, "patch ") {
			patches++
		}
	}
	if want := []string{"kernel image", "kernel configuration", "Module.symvers", "compiler", "kernel source"}; !slices.Equal(names[:min(len(want), len(names))], want) {
		t.Errorf("%s: the provenance names %q, want %q first", target.Release, names, want)
	}
	if patches != len(target.Included) {
		t.Errorf("%s: the provenance names %d patches, the summary %d", target.Release, patches, len(target.Included))
	}
}
