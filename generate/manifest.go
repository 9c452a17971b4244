package generate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/internal/regular"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/plan"
)

// ManifestSchema identifies the manifest's format.
const ManifestSchema = "klpforge.module/v1"

// ManifestFile is the manifest's name in an emitted directory.
const ManifestFile = "manifest.json"

// ErrManifest means that a manifest is malformed or of another schema.
var ErrManifest = errors.New("not a klpforge module manifest")

// Manifest records what a livepatch module contains and why. It is a pure
// function of the plan: no times, no paths of the build.
type Manifest struct {
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
	Objects  []ManifestObject  `json:"objects"`
	States   []ManifestState   `json:"states,omitempty"`
	Shadows  []ManifestShadow  `json:"shadows,omitempty"`
	Patches  []ManifestPatch   `json:"patches,omitempty"`
	Present  []ManifestPatch   `json:"present,omitempty"` // patches of the release that the kernel's source has already
	Allowed  []ManifestAllow   `json:"allowed,omitempty"`
	ImportNS []string          `json:"import_ns,omitempty"`
	Types    []ManifestTypes   `json:"types,omitempty"` // none in modules of versions that did not compare them
}

// ManifestTypes records what the types that an object's replacements use were compared
// with.
type ManifestTypes struct {
	Object  string `json:"object"`
	Source  string `json:"source,omitempty"` // "vmlinux's BTF"; empty when the kernel has no types
	SHA256  string `json:"sha256,omitempty"` // of that
	Checked int    `json:"checked"`          // types, enumerators and prototypes
	Names   string `json:"names,omitempty"`  // SHA-256 of their names
	Absent  int    `json:"absent,omitempty"` // types that the kernel does not know
}

// ManifestObject is one patched object. One without functions is there because
// replacements elsewhere refer to its symbols.
type ManifestObject struct {
	Name      string             `json:"name"`
	Funcs     []ManifestFunc     `json:"functions"`
	Callbacks *ManifestCallbacks `json:"callbacks,omitempty"`
}

// ManifestFunc is one replaced function.
type ManifestFunc struct {
	Name      string          `json:"name"`
	Sympos    int             `json:"sympos"`
	New       string          `json:"new"`
	Unit      string          `json:"unit"`
	Reasons   []string        `json:"reasons,omitempty"`
	Immediate bool            `json:"immediate,omitempty"`
	Content   string          `json:"content,omitempty"` // digest of the replacement
	Shipped   ManifestShipped `json:"shipped"`
}

// ManifestShipped is the fingerprint of the code that the function replaces.
type ManifestShipped struct {
	Addr   HexUint     `json:"addr"`
	Size   uint64      `json:"size"`
	Masks  [][2]uint64 `json:"masks,omitempty"` // offset and length, bytes
	SHA256 string      `json:"sha256"`
}

// ManifestCallbacks names the symbols of an object's callbacks.
type ManifestCallbacks struct {
	PrePatch    string `json:"pre_patch,omitempty"`
	PostPatch   string `json:"post_patch,omitempty"`
	PreUnpatch  string `json:"pre_unpatch,omitempty"`
	PostUnpatch string `json:"post_unpatch,omitempty"`
}

// ManifestState is one system state.
type ManifestState struct {
	ID      uint64 `json:"id"`
	Version uint32 `json:"version"`
	Meaning string `json:"meaning,omitempty"`
}

// ManifestShadow is one id of shadow variables.
type ManifestShadow struct {
	ID      HexUint `json:"id"`
	Meaning string  `json:"meaning,omitempty"`
}

// ManifestPatch is one source patch, in the order of application.
type ManifestPatch struct {
	Name    string   `json:"name"`
	Subject string   `json:"subject,omitempty"`
	IDs     []string `json:"ids,omitempty"`
	Content string   `json:"content"` // digest of the change, without its place
}

// ManifestAllow is a kind of finding that was accepted.
type ManifestAllow struct {
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

// NewManifest makes the manifest of p. It shares nothing with p.
func NewManifest(p plan.Plan, api klpapi.API) *Manifest {
	m := &Manifest{
		Schema: ManifestSchema, Name: p.Name, Product: p.Product, Vendor: p.Vendor, Description: p.Description, Version: p.Version,
		Release: p.Release, Generation: api.Generation(), API: api, Replace: p.Replace, Immediate: p.Immediate, Force: p.Force,
		ImportNS: append([]string(nil), p.ImportNS...),
		Objects:  []ManifestObject{},
	}
	for _, t := range p.Types {
		m.Types = append(m.Types, ManifestTypes{Object: t.Object, Source: t.Source, SHA256: t.Digest, Checked: t.Checked, Names: t.Names, Absent: t.Absent})
	}
	for _, x := range p.Proofs {
		m.Proofs = append(m.Proofs, bytes.Clone(x))
	}
	for _, o := range p.Objects {
		mo := ManifestObject{Name: o.Name, Funcs: []ManifestFunc{}}
		if o.Callbacks.Any() {
			cb := ManifestCallbacks(o.Callbacks)
			mo.Callbacks = &cb
		}
		for _, f := range o.Funcs {
			mf := ManifestFunc{
				Name: f.Name, Sympos: f.Sympos, New: f.NewSymbol, Unit: f.Unit, Immediate: f.Immediate,
				Reasons: append([]string(nil), f.Reasons...),
				Shipped: ManifestShipped{Addr: HexUint(f.Shipped.Addr), Size: f.Shipped.Size, SHA256: f.Shipped.SHA256},
			}
			for _, r := range f.Shipped.Masks {
				mf.Shipped.Masks = append(mf.Shipped.Masks, [2]uint64{r.Off, r.Len})
			}
			mo.Funcs = append(mo.Funcs, mf)
		}
		m.Objects = append(m.Objects, mo)
	}
	for _, s := range p.States {
		m.States = append(m.States, ManifestState(s))
	}
	for _, s := range p.Shadows {
		m.Shadows = append(m.Shadows, ManifestShadow{HexUint(s.ID), s.Meaning})
	}
	for _, x := range p.Patches {
		x.IDs = slices.Clone(x.IDs)
		m.Patches = append(m.Patches, ManifestPatch(x))
	}
	for _, x := range p.Present {
		x.IDs = slices.Clone(x.IDs)
		m.Present = append(m.Present, ManifestPatch(x))
	}
	for _, x := range p.Allowed {
		m.Allowed = append(m.Allowed, ManifestAllow(x))
	}
	return m
}

// Encode gives the manifest as indented JSON with a final newline.
func (m *Manifest) Encode() ([]byte, error) {
	b, err := m.marshal("  ")
	if err != nil {
		return nil, err
	}
	return collapseMasks(b), nil
}

func (m *Manifest) marshal(indent string) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(m); err != nil {
		return nil, fmt.Errorf("encode manifest of %s: %w", m.Name, err)
	}
	return buf.Bytes(), nil
}

// collapseMasks puts each mask, a pair of numbers, on one line.
func collapseMasks(b []byte) []byte {
	lines := bytes.SplitAfter(b, []byte("\n"))
	out := make([]byte, 0, len(b))
	for i := 0; i < len(lines); i++ {
		if string(bytes.TrimSpace(lines[i])) == "[" && i+3 < len(lines) {
			end := bytes.TrimSpace(lines[i+3])
			if string(end) == "]" || string(end) == "]," {
				out = append(out, bytes.TrimRight(lines[i], "\n")...)
				out = append(out, bytes.TrimSpace(lines[i+1])...)
				out = append(out, ' ')
				out = append(out, bytes.TrimSpace(lines[i+2])...)
				out = append(out, end...)
				out = append(out, '\n')
				i += 3
				continue
			}
		}
		out = append(out, lines[i]...)
	}
	return out
}

// ParseManifest reads a manifest from JSON. The error wraps ErrManifest.
func ParseManifest(b []byte) (*Manifest, error) {
	m := &Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if m.Schema != ManifestSchema {
		return nil, fmt.Errorf("%w: schema is %q, want %q", ErrManifest, m.Schema, ManifestSchema)
	}
	return m, nil
}

// ReadManifest reads the manifest file at path.
func ReadManifest(path string) (*Manifest, error) {
	b, err := regular.Read(path, noteMaxJSON)
	if err != nil {
		return nil, err
	}
	m, err := ParseManifest(b)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return m, nil
}

// Object returns the manifest's object of that name, or nil.
func (m *Manifest) Object(name string) *ManifestObject {
	for i := range m.Objects {
		if m.Objects[i].Name == name {
			return &m.Objects[i]
		}
	}
	return nil
}

// Names lists the callbacks that are set, as pairs of the kernel's field name
// and the symbol, in the kernel's order. A nil receiver has none.
func (c *ManifestCallbacks) Names() [][2]string {
	if c == nil {
		return nil
	}
	return CallbackNames(plan.Callbacks(*c))
}

// CallbackNames lists the callbacks that are set, as ManifestCallbacks.Names.
func CallbackNames(c plan.Callbacks) [][2]string {
	var out [][2]string
	for _, cb := range callbacksOf(c) {
		out = append(out, [2]string{cb.field, cb.symbol})
	}
	return out
}
