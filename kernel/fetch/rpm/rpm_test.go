package rpm

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/klpforge/klpforge/kernel/fetch/provider"
	"github.com/klpforge/klpforge/kernel/kconfig"
)

func names(packages []provider.Package) []string {
	var out []string
	for _, p := range packages {
		out = append(out, p.Name)
	}
	return out
}

func TestPlan(t *testing.T) {
	r := newRepository(t)
	p := Provider{Config: r.conf}
	ctx := t.Context()

	plan, err := p.Plan(ctx, testKernel, provider.Want{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"kernel-core", "kernel-modules-core", "kernel-modules", "kernel-devel"}, names(plan.Root)); d != "" {
		t.Error(d)
	}
	if s := plan.Source; s == nil || s.Name != "kernel" || s.Version != testVersion+"-"+testRelease {
		t.Errorf("source %+v", s)
	}
	if !p.Complete(testKernel, provider.Want{}, names(plan.Root), "kernel.tar.zst") || p.Complete(testKernel, provider.Want{Debug: true}, names(plan.Root), "kernel.tar.zst") {
		t.Error("Complete is wrong")
	}

	image, err := p.Plan(ctx, testKernel, provider.Want{ImageOnly: true})
	if err != nil || image.Source != nil || slices.Contains(names(image.Root), "kernel-devel") {
		t.Errorf("image alone: %+v, %v", image, err)
	}
	if p.Complete(testKernel, provider.Want{}, names(image.Root), "kernel.tar.zst") || !p.Complete(testKernel, provider.Want{ImageOnly: true}, names(image.Root), "kernel.tar.zst") {
		t.Error("Complete is wrong")
	}
	// Another flavour of the same version has packages of its own.
	other, err := p.Plan(ctx, testKernel+"+debug", provider.Want{ImageOnly: true})
	if d := cmp.Diff([]string{"kernel-debug-core"}, names(other.Root)); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}

	var gone *provider.NotInArchiveError
	if _, err := p.Plan(ctx, "5.14.0-1.el9.x86_64", provider.Want{}); !errors.As(err, &gone) || !slices.Contains(gone.Available, testKernel) {
		t.Errorf("a release that is not there: %v", err)
	}
	if _, err := p.Plan(ctx, testKernel, provider.Want{Debug: true}); !errors.As(err, &gone) || gone.Package != "kernel-debuginfo" {
		t.Errorf("no debug package: %v", err)
	}
}

func TestDownload(t *testing.T) {
	r := newRepository(t)
	p := Provider{Config: r.conf}
	plan, err := p.Plan(t.Context(), testKernel, provider.Want{})
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, pkg := range plan.Root {
		dir := t.TempDir()
		if err := p.Download(t.Context(), dir, pkg); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, pkg.File)
		if st, err := os.Stat(file); err != nil || st.Size() != pkg.Size {
			t.Errorf("%s: %v, want %d bytes", pkg.Name, err, pkg.Size)
		}
		if err := p.Unpack(t.Context(), file, root); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"vmlinuz", "config", "System.map", "symvers.gz", "kernel/fs/a.ko.xz", "kernel/drivers/b.ko.xz"} {
		if _, err := os.Stat(filepath.Join(root, "lib/modules", testKernel, path)); err != nil {
			t.Error(err)
		}
	}

	dir := t.TempDir()
	if err := p.Download(t.Context(), dir, *plan.Source); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if err := p.UnpackSource(t.Context(), *plan.Source, filepath.Join(dir, plan.Source.File), out, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"linux/": "dir", "linux/Kbuild": "obj-y += init/\n", "linux/Makefile": "VERSION = 5\nPATCHLEVEL = 14\nSUBLEVEL = 0\n", "linux/include/": "dir",
		"linux/include/linux/": "dir", "linux/include/linux/module.h": "\n", "linux/init/": "dir", "linux/init/main.c": "int patched;\n",
		"linux/link.c": "-> init/main.c", "linux/scripts/": "dir", "linux/scripts/run": "executable #!/bin/sh\n", "linux/tools/": "dir", "linux/tools/Makefile": "all:\n",
	}
	if d := cmp.Diff(want, readTar(t, filepath.Join(out, "kernel.tar.zst"))); d != "" {
		t.Errorf("source (-want +got):\n%s", d)
	}
}

func readTar(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if _, err := io.Copy(&text, r); err != nil {
			t.Fatal(err)
		}
		switch {
		case h.Typeflag == tar.TypeDir:
			out[h.Name] = "dir"
		case h.Typeflag == tar.TypeSymlink:
			out[h.Name] = "-> " + h.Linkname
		case h.Mode&0o111 != 0:
			out[h.Name] = "executable " + text.String()
		default:
			out[h.Name] = text.String()
		}
	}
}

// TestSignatures: what a repository that demands signatures serves is refused unless one of
// its own keys signed it.
func TestSignatures(t *testing.T) {
	tools(t, "gpg", "rpmsign")
	r := newRepository(t)
	top := filepath.Dir(r.dir)
	good, bad := newKey(t, top, "good"), newKey(t, top, "bad")
	core := filepath.Join(r.dir, "kernel-core-"+testKernel+".rpm")
	unsigned, err := os.ReadFile(core)
	if err != nil {
		t.Fatal(err)
	}
	gpg, err := exec.LookPath("gpg")
	if err != nil {
		t.Fatal(err)
	}
	p := Provider{Config: r.conf}
	for _, c := range []struct {
		name, signer, options, want string
	}{
		{"signed", good, "gpgcheck=1\ngpgkey=file://" + good + ".pub", ""},
		{"one key of two", good, "gpgcheck=1\ngpgkey=file://" + bad + ".pub file://" + good + ".pub", ""},
		{"by somebody else", bad, "gpgcheck=1\ngpgkey=file://" + good + ".pub", "rpmkeys"},
		{"not signed", "", "gpgcheck=1\ngpgkey=file://" + good + ".pub", "rpmkeys"},
		{"no keys", good, "gpgcheck=1", "names no keys"},
		{"not signed, and need not be", "", "gpgcheck=0", ""},
		{"by somebody else, and need not be", bad, "gpgcheck=0", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile(core, unsigned, 0o644); err != nil {
				t.Fatal(err)
			}
			if c.signer != "" {
				run(t, top, "rpmsign", "--define", "__gpg "+gpg, "--define", "_gpg_name "+filepath.Base(c.signer), "--define", "_gpg_path "+c.signer, "--addsign", core)
			}
			r.publish(t, c.options)
			plan, err := p.Plan(t.Context(), testKernel, provider.Want{ImageOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			err = p.Download(t.Context(), t.TempDir(), plan.Root[0])
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v", err)
			}
		})
	}
}

// newKey makes a key that signs without asking. Its public part is beside its directory,
// which is returned.
func newKey(t *testing.T, top, name string) string {
	t.Helper()
	home := filepath.Join(top, name)
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, top, "gpg", "--homedir", home, "--batch", "--passphrase", "", "--quick-gen-key", name, "rsa2048", "sign", "never")
	run(t, top, "gpg", "--homedir", home, "--batch", "--armor", "--output", home+".pub", "--export", name)
	t.Cleanup(func() { _ = exec.Command("gpgconf", "--homedir", home, "--kill", "gpg-agent").Run() })
	return home
}

func TestParseQuery(t *testing.T) {
	got, err := parseQuery("kernel-core|0|5.14.0|503.el9|x86_64|kernel-5.14.0-503.el9.src.rpm|18|baseos\n\nkernel-core|2|1|2|x86_64|s|1|r\n")
	want := []rpm{
		{Name: "kernel-core", Epoch: "0", Version: "5.14.0", Release: "503.el9", Arch: "x86_64", Source: "kernel-5.14.0-503.el9.src.rpm", Size: 18, Repo: "baseos"},
		{Name: "kernel-core", Epoch: "2", Version: "1", Release: "2", Arch: "x86_64", Source: "s", Size: 1, Repo: "r"},
	}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	if a, b := got[0].nevra(), got[1].nevra(); a != "kernel-core-5.14.0-503.el9.x86_64" || b != "kernel-core-2:1-2.x86_64" {
		t.Errorf("%s, %s", a, b)
	}
	for _, bad := range []string{"a|b", "a|0|1|2|x|s|many|r", "|0|1|2|x|s|1|r", "Last metadata expiration check"} {
		if got, err := parseQuery(bad); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

func TestParseKeys(t *testing.T) {
	for dump, want := range map[string]struct {
		keys   string
		signed bool
	}{
		// dnf 4
		"============ repo: base ============\n[base]\ngpgcheck = 1\ngpgkey = file:///etc/a, file:///etc/b\n": {"file:///etc/a file:///etc/b", true},
		"[main]\ngpgcheck = 0\n====== repo: base =====\n[base]\ngpgkey = file:///etc/a\n":                     {"file:///etc/a", true},
		"[other]\ngpgcheck = 0\n[base]\ngpgcheck = 0\ngpgkey =\n":                                             {"", false},
		// dnf 5
		"======== \"base\" repository configuration: ========\n[base]\nenabled = 1\npkg_gpgcheck = 0\ngpgkey = [file:///etc/a, https://b]\n": {"file:///etc/a https://b", false},
		"": {"", true},
	} {
		keys, signed := parseKeys(dump, "base")
		if got := strings.Join(keys, " "); got != want.keys || signed != want.signed {
			t.Errorf("%q: %q, %v", dump, got, signed)
		}
	}
}

func TestSource(t *testing.T) {
	p, err := source(rpm{Name: "kernel-rt-core", Version: "5", Release: "1", Arch: "x86_64", Source: "kernel-rt-5.14.0-1.rt7.el9.src.rpm"})
	if err != nil || p.Name != "kernel-rt" || p.Version != "5.14.0-1.rt7.el9" {
		t.Errorf("%+v, %v", p, err)
	}
	for _, bad := range []string{"", "(none)", "kernel.src.rpm", "kernel-5.14.0-1.x86_64.rpm"} {
		if p, err := source(rpm{Name: "kernel-core", Source: bad}); err == nil {
			t.Errorf("%q: %+v", bad, p)
		}
	}
}

func TestCompiler(t *testing.T) {
	c := kconfig.ParseCompiler("gcc (GCC) 11.5.0 20240719 (Red Hat 11.5.0-2)")
	if c.Version != "11.5.0" || c.Major != 11 {
		t.Errorf("%+v", c)
	}
	if got := (Provider{}).Install(t.Context(), "", (Provider{}).Compiler(c)...); got != "dnf install gcc" {
		t.Error(got)
	}
}
