package main

import (
	"context"
	"fmt"

	"github.com/klpforge/klpforge/internal/e2e"
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
	return e2e.WriteEdits(ctx, tree, path, []e2e.Edit{
		{File: cmdlineFile, Old: cmdlineCode, New: fmt.Sprintf("\tseq_puts(m, %q);\n", word(n)) + cmdlineCode},
		{File: loopFile, Old: loopCode, New: fmt.Sprintf("(unsigned long long)lo->lo_offset + %d);", offset(n))},
	})
}
