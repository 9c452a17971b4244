// Package plan holds what goes into a livepatch: objects, functions with the
// reason for each, callbacks, states, replace and immediate flags. It knows
// neither ELF bytes nor how C is written.
package plan

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/klpforge/klpforge/finding"
)

// Vmlinux is the object name of code built into the kernel image.
const Vmlinux = "vmlinux"

// Plan is the content of one livepatch module. It is a value: the same inputs
// give the same plan, in the same order.
type Plan struct {
	Name        string // module name: characters of C identifiers only; it may begin with a digit
	Product     string // name of the series of releases that this is one of; may be empty
	Vendor      string // who ships the series; may be empty
	Description string // for MODULE_DESCRIPTION; may be empty
	Version     string // for MODULE_VERSION, ordered by CompareVersions; may be empty
	Release     string // kernel release the plan was made for
	Replace     bool   // atomic replace (API 5.1+)
	Immediate   bool   // klp_patch.immediate (API 4.12–4.15)
	Force       bool   // verdict "safe to force", recorded for loaders
	// Proofs are the certificates of that verdict, as JSON, one for each function.
	Proofs   []json.RawMessage
	Objects  []Object
	States   []State
	Shadows  []Shadow
	Patches  []Patch   // what it was made of, in order
	Present  []Patch   // of the release's patches those that the target's source has already
	Allowed  []Allowed // findings that its author accepted
	ImportNS []string  // symbol namespaces of exports that the code uses
	Types    []Types   // what the types of the code were compared with, by object
}

// Types records what the types that the code uses were compared with.
type Types struct {
	Object  string // Vmlinux or a module
	Source  string // "vmlinux's BTF"; "" when the target has no types, and nothing was compared
	Digest  string // of what Source names: SHA-256, hexadecimal
	Checked int    // types, enumerators and prototypes that were compared and found the same
	Names   string // SHA-256 of their names, sorted, one a line
	Absent  int    // types of which the target has none of that name: new ones, mostly
}

// Object is one patched object: vmlinux or a module.
type Object struct {
	Name      string // Vmlinux or a module name with '_' as the kernel spells it
	Funcs     []Func
	Callbacks Callbacks
}

// Func is one replaced function.
type Func struct {
	Name      string   // name in the target's kallsyms, e.g. "foo" or "foo.isra.0"
	Sympos    int      // 0 when unique in the object, else 1-based position
	NewSymbol string   // global symbol of the replacement in the extracted object
	Unit      string   // object file it was compiled into, e.g. "fs/ext4/mballoc.o"
	Reasons   []string // why it is on the list, most important first
	Immediate bool     // klp_func.immediate (API 4.12–4.15)
	Shipped   Shipped
}

// Shipped describes the code of the function in the target's image, so that a
// finished module can be checked against a kernel without any build tree.
type Shipped struct {
	Addr   uint64  // link-time address in vmlinux; offset in its section for a module
	Size   uint64  // bytes
	Masks  []Range // byte ranges, relative to the function, that relocations fill
	SHA256 string  // hex digest of the code with Masks zeroed
}

// Range is a half-open byte range.
type Range struct {
	Off uint64 `json:"off"`
	Len uint64 `json:"len"`
}

// Callbacks names the global symbols of an object's callbacks; empty means none.
type Callbacks struct {
	PrePatch, PostPatch, PreUnpatch, PostUnpatch string
}

// State is a klp_state (API 5.5+).
type State struct {
	ID      uint64
	Version uint32
	Meaning string
}

// Shadow is an id of shadow variables that the code uses.
type Shadow struct {
	ID      uint64
	Meaning string
}

// Patch is one source patch of a livepatch.
type Patch struct {
	Name    string   // file name, or commit
	Subject string   // may be empty
	IDs     []string // what it is known by: CVE numbers, commits; may be empty
	Content string   // digest of what it changes, which survives a move in the file
}

// Allowed is a kind of finding that was accepted, and why.
type Allowed struct {
	ID     finding.ID
	Reason string
	From   string // a patch file and line, the release manifest, or the command line
}

// Any reports whether at least one callback is set.
func (c Callbacks) Any() bool { return c != Callbacks{} }

// Sort brings objects and functions into the canonical order: vmlinux first,
// then modules by name; functions by unit, name and position.
func (p *Plan) Sort() {
	slices.SortFunc(p.Objects, func(left, right Object) int {
		if (left.Name == Vmlinux) != (right.Name == Vmlinux) {
			if left.Name == Vmlinux {
				return -1
			}
			return 1
		}
		return cmp.Compare(left.Name, right.Name)
	})
	slices.SortFunc(p.Types, func(left, right Types) int { return cmp.Compare(left.Object, right.Object) })
	for _, o := range p.Objects {
		slices.SortFunc(o.Funcs, func(left, right Func) int {
			return cmp.Or(cmp.Compare(left.Unit, right.Unit), cmp.Compare(left.Name, right.Name),
				cmp.Compare(left.Sympos, right.Sympos))
		})
	}
}
