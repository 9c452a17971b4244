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
	return fmt.Sprintf("%sthe target's livepatch interface has no %s (mainline: %s); %s", where, e.Feature, e.Kernels,
		e.Remedy)
}

// checkAPI compares what the plan and the objects want with what api offers.
func checkAPI(contents *plan.Plan, api klpapi.API, klp bool) error {
	switch {
	case contents.Replace && !api.Replace:
		return &APIError{"atomic replace", "", "since 5.1",
			"build without replace, and disable the earlier livepatch first"}
	case len(contents.States) > 0 && !api.States:
		return &APIError{"system states", "", "since 5.5", "drop the states, or keep the version in a shadow variable"}
	case contents.Immediate && !api.PatchImmediate:
		return &APIError{"immediate patches", "", "4.12 to 4.15",
			"drop immediate; where it is gone, force the transition instead"}
	case len(contents.ImportNS) > 0 && !api.ImportNS:
		return &APIError{"symbol namespaces", strings.Join(contents.ImportNS, ", "), "since 5.4", "drop the imports"}
	case !api.ImportNSString && slices.ContainsFunc(contents.ImportNS, func(ns string) bool { return !isIdent(ns) }):
		return &APIError{"symbol namespaces that are no C identifiers", strings.Join(contents.ImportNS, ", "),
			"since 6.13", "drop the imports"}
	case klp && !api.ElfRelocs:
		return &APIError{"livepatch relocations in ELF sections", "", "since 4.7",
			"the code may refer to exported symbols only"}
	}

	// Features of one function or object are named with it: they may be dropped one by one.
	for _, object := range contents.Objects {
		if object.Callbacks.Any() && !api.Callbacks {
			return &APIError{"callbacks", object.Name, "since 4.15", "do the work from the patched functions"}
		}
		for _, fn := range object.Funcs {
			where := object.Name + ": " + fn.Name
			if fn.Immediate && !api.FuncImmediate {
				return &APIError{"immediate functions", where, "4.12 to 4.15", "drop immediate"}
			}
			if fn.Sympos > 0 && !api.OldSympos && (!api.OldAddr || !isVmlinux(object.Name)) {
				return &APIError{"symbol positions", where, "since 4.5", "patch a function whose name is unique"}
			}
		}
	}
	return nil
}

// checkPlan looks for contents that no kernel takes.
func checkPlan(contents *plan.Plan) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrPlan, fmt.Sprintf(format, args...))
	}
	// kbuild puts kmod_ before a name where it needs an identifier.
	if !isIdent("_"+contents.Name) || contents.Name == "" || len(contents.Name) > elfobj.MaxKlpObject {
		return bad("module name %q: want letters, digits and _, at most %d bytes", contents.Name, elfobj.MaxKlpObject)
	}
	if !isRelease(contents.Release) {
		return bad("kernel release %q", contents.Release)
	}
	for _, s := range append([]string{contents.Description, contents.Version, contents.Product, contents.Vendor},
		contents.ImportNS...) {
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) {
			return bad("%q has control characters", s)
		}
	}
	work := false
	objects := map[string]bool{}
	symbols := map[string]string{}
	for _, object := range contents.Objects {
		if !isIdent("_"+object.Name) || object.Name == "" || len(object.Name) > elfobj.MaxKlpObject {
			return bad("object name %q: want a module name as the kernel spells it", object.Name)
		}
		if object.Name == contents.Name {
			return bad("%s patches itself; choose another module name", contents.Name)
		}
		if objects[object.Name] {
			return bad("object %s occurs twice", object.Name)
		}
		objects[object.Name] = true
		work = work || len(object.Funcs) > 0 || object.Callbacks.Any()
		if err := checkFuncs(object, symbols); err != nil {
			return bad("%v", err)
		}
	}
	if !work {
		return bad("it has neither functions nor callbacks")
	}
	for _, s := range contents.States {
		if s.ID == 0 {
			return bad("state id 0, which ends the kernel's table")
		}
	}
	for i, s := range contents.States {
		if slices.ContainsFunc(contents.States[:i], func(t plan.State) bool { return t.ID == s.ID }) {
			return bad("state %d occurs twice", s.ID)
		}
	}
	return nil
}

func checkFuncs(object plan.Object, symbols map[string]string) error {
	type key struct {
		name string
		pos  int
	}
	seen := map[key]bool{}
	for _, fn := range object.Funcs {
		where := object.Name + ": " + fn.Name
		switch {
		case fn.Name == "" || len(fn.Name) > elfobj.MaxKlpName || strings.ContainsAny(fn.Name, ",/ \x00"):
			return fmt.Errorf("%s: name of a function %q", object.Name, fn.Name)
		case fn.Sympos < 0:
			return fmt.Errorf("%s: position %d", where, fn.Sympos)
		case fn.NewSymbol == "":
			return fmt.Errorf("%s: no replacement", where)
		}
		// The kernel takes positions 0 and 1 for the same (klp_find_func, v6.1).
		k := key{fn.Name, max(fn.Sympos, 1)}
		if seen[k] {
			return fmt.Errorf("%s: position %d is replaced twice", where, fn.Sympos)
		}
		seen[k] = true
		if prev, ok := symbols[fn.NewSymbol]; ok {
			return fmt.Errorf("%s: replacement %s is also that of %s", where, fn.NewSymbol, prev)
		}
		symbols[fn.NewSymbol] = where
	}
	return nil
}

// prebuilt is what Emit must know of one prebuilt object.
type prebuilt struct {
	defined map[string]elfobj.Symbol // global symbols with a section
	refs    []elfobj.KlpSymbol       // livepatch symbols it refers to
}

func readPrebuilt(unit Unit) (prebuilt, error) {
	elfFile, err := elfobj.Read(unit.Object)
	if err != nil {
		return prebuilt{}, fmt.Errorf("read prebuilt object of %s: %w", unit.Name, err)
	}
	built := prebuilt{defined: map[string]elfobj.Symbol{}}
	for _, sym := range elfFile.Symbols[1:] {
		switch {
		case sym.Sec == elfobj.SecUndef && elfobj.IsKlpSymbol(sym.Name):
			klp, err := elfobj.ParseKlpSymbol(sym.Name)
			if err != nil {
				return prebuilt{}, fmt.Errorf("prebuilt object of %s: %w", unit.Name, err)
			}
			built.refs = append(built.refs, klp)
		case sym.Sec > 0 && sym.Bind != elf.STB_LOCAL:
			built.defined[sym.Name] = sym
		}
	}
	return built, nil
}

// checkUnits reads the prebuilt objects and makes sure that each replacement
// and callback is where the plan says. It returns the livepatch symbols that
// the objects refer to.
func checkUnits(contents *plan.Plan, units []Unit) ([]elfobj.KlpSymbol, error) {
	objs := map[string]prebuilt{}
	owner := map[string]string{}
	var refs []elfobj.KlpSymbol

	for _, unit := range units {
		if unit.Name == "" {
			return nil, fmt.Errorf("%w: prebuilt object without a name", ErrPlan)
		}
		if _, dup := objs[unit.Name]; dup {
			return nil, fmt.Errorf("%w: two prebuilt objects of %s", ErrPlan, unit.Name)
		}
		built, err := readPrebuilt(unit)
		if err != nil {
			return nil, err
		}

		// Local symbols of several objects may share a name; two global ones would make the link
		// fail, or worse, pick one.
		for name := range built.defined {
			if other, dup := owner[name]; dup && built.defined[name].Bind == elf.STB_GLOBAL {
				return nil, fmt.Errorf("%w: symbol %s is defined for both %s and %s", ErrPlan, name, other, unit.Name)
			}
			owner[name] = unit.Name
		}
		objs[unit.Name] = built
		refs = append(refs, built.refs...)
	}

	// Every function and callback that the tables will name must be defined by the object that
	// the plan says.
	for _, object := range contents.Objects {
		for _, fn := range object.Funcs {
			built, ok := objs[fn.Unit]
			if !ok {
				return nil, fmt.Errorf("%w: %s: %s: no prebuilt object of %s", ErrPlan, object.Name, fn.Name, fn.Unit)
			}
			if s, ok := built.defined[fn.NewSymbol]; !ok || s.Type != elf.STT_FUNC {
				return nil, fmt.Errorf("%w: %s: %s: prebuilt object of %s has no global function %s", ErrPlan,
					object.Name, fn.Name, fn.Unit, fn.NewSymbol)
			}
		}
		for _, cb := range callbacksOf(note.Callbacks(object.Callbacks)) {
			if owner[cb.symbol] == "" {
				return nil, fmt.Errorf("%w: %s: no prebuilt object has the %s callback %s", ErrPlan, object.Name,
					cb.field, cb.symbol)
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

func isIdent(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// isRelease accepts what uname -r gives; it ends up in make and C text.
func isRelease(s string) bool {
	return s != "" && s[0] != '-' && !strings.Contains(s, "..") && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("+-._~", r) && (r > 'z' || r < '0' || r > '9' && r < 'A' || r > 'Z' && r < 'a')
	})
}
