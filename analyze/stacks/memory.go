package stacks

import (
	"cmp"
	"slices"
)

// place is a place in a part of memory, by offset in bytes: in the frame from
// the stack pointer at entry, else from where the argument points to.
type place struct {
	region int8
	off    int64
}

// cell is what a place holds, size bytes of it.
type cell struct {
	size int64
	v    value
}

// memory is what is known of places, ascending, each place once. Most functions
// know of a handful, so that a list is searched and copied faster than a map.
type memory []entry

type entry struct {
	place
	cell
}

func (e *entry) end() int64 { return e.off + e.size }

func comparePlace(e entry, p place) int {
	return cmp.Or(cmp.Compare(e.region, p.region), cmp.Compare(e.off, p.off))
}

// at returns what a place holds.
func (m memory) at(p place) (cell, bool) {
	if i, ok := slices.BinarySearchFunc(m, p, comparePlace); ok {
		return m[i].cell, true
	}
	return cell{}, false
}

// set makes a place hold something, in place of what was known of it.
func (m *memory) set(at place, val cell) {
	i, ok := slices.BinarySearchFunc(*m, at, comparePlace)
	if ok {
		(*m)[i].cell = val
		return
	}
	*m = slices.Insert(*m, i, entry{at, val})
}

// drop forgets the places of a region that reach into from up to to.
func (m *memory) drop(region int8, from, to int64) {
	*m = slices.DeleteFunc(*m, func(e entry) bool { return e.region == region && e.off < to && e.end() > from })
}
