package kbuild

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const fullDiskVariable = "KLPFORGE_TEST_FULL_DISK"

// TestFullDisk prepares a tree, and makes objects, on disks that are too small
// by a little more or less. What was begun is removed, and with room enough it
// works. It runs in a name space of its own, where anybody may mount.
func TestFullDisk(t *testing.T) {
	if dir := os.Getenv(fullDiskVariable); dir != "" {
		fullDisks(t, dir)
		return
	}
	mustPrepare(t, fakeOptions(t)) // skips without a toolchain
	cmd := exec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
	cmd.Env = append(os.Environ(), fullDiskVariable+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) {
		t.Fatalf("%v: this test needs user name spaces (kernel.unprivileged_userns_clone, user.max_user_namespaces)", err)
	}
	if err != nil || !strings.Contains(string(out), "disks were too small") {
		t.Error(err)
	}
}

func fullDisks(t *testing.T, dir string) {
	small := 0
	for kb := 64; ; kb += kb / 3 {
		must(t, unix.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%dk", kb)))
		opts := fakeOptions(t)
		opts.Cache = filepath.Join(dir, "cache")
		tree, err := Prepare(t.Context(), opts)
		if err == nil {
			err = useAll(t, tree)
		}
		left := leftOver(t, opts.Cache)
		if len(left) > 0 {
			t.Errorf("%d kB, %v: left %q", kb, err, left)
		}
		must(t, unix.Unmount(dir, unix.MNT_DETACH))
		if err == nil {
			break
		}
		small++
		// dash calls it an I/O error.
		if text := strings.ToLower(err.Error()); !strings.Contains(text, "no space left") && !strings.Contains(text, "i/o error") {
			t.Errorf("%d kB: the error does not tell of the disk: %v", kb, err)
		}
		if kb > 64<<10 {
			t.Fatal("it does not fit a disk of 64 MB")
		}
	}
	if small == 0 {
		t.Error("no disk was too small")
	}
	t.Logf("%d disks were too small", small)
}

// useAll makes objects, before and after.
func useAll(t *testing.T, tree *Tree) error {
	work, err := tree.Work(t.Context(), WorkOptions{})
	if err != nil {
		return err
	}
	defer work.Close()
	objects := []string{"fs/demo/inode.o", "init/main.o"}
	if _, err := work.Before(t.Context(), objects); err != nil {
		return err
	}
	_, err = work.After(t.Context(), objects)
	return err
}

// leftOver lists what a run should not leave: temporary files, work trees, and
// trees that are not whole.
func leftOver(t *testing.T, cache string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(cache, path) // path is below
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(d.Name(), ".tmp-"), strings.HasPrefix(rel, "work/") && d.IsDir():
			out = append(out, rel)
		case filepath.Dir(rel) == "trees" && d.IsDir() && d.Name() != "sums" && !exists(filepath.Join(path, "meta.json")):
			out = append(out, rel)
		case d.IsDir() && d.Name() == "linux":
			return filepath.SkipDir
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return out
}
