package klpapi

import (
	"fmt"
	"strings"
)

// API says what the livepatch interface of one kernel offers. The versions are
// those of the mainline kernel. The JSON names are part of the note that modules
// carry.
type API struct {
	HasRegister bool `json:"has_register,omitempty"` // klp_register_patch(): 4.0 to 5.0
	OldAddr     bool `json:"old_addr,omitempty"`     // klp_func.old_addr is input: 4.0 to 4.4
	OldSympos   bool `json:"old_sympos,omitempty"`   // klp_func.old_sympos: since 4.5
	// .klp.rela sections; before, klp_object.relocs: since 4.7
	ElfRelocs      bool `json:"elf_relocs,omitempty"`
	Consistency    bool `json:"consistency,omitempty"`     // per-task consistency model: since 4.12
	FuncImmediate  bool `json:"func_immediate,omitempty"`  // klp_func.immediate: 4.12 to 4.15
	PatchImmediate bool `json:"patch_immediate,omitempty"` // klp_patch.immediate: 4.12 to 4.15
	Callbacks      bool `json:"callbacks,omitempty"`       // struct klp_callbacks: since 4.15
	Replace        bool `json:"replace,omitempty"`         // klp_patch.replace: since 5.1
	ImportNS       bool `json:"import_ns,omitempty"`       // MODULE_IMPORT_NS(): since 5.4
	States         bool `json:"states,omitempty"`          // struct klp_state with id and version: since 5.5
	// vmlinux klp relocations before special sections: since 5.8
	EarlyRelocs       bool `json:"early_relocs,omitempty"`
	ImportNSString    bool `json:"import_ns_string,omitempty"`   // MODULE_IMPORT_NS() takes a string: since 6.13
	CallbacksExternal bool `json:"callbacks_external,omitempty"` // linux/livepatch_external.h: since 6.19
}

// Immediate reports whether a flag lets a patch, or a function of it, do without the
// consistency model.
func (a API) Immediate() bool { return a.PatchImmediate || a.FuncImmediate }

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

// Model derives the activation model from the features.
func (a API) Model() Model {
	switch {
	case !a.HasRegister:
		return ModelEnable
	case a.Consistency:
		return ModelRegister
	}
	return ModelDirect
}

// step is one change of the interface in mainline.
type step struct {
	version string
	change  func(*API)
	// shows reports whether an interface has come to this step, whatever was backported
	// to it; nil where the step alters neither how livepatches are loaded nor how they
	// are replaced, and so makes no generation.
	shows func(API) bool
}

// steps are in the order of mainline.
var steps = []step{
	{"4.0", func(a *API) { a.HasRegister, a.OldAddr = true, true },
		func(API) bool { return true }},
	{"4.5", func(a *API) { a.OldAddr, a.OldSympos = false, true },
		func(a API) bool { return a.OldSympos }},
	{"4.7", func(a *API) { a.ElfRelocs = true },
		func(a API) bool { return a.ElfRelocs }},
	{"4.12", func(a *API) { a.Consistency, a.FuncImmediate, a.PatchImmediate = true, true, true },
		func(a API) bool { return a.Consistency }},
	{"4.15", func(a *API) { a.Callbacks = true },
		func(a API) bool { return a.Callbacks }},
	{"4.16", func(a *API) { a.FuncImmediate, a.PatchImmediate = false, false },
		func(a API) bool { return a.Callbacks && !a.Immediate() }},
	{"5.1", func(a *API) { a.HasRegister, a.Replace = false, true },
		func(a API) bool { return a.Replace && !a.HasRegister }},
	{"5.4", func(a *API) { a.ImportNS = true }, nil},
	{"5.5", func(a *API) { a.States = true },
		func(a API) bool { return a.States }},
	{"5.8", func(a *API) { a.EarlyRelocs = true },
		func(a API) bool { return a.EarlyRelocs }},
	{"6.13", func(a *API) { a.ImportNSString = true }, nil},
	{"6.19", func(a *API) { a.CallbacksExternal = true },
		func(a API) bool { return a.CallbacksExternal }},
}

// Generation names the mainline version that brought the newest of the
// features that decide how livepatches are loaded and replaced.
func (a API) Generation() string {
	var newest string
	for i := range steps {
		if s := &steps[i]; s.shows != nil && s.shows(a) {
			newest = s.version
		}
	}
	return newest
}

// Versions lists the mainline versions that changed the interface, in order.
func Versions() []string {
	var out []string
	for i := range steps {
		out = append(out, steps[i].version)
	}
	return out
}

// Mainline returns the interface of mainline from one of Versions on.
func Mainline(version string) (API, error) {
	var a API
	for i := range steps {
		if steps[i].change(&a); steps[i].version == version {
			return a, nil
		}
	}
	return API{}, fmt.Errorf("livepatch interface %q: want one of %s", version, strings.Join(Versions(), ", "))
}
