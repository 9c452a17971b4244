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
func (o *Object) References(a AtomID) []Reference {
	at := &o.Atoms[a]
	relocs, first := o.relocsIn(a)
	relocs, first = skipPrefix(relocs, first, at.Base)
	out := make([]Reference, 0, len(relocs))
	for k := range relocs {
		r := &relocs[k]
		if r.Off-at.Base >= at.Size {
			break
		}
		sym := &o.File.Symbols[r.Sym]
		out = append(out, Reference{Off: r.Off - at.Base, Width: o.Arch.Width(r.Type), Type: r.Type, PCRel: o.Arch.PCRelative(r.Type),
			Branch: o.code(at.Sec) && o.Arch.BranchReloc(o.File.Sections[at.Sec].Data, *r),
			Skew:   o.location(at.Sec, r, first+k) - int64(sym.Value) - r.Addend, Target: o.target(at.Sec, r, first+k)})
	}
	return out
}

// Code returns the bytes of the atom's primary symbol, nil for zeroed data.
func (o *Object) Code(a AtomID) []byte {
	at := &o.Atoms[a]
	d := o.File.Sections[at.Sec].Data
	if d == nil {
		return nil
	}
	return d[at.Base : at.Base+at.Size]
}

// IsFunction reports whether the atom is named code of its own: neither a cold
// piece nor out-of-line alternatives.
func (o *Object) IsFunction(a AtomID) bool {
	at := &o.Atoms[a]
	return at.Class == classText && at.Name != "" && o.Root(a) == a
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
		a := AtomID(i)
		if at := &r.Patched.Atoms[a]; at.Name != "" && r.pairs.toO[a] < 0 && !r.Patched.Local(a) && (at.Class == classText || variable(r.Patched, a)) && !initSection(r.Patched.Section(a)) {
			out = append(out, at.Name)
		}
	}
	return out
}

// PatchedOf returns the patched atom paired with the original a, -1 if none.
func (r *Result) PatchedOf(a AtomID) AtomID { return r.pairs.toP[a] }

// OrigOf returns the original atom paired with the patched b, -1 if none.
func (r *Result) OrigOf(b AtomID) AtomID { return r.pairs.toO[b] }

// Named returns the patched functions paired with the given originals, and
// those that have no partner.
func (r *Result) Named(orig []AtomID) (patched, missing []AtomID) {
	for _, a := range orig {
		if b := r.pairs.toP[a]; b >= 0 {
			patched = append(patched, b)
		} else {
			missing = append(missing, a)
		}
	}
	return patched, missing
}

// CarryLike makes Extract carry the changed constant data that another
// comparison of the same original object would carry, and no other.
func (r *Result) CarryLike(other *Result) {
	r.carry = map[AtomID]bool{}
	for b := range other.carry {
		if c := r.pairs.toP[other.pairs.toO[b]]; c >= 0 {
			r.carry[c] = true
		}
	}
}
