package elfdiff

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// registered is one thing that the boot code or the module loader registers,
// as its author calls it: ("module parameter", "depth"). Several symbols may
// stand for one.
type registered struct{ what, name string }

// namePrefixes are what macros put in front of the name that they are given
// (include/linux/{moduleparam,tracepoint,init,syscalls}.h and
// include/trace/trace_events.h, v6.1).
var namePrefixes = []string{"__param_ops_", "__param_", "__setup_str_", "__setup_", "__tracepoint_ptr_", "__tracepoint_", "__tpstrtab_",
	"__bpf_trace_tp_map_", "__event_", "__p_syscall_meta__", "__exitcall_", "__lsm_"}

// registration names what an atom of a registering section is for.
func (o *Object) registration(a AtomID) registered {
	at := &o.Atoms[a]
	sec := o.Section(a)
	what, ok := metaOf(sec)
	if !ok {
		what = "boot-time data"
	}
	if what == "module information" {
		return o.moduleInfo(a)
	}
	if strings.Contains(what, "initcall") || what == "exit call" {
		if relocs, first := o.relocsIn(a); len(relocs) > 0 {
			switch t := o.target(at.Sec, &relocs[0], first); t.Kind {
			case TargetAtom:
				return registered{what, o.Atoms[t.Atom].Name}
			case TargetExtern:
				return registered{what, t.Name}
			}
		}
	}
	for _, p := range namePrefixes {
		if n, ok := strings.CutPrefix(at.Name, p); ok && n != "" {
			if strings.HasPrefix(p, "__setup_") {
				what = "__setup parameter"
			}
			return registered{what, n}
		}
	}
	return registered{what, at.Name}
}

// moduleInfo names an entry of .modinfo, "key=value". In code that is built in,
// the file's name and a dot come before the key.
func (o *Object) moduleInfo(a AtomID) registered {
	text, _, _ := bytes.Cut(o.bytes(a), []byte{0})
	key, value, _ := strings.Cut(string(text), "=")
	key = key[strings.LastIndexByte(key, '.')+1:]
	switch key {
	case "parm", "parmtype":
		name, _, _ := strings.Cut(value, ":")
		return registered{"module parameter", name}
	case "alias":
		return registered{"MODULE_ALIAS", value}
	case "firmware":
		return registered{"MODULE_FIRMWARE", value}
	}
	return registered{"module information", cmp.Or(key, o.Atoms[a].Name)}
}

// deviceTables lists the tables that MODULE_DEVICE_TABLE names: the macro leaves
// no more than a second name for the table, from which modpost makes aliases of the
// module (include/linux/module.h, v6.1 to v6.12, and v6.13 and later).
func (o *Object) deviceTables() map[registered]string {
	out := map[registered]string{}
	for i := range o.File.Symbols {
		s := &o.File.Symbols[i]
		if s.Sec <= 0 {
			continue
		}
		name, ok := strings.CutPrefix(s.Name, "__mod_device_table__")
		if ok {
			if n, rest, _ := strings.Cut(name, "__"); digits(n) {
				name = rest
			}
		} else if name, ok = strings.CutPrefix(s.Name, "__mod_"); ok {
			name, ok = strings.CutSuffix(name, "_device_table")
		}
		if ok && name != "" {
			out[registered{"MODULE_DEVICE_TABLE", strings.Replace(name, "__", ", ", 1)}] = o.File.Sections[s.Sec].Name
		}
	}
	return out
}

// instead says what to do about something new that nobody will register.
func (g registered) instead() string {
	switch g.what {
	case "module parameter", "__setup parameter":
		return "the variable keeps its initial value; set another one from a callback, or leave the parameter out"
	case "initcall", "console initcall":
		return "call " + g.name + " from a post-patch callback if the fix depends on it"
	case "tracepoint", "trace event":
		return "leave the tracepoint out of the patch, or use one that exists"
	case "MODULE_ALIAS", "MODULE_DEVICE_TABLE":
		return "nothing to do if the running system has the module loaded"
	}
	return "do the registration in a callback if the fix depends on it"
}

// registrations judges what registers something at boot or module load: one
// finding for each thing, whatever number of symbols stand for it.
func (r *Result) registrations() {
	type finding struct {
		registered
		change ChangeKind
	}
	type detail struct {
		section, why string
		weak         bool // only descriptive text
	}
	found := map[finding]detail{}
	add := func(g registered, change ChangeKind, section, why string) {
		switch g.what {
		case "EXPORT_SYMBOL", "printk index":
			return // exports are compared by symbol; the printk index only lists strings
		}
		weak := section == ".modinfo" && g.what != "MODULE_ALIAS"
		k := finding{g, change}
		if d, ok := found[k]; !ok || d.weak && !weak {
			found[k] = detail{section, why, weak}
		}
	}
	for i := range r.Patched.Atoms {
		b := AtomID(i)
		at := &r.Patched.Atoms[b]
		if at.Class != classMeta || at.Name == "" {
			continue
		}
		a := r.pairs.toO[b]
		if a < 0 {
			add(r.Patched.registration(b), New, r.Patched.Section(b), "")
			continue
		}
		if _, marks := stem(at.Name); strings.HasPrefix(marks, "#") || r.Patched.Section(b) == ".modinfo" {
			continue
		}
		if why := r.pairs.differ(a, b); why != equal {
			add(r.Patched.registration(b), Changed, r.Patched.Section(b), why)
		}
	}
	for i := range r.Orig.Atoms {
		a := AtomID(i)
		if at := &r.Orig.Atoms[a]; at.Class == classMeta && at.Name != "" && r.pairs.toP[a] < 0 {
			add(r.Orig.registration(a), Removed, r.Orig.Section(a), "")
		}
	}
	before, after := r.Orig.deviceTables(), r.Patched.deviceTables()
	for g, section := range after {
		if _, ok := before[g]; !ok {
			add(g, New, section, "")
		}
	}
	for g, section := range before {
		if _, ok := after[g]; !ok {
			add(g, Removed, section, "")
		}
	}
	keys := make([]finding, 0, len(found))
	for k := range found {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.what, b.what), cmp.Compare(a.name, b.name), cmp.Compare(a.change, b.change))
	})
	for _, k := range keys {
		d := found[k]
		switch {
		case k.change == New && d.weak:
			r.problem("KLP110", Note, k.name, d.section, "", "new text about %s %s: nobody reads it in a livepatch", k.what, k.name)
		case k.change == New:
			r.problem("KLP110", Warning, k.name, d.section, k.instead(), "new %s %s: a livepatch does not register it", k.what, k.name)
		case k.change == Changed:
			r.problem("KLP102", Warning, k.name, d.section, "nothing to do if the fix does not depend on it",
				"%s %s changed (%s): it was used before the livepatch loads", k.what, k.name, d.why)
		case !d.weak:
			r.problem("KLP110", Note, k.name, d.section, "", "%s %s removed: what it registered stays until the next boot or load", k.what, k.name)
		}
	}
}
