package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kbuild"
)

// plainHeader is a header of the kernel that, with text in front of its last #endif, makes
// a construct that a livepatch cannot have an ordinary use of a variable.
type plainHeader struct {
	path, text string
	note       func(cause error) finding.Finding // what a person should know of it
}

// plainFor returns the header by which what stopped the extraction can be avoided,
// nil when there is none.
func plainFor(p *finding.Finding) *plainHeader {
	switch {
	case p.ID == finding.IDModuleKey:
		return &staticBranches
	case p.ID == finding.IDLoadTime && strings.HasPrefix(p.Section, "runtime_"):
		return &runtimeConstants
	}
	return nil
}

var staticBranches = plainHeader{"include/linux/jump_label.h", plainBranches, func(cause error) finding.Finding {
	return finding.Finding{ID: finding.IDModuleKey, Severity: finding.Note,
		Message: "static keys of a module are tested as ordinary variables in the patched functions (" + strings.TrimPrefix(cause.Error(), "KLP105: ") + ")"}
}}

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

// runtimeConstants has code read the variables whose values boot code writes into the
// instructions of the kernel, and does not write into those of a module: what
// include/asm-generic/runtime-const.h does for other architectures (v6.11 to v6.12). The
// shift is of 32 bits, whatever the value has: callers give a hash with a length above it,
// and x86's instruction clears the upper half.
var runtimeConstants = plainHeader{"arch/x86/include/asm/runtime-const.h", `
#ifndef __ASSEMBLY__
#undef runtime_const_ptr
#undef runtime_const_shift_right_32
#define runtime_const_ptr(sym) (sym)
#define runtime_const_shift_right_32(val, sym) ((typeof(0u+(val)))((unsigned int)(val) >> (sym)))
#endif
`, func(cause error) finding.Finding {
	return finding.Finding{ID: finding.IDLoadTime, Severity: finding.Note,
		Message: "constants that boot code writes into instructions are read from their variables in the patched functions (" + placeOf(cause) + ")"}
}}

// placeOf names the function and the section that a problem is about.
func placeOf(cause error) string {
	var p *finding.Finding
	if !errors.As(cause, &p) {
		return cause.Error()
	}
	return p.Symbol + ", section " + p.Section
}

// extractPlain extracts the unit from a build in which headers make what a livepatch
// cannot have ordinary uses of variables: static branches whose key lies in a module,
// as that may load later, and constants that boot code writes into instructions. Which
// functions are replaced stays as decided by the ordinary build. opt.Functions and
// opt.Keep are rewritten to the atoms of the new one. When that does not work out, cause is returned,
// which is what stopped the ordinary extraction.
func (r *run) extractPlain(ctx context.Context, work *kbuild.Work, u *unit, opt *elfdiff.ExtractOptions, cause error) (*elfdiff.Extracted, error) {
	var headers []*plainHeader
	var notes []finding.Finding
	stopped, kept := cause, slices.Clone(opt.Keep)
	for {
		var p *finding.Finding
		if !errors.As(stopped, &p) {
			return nil, stopped
		}
		h := plainFor(p)
		if h == nil || slices.Contains(headers, h) {
			return nil, stopped
		}
		headers, notes = append(headers, h), append(notes, h.note(stopped))
		x, err := r.extractWith(ctx, work, u, opt, kept, headers, stopped)
		if err == nil {
			x.Problems = append(x.Problems, notes...)
			return x, nil
		}
		if err == stopped {
			return nil, cause
		}
		stopped = err
	}
}

// extractWith compiles the unit with changed headers, and extracts it. kept are the atoms
// of the ordinary build that travel as they are.
func (r *run) extractWith(ctx context.Context, work *kbuild.Work, u *unit, opt *elfdiff.ExtractOptions, kept []elfdiff.AtomID,
	headers []*plainHeader, cause error) (*elfdiff.Extracted, error) {
	if work == nil {
		return nil, cause
	}
	texts := make([][]byte, len(headers))
	for i, h := range headers {
		text, err := work.Read(h.path)
		if err != nil {
			return nil, cause
		}
		texts[i] = text
	}
	restore := func() error {
		for i, h := range headers {
			if err := work.Write(h.path, texts[i]); err != nil {
				return fmt.Errorf("compile with another %s: %w", h.path, err)
			}
		}
		return nil
	}
	for i, h := range headers {
		end := strings.LastIndex(string(texts[i]), "#endif")
		if end < 0 {
			return nil, cmp.Or(restore(), cause)
		}
		if err := work.Write(h.path, []byte(string(texts[i][:end])+h.text+string(texts[i][end:]))); err != nil {
			return nil, fmt.Errorf("compile with another %s: %w", h.path, err)
		}
	}
	compile := work.After
	if u.isNew {
		compile = work.BuildNew
	}
	built, err := compile(ctx, []string{u.object})
	if werr := restore(); werr != nil {
		return nil, werr
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
	opt.Functions, opt.Keep = patched, nil
	for _, a := range kept {
		b, ok := byName(diff.Patched, u.diff.Patched.Atoms[a].Name)
		if !ok {
			return nil, cause
		}
		opt.Keep = append(opt.Keep, b)
	}
	return diff.Extract(*opt)
}

// byName finds the one atom of a name.
func byName(o *elfdiff.Object, name string) (elfdiff.AtomID, bool) {
	found := elfdiff.AtomID(-1)
	for i := range o.Atoms {
		if o.Atoms[i].Name != name {
			continue
		}
		if found >= 0 {
			return -1, false
		}
		found = elfdiff.AtomID(i)
	}
	return found, found >= 0
}
