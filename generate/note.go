package generate

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"slices"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/module/note"
	"github.com/klpforge/klpforge/plan"
)

// ManifestFile is the name of the note's JSON form in an emitted directory.
const ManifestFile = "manifest.json"

// NewNote makes the note of p. It shares nothing with p.
func NewNote(p plan.Plan, api klpapi.API) *note.Note {
	m := &note.Note{
		Schema: note.Schema, Name: p.Name, Product: p.Product, Vendor: p.Vendor, Description: p.Description, Version: p.Version,
		Release: p.Release, Generation: api.Generation(), API: api, Replace: p.Replace, Immediate: p.Immediate, Force: p.Force,
		ImportNS: append([]string(nil), p.ImportNS...),
		Objects:  []note.Object{},
	}
	for _, t := range p.Types {
		m.Types = append(m.Types, note.Types{Object: t.Object, Source: t.Source, SHA256: t.Digest, Checked: t.Checked, Names: t.Names, Absent: t.Absent})
	}
	for _, x := range p.Proofs {
		m.Proofs = append(m.Proofs, bytes.Clone(x))
	}
	for _, o := range p.Objects {
		mo := note.Object{Name: o.Name, Funcs: []note.Func{}}
		if o.Callbacks.Any() {
			cb := note.Callbacks(o.Callbacks)
			mo.Callbacks = &cb
		}
		for _, f := range o.Funcs {
			mf := note.Func{
				Name: f.Name, Sympos: f.Sympos, New: f.NewSymbol, Unit: f.Unit, Immediate: f.Immediate,
				Reasons: append([]string(nil), f.Reasons...),
				Shipped: note.Shipped{Addr: note.HexUint(f.Shipped.Addr), Size: f.Shipped.Size, SHA256: f.Shipped.SHA256},
			}
			for _, r := range f.Shipped.Masks {
				mf.Shipped.Masks = append(mf.Shipped.Masks, [2]uint64{r.Off, r.Len})
			}
			mo.Funcs = append(mo.Funcs, mf)
		}
		m.Objects = append(m.Objects, mo)
	}
	for _, s := range p.States {
		m.States = append(m.States, note.State(s))
	}
	for _, s := range p.Shadows {
		m.Shadows = append(m.Shadows, note.Shadow{ID: note.HexUint(s.ID), Meaning: s.Meaning})
	}
	for _, x := range p.Patches {
		x.IDs = slices.Clone(x.IDs)
		m.Patches = append(m.Patches, note.Patch(x))
	}
	for _, x := range p.Present {
		x.IDs = slices.Clone(x.IDs)
		m.Present = append(m.Present, note.Patch(x))
	}
	for _, x := range p.Allowed {
		m.Allowed = append(m.Allowed, note.Allow(x))
	}
	return m
}

// setNote adds the note section to f, or replaces its content.
func setNote(f *elfobj.File, n *note.Note) error {
	var bo binary.ByteOrder = binary.LittleEndian
	if f.BigEndian {
		bo = binary.BigEndian
	}
	data, err := n.EncodeSection(bo)
	if err != nil {
		return err
	}
	s := findSection(f, note.Section)
	if s == nil {
		f.Sections = append(f.Sections, elfobj.Section{})
		s = &f.Sections[len(f.Sections)-1]
	}
	*s = elfobj.Section{
		Name: note.Section, Type: elf.SHT_NOTE, Flags: elf.SHF_ALLOC, Align: 4,
		Size: uint64(len(data)), Data: data,
	}
	return nil
}
