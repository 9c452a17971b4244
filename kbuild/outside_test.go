package kbuild

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadOutside compiles sources that read a file of the machine, with and without a
// sandbox: each is refused by the file's name, and shows nothing of what is in it.
func TestReadOutside(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("canary of the machine;\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	const rest = "\nint inode_value(void) { return 1; }\n"
	for _, mode := range []Sandbox{SandboxRequire, SandboxOff} {
		opts := fakeOptions(t)
		opts.Sandbox = mode
		tree := mustPrepare(t, opts)
		for name, text := range map[string]string{
			"incbin":             `asm(".incbin \"` + secret + `\"");`,
			"incbin in pieces":   `asm(".inc" "bin \"` + filepath.Dir(secret) + `" "/secret\"");`,
			"incbin by macro":    `asm(".macro m a, b\n.\\a\\()\\b \"` + secret + `\"\n.endm\nm inc, bin");`,
			"include of as":      `asm(".include \"` + secret + `\"");`,
			"include":            `#include "` + secret + `"`,
			"include by macro":   "#define X \"" + secret + "\"\n#include X",
			"include by parents": `#include "` + strings.Repeat("../", 40) + strings.TrimPrefix(secret, "/") + `"`,
			"include of data":    "const char data[] =\n#include \"" + secret + "\"\n;",
		} {
			w := mustWork(t, tree)
			if _, err := w.Before(context.Background(), []string{"fs/demo/inode.o"}); err != nil {
				t.Fatal(err)
			}
			if err := w.Write("fs/demo/inode.c", []byte("#include \"demo.h\"\n#include <linux/demo.h>\n"+text+rest)); err != nil {
				t.Fatal(err)
			}
			_, err := w.After(context.Background(), []string{"fs/demo/inode.o"})
			var outside *OutsideError
			switch {
			case !errors.As(err, &outside):
				t.Errorf("%s, %s: got %v", mode, name, err)
			case !strings.HasSuffix(outside.Path, secret) || strings.Contains(err.Error(), "canary of"):
				t.Errorf("%s, %s: %v", mode, name, err)
			}
		}
	}
}

// TestReadInside: files of the tree may be read by any name.
func TestReadInside(t *testing.T) {
	tree := mustPrepare(t, fakeOptions(t))
	w := mustWork(t, tree)
	text := "#include \"../demo/demo.h\"\n#include \"../../include/linux/demo.h\"\nasm(\".incbin \\\"fs/demo/demo.h\\\"\");\nint inode_value(void) { return 1; }\n"
	if _, err := w.Before(context.Background(), []string{"fs/demo/inode.o"}); err != nil {
		t.Fatal(err)
	}
	if err := w.Write("fs/demo/inode.c", []byte(text)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.After(context.Background(), []string{"fs/demo/inode.o"}); err != nil {
		t.Error(err)
	}
}
