package pipeline

import (
	"context"
	"fmt"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/kbuild"
)

// compileExternal builds the modules of a directory outside of the kernel's tree
// before and after the patches. Such modules are small: everything is compiled, and
// objects that come out the same are left out.
func compileExternal(ctx context.Context, change *change, say *journal) (*compiled, error) {
	say.enter("compile before")
	before, err := change.external.Build(ctx, "before")
	if err != nil {
		return nil, fmt.Errorf("compile the unpatched source: %w", err)
	}
	if !change.trusted {
		if change.checkExternalRules(say); len(say.errors()) > 0 {
			return nil, say.refuse()
		}
	}
	if err := change.writeTo(change.external); err != nil {
		return nil, err
	}
	say.enter("compile after")
	after, err := change.external.Build(ctx, "after")
	if err != nil {
		return nil, compileFault(err, say)
	}
	out, err := pairExternal(before, after, say)
	if err == nil && len(out.pairs) == 0 {
		err = ErrNothing
	}
	return out, err
}

// pairExternal pairs the objects of both builds.
func pairExternal(before, after []kbuild.ExternalObject, say *journal) (*compiled, error) {
	out := &compiled{shared: map[string]int{}}
	old := map[string]*kbuild.ExternalObject{}
	for i := range before {
		old[before[i].Object] = &before[i]
		say.res.CompileSeconds += before[i].Elapsed.Seconds()
	}
	for i := range after {
		a := &after[i]
		say.res.CompileSeconds += a.Elapsed.Seconds()
		objects := &pair{object: a.Object, owners: a.Modules, after: a.Built, isNew: true}
		if b := old[a.Object]; b != nil {
			objects.before, objects.isNew = b.Built, false
			same, err := sameContent(b.Path, a.Path)
			if err != nil {
				return nil, err
			}
			if same {
				out.unchanged = append(out.unchanged, objects)
				out.shared[objects.object] = len(objects.owners)
				continue
			}
		}
		out.add(objects)
		say.res.Units = append(say.res.Units, objects.object)
	}
	return out, nil
}

// sameContent compares the code of two objects.
func sameContent(a, b string) (bool, error) {
	x, err := elfobj.ReadCode(a)
	if err != nil {
		return false, err
	}
	y, err := elfobj.ReadCode(b)
	return err == nil && sameObject(x, y), err
}
