package klpapi

import (
	"regexp"
	"strings"
)

// NotLivepatchHeaderError means that a text is not include/linux/livepatch.h.
type NotLivepatchHeaderError struct{ Missing string }

func (e *NotLivepatchHeaderError) Error() string {
	return "not a livepatch.h: no " + e.Missing
}

// Detect reads the text of include/linux/livepatch.h, followed by that of
// include/linux/livepatch_external.h where the kernel has one. What concerns symbol
// namespaces stands elsewhere, see DetectNamespaces. It fails with a
// *NotLivepatchHeaderError.
func Detect(text string) (API, error) {
	stripped := stripComments(text)
	fn, ok := structMembers(stripped, "klp_func")
	if !ok {
		return API{}, &NotLivepatchHeaderError{"struct klp_func"}
	}
	patch, ok := structMembers(stripped, "klp_patch")
	if !ok {
		return API{}, &NotLivepatchHeaderError{"struct klp_patch"}
	}
	object, ok := structMembers(stripped, "klp_object")
	if !ok {
		return API{}, &NotLivepatchHeaderError{"struct klp_object"}
	}

	// klp_reloc went when relocations moved into ELF sections (v4.7): a header without it has
	// those.
	_, relocTable := structMembers(stripped, "klp_reloc")
	return API{
		HasRegister:       strings.Contains(stripped, "klp_register_patch"),
		OldSympos:         fn["old_sympos"],
		OldAddr:           fn["old_addr"] && !fn["old_sympos"],
		ElfRelocs:         !relocTable && !object["relocs"],
		Consistency:       fn["transition"],
		FuncImmediate:     fn["immediate"],
		PatchImmediate:    patch["immediate"],
		Callbacks:         object["callbacks"],
		Replace:           patch["replace"],
		States:            patch["states"],
		EarlyRelocs:       strings.Contains(stripped, "klp_apply_section_relocs"),
		CallbacksExternal: strings.Contains(stripped, "livepatch_external.h"),
	}, nil
}

var importNS = regexp.MustCompile(`(?m)^\s*#\s*define\s+MODULE_IMPORT_NS\(\s*(\w+)\s*\)\s*(.*)$`)

// DetectNamespaces sets ImportNS and ImportNSString from the text of the
// target's include/linux/module.h.
func (a *API) DetectNamespaces(moduleH string) {
	a.ImportNS, a.ImportNSString = false, false
	match := importNS.FindStringSubmatch(moduleH)
	if match == nil {
		return
	}
	a.ImportNS = true
	// An identifier is made a string by # or __stringify; since 6.13 the
	// argument is the string.
	a.ImportNSString = !strings.Contains(match[2], "#") && !strings.Contains(match[2], "stringify")
}

var (
	comments   = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	identifier = regexp.MustCompile(`[A-Za-z_]\w*`)
)

func stripComments(s string) string { return comments.ReplaceAllString(s, " ") }

// structMembers returns the member names of a struct definition in
// comment-free C.
func structMembers(text, name string) (map[string]bool, bool) {
	start := regexp.MustCompile(`\bstruct\s+` + name + `\s*\{`).FindStringIndex(text)
	if start == nil {
		return nil, false
	}
	depth := 1
	body := text[start[1]:]
	end := -1
	for i := range len(body) {
		switch body[i] {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth == 0 {
			end = i
			break
		}
	}
	if end < 0 {
		return nil, false
	}
	members := map[string]bool{}
	for decl := range strings.SplitSeq(body[:end], ";") {
		// Each declarator's name is the last identifier of its part, or
		// the one within (*name) of a function pointer.
		if i := strings.Index(decl, "(*"); i >= 0 {
			members[identifier.FindString(decl[i:])] = true
			continue
		}
		for part := range strings.SplitSeq(decl, ",") {
			part, _, _ = strings.Cut(part, "[")
			if ids := identifier.FindAllString(part, -1); len(ids) > 0 {
				members[ids[len(ids)-1]] = true
			}
		}
	}
	return members, true
}
