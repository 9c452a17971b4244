package build

import (
	"context"
	"fmt"
	"strings"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/kbuild"
)

const jumpLabelHeader = "include/linux/jump_label.h"

// plainBranches makes static branches ordinary tests of the key. A key counts
// as enabled while its counter is not zero (static_key_count,
// kernel/jump_label.c, v4.3 to v6.12). The counter is read as the first word of
// the key, because early headers use static branches before atomic_read exists.
const plainBranches = `
#ifndef __ASSEMBLY__
#undef static_branch_likely
#undef static_branch_unlikely
#define klpforge_key_enabled(x) (*(const volatile int *)&((struct static_key *)(x))->enabled != 0)
#define static_branch_likely(x) likely_notrace(klpforge_key_enabled(x))
#define static_branch_unlikely(x) unlikely_notrace(klpforge_key_enabled(x))
#define static_key_false(x) unlikely_notrace(klpforge_key_enabled(x))
#define static_key_true(x) likely_notrace(klpforge_key_enabled(x))
#endif
`

// withoutStaticBranches extracts the unit from a build in which static branches
// test their key as an ordinary variable. A livepatch cannot register a jump
// label whose key lies in a module, as that may load later; a test of the key
// needs only a relocation. Which functions are replaced stays as decided by
// the ordinary build. opt.Functions is rewritten to the atoms of the new one.
// When that does not work out, cause is returned.
func (r *run) withoutStaticBranches(ctx context.Context, work *kbuild.Work, u *unit, opt *elfdiff.ExtractOptions, cause error) (*elfdiff.Extracted, error) {
	if u.isNew || work == nil || len(opt.Keep) > 0 {
		return nil, cause
	}
	text, err := work.Read(jumpLabelHeader)
	if err != nil {
		return nil, cause
	}
	end := strings.LastIndex(string(text), "#endif")
	if end < 0 {
		return nil, cause
	}
	if err := work.Write(jumpLabelHeader, []byte(string(text[:end])+plainBranches+string(text[end:]))); err != nil {
		return nil, fmt.Errorf("compile without static branches: %w", err)
	}
	built, err := work.After(ctx, []string{u.object})
	if werr := work.Write(jumpLabelHeader, text); werr != nil {
		return nil, fmt.Errorf("compile without static branches: %w", werr)
	}
	if err != nil {
		return nil, cause
	}
	plain, err := elfobj.ReadFile(built[0].Path)
	if err != nil {
		return nil, err
	}
	diff, err := elfdiff.Diff(u.diff.Orig.File, plain)
	if err != nil {
		return nil, err
	}
	orig := make([]elfdiff.AtomID, len(u.replace))
	for i, ch := range u.replace {
		orig[i] = ch.Orig
	}
	patched, missing := diff.Named(orig)
	if len(missing) > 0 {
		return nil, cause
	}
	diff.CarryLike(u.diff)
	opt.Functions = patched
	x, err := diff.Extract(*opt)
	if err != nil {
		return nil, err
	}
	x.Problems = append(x.Problems, elfdiff.Problem{ID: "KLP105", Severity: elfdiff.Note,
		Message: "static keys of a module are tested as ordinary variables in the patched functions (" + strings.TrimPrefix(cause.Error(), "KLP105: ") + ")"})
	return x, nil
}
