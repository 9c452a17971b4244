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

// NewNote makes the note of a plan. It shares nothing with it.
func NewNote(contents plan.Plan, api klpapi.API) *note.Note {
	recorded := &note.Note{
		Schema: note.Schema, Name: contents.Name, Product: contents.Product, Vendor: contents.Vendor,
		Description: contents.Description, Version: contents.Version,
		Release: contents.Release, Generation: api.Generation(), API: api, Replace: contents.Replace,
		Immediate: contents.Immediate, Force: contents.Force,
		ImportNS: append([]string(nil), contents.ImportNS...),
		Objects:  []note.Object{},
	}

	// What was checked against the target's types and code when the module was built.
	for _, t := range contents.Types {
		recorded.Types = append(recorded.Types, note.Types{Object: t.Object, Source: t.Source, SHA256: t.Digest,
			Checked: t.Checked, Names: t.Names, Absent: t.Absent})
	}
	for _, x := range contents.Proofs {
		recorded.Proofs = append(recorded.Proofs, bytes.Clone(x))
	}

	// The tables of the module, as verification will read them back.
	for _, object := range contents.Objects {
		mo := note.Object{Name: object.Name, Funcs: []note.Func{}}
		if object.Callbacks.Any() {
			cb := note.Callbacks(object.Callbacks)
			mo.Callbacks = &cb
		}
		for _, fn := range object.Funcs {
			mf := note.Func{
				Name: fn.Name, Sympos: fn.Sympos, New: fn.NewSymbol, Unit: fn.Unit, Immediate: fn.Immediate,
				Reasons: append([]string(nil), fn.Reasons...),
				Shipped: note.Shipped{Addr: note.HexUint(fn.Shipped.Addr), Size: fn.Shipped.Size,
					SHA256: fn.Shipped.SHA256},
			}
			for _, r := range fn.Shipped.Masks {
				mf.Shipped.Masks = append(mf.Shipped.Masks, [2]uint64{r.Off, r.Len})
			}
			mo.Funcs = append(mo.Funcs, mf)
		}
		recorded.Objects = append(recorded.Objects, mo)
	}

	// What the authors say of the release.
	for _, s := range contents.States {
		recorded.States = append(recorded.States, note.State(s))
	}
	for _, s := range contents.Shadows {
		recorded.Shadows = append(recorded.Shadows, note.Shadow{ID: note.HexUint(s.ID), Meaning: s.Meaning})
	}
	for _, x := range contents.Patches {
		x.IDs = slices.Clone(x.IDs)
		recorded.Patches = append(recorded.Patches, note.Patch(x))
	}
	for _, x := range contents.Present {
		x.IDs = slices.Clone(x.IDs)
		recorded.Present = append(recorded.Present, note.Patch(x))
	}
	for _, x := range contents.Allowed {
		recorded.Allowed = append(recorded.Allowed, note.Allow(x))
	}
	return recorded
}

// setNote adds the note section to the file, or replaces its content.
func setNote(elfFile *elfobj.File, recorded *note.Note) error {
	var bo binary.ByteOrder = binary.LittleEndian
	if elfFile.BigEndian {
		bo = binary.BigEndian
	}
	data, err := recorded.EncodeSection(bo)
	if err != nil {
		return err
	}
	section := findSection(elfFile, note.Section)
	if section == nil {
		elfFile.Sections = append(elfFile.Sections, elfobj.Section{})
		section = &elfFile.Sections[len(elfFile.Sections)-1]
	}
	*section = elfobj.Section{
		Name: note.Section, Type: elf.SHT_NOTE, Flags: elf.SHF_ALLOC, Align: 4,
		Size: uint64(len(data)), Data: data,
	}
	return nil
}
