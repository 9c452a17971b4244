package build

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/patchset"
)

// compileExternal builds the modules of a directory outside of the kernel's tree
// before and after the patches. Such modules are small: everything is compiled, and
// objects that come out the same are left out.
func (r *run) compileExternal(ctx context.Context, overlay *patchset.Overlay) ([]*unit, error) {
	r.enter("compile before")
	before, err := r.external.Build(ctx, "before")
	if err != nil {
		return nil, fmt.Errorf("compile the unpatched source: %w", err)
	}
	if !r.trusts() {
		if r.externalRules(); len(r.errorsOnly()) > 0 {
			return nil, &Refusal{r.errorsOnly()}
		}
	}
	if err := r.apply(r.external, overlay); err != nil {
		return nil, err
	}
	r.enter("compile after")
	after, err := r.external.Build(ctx, "after")
	if err != nil {
		return nil, r.compileFault(err)
	}
	old := map[string]*kbuild.ExternalObject{}
	for i := range before {
		old[before[i].Object] = &before[i]
		r.res.CompileSeconds += before[i].Elapsed.Seconds()
	}
	var units []*unit
	for i := range after {
		a := &after[i]
		r.res.CompileSeconds += a.Elapsed.Seconds()
		b := old[a.Object]
		same := false
		if b != nil {
			if same, err = sameContent(b.Path, a.Path); err != nil {
				return nil, err
			}
		}
		for _, m := range a.Modules {
			u := &unit{object: a.Object, owner: m, after: a.Built, isNew: b == nil}
			if b != nil {
				u.before = b.Built
			}
			r.shared[a.Object]++
			if same {
				r.unchanged = append(r.unchanged, u)
				continue
			}
			units = append(units, u)
		}
		if !same {
			r.res.Units = append(r.res.Units, a.Object)
		}
	}
	if len(units) == 0 {
		return nil, ErrNothing
	}
	return units, nil
}

// sameContent compares two objects but for what describes them to a debugger: lines
// that move change it, and no code.
func sameContent(a, b string) (bool, error) {
	x, err := elfobj.ReadFile(a)
	if err != nil {
		return false, err
	}
	y, err := elfobj.ReadFile(b)
	return err == nil && sameObject(x, y), err
}

func sameObject(x, y *elfobj.File) bool {
	if len(x.Sections) != len(y.Sections) || !slices.Equal(x.Symbols, y.Symbols) {
		return false
	}
	for i := range x.Sections {
		s, o := &x.Sections[i], &y.Sections[i]
		if s.Name != o.Name || s.Flags != o.Flags || s.Type != o.Type {
			return false
		}
		if strings.HasPrefix(s.Name, ".debug_") {
			continue
		}
		if s.Size != o.Size || !bytes.Equal(s.Data, o.Data) || !slices.Equal(s.Relocs, o.Relocs) {
			return false
		}
	}
	return true
}
