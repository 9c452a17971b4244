package elfdiff

import "strings"

// cloneMarks are the compiler's suffixes for copies and pieces of a function
// (gcc: cgraph_node::create_clone and friends; clang: ThinLTO promotion,
// function specialization, -funique-internal-linkage-names).
var cloneMarks = []string{".isra", ".constprop", ".part", ".cold", ".lto_priv", ".llvm", ".specialized", ".__uniq"}

// stem returns the C name behind a compiler-made symbol name, without the
// number of a static local, clone or unique id, and with the kinds of clone it
// is: "foo.isra.0.cold" gives ("foo", ".isra.cold"); "buf.12" gives
// ("buf", ".N"); "__UNIQUE_ID_ddebug45.3" gives ("__UNIQUE_ID_ddebug", "#.N").
// clang puts the function before a static local: "foo.buf" gives ("buf", ".F").
// The second result is empty when the name is stable.
func stem(name string) (base, marks string) {
	base = name
	for {
		dot := strings.LastIndexByte(base, '.')
		if dot <= 0 {
			break
		}
		tail := base[dot:]
		switch {
		case digits(tail[1:]):
			prev := base[:dot]
			if j := strings.LastIndexByte(prev, '.'); j > 0 && isMark(prev[j:]) {
				base, marks = prev[:j], prev[j:]+marks
			} else {
				base, marks = prev, ".N"+marks
			}
			continue
		case isMark(tail):
			base, marks = base[:dot], tail+marks
			continue
		case dot > 5 && strings.HasSuffix(base[:dot], ".llvm"):
			base, marks = base[:dot-5], ".llvm"+marks
			continue
		}
		break
	}

	// What a function's static is called differs by compiler: gcc writes NAME.N, clang
	// FUNCTION.NAME.
	if dot := strings.IndexByte(base, '.'); dot > 0 && dot+1 < len(base) && (marks == "" || marks == ".N") {
		base, marks = base[dot+1:], ".F"+marks
	}

	// The counter in names that macros make shifts with any line above.
	for _, p := range []string{"__UNIQUE_ID_", "__BTF_ID__", "__initcall__", "__exitcall_", "__setup_",
		"__addressable_"} {
		if strings.HasPrefix(base, p) {
			if b := squashDigits(base); b != base {
				base, marks = b, "#"+marks
			}
			break
		}
	}
	return base, marks
}

func isMark(s string) bool {
	for _, m := range cloneMarks {
		if s == m {
			return true
		}
	}
	return false
}

func digits(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func squashDigits(name string) string {
	var out strings.Builder
	run := false
	for i := range len(name) {
		digit := name[i] >= '0' && name[i] <= '9'
		if digit && !run {
			out.WriteByte('#')
		}
		if !digit {
			out.WriteByte(name[i])
		}
		run = digit
	}
	return out.String()
}

// fragmentParent returns the function of which name is a .cold or .part piece.
func fragmentParent(name string) (string, bool) {
	for _, mark := range []string{".cold", ".part"} {
		if i := strings.LastIndex(name, mark); i > 0 {
			rest := name[i+len(mark):]
			if rest == "" || rest[0] == '.' && digits(rest[1:]) {
				return name[:i], true
			}
		}
	}
	return "", false
}

func isCold(name string) bool {
	i := strings.LastIndex(name, ".cold")
	if i <= 0 {
		return false
	}
	rest := name[i+len(".cold"):]
	return rest == "" || rest[0] == '.' && digits(rest[1:])
}

// generatedConst reports whether the compiler made the constant for the
// function that uses it, so that it has no identity of its own: switch
// conversion tables and the names of functions.
func generatedConst(name string) bool {
	base, marks := stem(name)
	if marks == "" && !strings.HasPrefix(base, ".L") {
		return false
	}
	switch base {
	case "CSWTCH", "__func__", "__FUNCTION__", "__PRETTY_FUNCTION__":
		return true
	}
	return strings.HasPrefix(base, ".L")
}

// contentOnly reports whether the atom is known by its contents alone:
// nameless data, constants that the compiler made, tables of labels.
func (o *Object) contentOnly(atom AtomID) bool {
	n := o.Atoms[atom].Name
	return n == "" || generatedConst(n) || o.labels[atom]
}

// thunk reports a function that the compiler puts into each object that needs it
// and that has no identity: it travels with the code that calls it.
func (o *Object) thunk(atom AtomID) bool {
	at := &o.Atoms[atom]
	return at.Class == classText && o.Arch.ByName(at.Name)
}

// sanitizerData reports a section that holds the description of one check of
// -fsanitize. It starts with a file name, line and column.
func sanitizerData(section string) bool {
	return strings.HasPrefix(section, ".data..Lubsan_") || strings.HasPrefix(section, ".data.rel.local..Lubsan_")
}

// oneShot reports whether the static local only remembers that a message was
// printed, a rate limit, or a lock class: a fresh copy at worst repeats it.
func oneShot(base, section string) bool {
	if strings.HasPrefix(section, ".data.once") || strings.HasPrefix(section, ".data..once") {
		return true
	}
	switch base {
	case "__already_done", "__warned", "__print_once", "__printed", "_rs", "__key", "_entry", "_entry_ptr", "once",
		"done", "___done",
		"___once_key", "__once_key", "descriptor":
		return base != "done" && base != "once"
	}
	return false
}
