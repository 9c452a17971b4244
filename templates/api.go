// Package templates holds the text of what generate emits: the C source of a
// livepatch module for each generation of the kernel's livepatch interface,
// and its build files. It renders a View; it decides nothing.
package templates

import (
	"fmt"
	"regexp"
	"strings"
)

// API says what the livepatch interface of one kernel offers. Distributions
// backport, so it is read from the target's own headers; the versions below
// are those of the mainline kernel and serve as documentation only.
type API struct {
	HasRegister       bool `json:"has_register,omitempty"`       // klp_register_patch(): 4.0 to 5.0
	OldAddr           bool `json:"old_addr,omitempty"`           // klp_func.old_addr is input: 4.0 to 4.4
	OldSympos         bool `json:"old_sympos,omitempty"`         // klp_func.old_sympos: since 4.5
	ElfRelocs         bool `json:"elf_relocs,omitempty"`         // .klp.rela sections; before, klp_object.relocs: since 4.7
	FuncImmediate     bool `json:"func_immediate,omitempty"`     // klp_func.immediate: 4.12 to 4.15
	PatchImmediate    bool `json:"patch_immediate,omitempty"`    // klp_patch.immediate: 4.12 to 4.15
	Callbacks         bool `json:"callbacks,omitempty"`          // struct klp_callbacks: since 4.15
	Replace           bool `json:"replace,omitempty"`            // klp_patch.replace: since 5.1
	ImportNS          bool `json:"import_ns,omitempty"`          // MODULE_IMPORT_NS(): since 5.4
	States            bool `json:"states,omitempty"`             // struct klp_state with id and version: since 5.5
	EarlyRelocs       bool `json:"early_relocs,omitempty"`       // vmlinux klp relocations before special sections: since 5.8
	ImportNSString    bool `json:"import_ns_string,omitempty"`   // MODULE_IMPORT_NS() takes a string: since 6.13
	CallbacksExternal bool `json:"callbacks_external,omitempty"` // linux/livepatch_external.h: since 6.19
}

// Model names how a patch becomes active on kernels of this generation.
type Model int

const (
	// ModelDirect switches every task at once; the module may be removed
	// while it is in force unless its exit disables it (4.0 to 4.11).
	ModelDirect Model = iota
	// ModelRegister switches task by task and needs registration (4.12 to 5.0).
	ModelRegister
	// ModelEnable switches task by task; enabling registers (since 5.1).
	ModelEnable
)

// Model derives the activation model from the features. The consistency model
// came with the immediate flags (4.12), which gave way after callbacks had come.
func (a API) Model() Model {
	switch {
	case !a.HasRegister:
		return ModelEnable
	case a.PatchImmediate || a.Callbacks:
		return ModelRegister
	}
	return ModelDirect
}

// Generation names the mainline version that brought the newest of the
// features that decide how livepatches are loaded and replaced.
func (a API) Generation() string {
	switch {
	case a.CallbacksExternal:
		return "6.19"
	case a.EarlyRelocs:
		return "5.8"
	case a.States:
		return "5.5"
	case a.Replace:
		return "5.1"
	case a.Callbacks && !a.PatchImmediate:
		return "4.16"
	case a.Callbacks:
		return "4.15"
	case a.PatchImmediate:
		return "4.12"
	case a.ElfRelocs:
		return "4.7"
	case a.OldSympos:
		return "4.5"
	}
	return "4.0"
}

// steps are the changes of the interface in mainline, in order.
var steps = []struct {
	version string
	change  func(*API)
}{
	{"4.0", func(a *API) { a.HasRegister, a.OldAddr = true, true }},
	{"4.5", func(a *API) { a.OldAddr, a.OldSympos = false, true }},
	{"4.7", func(a *API) { a.ElfRelocs = true }},
	{"4.12", func(a *API) { a.FuncImmediate, a.PatchImmediate = true, true }},
	{"4.15", func(a *API) { a.Callbacks = true }},
	{"4.16", func(a *API) { a.FuncImmediate, a.PatchImmediate = false, false }},
	{"5.1", func(a *API) { a.HasRegister, a.Replace = false, true }},
	{"5.4", func(a *API) { a.ImportNS = true }},
	{"5.5", func(a *API) { a.States = true }},
	{"5.8", func(a *API) { a.EarlyRelocs = true }},
	{"6.13", func(a *API) { a.ImportNSString = true }},
	{"6.19", func(a *API) { a.CallbacksExternal = true }},
}

// Interfaces lists the mainline versions that changed the interface.
func Interfaces() []string {
	var out []string
	for _, s := range steps {
		out = append(out, s.version)
	}
	return out
}

// Interface returns the interface of mainline from one of Interfaces on.
func Interface(version string) (API, error) {
	var a API
	for _, s := range steps {
		if s.change(&a); s.version == version {
			return a, nil
		}
	}
	return API{}, fmt.Errorf("livepatch interface %q: want one of %s", version, strings.Join(Interfaces(), ", "))
}

var importNS = regexp.MustCompile(`(?m)^\s*#\s*define\s+MODULE_IMPORT_NS\(\s*(\w+)\s*\)\s*(.*)$`)

// DetectNamespaces sets ImportNS and ImportNSString from the text of the
// target's include/linux/module.h.
func (a *API) DetectNamespaces(moduleH string) {
	a.ImportNS, a.ImportNSString = false, false
	m := importNS.FindStringSubmatch(moduleH)
	if m == nil {
		return
	}
	a.ImportNS = true
	// An identifier is made a string by # or __stringify; since 6.13 the
	// argument is the string.
	a.ImportNSString = !strings.Contains(m[2], "#") && !strings.Contains(m[2], "stringify")
}
