package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// reproduceEdits touch vmlinux and a module, add a function and data.
var reproduceEdits = []edit{
	{"fs/proc/cmdline.c", "static int cmdline_proc_show(", "static unsigned long shown;\n\nstatic noinline unsigned long count_shown(void)\n{\n\tWARN_ON_ONCE(!shown);\n\treturn ++shown;\n}\n\nstatic int cmdline_proc_show("},
	{"fs/proc/cmdline.c", "\tseq_putc(m, '\\n');\n", "\tseq_printf(m, \" #%lu\\n\", count_shown());\n"},
	utf8Edit,
}

// TestReproducible builds one patch in many ways: the module is always the
// same, byte for byte.
func TestReproducible(t *testing.T) {
	t.Parallel()
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	patch := c.patch(t, reproduceEdits...)
	ko := filepath.Join(t.TempDir(), "fix.ko")
	emitted := filepath.Join(t.TempDir(), "src")
	c.build(t, exitDone, nil, ko, "--jobs", "1", "--emit", emitted, patch)
	want := readFile(t, ko)
	same := func(t *testing.T, ko string) {
		t.Helper()
		got := readFile(t, ko)
		if bytes.Equal(got, want) {
			return
		}
		first := 0
		for first < min(len(got), len(want)) && got[first] == want[first] {
			first++
		}
		t.Errorf("%s differs: %d bytes, want %d; first at %#x", ko, len(got), len(want), first)
		if dir := os.Getenv("KLPFORGE_E2E_KEEP"); dir != "" {
			os.WriteFile(filepath.Join(dir, "want.ko"), want, 0o644)
			os.WriteFile(filepath.Join(dir, "got.ko"), got, 0o644)
		}
	}

	t.Run("later and elsewhere with more jobs", func(t *testing.T) {
		time.Sleep(time.Second)
		dir := filepath.Join(t.TempDir(), "a-much-longer-name", "below")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		again := writeTemp(t, "fix.patch", string(readFile(t, patch)))
		c.runIn(t, dir, "build", "-k", c.release, "-o", "fix.ko", "--jobs", "7", again).want(t, exitDone)
		same(t, filepath.Join(dir, "fix.ko"))
	})

	t.Run("several runs at once", func(t *testing.T) {
		other := c.patch(t, cmdlineEdit)
		alone := filepath.Join(t.TempDir(), "other.ko")
		c.build(t, exitDone, nil, alone, other)
		type job struct{ patch, ko string }
		var jobs []job
		for range 2 {
			jobs = append(jobs, job{patch, filepath.Join(t.TempDir(), "fix.ko")}, job{other, filepath.Join(t.TempDir(), "other.ko")})
		}
		done := make(chan error)
		for _, j := range jobs {
			go func() {
				out, err := c.command(t.Context(), "build", "-k", c.release, "-o", j.ko, j.patch).CombinedOutput()
				if err != nil {
					err = fmt.Errorf("%w: %s", err, out)
				}
				done <- err
			}()
		}
		for range jobs {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		for _, j := range jobs {
			if j.patch == patch {
				same(t, j.ko)
			} else if !bytes.Equal(readFile(t, j.ko), readFile(t, alone)) {
				t.Errorf("%s differs from the one built alone", j.ko)
			}
		}
	})

	t.Run("explicit paths", func(t *testing.T) {
		root := string(e.Cache.TargetRoot(c.release))
		sources, err := filepath.Glob(filepath.Join(e.Cache.TargetSource(c.release), "*.tar.*"))
		if err != nil || len(sources) != 1 {
			t.Fatalf("source of %s: %q, %v", c.release, sources, err)
		}
		headers := filepath.Join(root, "usr/src/linux-headers-"+c.release)
		parts := []string{"--root", t.TempDir(), "--source", sources[0],
			"--config", filepath.Join(root, "boot/config-"+c.release), "--symvers", filepath.Join(headers, "Module.symvers"),
			"--headers", headers, "--image", filepath.Join(root, "boot/vmlinuz-"+c.release),
			"--modules", filepath.Join(root, "lib/modules", c.release)}
		for _, release := range [][]string{{"-k", c.release}, nil} {
			ko := filepath.Join(t.TempDir(), "fix.ko")
			c.run(t, slices.Concat([]string{"build", "-o", ko}, release, parts, []string{patch})...).want(t, exitDone)
			same(t, ko)
		}
	})

	t.Run("emitted sources and plain make", func(t *testing.T) {
		// Write bits of the tree, which all tests share, are what a hostile makefile of another may set.
		before := fingerprint(t, c.tree, 0o222)
		cmd := exec.CommandContext(t.Context(), "make", "KDIR="+c.tree, "KLPFORGE="+c.bin)
		cmd.Dir = emitted
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make: %v\n%s", err, out)
		}
		same(t, filepath.Join(emitted, "fix.ko"))
		if fingerprint(t, c.tree, 0o222) != before {
			t.Error("make changed the prepared tree")
		}
		c.run(t, "verify", "-k", c.release, filepath.Join(emitted, "fix.ko")).want(t, exitDone)
	})

	t.Run("other root and source and cache", func(t *testing.T) {
		root, source := unpackPackages(t, e), e.unpackedSource(t)
		fresh := *c
		fresh.cache = ownCache(t, e, t.TempDir())
		// Nothing of the shared cache is to be used.
		if err := os.Remove(filepath.Join(string(fresh.cache), "targets")); err != nil {
			t.Fatal(err)
		}
		before := fingerprint(t, source, 0)
		ko := filepath.Join(t.TempDir(), "fix.ko")
		fresh.run(t, "build", "-k", c.release, "--root", root, "--source", source, "--jobs", "3", "-o", ko, patch).want(t, exitDone)
		same(t, ko)
		if fingerprint(t, source, 0) != before {
			t.Error("the user's source tree was changed")
		}
	})
}

// fingerprint hashes what changes when anything in a tree is written to:
// names, modes but for some bits, inodes, times and contents.
func fingerprint(t *testing.T, dir string, without fs.FileMode) string {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		// The inode's time says more than that of the file, but links that other runs make and remove
		// change it too: what is in the file decides.
		var content [sha256.Size]byte
		if info.Mode().IsRegular() {
			text, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			content = sha256.Sum256(text)
		}
		st := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(h, "%s %v %d %d %x\n", p, info.Mode()&^without, st.Mtim.Nano(), st.Ino, content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// unpackPackages unpacks the release's packages with dpkg -x, nothing else.
func unpackPackages(t *testing.T, e *Env) string {
	t.Helper()
	root := t.TempDir()
	for _, pkg := range []string{"linux-image-" + CloudRelease, "linux-headers-" + CloudRelease, "linux-headers-6.1.0-55-common"} {
		deb, err := e.deb(t.Context(), pkg, BrokenSource)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "dpkg", "-x", deb, root).CombinedOutput(); err != nil {
			t.Fatalf("unpack %s: %v: %s", deb, err, out)
		}
	}
	return root
}

// unpackedSource returns a directory with the release's source, as a user
// keeps it. It stays in the cache.
func (e *Env) unpackedSource(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(string(e.Cache), "e2e", "linux-"+BrokenSource)
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	tarballs, err := filepath.Glob(filepath.Join(e.Cache.TargetSource(CloudRelease), "*.tar.xz"))
	if err != nil || len(tarballs) != 1 {
		t.Fatalf("source of %s: %q, %v", CloudRelease, tarballs, err)
	}
	tmp := fmt.Sprintf("%s.%d.tmp", dir, os.Getpid())
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "tar", "-C", tmp, "--strip-components=1", "-xJf", tarballs[0])
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("unpack the source: %v: %s", err, out)
	}
	if err := os.Rename(tmp, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}
