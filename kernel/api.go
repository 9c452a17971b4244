package kernel

import (
	"regexp"
	"strings"
)

// Features are the facts about a kernel's livepatch interface that generated
// code depends on, as its own headers show them. The versions in comments are
// upstream's; distributions backport, so nothing is decided by version.
type Features struct {
	OldAddr        bool `json:"oldAddr"`        // klp_func.old_addr is set by the author, for symbols that are not unique (4.0 to 4.4)
	OldSympos      bool `json:"oldSympos"`      // klp_func.old_sympos (4.5)
	ELFRelocs      bool `json:"elfRelocs"`      // .klp.rela sections, not klp_reloc tables (4.7)
	Consistency    bool `json:"consistency"`    // per-task consistency model (4.12)
	FuncImmediate  bool `json:"funcImmediate"`  // klp_func.immediate (4.12 to 4.15)
	PatchImmediate bool `json:"patchImmediate"` // klp_patch.immediate (4.12 to 4.15)
	Callbacks      bool `json:"callbacks"`      // klp_object.callbacks (4.15)
	Shadow         bool `json:"shadow"`         // shadow variables (4.15)
	ShadowCtor     bool `json:"shadowCtor"`     // klp_shadow_alloc takes a constructor (4.17)
	Register       bool `json:"register"`       // klp_register_patch must be called first (until 5.0)
	Replace        bool `json:"replace"`        // klp_patch.replace (5.1)
	States         bool `json:"states"`         // klp_patch.states (5.5)
	EarlyRelocs    bool `json:"earlyRelocs"`    // vmlinux's klp relocations are applied early, no .klp.arch sections (5.8)
	ExternalHeader bool `json:"externalHeader"` // callbacks are declared in livepatch_external.h (6.19)
}

// API is one generation of the livepatch interface.
type API struct {
	Name     string   `json:"name"` // "4.0", "4.5", … "6.19": the upstream version whose interface this is
	Features Features `json:"features"`
}

// NotLivepatchHeaderError means that a text is not include/linux/livepatch.h.
type NotLivepatchHeaderError struct{ Missing string }

func (e *NotLivepatchHeaderError) Error() string {
	return "not a livepatch.h: no " + e.Missing
}

// DetectAPI reads the text of include/linux/livepatch.h, followed by that of
// include/linux/livepatch_external.h where the kernel has one.
func DetectAPI(text string) (API, error) {
	t := stripComments(text)
	fn, ok := structMembers(t, "klp_func")
	if !ok {
		return API{}, &NotLivepatchHeaderError{"struct klp_func"}
	}
	patch, ok := structMembers(t, "klp_patch")
	if !ok {
		return API{}, &NotLivepatchHeaderError{"struct klp_patch"}
	}
	object, ok := structMembers(t, "klp_object")
	if !ok {
		return API{}, &NotLivepatchHeaderError{"struct klp_object"}
	}
	_, relocTable := structMembers(t, "klp_reloc")
	f := Features{
		OldSympos:      fn["old_sympos"],
		OldAddr:        fn["old_addr"] && !fn["old_sympos"],
		ELFRelocs:      !relocTable && !object["relocs"],
		Consistency:    fn["transition"],
		FuncImmediate:  fn["immediate"],
		PatchImmediate: patch["immediate"],
		Callbacks:      object["callbacks"],
		Shadow:         strings.Contains(t, "klp_shadow_alloc"),
		ShadowCtor:     strings.Contains(t, "klp_shadow_ctor_t"),
		Register:       strings.Contains(t, "klp_register_patch"),
		Replace:        patch["replace"],
		States:         patch["states"],
		EarlyRelocs:    strings.Contains(t, "klp_apply_section_relocs"),
		ExternalHeader: strings.Contains(t, "livepatch_external.h"),
	}
	return API{Name: f.generation(), Features: f}, nil
}

// generation names the upstream version that introduced the newest of the
// features.
func (f Features) generation() string {
	switch {
	case f.ExternalHeader:
		return "6.19"
	case f.EarlyRelocs:
		return "5.8"
	case f.States:
		return "5.5"
	case f.Replace && !f.Register:
		return "5.1"
	case f.Callbacks && !f.FuncImmediate:
		return "4.16"
	case f.Callbacks:
		return "4.15"
	case f.Consistency:
		return "4.12"
	case f.ELFRelocs:
		return "4.7"
	case f.OldSympos:
		return "4.5"
	}
	return "4.0"
}

var (
	comments   = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	identifier = regexp.MustCompile(`[A-Za-z_]\w*`)
)

func stripComments(s string) string { return comments.ReplaceAllString(s, " ") }

// structMembers returns the member names of a struct definition in
// comment-free C.
func structMembers(t, name string) (map[string]bool, bool) {
	start := regexp.MustCompile(`\bstruct\s+` + name + `\s*\{`).FindStringIndex(t)
	if start == nil {
		return nil, false
	}
	depth := 1
	body := t[start[1]:]
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
