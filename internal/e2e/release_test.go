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
	"time"

	"github.com/klpforge/klpforge/internal/releases"
	"github.com/klpforge/klpforge/modsign"
	"github.com/klpforge/klpforge/pipeline"
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
	if err := json.Unmarshal(readFile(t, target.Module+pipeline.ProvenanceSuffix), &s); err != nil {
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

// TestParts compiles the objects of a release in two parts and finds that a build
// then compiles nothing.
func TestParts(t *testing.T) {
	t.Parallel()
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	dir := t.TempDir()
	// What earlier runs left in the cache is of another text.
	text := fmt.Sprintf("\tseq_puts(m, \"%d %d\");\n", os.Getpid(), time.Now().UnixNano())
	const banner = "\tseq_printf(m, linux_proc_banner,"
	patch := c.patch(t, cmdlineEdit, edit{"fs/proc/version.c", banner, text + banner})
	manifest := filepath.Join(dir, "livepatch.yaml")
	writeFile(t, manifest, fmt.Sprintf("name: parts\nversion: \"1\"\ntargets:\n  - release: %s\npatches:\n  - file: %s\n", CloudRelease, patch))
	results := []string{"release", "collect", "--format", "json"}
	var compiled []string
	for n := range 2 {
		r := c.runIn(t, dir, "release", "build", "--part", fmt.Sprintf("%d/2", n+1), "--format", "json").want(t, exitDone)
		var s releases.Summary
		if err := json.Unmarshal([]byte(r.out), &s); err != nil {
			t.Fatal(err)
		}
		if len(s.Targets) != 1 || s.Targets[0].Module != "" || len(s.Targets[0].Compiled) != 1 {
			t.Fatalf("part %d: %+v", n+1, s)
		}
		compiled = append(compiled, s.Targets[0].Compiled...)
		p := filepath.Join(dir, fmt.Sprint(n, ".json"))
		writeFile(t, p, r.out)
		results = append(results, p)
	}
	if want := []string{"fs/proc/cmdline.o", "fs/proc/version.o"}; !slices.Equal(compiled, want) {
		t.Errorf("compiled %q, want %q", compiled, want)
	}

	r := c.run(t, "build", "-k", CloudRelease, "-o", filepath.Join(dir, "one.ko"), "--format", "json", patch).want(t, exitDone)
	var b struct {
		CompileSeconds float64
		Units          []string
	}
	if err := json.Unmarshal([]byte(r.out), &b); err != nil {
		t.Fatal(err)
	}
	if b.CompileSeconds != 0 || len(b.Units) != 2 {
		t.Errorf("the build compiled for %v s; objects %q", b.CompileSeconds, b.Units)
	}
	c.run(t, "verify", "-k", CloudRelease, filepath.Join(dir, "one.ko")).want(t, exitDone)

	// Parts alone are no release.
	c.run(t, results...).wantOutput(t, exitEnv, "no job reported its module")
}

// wantOutput checks the exit code and that the result says a text.
func (r *result) wantOutput(t *testing.T, code int, text string) {
	t.Helper()
	if r.code != code || !strings.Contains(r.out, text) {
		t.Errorf("klpforge %s: exit code %d, want %d and %q\n%s%s", strings.Join(r.args, " "), r.code, code, text, r.out, r.err)
	}
}
