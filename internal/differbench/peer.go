package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// exitUnchanged is the peer's exit status for a pair without a change.
const exitUnchanged = 3

// environment tells the peer the sizes of table entries.
func (b *bench) environment() []string {
	env := os.Environ()
	for kv := range strings.SplitSeq(b.sizes, ",") {
		if name, size, ok := strings.Cut(kv, "="); ok {
			env = append(env, name+"_STRUCT_SIZE="+size)
		}
	}
	return env
}

// writeSymtab writes the list of symbols that the peer expects of the linked
// kernel: those of the object alone. That of a kernel is far longer and takes the
// peer longer to read.
func writeSymtab(ctx context.Context, path, object string) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "readelf", "-s", "--wide", object)
	cmd.Stdout = out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("list the symbols of %s: %w", object, err)
	}
	return out.Close()
}
