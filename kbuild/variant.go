package kbuild

import (
	"context"
	"fmt"
	"strings"
)

// Variant is a construct of the kernel that a livepatch cannot have, and a header
// with which an object can be compiled once more without it: as an ordinary use of a
// variable. The text goes in front of the header's last #endif.
type Variant struct {
	header, text string
}

// StaticBranches makes static branches ordinary tests of the key. A key counts as
// enabled while its counter is not zero (static_key_count, kernel/jump_label.c, v4.3
// to v6.12). The counter is read as the first word of the key, because early headers
// use static branches before atomic_read exists.
var StaticBranches = &Variant{"include/linux/jump_label.h", `
#ifndef __ASSEMBLY__
#undef static_branch_likely
#undef static_branch_unlikely
#define klpforge_key_enabled(x) (*(const volatile int *)&((struct static_key *)(x))->enabled != 0)
#define static_branch_likely(x) likely_notrace(klpforge_key_enabled(x))
#define static_branch_unlikely(x) unlikely_notrace(klpforge_key_enabled(x))
#define static_key_false(x) unlikely_notrace(klpforge_key_enabled(x))
#define static_key_true(x) likely_notrace(klpforge_key_enabled(x))
#endif
`}

// RuntimeConstants has code read the variables whose values boot code writes into the
// instructions of the kernel, and does not write into those of a module: what
// include/asm-generic/runtime-const.h does for other architectures (v6.11 to v6.12). The
// shift is of 32 bits, whatever the value has: callers give a hash with a length above it,
// and x86's instruction clears the upper half.
var RuntimeConstants = &Variant{"arch/x86/include/asm/runtime-const.h", `
#ifndef __ASSEMBLY__
#undef runtime_const_ptr
#undef runtime_const_shift_right_32
#define runtime_const_ptr(sym) (sym)
#define runtime_const_shift_right_32(val, sym) ((typeof(0u+(val)))((unsigned int)(val) >> (sym)))
#endif
`}

// edit puts the variant's text into a header. It reports false for a header that does
// not end as expected.
func (v *Variant) edit(header []byte) ([]byte, bool) {
	end := strings.LastIndex(string(header), "#endif")
	if end < 0 {
		return nil, false
	}
	return []byte(string(header[:end]) + v.text + string(header[end:])), true
}

// Varied compiles a patched object once more, with variants. isNew says that the
// patches add it. ok is false when it cannot be done: the tree has no such header, or
// the object does not compile like that. The error is for a private tree that is not
// as it was any more.
func (w *Work) Varied(ctx context.Context, object string, isNew bool,
	variants []*Variant) (b *Built, ok bool, err error) {
	before := make([][]byte, len(variants))
	after := make([][]byte, len(variants))
	for i, v := range variants {
		if before[i], err = w.Read(v.header); err != nil {
			return nil, false, nil
		}
		if after[i], ok = v.edit(before[i]); !ok {
			return nil, false, nil
		}
	}

	write := func(texts [][]byte) error {
		for i, v := range variants {
			if err := w.Write(v.header, texts[i]); err != nil {
				return fmt.Errorf("compile with another %s: %w", v.header, err)
			}
		}
		return nil
	}

	// The headers are put back whatever the compiler says.
	if err := write(after); err != nil {
		return nil, false, err
	}
	compile := w.After
	if isNew {
		compile = w.BuildNew
	}
	built, failed := compile(ctx, []string{object})
	if err := write(before); err != nil {
		return nil, false, err
	}
	if failed != nil {
		return nil, false, nil
	}
	return &built[0], true, nil
}
