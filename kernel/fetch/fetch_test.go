package fetch

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/kernel/fetch/apt"
	"github.com/klpforge/klpforge/kernel/fetch/provider"
	"github.com/klpforge/klpforge/kernel/kerneltest"
)

// fakeArchive is a package archive behind stand-ins for apt-cache, apt-get and
// dpkg, shell scripts that are put first on PATH. A ".deb" is a tar file.
type fakeArchive struct {
	t    *testing.T
	dir  string
	bin  string
	rows map[string]string // package to its stanzas, newest first
}

func newFakeArchive(t *testing.T) *fakeArchive {
	a := &fakeArchive{t: t, dir: t.TempDir(), bin: t.TempDir(), rows: map[string]string{}}
	script := func(name, text string) {
		kerneltest.Write(t, filepath.Join(a.bin, name), []byte("#!/bin/sh\nA="+a.dir+"\necho \"$0 $*\" >>$A/log\n"+text))
		if err := os.Chmod(filepath.Join(a.bin, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// With a configuration of its own apt works on the suites of that one's sources.
	const suite = `S=$A; [ -z "$APT_CONFIG" ] || S=$A/suites/$(sed -n '1s/.* \([a-z-]*\) main$/\1/p' "$(dirname "$APT_CONFIG")/sources.list")
for p; do :; done
`
	script("apt-config", `echo 'Acquire "";'; echo 'Acquire::http::Proxy "http://proxy:3128";'; echo 'Acquire::IndexTargets::deb::DEP-11 "";'
`)
	script("apt-cache", suite+`[ -f "$S/$p.show" ] || { echo "E: No packages found" >&2; exit 100; }
cat "$S/$p.show"
`)
	script("apt-get", suite+`case "$*" in
*indextargets*) cat "$A/targets"; exit;;
*" source --print-uris"*) [ -f "$S/debian.tar.gz" ] || { echo "E: You must put some deb-src URIs in your sources.list" >&2; exit 100; }
	echo "'https://mirror/linux.debian.tar.gz' linux.debian.tar.gz 1 SHA256:0"; exit;;
*" source "*) cp "$S/debian.tar.gz" linux_1.debian.tar.gz; exit;;
*update) [ -d "$S" ] || { echo "E: The repository does not have a Release file." >&2; exit 100; }; exit;;
esac
f=$(echo "$p" | sed 's/=/_/')
[ -f "$A/fail" ] && { echo "E: Failed to fetch" >&2; exit 100; }
cp "$S/${f}_amd64.deb" . && { [ ! -f "$A/corrupt" ] || echo x >>"${f}_amd64.deb"; }
`)
	script("dpkg", `[ -f "$A/kill" ] && { mkdir -p "$3/half"; rm "$A/kill"; kill -9 $$; }
mkdir -p "$3" && tar -xf "$2" -C "$3"
`)
	t.Setenv("PATH", a.bin+":"+os.Getenv("PATH"))
	return a
}

// add puts a package version into the archive; the newest must come first.
func (a *fakeArchive) add(pkg, version, extra string, files map[string]string) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range files {
		w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg})
		w.Write([]byte(text))
	}
	w.Close()
	file := pkg + "_" + version + "_amd64.deb"
	kerneltest.Write(a.t, filepath.Join(a.dir, file), b.Bytes())
	sum := sha256.Sum256(b.Bytes())
	a.rows[pkg] += fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\n%sDescription: text\n with: a colon\nFilename: pool/%s\nSize: %d\nSHA256: %s\n\n",
		pkg, version, extra, file, b.Len(), hex.EncodeToString(sum[:]))
	kerneltest.Write(a.t, filepath.Join(a.dir, pkg+".show"), []byte(a.rows[pkg]))
}

func (a *fakeArchive) flag(name string) {
	kerneltest.Write(a.t, filepath.Join(a.dir, name), nil)
}

// suite returns another suite of the archive, known to the machine by the addresses
// that its own package sources name.
func (a *fakeArchive) suite(name string) *fakeArchive {
	kerneltest.Write(a.t, filepath.Join(a.dir, "targets"), []byte(
		"Node\x1fnodistro\x1fhttps://other/node/\nDebian Backports\x1fbookworm-backports\x1fhttps://other/backports/\n"+
			"Debian\x1fbookworm\x1fhttps://mirror/debian/\nDebian-Security\x1fbookworm-security\x1fhttps://mirror/security/\n"))
	s := &fakeArchive{t: a.t, dir: filepath.Join(a.dir, "suites", name), bin: a.bin, rows: map[string]string{}}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		a.t.Fatal(err)
	}
	return s
}

// count returns how often a program was run.
func (a *fakeArchive) count(program string) int {
	b, _ := os.ReadFile(filepath.Join(a.dir, "log"))
	return strings.Count(string(b), "/"+program+" ")
}

const (
	relA = "6.1.0-9-amd64"
	relC = "6.1.0-9-cloud-amd64"
)

// standard adds two flavours of one build, laid out like Debian 12's.
func (a *fakeArchive) standard() {
	for _, r := range []string{relA, relC} {
		a.add("linux-image-"+r, "6.1.192-1", "Built-Using: linux (= 6.1.192-1)\nDepends: kmod, linux-base (>= 4.3~), initramfs-tools (>= 0.120) | linux-initramfs-tool\n",
			map[string]string{"boot/vmlinuz-" + r: "image", "lib/modules/" + r + "/kernel/a.ko": "module"})
		a.add("linux-headers-"+r, "6.1.192-1", "Depends: linux-headers-6.1.0-9-common (= 6.1.192-1), linux-kbuild-6.1 (>= 6.1.192-1), linux-compiler-gcc-12-x86\n",
			map[string]string{"usr/src/linux-headers-" + r + "/.config": "CONFIG_A=y\n"})
		a.add("linux-image-"+r+"-dbg", "6.1.192-1", "", map[string]string{"usr/lib/debug/boot/vmlinux-" + r: "debug"})
	}
	a.add("linux-headers-6.1.0-9-common", "6.1.192-1", "", map[string]string{"usr/src/linux-headers-6.1.0-9-common/Makefile": "VERSION = 6\n"})
	a.add("linux-source-6.1", "6.1.192-2", "", map[string]string{"usr/src/linux-source-6.1.tar.xz": "newer source"})
	a.add("linux-source-6.1", "6.1.192-1", "", map[string]string{"usr/src/linux-source-6.1.tar.xz": "source"})
}

func fetch(t *testing.T, release string, o Options) *Result {
	t.Helper()
	f, err := Kernel(context.Background(), release, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func openTarget(t *testing.T, o kernel.Options) *kernel.Target {
	t.Helper()
	tg, err := kernel.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tg.Close() })
	return tg
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

func TestFetch(t *testing.T) {
	a := newFakeArchive(t)
	a.standard()
	c := cachedir.Dir(t.TempDir())
	var said []string
	f := fetch(t, relC, Options{Cache: c, Progress: func(s string) { said = append(said, s) }})
	want := &Result{
		Release: relC, Root: c.TargetRoot(relC), Source: "6.1.192-1", Tarball: filepath.Join(c.TargetSource(relC), "linux-source-6.1.tar.xz"),
		Packages: []string{"linux-headers-6.1.0-9-cloud-amd64=6.1.192-1", "linux-headers-6.1.0-9-common=6.1.192-1", "linux-image-6.1.0-9-cloud-amd64=6.1.192-1"},
		From:     apt.Provider{},
	}
	if d := cmp.Diff(want, f); d != "" {
		t.Error(d)
	}
	if content(t, f.Tarball) != "source" || content(t, filepath.Join(f.Root, "boot/vmlinuz-"+relC)) != "image" {
		t.Error("wrong files")
	}
	if len(said) == 0 {
		t.Error("no progress")
	}
	// Again: nothing is asked, downloaded or unpacked.
	before := a.count("apt-cache") + a.count("dpkg")
	if f := fetch(t, relC, Options{Cache: c}); !f.Reused || f.Tarball != want.Tarball {
		t.Errorf("%+v", f)
	}
	if a.count("apt-cache")+a.count("dpkg") != before {
		t.Error("apt was asked again")
	}
	// Another flavour shares the common headers and the tarball.
	before = a.count("apt-get")
	g := fetch(t, relA, Options{Cache: c})
	if n := a.count("apt-get") - before; n != 2 {
		t.Errorf("%d downloads for the second flavour, want 2", n)
	}
	s1, _ := os.Stat(f.Tarball)
	s2, _ := os.Stat(g.Tarball)
	if !os.SameFile(s1, s2) {
		t.Error("the tarball is not shared")
	}
	// The debug package joins an unpacked target later.
	fetch(t, relC, Options{Cache: c, IncludeDbg: true})
	if content(t, filepath.Join(f.Root, "usr/lib/debug/boot/vmlinux-"+relC)) != "debug" || content(t, filepath.Join(f.Root, "boot/vmlinuz-"+relC)) != "image" {
		t.Error("debug package not unpacked")
	}
	if f := fetch(t, relC, Options{Cache: c}); !f.Reused {
		t.Error("a target with more than wanted is not reused")
	}
	left, _ := filepath.Glob(filepath.Join(c.Target(relC), ".tmp-*"))
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if tg := openTarget(t, kernel.Options{Release: relC, Root: t.TempDir(), Cache: c}); tg != nil {
		if cfg, err := tg.Config(); err == nil {
			t.Errorf("config at %s", cfg.Path)
		}
		if s, err := tg.Source(); err != nil || s.Version != "6.1.192-1" {
			t.Errorf("%+v, %v", s, err)
		}
	}
}

func TestFetchImageOnly(t *testing.T) {
	a := newFakeArchive(t)
	a.standard()
	c := cachedir.Dir(t.TempDir())
	f := fetch(t, relC, Options{Cache: c, ImageOnly: true})
	if len(f.Packages) != 1 || f.Tarball != "" || f.Source != "" {
		t.Errorf("%+v", f)
	}
	// The rest can follow, and a debug package that is there stays.
	fetch(t, relC, Options{Cache: c, ImageOnly: true, IncludeDbg: true})
	f = fetch(t, relC, Options{Cache: c})
	if len(f.Packages) != 4 || f.Tarball == "" || !exists(filepath.Join(f.Root, "usr/lib/debug/boot/vmlinux-"+relC)) {
		t.Errorf("%+v", f)
	}
}

func TestFetchSplitPackages(t *testing.T) {
	a := newFakeArchive(t)
	const r, v = "7.2.13+deb14-cloud-amd64", "7.2.13-1"
	a.add("linux-image-"+r, v, "Depends: dracut | initramfs-tools, linux-base-"+r+" (= "+v+"), linux-binary-"+r+" (= "+v+"), linux-modules-"+r+" (= "+v+")\nPre-Depends: linux-base (>= 4.17~)\n", nil)
	a.add("linux-binary-"+r, v, "Built-Using: linux (= "+v+")\n", map[string]string{"usr/lib/modules/" + r + "/vmlinuz": "image"})
	a.add("linux-modules-"+r, v, "", map[string]string{"usr/lib/modules/" + r + "/kernel/a.ko": "m"})
	a.add("linux-base-"+r, v, "", map[string]string{"usr/lib/modules/" + r + "/config": "CONFIG_A=y\n"})
	c := cachedir.Dir(t.TempDir())
	fetch(t, r, Options{Cache: c, ImageOnly: true})
	tg := openTarget(t, kernel.Options{Release: r, Root: t.TempDir(), Cache: c})
	if cfg, err := tg.Config(); err != nil || !cfg.Bool("A") {
		t.Errorf("%v", err)
	}
	if p, err := tg.ImagePath(); err != nil || content(t, p) != "image" {
		t.Errorf("%v", err)
	}
}

func TestFetchNotInArchive(t *testing.T) {
	a := newFakeArchive(t)
	a.suite("bookworm")
	a.add("linux-image-"+relC, "6.1.100-1", "", map[string]string{"boot/x": "x"})
	a.add("linux-headers-"+relC, "6.1.100-1", "", nil)
	a.add("linux-source-6.1", "6.1.192-1", "", nil)
	_, err := Kernel(context.Background(), relC, Options{Cache: cachedir.Dir(t.TempDir())})
	var ne *provider.NotInArchiveError
	if !errors.As(err, &ne) || ne.Package != "linux-source-6.1" || ne.Version != "6.1.100-1" || len(ne.Available) != 1 || !strings.Contains(err.Error(), "6.1.192-1") {
		t.Errorf("%v", err)
	}
	_, err = Kernel(context.Background(), "9.9.9-none", Options{Cache: cachedir.Dir(t.TempDir())})
	if !errors.As(err, &ne) || ne.Package != "linux-image-9.9.9-none" || ne.Version != "" {
		t.Errorf("%v", err)
	}
	if _, err := Kernel(context.Background(), "../x", Options{Cache: cachedir.Dir(t.TempDir())}); err == nil {
		t.Error("no error for a release that leaves the cache")
	}
}

func TestFetchWithoutApt(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := Kernel(context.Background(), relC, Options{Cache: cachedir.Dir(t.TempDir())}); !errors.Is(err, ErrNoProvider) {
		t.Errorf("%v", err)
	}
}

// What fails half-way leaves nothing that looks complete, and a second run
// mends it.
func TestFetchInterrupted(t *testing.T) {
	for _, what := range []string{"fail", "corrupt", "kill"} {
		t.Run(what, func(t *testing.T) {
			a := newFakeArchive(t)
			a.standard()
			c := cachedir.Dir(t.TempDir())
			a.flag(what)
			if f, err := Kernel(context.Background(), relC, Options{Cache: c}); err == nil {
				t.Fatalf("no error: %+v", f)
			} else if what == "corrupt" && !strings.Contains(err.Error(), "SHA256") {
				t.Error(err)
			}
			if exists(c.TargetRoot(relC)) || exists(filepath.Join(c.Target(relC), "manifest.json")) {
				t.Error("an incomplete target is visible")
			}
			os.Remove(filepath.Join(a.dir, what))
			f := fetch(t, relC, Options{Cache: c})
			if exists(filepath.Join(f.Root, "half")) || content(t, filepath.Join(f.Root, "boot/vmlinuz-"+relC)) != "image" {
				t.Error("not mended")
			}
		})
	}
}

func TestFetchRemovesLeftoversOfAKilledRun(t *testing.T) {
	a := newFakeArchive(t)
	a.standard()
	c := cachedir.Dir(t.TempDir())
	kerneltest.Write(t, filepath.Join(c.Target(relC), ".tmp-root-123/half"), nil)
	fetch(t, relC, Options{Cache: c})
	if exists(filepath.Join(c.Target(relC), ".tmp-root-123")) {
		t.Error("leftovers stay")
	}
}

func TestFetchShared(t *testing.T) {
	a := newFakeArchive(t)
	a.standard()
	c := cachedir.Dir(t.TempDir())
	var wg sync.WaitGroup
	for _, r := range []string{relA, relC, relC, relA} {
		wg.Go(func() {
			if _, err := Kernel(context.Background(), r, Options{Cache: c}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// The image and headers of each and the common headers once; the
	// source once or twice, since the two may not see each other's yet.
	if n := a.count("apt-get"); n < 6 || n > 7 {
		t.Errorf("%d downloads", n)
	}
}

// A release that the machine's own sources lack is looked for in the suite that its name
// tells.
func TestFetchFromSuite(t *testing.T) {
	const r, v = "6.12.117+deb13-amd64", "6.12.117-1"
	a := newFakeArchive(t)
	trixie := a.suite("trixie")
	a.suite("trixie-security")
	trixie.add("linux-image-"+r, v, "Built-Using: linux (= "+v+")\n", map[string]string{"boot/vmlinuz-" + r: "image"})
	trixie.add("linux-headers-"+r, v, "", map[string]string{"usr/src/linux-headers-" + r + "/.config": "CONFIG_A=y\n"})
	trixie.add("linux-source-6.12", v, "", map[string]string{"usr/src/linux-source-6.12.tar.xz": "source"})
	trixie.add("gcc-14", "14.2.0-19", "", nil)
	a.add("gcc-12", "12.2.0-14", "", nil)

	c := cachedir.Dir(t.TempDir())
	f := fetch(t, r, Options{Cache: c})
	if content(t, filepath.Join(f.Root, "boot/vmlinuz-"+r)) != "image" || content(t, f.Tarball) != "source" {
		t.Error("wrong files")
	}
	lists := c.Lists("trixie")
	if s := content(t, filepath.Join(lists, "sources.list")); strings.Count(s, "\n") != 2 || !strings.Contains(s, "https://mirror/debian/ trixie main\n") ||
		!strings.Contains(s, "https://mirror/security/ trixie-security main\n") {
		t.Errorf("sources.list: trixie and its security fixes are there, its updates are not; have\n%s", s)
	}
	conf := content(t, filepath.Join(lists, "apt.conf"))
	for want, has := range map[string]bool{"Acquire::http::Proxy": true, "DEP-11": false, `Dir::State "` + lists + `"`: true, `Dir::Etc::parts "` + lists + "/none": true} {
		if strings.Contains(conf, want) != has {
			t.Errorf("apt.conf has %q: %v, want %v", want, !has, has)
		}
	}

	// What another suite's compiler is installed with depends on what this machine has.
	ctx := t.Context()
	if got := f.From.Install(ctx, f.Suite, "gcc-12"); got != "apt-get install gcc-12" {
		t.Error(got)
	}
	for range 2 { // also of a kernel that was there already
		if got := f.From.Install(ctx, f.Suite, "gcc-12", "gcc-14"); !strings.Contains(got, "userland of trixie") {
			t.Error(got)
		}
		f = fetch(t, r, Options{Cache: c})
	}
	if got := f.From.Install(ctx, "", "gcc-14"); !strings.Contains(got, "do not have gcc-14") {
		t.Error(got)
	}

	// Lists that are a day old are read again, younger ones only when a release is missing.
	update := func(release string, o Options) (int, error) {
		before := a.count("apt-get -q -o APT::Get::List-Cleanup=false")
		_, err := Kernel(ctx, release, o)
		return a.count("apt-get -q -o APT::Get::List-Cleanup=false") - before, err
	}
	o := Options{Cache: c, Suite: "trixie", ImageOnly: true}
	old := func(age time.Duration) {
		at := time.Now().Add(-age)
		if err := os.Chtimes(filepath.Join(lists, "stamp"), at, at); err != nil {
			t.Fatal(err)
		}
	}
	os.RemoveAll(c.Target(r))
	old(time.Hour)
	if n, err := update(r, o); n != 0 || err != nil {
		t.Errorf("%d updates, %v", n, err)
	}
	var gone *provider.NotInArchiveError
	if n, err := update("6.12.1+deb13-amd64", o); n != 3 || !errors.As(err, &gone) || !strings.Contains(err.Error(), "suite trixie") {
		t.Errorf("%d updates, %v", n, err)
	}
	os.RemoveAll(c.Target(r))
	old(25 * time.Hour)
	if n, err := update(r, o); n != 3 || err != nil {
		t.Errorf("%d updates, %v", n, err)
	}

	for _, bad := range []string{"../x", "trixie main\ndeb http://evil x", "-o"} {
		if _, err := Kernel(ctx, "1.2.3", Options{Cache: c, Suite: bad}); err == nil || !strings.Contains(err.Error(), "not the name of a suite") {
			t.Errorf("suite %q: %v", bad, err)
		}
	}
	if _, err := Kernel(ctx, "5.10.0-1-amd64", Options{Cache: c}); err == nil || !strings.Contains(err.Error(), "bullseye") {
		t.Errorf("a suite that the archive does not have: %v", err)
	}
	kerneltest.Write(t, filepath.Join(a.dir, "targets"), []byte("Node\x1fnodistro\x1fhttps://other/node/\n"))
	if _, err := Kernel(ctx, "7.2.1+deb14-amd64", Options{Cache: c}); err == nil || !strings.Contains(err.Error(), "is Debian's archive") {
		t.Errorf("without a source of Debian: %v", err)
	}
}

// A flavour with PREEMPT_RT of a line that did not have it yet is built from patched source, which
// it does not share with the other flavours.
func TestFetchPatchedForRT(t *testing.T) {
	const rt, other, v = "6.1.0-9-rt-amd64", "6.1.0-9-amd64", "6.1.192-1"
	pack := func(files map[string]string) string {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for name, text := range files {
			w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg})
			w.Write([]byte(text))
		}
		w.Close()
		return b.String()
	}
	a := newFakeArchive(t)
	bookworm := a.suite("bookworm")
	for _, r := range []string{rt, other} {
		for _, at := range []*fakeArchive{a, bookworm} {
			at.add("linux-image-"+r, v, "", map[string]string{"boot/vmlinuz-" + r: "image"})
			at.add("linux-headers-"+r, v, "", map[string]string{"usr/src/linux-headers-" + r + "/.config": "CONFIG_A=y\n"})
		}
	}
	source := pack(map[string]string{"linux-source-6.1/a.c": "one\ntwo\nthree\n"})
	for _, at := range []*fakeArchive{a, bookworm} {
		at.add("linux-source-6.1", v, "", map[string]string{"usr/src/linux-source-6.1.tar.xz": source})
	}
	change := func(from, to string) string {
		return "--- a/a.c\n+++ b/a.c\n@@ -1,3 +1,3 @@\n one\n-" + from + "\n+" + to + "\n three\n"
	}
	debian := func(second string) {
		kerneltest.Write(t, filepath.Join(bookworm.dir, "debian.tar.gz"), []byte(pack(map[string]string{
			"debian/patches/series": "none\n", "debian/patches-rt/series": "# first\n0001.patch\n\n0002.patch # last\n",
			"debian/patches-rt/0001.patch": change("two", "2"), "debian/patches-rt/0002.patch": change(second, "II"),
		})))
	}

	c := cachedir.Dir(t.TempDir())
	debian("another")
	if f, err := Kernel(t.Context(), rt, Options{Cache: c}); err == nil || !strings.Contains(err.Error(), "apply 0002.patch") {
		t.Errorf("a patch that does not apply: %+v, %v", f, err)
	}
	debian("2")
	plain := fetch(t, other, Options{Cache: c})
	patched := fetch(t, rt, Options{Cache: c})
	if plain.Suite != "" || patched.Suite != "bookworm" {
		t.Errorf("suites %q and %q: only the patches need another source", plain.Suite, patched.Suite)
	}
	if filepath.Base(plain.Tarball) != "linux-source-6.1.tar.xz" || filepath.Base(patched.Tarball) != "linux-source-6.1-rt.tar.zst" {
		t.Errorf("%s, %s", plain.Tarball, patched.Tarball)
	}
	out, err := exec.Command("tar", "--zstd", "-xOf", patched.Tarball, "linux/a.c").CombinedOutput()
	if err != nil || string(out) != "one\nII\nthree\n" {
		t.Errorf("%q, %v", out, err)
	}
	if content(t, plain.Tarball) != source {
		t.Error("the source of the other flavour has changed")
	}

	// Earlier versions fetched the source without the patches.
	if err := os.Rename(patched.Tarball, filepath.Join(filepath.Dir(patched.Tarball), "linux-source-6.1.tar.xz")); err != nil {
		t.Fatal(err)
	}
	if again := fetch(t, rt, Options{Cache: c}); again.Reused || again.Tarball != patched.Tarball {
		t.Errorf("%+v", again)
	}

	os.Remove(filepath.Join(bookworm.dir, "debian.tar.gz"))
	var gone *provider.NotInArchiveError
	if _, err := Kernel(t.Context(), rt, Options{Cache: cachedir.Dir(t.TempDir())}); !errors.As(err, &gone) || gone.Package != "linux (source)" {
		t.Errorf("without source packages: %v", err)
	}
}
