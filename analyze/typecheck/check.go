package typecheck

import (
	"cmp"
	"fmt"
	"slices"
)

// Mismatch is a type, an anonymous enumeration's enumerator or a function of the
// compiled object that the kernel has otherwise.
type Mismatch struct {
	Name  string // "struct inode", "vfs_read()", "PIDTYPE_MAX"
	Kind  Kind
	Parts []Difference
	// Several: the kernel has several types of the name, of which the most alike is
	// compared.
	Several bool
	Use     Use
	Why     string // what in the code shows the use
}

// Kind is what a mismatch is about.
type Kind uint8

// The kinds of mismatches.
const (
	KindType Kind = iota
	KindEnumerator
	KindFunc
)

// Use tells whether code that travels depends on what differs.
type Use uint8

// The uses.
const (
	Unused Use = iota // no part of the difference occurs in the code
	Unsure            // the code handles the type, and only its size differs
	Used
)

// Report is the outcome of comparing one object.
type Report struct {
	Checked []string // names of types, enumerators and functions that were compared, sorted
	// Absent are types of which the kernel has none of that name, sorted.
	Absent     []string
	Mismatches []Mismatch
}

// Check compares all types of an object, its anonymous enumerations and the functions
// called with external linkage with the kernel's. comparable says which functions'
// prototypes can be compared: those whose name is unique in the kernel.
//
// before is called when something differs, for the object before the patch. What that
// one has as the kernel does is the patch's own change, which is no mismatch. It
// returns nil when there is none.
func Check(obj *Object, src Source, comparable func(fn string) bool, before func() (*Object, error)) (*Report, error) {
	check := &checker{src: src, rep: &Report{}}
	if err := check.types(obj); err != nil {
		return nil, err
	}
	if err := check.enumerators(obj); err != nil {
		return nil, err
	}
	if err := check.funcs(obj, comparable); err != nil {
		return nil, err
	}
	slices.Sort(check.rep.Checked)
	if len(check.rep.Mismatches) == 0 {
		return check.rep, nil
	}

	// What the patch itself changes is judged by what it was before.
	old, err := before()
	if err != nil {
		return nil, err
	}
	if old == nil {
		return check.rep, nil
	}
	c2 := &checker{src: src, rep: &Report{}}
	var kept []Mismatch
	for _, mismatch := range check.rep.Mismatches {
		again, was, err := c2.again(old, &mismatch)
		switch {
		case err != nil:
			return nil, err
		case !was:
			kept = append(kept, mismatch)
		case again != nil:
			kept = append(kept, *again)
		}
	}
	check.rep.Mismatches = kept
	return check.rep, nil
}

type checker struct {
	src Source
	rep *Report
}

// again compares what a mismatch is about as it is in another object. was is false
// when that object has none of it.
func (c *checker) again(obj *Object, mismatch *Mismatch) (again *Mismatch, was bool, err error) {
	switch mismatch.Kind {
	case KindType:
		t := obj.Type(mismatch.Name)
		if t == nil {
			return nil, false, nil
		}
		again, _, err = c.typ(t)
	case KindFunc:
		f := obj.Func(mismatch.Parts[0].Member)
		if f == nil {
			return nil, false, nil
		}
		again, _, err = c.fn(f)
	case KindEnumerator:
		val, ok := obj.Enumerator(mismatch.Name)
		if !ok {
			return nil, false, nil
		}
		values, err := c.src.Enumerators([]string{mismatch.Name})
		if err != nil {
			return nil, true, err
		}
		again = enumerator(mismatch.Name, val, values[mismatch.Name])
	}
	return again, true, err
}

func (c *checker) types(o *Object) error {
	for i := range o.named() {
		typ := &o.Types[i]
		mismatch, found, err := c.typ(typ)
		if err != nil {
			return err
		}
		if !found {
			c.rep.Absent = append(c.rep.Absent, typ.Name)
			continue
		}
		c.rep.Checked = append(c.rep.Checked, typ.Name)
		if mismatch != nil {
			c.rep.Mismatches = append(c.rep.Mismatches, *mismatch)
		}
	}
	return nil
}

// typ compares one type with all of its name; nil when one is the same.
func (c *checker) typ(typ *Type) (*Mismatch, bool, error) {
	list, err := c.src.Types(typ.Name)
	if err != nil || len(list) == 0 {
		return nil, false, err
	}
	var best []Difference
	for i := range list {
		d := Compare(typ, &list[i])
		if len(d) == 0 {
			return nil, true, nil
		}
		if best == nil || len(d) < len(best) {
			best = d
		}
	}
	return &Mismatch{Name: typ.Name, Parts: best, Several: len(list) > 1}, true, nil
}

// enumerators compares those of anonymous enumerations.
func (c *checker) enumerators(obj *Object) error {
	var names []string
	for i := range obj.Types[len(obj.named()):] {
		for _, p := range obj.Types[len(obj.named())+i].Parts {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	values, err := c.src.Enumerators(names)
	if err != nil {
		return err
	}
	for i := range obj.Types[len(obj.named()):] {
		for _, p := range obj.Types[len(obj.named())+i].Parts {
			if len(values[p.Name]) == 0 {
				continue
			}
			c.rep.Checked = append(c.rep.Checked, p.Name)
			if m := enumerator(p.Name, p.Value, values[p.Name]); m != nil {
				c.rep.Mismatches = append(c.rep.Mismatches, *m)
			}
		}
	}
	return nil
}

// enumerator compares one with all of its name.
func enumerator(name string, here int64, there []int64) *Mismatch {
	if slices.ContainsFunc(there, func(v int64) bool { return sameValue(here, v, 8) }) {
		return nil
	}
	text := fmt.Sprintf("enumerator %s is %d in %%[1]s, %d in %%[2]s", name, here, there[0])
	return &Mismatch{Name: name, Kind: KindEnumerator, Parts: []Difference{{name, text}}, Several: len(there) > 1}
}

func (c *checker) funcs(o *Object, comparable func(string) bool) error {
	for i := range o.Funcs {
		fn := &o.Funcs[i]
		if !fn.External || !comparable(fn.Name) {
			continue
		}
		mismatch, found, err := c.fn(fn)
		if err != nil {
			return err
		}
		if found {
			c.rep.Checked = append(c.rep.Checked, fn.Name+"()")
		}
		if mismatch != nil {
			c.rep.Mismatches = append(c.rep.Mismatches, *mismatch)
		}
	}
	return nil
}

// fn compares one prototype with all of its name.
func (c *checker) fn(fn *Func) (*Mismatch, bool, error) {
	list, err := c.src.Funcs(fn.Name)
	if err != nil || len(list) == 0 {
		return nil, false, err
	}
	var best []Difference
	for i := range list {
		d := compareFunc(fn, &list[i])
		if len(d) == 0 {
			return nil, true, nil
		}
		best = d
	}
	best[0].Member = fn.Name
	return &Mismatch{Name: fn.Name + "()", Kind: KindFunc, Parts: best, Several: len(list) > 1}, true, nil
}

// Sort brings mismatches into the order of reports: what is used first, by name.
func Sort(list []Mismatch) {
	slices.SortStableFunc(list, func(a, b Mismatch) int {
		return cmp.Or(-cmp.Compare(a.Use, b.Use), cmp.Compare(a.Name, b.Name))
	})
}
