package elfdiff

import (
	"bytes"
	"cmp"
	"strings"
)

// registered is one thing that the boot code or the module loader registers,
// as its author calls it: ("module parameter", "depth"). Several symbols may
// stand for one.
type registered struct {
	what entryKind
	name string
}

// namePrefixes are what macros put in front of the name that they are given
// (include/linux/{moduleparam,tracepoint,init,syscalls}.h and
// include/trace/trace_events.h, v6.1).
var namePrefixes = []string{"__param_ops_", "__param_", "__setup_str_", "__setup_", "__tracepoint_ptr_",
	"__tracepoint_", "__tpstrtab_",
	"__bpf_trace_tp_map_", "__event_", "__p_syscall_meta__", "__exitcall_", "__lsm_",
	"__ksymtab_", "__export_symbol_", "__crc_", "_kbl_addr_", "_eil_addr_"}

// registration names what an atom of a registering section is for.
func (o *Object) registration(atom AtomID) registered {
	at := &o.Atoms[atom]
	sec := o.Section(atom)
	what, ok := metaOf(sec)
	if !ok {
		what = entryBootData
	}
	if what == entryModInfo {
		return moduleInfo(o.bytes(atom), at.Name)
	}

	// An initcall's own name has a counter and a line number in it; what it calls is what a
	// reader knows.
	if what.call() {
		if relocs, first := o.relocsIn(atom); len(relocs) > 0 {
			switch target := o.target(at.Sec, &relocs[0], first); target.Kind {
			case TargetAtom:
				return registered{what, o.Atoms[target.Atom].Name}
			case TargetExtern:
				return registered{what, target.Name}
			}
		}
	}

	for _, p := range namePrefixes {
		if n, ok := strings.CutPrefix(at.Name, p); ok && n != "" {
			if strings.HasPrefix(p, "__setup_") {
				what = entrySetup
			}
			return registered{what, n}
		}
	}
	return registered{what, at.Name}
}

// moduleInfo names an entry of .modinfo, "key=value". In code that is built in,
// the file's name and a dot come before the key.
func moduleInfo(entry []byte, symbol string) registered {
	text, _, _ := bytes.Cut(entry, []byte{0})
	key, value, _ := strings.Cut(string(text), "=")
	key = key[strings.LastIndexByte(key, '.')+1:]
	switch key {
	case "parm", "parmtype":
		name, _, _ := strings.Cut(value, ":")
		return registered{entryParam, name}
	case "alias":
		return registered{entryAlias, value}
	case "firmware":
		return registered{entryFirmware, value}
	}
	return registered{entryModInfo, cmp.Or(key, symbol)}
}

// deviceTables lists the tables that MODULE_DEVICE_TABLE names: the macro leaves
// no more than a second name for the table, from which modpost makes aliases of the
// module (include/linux/module.h, v6.1 to v6.12, and v6.13 and later).
func (o *Object) deviceTables() map[registered]string {
	out := map[registered]string{}
	for i := range o.File.Symbols {
		sym := &o.File.Symbols[i]
		if sym.Sec <= 0 {
			continue
		}
		name, ok := strings.CutPrefix(sym.Name, "__mod_device_table__")
		if ok {
			if n, rest, _ := strings.Cut(name, "__"); digits(n) {
				name = rest
			}
		} else if name, ok = strings.CutPrefix(sym.Name, "__mod_"); ok {
			name, ok = strings.CutSuffix(name, "_device_table")
		}
		if ok && name != "" {
			out[registered{entryDeviceTable, strings.Replace(name, "__", ", ", 1)}] = o.File.Sections[sym.Sec].Name
		}
	}
	return out
}

// instead says what to do about something new that nobody will register.
func (g registered) instead() string {
	switch g.what {
	case entryParam, entrySetup:
		return "the variable keeps its initial value; set another one from a callback, or leave the parameter out"
	case entryInitcall, entryConsoleInitcall:
		return "call " + g.name + " from a post-patch callback if the fix depends on it"
	case entryTracepoint, entryTraceEvent:
		return "leave the tracepoint out of the patch, or use one that exists"
	case entryAlias, entryDeviceTable:
		return "nothing to do if the running system has the module loaded"
	}
	return "do the registration in a callback if the fix depends on it"
}
