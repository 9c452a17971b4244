package generate

import (
	"debug/elf"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/module/note"
	"github.com/klpforge/klpforge/plan"
)

// ErrPlan means that a plan cannot be written down as a module, whatever the
// kernel.
var ErrPlan = errors.New("plan is not a livepatch")

// APIError reports that a plan wants something which the target kernel's
// livepatch interface does not offer.
type APIError struct {
	Feature string // what is wanted
	Where   string // the object or function that wants it; may be empty
	Kernels string // mainline versions that have it
	Remedy  string
}

func (e *APIError) Error() string {
	where := ""
	if e.Where != "" {
		where = e.Where + ": "
	}
	return fmt.Sprintf("%sthe target's livepatch interface has no %s (mainline: %s); %s", where, e.Feature, e.Kernels, e.Remedy)
}

// checkAPI compares what p and the objects want with what api offers.
func checkAPI(p *plan.Plan, api klpapi.API, klp bool) error {
	switch {
	case p.Replace && !api.Replace:
		return &APIError{"atomic replace", "", "since 5.1", "build without replace, and disable the earlier livepatch first"}
	case len(p.States) > 0 && !api.States:
		return &APIError{"system states", "", "since 5.5", "drop the states, or keep the version in a shadow variable"}
	case p.Immediate && !api.PatchImmediate:
		return &APIError{"immediate patches", "", "4.12 to 4.15", "drop immediate; where it is gone, force the transition instead"}
	case len(p.ImportNS) > 0 && !api.ImportNS:
		return &APIError{"symbol namespaces", strings.Join(p.ImportNS, ", "), "since 5.4", "drop the imports"}
	case !api.ImportNSString && slices.ContainsFunc(p.ImportNS, func(ns string) bool { return !isIdent(ns) }):
		return &APIError{"symbol namespaces that are no C identifiers", strings.Join(p.ImportNS, ", "), "since 6.13", "drop the imports"}
	case klp && !api.ElfRelocs:
		return &APIError{"livepatch relocations in ELF sections", "", "since 4.7", "the code may refer to exported symbols only"}
	}
	for _, o := range p.Objects {
		if o.Callbacks.Any() && !api.Callbacks {
			return &APIError{"callbacks", o.Name, "since 4.15", "do the work from the patched functions"}
		}
		for _, f := range o.Funcs {
			where := o.Name + ": " + f.Name
			if f.Immediate && !api.FuncImmediate {
				return &APIError{"immediate functions", where, "4.12 to 4.15", "drop immediate"}
			}
			if f.Sympos > 0 && !api.OldSympos && (!api.OldAddr || !isVmlinux(o.Name)) {
				return &APIError{"symbol positions", where, "since 4.5", "patch a function whose name is unique"}
			}
		}
	}
	return nil
}

// checkPlan looks for contents that no kernel takes.
func checkPlan(p *plan.Plan) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrPlan, fmt.Sprintf(format, args...))
	}
	// kbuild puts kmod_ before a name where it needs an identifier.
	if !isIdent("_"+p.Name) || p.Name == "" || len(p.Name) > elfobj.MaxKlpObject {
		return bad("module name %q: want letters, digits and _, at most %d bytes", p.Name, elfobj.MaxKlpObject)
	}
	if !isRelease(p.Release) {
		return bad("kernel release %q", p.Release)
	}
	for _, s := range append([]string{p.Description, p.Version, p.Product, p.Vendor}, p.ImportNS...) {
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) {
			return bad("%q has control characters", s)
		}
	}
	work := false
	objects := map[string]bool{}
	symbols := map[string]string{}
	for _, o := range p.Objects {
		if !isIdent(o.Name) && !isIdent("_"+o.Name) || len(o.Name) > elfobj.MaxKlpObject {
			return bad("object name %q: want a module name as the kernel spells it", o.Name)
		}
		if o.Name == p.Name {
			return bad("%s patches itself; choose another module name", p.Name)
		}
		if objects[o.Name] {
			return bad("object %s occurs twice", o.Name)
		}
		objects[o.Name] = true
		work = work || len(o.Funcs) > 0 || o.Callbacks.Any()
		if err := checkFuncs(o, symbols); err != nil {
			return bad("%v", err)
		}
	}
	if !work {
		return bad("it has neither functions nor callbacks")
	}
	for _, s := range p.States {
		if s.ID == 0 {
			return bad("state id 0, which ends the kernel's table")
		}
	}
	for i, s := range p.States {
		if slices.ContainsFunc(p.States[:i], func(t plan.State) bool { return t.ID == s.ID }) {
			return bad("state %d occurs twice", s.ID)
		}
	}
	return nil
}

func checkFuncs(o plan.Object, symbols map[string]string) error {
	type key struct {
		name string
		pos  int
	}
	seen := map[key]bool{}
	for _, f := range o.Funcs {
		where := o.Name + ": " + f.Name
		switch {
		case f.Name == "" || len(f.Name) > elfobj.MaxKlpName || strings.ContainsAny(f.Name, ",/ \x00"):
			return fmt.Errorf("%s: name of a function %q", o.Name, f.Name)
		case f.Sympos < 0:
			return fmt.Errorf("%s: position %d", where, f.Sympos)
		case f.NewSymbol == "":
			return fmt.Errorf("%s: no replacement", where)
		}
		// The kernel takes positions 0 and 1 for the same (klp_find_func, v6.1).
		k := key{f.Name, max(f.Sympos, 1)}
		if seen[k] {
			return fmt.Errorf("%s: position %d is replaced twice", where, f.Sympos)
		}
		seen[k] = true
		if prev, ok := symbols[f.NewSymbol]; ok {
			return fmt.Errorf("%s: replacement %s is also that of %s", where, f.NewSymbol, prev)
		}
		symbols[f.NewSymbol] = where
	}
	return nil
}

// prebuilt is what Emit must know of one prebuilt object.
type prebuilt struct {
	defined map[string]elfobj.Symbol // global symbols with a section
	refs    []elfobj.KlpSymbol       // livepatch symbols it refers to
}

func readPrebuilt(u Unit) (prebuilt, error) {
	f, err := elfobj.Read(u.Object)
	if err != nil {
		return prebuilt{}, fmt.Errorf("read prebuilt object of %s: %w", u.Name, err)
	}
	b := prebuilt{defined: map[string]elfobj.Symbol{}}
	for _, s := range f.Symbols[1:] {
		switch {
		case s.Sec == elfobj.SecUndef && elfobj.IsKlpSymbol(s.Name):
			k, err := elfobj.ParseKlpSymbol(s.Name)
			if err != nil {
				return prebuilt{}, fmt.Errorf("prebuilt object of %s: %w", u.Name, err)
			}
			b.refs = append(b.refs, k)
		case s.Sec > 0 && s.Bind != elf.STB_LOCAL:
			b.defined[s.Name] = s
		}
	}
	return b, nil
}

// checkUnits reads the prebuilt objects and makes sure that each replacement
// and callback is where the plan says. It returns the livepatch symbols that
// the objects refer to.
func checkUnits(p *plan.Plan, units []Unit) ([]elfobj.KlpSymbol, error) {
	objs := map[string]prebuilt{}
	owner := map[string]string{}
	var refs []elfobj.KlpSymbol
	for _, u := range units {
		if u.Name == "" {
			return nil, fmt.Errorf("%w: prebuilt object without a name", ErrPlan)
		}
		if _, dup := objs[u.Name]; dup {
			return nil, fmt.Errorf("%w: two prebuilt objects of %s", ErrPlan, u.Name)
		}
		b, err := readPrebuilt(u)
		if err != nil {
			return nil, err
		}
		for name := range b.defined {
			if other, dup := owner[name]; dup && b.defined[name].Bind == elf.STB_GLOBAL {
				return nil, fmt.Errorf("%w: symbol %s is defined for both %s and %s", ErrPlan, name, other, u.Name)
			}
			owner[name] = u.Name
		}
		objs[u.Name] = b
		refs = append(refs, b.refs...)
	}
	for _, o := range p.Objects {
		for _, f := range o.Funcs {
			b, ok := objs[f.Unit]
			if !ok {
				return nil, fmt.Errorf("%w: %s: %s: no prebuilt object of %s", ErrPlan, o.Name, f.Name, f.Unit)
			}
			if s, ok := b.defined[f.NewSymbol]; !ok || s.Type != elf.STT_FUNC {
				return nil, fmt.Errorf("%w: %s: %s: prebuilt object of %s has no global function %s", ErrPlan, o.Name, f.Name, f.Unit, f.NewSymbol)
			}
		}
		for _, cb := range callbacksOf(note.Callbacks(o.Callbacks)) {
			if owner[cb.symbol] == "" {
				return nil, fmt.Errorf("%w: %s: no prebuilt object has the %s callback %s", ErrPlan, o.Name, cb.field, cb.symbol)
			}
		}
	}
	return refs, nil
}

type callback struct{ field, result, symbol string }

// callbacksOf lists the callbacks that are set, in the kernel's order.
func callbacksOf(c note.Callbacks) []callback {
	var out []callback
	for _, named := range c.Names() {
		result := "void"
		if named[0] == "pre_patch" {
			result = "int" // its error refuses the patch
		}
		out = append(out, callback{named[0], result, named[1]})
	}
	return out
}

func isIdent(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// isRelease accepts what uname -r gives; it ends up in make and C text.
func isRelease(s string) bool {
	return s != "" && s[0] != '-' && !strings.Contains(s, "..") && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("+-._~", r) && (r > 'z' || r < '0' || r > '9' && r < 'A' || r > 'Z' && r < 'a')
	})
}
