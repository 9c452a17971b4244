package kbuild

import (
	"context"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTypeFlags: whatever a configuration says of debug information, the object has it,
// complete and in itself.
func TestTypeFlags(t *testing.T) {
	dir := t.TempDir()
	src := filepath.Join(dir, "t.c")
	if err := os.WriteFile(src, []byte("struct s { int member_of_s; };\nint f(struct s *p);\nint f(struct s *p) { return p->member_of_s; }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for option, flags := range map[string]string{
		"":                           "",
		"DEBUG_INFO_SPLIT":           "-g -gsplit-dwarf",
		"DEBUG_INFO_REDUCED":         "-g -femit-struct-debug-baseonly",
		"DEBUG_INFO_COMPRESSED_ZLIB": "-g -gz=zlib",
	} {
		tree := &Tree{Dir: t.TempDir()}
		if err := os.WriteFile(filepath.Join(tree.Dir, ".config"), []byte("CONFIG_X=y\nCONFIG_"+option+"=y\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		obj := filepath.Join(dir, "t.o")
		args := append(strings.Fields(flags), strings.Fields(tree.typeFlags())...)
		if out, err := exec.Command("gcc", append(args, "-O2", "-c", "-o", obj, src)...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", option, err, out)
		}
		f, err := elf.Open(obj)
		if err != nil {
			t.Fatal(err)
		}
		str := f.Section(".debug_str")
		if f.Section(".debug_info") == nil || str == nil || str.Flags&elf.SHF_COMPRESSED != 0 {
			t.Errorf("%s: no debug information, or it is packed", option)
		} else if text, err := str.Data(); err != nil || !strings.Contains(string(text), "member_of_s") {
			t.Errorf("%s: the type is not described (%v)", option, err)
		}
		f.Close()
	}
}

// TestRealTypeFlags: the code is the same with types and without.
func TestRealTypeFlags(t *testing.T) {
	tree := e2eTree(t)
	w, err := tree.Work(context.Background(), WorkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	objs := []string{"fs/proc/meminfo.o", "fs/ext4/mballoc.o", "kernel/signal.o", "net/ipv4/tcp_input.o", "drivers/net/virtio_net.o"}
	built, err := w.Before(context.Background(), objs)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range built {
		plain := filepath.Join(t.TempDir(), "plain.o")
		cmd := strings.ReplaceAll(strings.ReplaceAll(b.Command, tree.typeFlags(), "-g0"), b.Object, plain)
		if cmd == b.Command {
			t.Fatalf("the command has no %s: %s", tree.typeFlags(), b.Command)
		}
		sh := exec.Command("sh", "-c", "set -e; "+cmd)
		sh.Dir = w.Dir
		if out, err := sh.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		typed := filepath.Join(t.TempDir(), "typed.o")
		if out, err := exec.Command("objcopy", "--strip-debug", b.Path, typed).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if out, err := exec.Command("objcopy", "--strip-debug", plain).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		dump := func(name string) string {
			out, err := exec.Command("objdump", "-drs", name).Output()
			if err != nil {
				t.Fatal(err)
			}
			_, text, _ := strings.Cut(string(out), "file format")
			return text
		}
		if dump(typed) != dump(plain) {
			t.Errorf("%s: other code with types than without", b.Object)
		}
	}
}
