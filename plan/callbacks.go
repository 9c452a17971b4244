package plan

import (
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/finding"
)

// Object returns the entry for vmlinux or a module, a new one if there is none. It is
// valid until the next call.
func (p *Plan) Object(name string) *Object {
	found := slices.IndexFunc(p.Objects, func(o Object) bool { return o.Name == name })
	if found < 0 {
		found = len(p.Objects)
		p.Objects = append(p.Objects, Object{Name: name})
	}
	return &p.Objects[found]
}

// Register has the kernel call a global symbol. kind is a field of struct
// klp_callbacks: pre_patch, post_patch, pre_unpatch, post_unpatch. The kernel calls
// one of a kind for an object: a second one is a finding, and nil is none.
func (o *Object) Register(kind, symbol string) *finding.Finding {
	field := map[string]*string{
		"pre_patch": &o.Callbacks.PrePatch, "post_patch": &o.Callbacks.PostPatch,
		"pre_unpatch": &o.Callbacks.PreUnpatch, "post_unpatch": &o.Callbacks.PostUnpatch,
	}[kind]
	if *field != "" {
		return &finding.Finding{ID: finding.IDCallbacks, Severity: finding.Error, Symbol: symbol,
			Message: fmt.Sprintf("%s has two %s callbacks, this one and %s; the kernel calls one", o.Name, kind,
				*field),
			Remedy: "register one function that calls both"}
	}
	*field = symbol
	return nil
}
