package elfdiff

// Reference is one relocation of an atom, resolved.
type Reference struct {
	Off    uint64 // place, bytes from the atom's primary symbol
	Width  int    // bytes
	Type   uint32 // R_<arch>_*
	PCRel  bool
	Branch bool  // a direct call or jump
	Skew   int64 // from the place to the point that a PC-relative value counts from
	Target Target
}

// References returns the resolved relocations of an atom in order of place,
// without those of a function's prefix.
func (o *Object) References(atom AtomID) []Reference {
	at := &o.Atoms[atom]
	relocs, first := o.relocsIn(atom)
	relocs, first = skipPrefix(relocs, first, at.Base)
	out := make([]Reference, 0, len(relocs))
	for k := range relocs {
		rel := &relocs[k]
		if rel.Off-at.Base >= at.Size {
			break
		}
		sym := &o.File.Symbols[rel.Sym]
		out = append(out, Reference{Off: rel.Off - at.Base, Width: o.Arch.Width(rel.Type), Type: rel.Type,
			PCRel:  o.Arch.PCRelative(rel.Type),
			Branch: o.code(at.Sec) && o.Arch.BranchReloc(o.File.Sections[at.Sec].Data, *rel),
			Skew:   o.location(at.Sec, rel, first+k) - int64(sym.Value) - rel.Addend,
			Target: o.target(at.Sec, rel, first+k)})
	}
	return out
}

// Code returns the bytes of the atom's primary symbol, nil for zeroed data.
func (o *Object) Code(atom AtomID) []byte {
	at := &o.Atoms[atom]
	d := o.File.Sections[at.Sec].Data
	if d == nil {
		return nil
	}
	return d[at.Base : at.Base+at.Size]
}

// IsFunction reports whether the atom is named code of its own: neither a cold
// piece nor out-of-line alternatives.
func (o *Object) IsFunction(atom AtomID) bool {
	at := &o.Atoms[atom]
	return at.Class == classText && at.Name != "" && o.Root(atom) == atom
}

// IsCode reports whether the atom is code.
func (o *Object) IsCode(a AtomID) bool { return o.Atoms[a].Class == classText }

// Section returns the name of the atom's section.
func (o *Object) Section(a AtomID) string { return o.File.Sections[o.Atoms[a].Sec].Name }

// InitOnly reports whether the atom is only used while booting, loading or
// unloading: by its section, or as a constructor.
func (o *Object) InitOnly(a AtomID) bool { return initSection(o.Section(a)) || o.ctors[a] }

// Traceable reports whether the object gives the function an ftrace entry.
func (o *Object) Traceable(a AtomID) bool { return o.traceable[a] }

// NewGlobals returns the functions and variables that only the patched object
// defines and that other objects can refer to.
func (r *Result) NewGlobals() []string {
	var out []string
	for i := range r.Patched.Atoms {
		atom := AtomID(i)
		if at := &r.Patched.Atoms[atom]; at.Name != "" && r.pairs.toO[atom] < 0 && !r.Patched.Local(atom) &&
			(at.Class == classText || variable(r.Patched, atom)) && !initSection(r.Patched.Section(atom)) {
			out = append(out, at.Name)
		}
	}
	return out
}

// PatchedOf returns the patched atom paired with the original one, -1 if none.
func (r *Result) PatchedOf(orig AtomID) AtomID { return r.pairs.toP[orig] }

// OrigOf returns the original atom paired with the patched one, -1 if none.
func (r *Result) OrigOf(patched AtomID) AtomID { return r.pairs.toO[patched] }

// Named returns the patched functions paired with the given originals, and
// those that have no partner.
func (r *Result) Named(orig []AtomID) (patched, missing []AtomID) {
	for _, atom := range orig {
		if partner := r.pairs.toP[atom]; partner >= 0 {
			patched = append(patched, partner)
		} else {
			missing = append(missing, atom)
		}
	}
	return patched, missing
}

// CarryLike makes Extract carry the changed constant data that another
// comparison of the same original object would carry, and no other.
func (r *Result) CarryLike(other *Result) {
	r.carry = map[AtomID]bool{}
	for atom := range other.carry {
		if mine := r.pairs.toP[other.pairs.toO[atom]]; mine >= 0 {
			r.carry[mine] = true
		}
	}
}
