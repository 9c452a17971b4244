package build

import (
	"slices"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/patchset"
)

// debugInfo reads the types of the units before and after, when the patches touch
// definitions of types. It takes some milliseconds for an object, and types seldom
// change.
func (r *run) debugInfo(units []*unit, overlay *patchset.Overlay) {
	touched := slices.ContainsFunc(files(overlay), func(f analyze.File) bool { return f.TouchesTypes() })
	if !touched {
		return
	}
	r.enter("compare types")
	read := map[string]*unit{} // by object: two modules may share one
	for _, u := range units {
		if u.isNew || u.diff == nil || len(u.replace) == 0 {
			continue
		}
		if same := read[u.object]; same != nil {
			u.types, u.typesErr = same.types, same.typesErr
			continue
		}
		read[u.object] = u
		for side, path := range []string{u.before.Path, u.after.Path} {
			var f *elfobj.File
			if f, u.typesErr = elfobj.ReadFile(path); u.typesErr == nil {
				u.types[side], u.typesErr = types.Read(f)
			}
			if u.typesErr != nil {
				break
			}
		}
	}
}
