package kbuild

import (
	"context"
	"strings"
)

// Unlisted says why a symbol that the target's source names may be in none of its
// symbol tables; "" if the source does not name it.
func (t *Tree) Unlisted(ctx context.Context, symbol string) string {
	file, err := t.Mention(ctx, symbol)
	switch {
	case err != nil || file == "":
		return ""
	case file == "scripts/kallsyms.c":
		return "it is one of kallsyms' own tables (" + file + ")"
	case strings.Contains(file, ".lds"):
		return "the linker script sets it (" + file + ")"
	}
	return "its source has it (" + file +
		"), and the target's build made no symbol of it: it is inlined, or not configured"
}
