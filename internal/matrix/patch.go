package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The two livepatches of each row change the same functions, so that the second replaces
// the first: what /proc/cmdline says, which is built in, and what the module loop says of
// a device's offset. Both can be read from user space.
const (
	cmdlineFile = "fs/proc/cmdline.c"
	cmdlineCode = "\tseq_puts(m, saved_command_line);\n"
	loopFile    = "drivers/block/loop.c"
	loopCode    = "(unsigned long long)lo->lo_offset);"
)

// word is what livepatch n puts before the command line.
func word(n int) string { return fmt.Sprintf("matrix%d ", n) }

// offset is what livepatch n adds to a device's offset.
func offset(n int) int { return 4710 + n }

// writePatch writes the patch of livepatch n for the source in tree.
func writePatch(ctx context.Context, tree, path string, n int) error {
	dir, err := os.MkdirTemp(filepath.Dir(path), "patch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, e := range []struct{ file, old, new string }{
		{cmdlineFile, cmdlineCode, fmt.Sprintf("\tseq_puts(m, %q);\n", word(n)) + cmdlineCode},
		{loopFile, loopCode, fmt.Sprintf("(unsigned long long)lo->lo_offset + %d);", offset(n))},
	} {
		text, err := os.ReadFile(filepath.Join(tree, e.file))
		if err != nil {
			return err
		}
		if found := strings.Count(string(text), e.old); found != 1 {
			return fmt.Errorf("%q occurs %d times in %s, want once", e.old, found, e.file)
		}
		for side, text := range map[string]string{"a": string(text), "b": strings.Replace(string(text), e.old, e.new, 1)} {
			p := filepath.Join(dir, side, e.file)
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
				return err
			}
		}
	}
	diff := exec.CommandContext(ctx, "diff", "-ur", "a", "b")
	diff.Dir = dir
	out, err := diff.Output() // exits 1 when the files differ
	if len(out) == 0 {
		return fmt.Errorf("compare the sources before and after: no difference (%v)", err)
	}
	return os.WriteFile(path, out, 0o644)
}
