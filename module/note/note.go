package note

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kernel/klpapi"
)

// Schema identifies the format.
const Schema = "klpforge.module/v1"

// ErrMalformed means that a note is malformed or of another schema.
var ErrMalformed = errors.New("not a klpforge module manifest")

// Note records what a livepatch module contains and why. It depends on what went into
// the module alone: no times, no paths of the build. People know its JSON form as the
// module's manifest.
type Note struct {
	Schema      string     `json:"schema"`
	Name        string     `json:"name"`              // of the kernel module
	Product     string     `json:"product,omitempty"` // series of releases
	Vendor      string     `json:"vendor,omitempty"`
	Description string     `json:"description,omitempty"`
	Version     string     `json:"version,omitempty"`
	Release     string     `json:"release"`    // of the kernel
	Generation  string     `json:"generation"` // livepatch interface: the mainline version that brought it
	API         klpapi.API `json:"api"`
	Replace     bool       `json:"replace,omitempty"`
	Immediate   bool       `json:"immediate,omitempty"`
	Force       bool       `json:"safe_to_force,omitempty"`
	// Proofs are the certificates for Force (analyze/equiv), one for each function.
	Proofs   []json.RawMessage `json:"proofs,omitempty"`
	Objects  []Object          `json:"objects"`
	States   []State           `json:"states,omitempty"`
	Shadows  []Shadow          `json:"shadows,omitempty"`
	Patches  []Patch           `json:"patches,omitempty"`
	Present  []Patch           `json:"present,omitempty"` // patches of the release that the kernel's source has already
	Allowed  []Allow           `json:"allowed,omitempty"`
	ImportNS []string          `json:"import_ns,omitempty"`
	Types    []Types           `json:"types,omitempty"` // none in modules of versions that did not compare them
}

// Types records what the types that an object's replacements use were compared
// with.
type Types struct {
	Object  string `json:"object"`
	Source  string `json:"source,omitempty"` // "vmlinux's BTF"; empty when the kernel has no types
	SHA256  string `json:"sha256,omitempty"` // of that
	Checked int    `json:"checked"`          // types, enumerators and prototypes
	Names   string `json:"names,omitempty"`  // SHA-256 of their names
	Absent  int    `json:"absent,omitempty"` // types that the kernel does not know
}

// Object is one patched object. One without functions is there because
// replacements elsewhere refer to its symbols.
type Object struct {
	Name      string     `json:"name"`
	Funcs     []Func     `json:"functions"`
	Callbacks *Callbacks `json:"callbacks,omitempty"`
}

// Func is one replaced function.
type Func struct {
	Name      string   `json:"name"`
	Sympos    int      `json:"sympos"`
	New       string   `json:"new"`
	Unit      string   `json:"unit"`
	Reasons   []string `json:"reasons,omitempty"`
	Immediate bool     `json:"immediate,omitempty"`
	Content   string   `json:"content,omitempty"` // digest of the replacement
	Shipped   Shipped  `json:"shipped"`
}

// Shipped is the fingerprint of the code that the function replaces.
type Shipped struct {
	Addr   HexUint     `json:"addr"`
	Size   uint64      `json:"size"`
	Masks  [][2]uint64 `json:"masks,omitempty"` // offset and length, bytes
	SHA256 string      `json:"sha256"`
}

// Callbacks names the symbols of an object's callbacks.
type Callbacks struct {
	PrePatch    string `json:"pre_patch,omitempty"`
	PostPatch   string `json:"post_patch,omitempty"`
	PreUnpatch  string `json:"pre_unpatch,omitempty"`
	PostUnpatch string `json:"post_unpatch,omitempty"`
}

// State is one system state.
type State struct {
	ID      uint64 `json:"id"`
	Version uint32 `json:"version"`
	Meaning string `json:"meaning,omitempty"`
}

// Shadow is one id of shadow variables.
type Shadow struct {
	ID      HexUint `json:"id"`
	Meaning string  `json:"meaning,omitempty"`
}

// Patch is one source patch, in the order of application.
type Patch struct {
	Name    string   `json:"name"`
	Subject string   `json:"subject,omitempty"`
	IDs     []string `json:"ids,omitempty"`
	Content string   `json:"content"` // digest of the change, without its place
}

// Allow is a kind of finding that was accepted.
type Allow struct {
	ID     finding.ID `json:"id"`
	Reason string     `json:"reason"`
	From   string     `json:"from,omitempty"`
}

// HexUint is a number that JSON shows as a string "0x…", because many readers
// of JSON cannot hold a kernel address as a number.
type HexUint uint64

// MarshalText implements encoding.TextMarshaler.
func (h HexUint) MarshalText() ([]byte, error) {
	return []byte("0x" + strconv.FormatUint(uint64(h), 16)), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *HexUint) UnmarshalText(b []byte) error {
	v, err := strconv.ParseUint(string(b), 0, 64)
	*h = HexUint(v)
	return err
}

// Object returns the object of that name, or nil.
func (n *Note) Object(name string) *Object {
	for i := range n.Objects {
		if n.Objects[i].Name == name {
			return &n.Objects[i]
		}
	}
	return nil
}

// Names lists the callbacks that are set, as pairs of the kernel's field name
// and the symbol, in the kernel's order. A nil receiver has none.
func (c *Callbacks) Names() [][2]string {
	if c == nil {
		return nil
	}
	all := [][2]string{
		{"pre_patch", c.PrePatch}, {"post_patch", c.PostPatch},
		{"pre_unpatch", c.PreUnpatch}, {"post_unpatch", c.PostUnpatch},
	}
	return slices.DeleteFunc(all, func(cb [2]string) bool { return cb[1] == "" })
}
