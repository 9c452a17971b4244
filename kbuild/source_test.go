package kbuild

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

func pack(t *testing.T, headers []tar.Header, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(text))
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			w.Write([]byte(text))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestTarball(t *testing.T) {
	old := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	plain := pack(t, []tar.Header{
		{Name: "linux-6.1/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "linux-6.1/Makefile", ModTime: old},
		{Name: "linux-6.1/scripts/run.sh", Mode: 0o755, ModTime: time.Now().Add(time.Hour)},
		{Name: "linux-6.1/link", Typeflag: tar.TypeSymlink, Linkname: "scripts"},
	}, "text\n")
	compress := map[string]func(w *bytes.Buffer){
		"plain": func(w *bytes.Buffer) { w.Write(plain) },
		"gz":    func(w *bytes.Buffer) { z := gzip.NewWriter(w); z.Write(plain); z.Close() },
		"zst":   func(w *bytes.Buffer) { z, _ := zstd.NewWriter(w); z.Write(plain); z.Close() },
		"xz":    func(w *bytes.Buffer) { z, _ := xz.NewWriter(w); z.Write(plain); z.Close() },
	}
	unpack := func(t *testing.T, path string) {
		src, err := openSource(path, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		dst := t.TempDir()
		files, err := src.copyTo(context.Background(), dst, 2, func(int, int) {}, func() {})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]bool{"Makefile": true, "scripts/run.sh": true, "link": true}, files); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		if got := string(mustRead(t, filepath.Join(dst, "link/run.sh"))); got != "text\n" {
			t.Errorf("contents %q", got)
		}
		info, err := os.Stat(filepath.Join(dst, "scripts/run.sh"))
		if err != nil || info.Mode().Perm()&0o111 == 0 || info.ModTime().After(time.Now()) {
			t.Errorf("run.sh: %v %v", info, err)
		}
		if info, err = os.Stat(filepath.Join(dst, "Makefile")); err != nil || !info.ModTime().Equal(old) {
			t.Errorf("Makefile: %v %v", info, err)
		}
	}
	for name, f := range compress {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			f(&b)
			path := filepath.Join(t.TempDir(), "source.tar")
			if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			unpack(t, path)
			if name == "xz" {
				t.Setenv("PATH", "/nonexistent") // without the command
				if _, err := exec.LookPath("xz"); err == nil {
					t.Fatal("xz is still found")
				}
				unpack(t, path)
			}
		})
	}
}

func TestTarballIdentity(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.tar")
	identity := func(text string) string {
		if text != "" {
			if err := os.WriteFile(path, pack(t, []tar.Header{{Name: "l/f"}}, text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		src, err := openSource(path, dir)
		if err != nil {
			t.Fatal(err)
		}
		id, err := src.identity(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	a := identity("one")
	if again := identity(""); again != a {
		t.Error("identity is not stable")
	}
	if b := identity("a longer text"); b == a {
		t.Error("identity does not follow contents")
	}
}

func TestHostileTarballs(t *testing.T) {
	good := pack(t, []tar.Header{{Name: "linux/a"}, {Name: "linux/b"}}, strings.Repeat("x", 4096))
	tests := map[string][]byte{
		"escape":        pack(t, []tar.Header{{Name: "linux/../../evil"}}, "x"),
		"absolute":      pack(t, []tar.Header{{Name: "/etc/evil"}}, "x"),
		"no top":        pack(t, []tar.Header{{Name: "evil"}}, "x"),
		"device":        pack(t, []tar.Header{{Name: "linux/dev", Typeflag: tar.TypeChar}}, ""),
		"through link":  pack(t, []tar.Header{{Name: "linux/d", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}, {Name: "linux/d/evil"}}, "x"),
		"truncated":     good[:len(good)/2],
		"empty":         pack(t, nil, ""),
		"not a tarball": []byte("hello, world, this is text"),
		"truncated xz":  []byte("\xfd7zXZ\x00\x00\x04"),
		"short":         {1},
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "x.tar")
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
			dst := filepath.Join(dir, "a", "b")
			if err := os.MkdirAll(dst, 0o755); err != nil {
				t.Fatal(err)
			}
			if _, err := (tarball{path: path}).copyTo(context.Background(), dst, 2, func(int, int) {}, func() {}); err == nil {
				t.Error("no error")
			}
			if exists(filepath.Join(dir, "evil")) || exists(filepath.Join(dir, "a", "evil")) || exists("/tmp/evil") {
				t.Error("a file was written outside")
			}
		})
	}
}

func TestDirectory(t *testing.T) {
	ctx := context.Background()
	src := t.TempDir()
	write := func(rel, text string) {
		path := filepath.Join(src, rel)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"Makefile", "fs/a.c", "arch/x86/include/asm/a.h", ".clang-format", "include/linux/config/x.h"} {
		write(f, "source")
	}
	identity := func() string {
		id, err := directory(src).identity(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	clean := identity()
	for _, f := range []string{".git/HEAD", ".config", ".config.old", "fs/a.o", "fs/.a.o.cmd", "fs/a.ko", "fs/a.mod.c", "vmlinux", "System.map", "Module.symvers", "include/generated/x.h", "include/config/auto.conf", "arch/x86/include/generated/asm/b.h", "modules.order"} {
		write(f, "built")
	}
	if identity() != clean {
		t.Error("a build in the source tree changes its identity")
	}
	dst := t.TempDir()
	if err := os.Symlink("a.c", filepath.Join(src, "fs/link.c")); err != nil {
		t.Fatal(err)
	}
	configurable := 0
	files, err := directory(src).copyTo(ctx, dst, 2, func(int, int) {}, func() {
		configurable++
		if !exists(filepath.Join(dst, "Makefile")) || exists(filepath.Join(dst, "fs/a.c")) {
			t.Error("a source was copied before what configuring reads")
		}
	})
	if configurable != 1 {
		t.Errorf("ready to be configured %d times", configurable)
	}
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for f := range files {
		got = append(got, f)
		if !exists(filepath.Join(dst, f)) {
			t.Errorf("%s was not copied", f)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{".clang-format", "Makefile", "arch/x86/include/asm/a.h", "fs/a.c", "fs/link.c", "include/linux/config/x.h"}, got); diff != "" {
		t.Errorf("copied (-want +got):\n%s", diff)
	}
	a, _ := os.Stat(filepath.Join(src, "fs/a.c"))
	b, _ := os.Stat(filepath.Join(dst, "fs/a.c"))
	if os.SameFile(a, b) {
		t.Error("the copy shares the user's file")
	}
	write("fs/a.c", "changed")
	if identity() == clean {
		t.Error("identity does not follow contents")
	}
}

func TestRunKillsTheProcessGroup(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := command{name: "sleep", env: baseEnv(), argv: []string{"sh", "-c", "sleep 60 & sleep 60"}}.run(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 10*time.Second {
		t.Errorf("error %v after %v", err, time.Since(start))
	}
}

func TestRunEnvironment(t *testing.T) {
	t.Setenv("CFLAGS", "-O0")
	t.Setenv("KBUILD_OUTPUT", "/elsewhere")
	t.Setenv("MAKEFLAGS", "-n")
	t.Setenv("CCACHE_DIR", "/cc")
	out, err := command{name: "env", env: baseEnv(), argv: []string{"env"}}.run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"CFLAGS=", "KBUILD_OUTPUT=", "MAKEFLAGS="} {
		if strings.Contains(string(out), bad) {
			t.Errorf("%s reaches commands", bad)
		}
	}
	if !strings.Contains(string(out), "CCACHE_DIR=/cc\n") || !strings.Contains(string(out), "LC_ALL=C\n") {
		t.Errorf("environment: %s", out)
	}
}

func TestSummarize(t *testing.T) {
	got := summarize([]byte("  CC a.o\na.c:1: error: bad\n  CC b.o\nmake[1]: *** [a.o] Error 1\n"))
	if got != "a.c:1: error: bad" {
		t.Errorf("%q", got)
	}
	if got := summarize([]byte("one\ntwo\n")); got != "one\ntwo" {
		t.Errorf("%q", got)
	}
}

// TestLeftBehind tells what builds leave behind from sources, among them the key that a
// kernel signs its modules with.
func TestLeftBehind(t *testing.T) {
	for rel, want := range map[string]bool{
		"init/main.o": true, "init/.main.o.cmd": true, "fs/ext4/ext4.ko": true, "fs/ext4/ext4.mod.c": true, "vmlinux": true, "vmlinux.o": true, "System.map": true,
		"Module.symvers": true, ".config": true, ".config.old": true, ".tmp_vmlinux.kallsyms1.S": true, "certs/signing_key.pem": true, "certs/signing_key.x509": true,
		"init/main.c": false, "certs/extract-cert.c": false, "certs/default_x509.genkey": false, "kernel/configs/x86_debug.config": false, "Makefile": false,
	} {
		if got := built(rel, false); got != want {
			t.Errorf("%s: left behind by a build: %v, want %v", rel, got, want)
		}
	}
	for rel, want := range map[string]bool{
		".git": true, "include/generated": true, "arch/x86/include/generated": true, "include/config": true, ".thinlto-cache": true, "kernel": false, "kernel/configs": false,
	} {
		if got := built(rel, true); got != want {
			t.Errorf("%s/: left behind by a build: %v, want %v", rel, got, want)
		}
	}
}

// TestBehind: a step that fails while the source cannot be copied is not what the user is told of.
func TestBehind(t *testing.T) {
	step, full := errors.New("make olddefconfig failed"), errors.New("no space left on device")
	for _, test := range []struct{ copying, step, want error }{
		{nil, step, step},
		{context.Canceled, step, step}, // stopped because the step failed
		{full, step, full},
		{full, full, full},
	} {
		got := (&sourceCopy{err: test.copying}).behind(test.step)
		if !errors.Is(got, test.want) || test.want == full && errors.Is(got, step) {
			t.Errorf("copying %v, step %v: %v", test.copying, test.step, got)
		}
	}
}
