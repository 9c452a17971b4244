package stacks

import "slices"

// state is what is known before an instruction. Places that are not in mem
// hold anything.
type state struct {
	regs  [16]value
	mem   memory
	known [nregions]int64 // from this offset on, others may write too
	wild  [nregions]bool  // a callee wrote beyond what it was given
	lost  bool            // nothing at all is known
	flags flags
}

func (s *state) clone() *state {
	copied := *s
	copied.mem = slices.Clone(s.mem)
	return &copied
}

// become makes s a copy of from that can be changed independently.
func (s *state) become(from *state) {
	mem := append(s.mem[:0], from.mem...)
	*s = *from
	s.mem = mem
}

// join keeps what holds of both and reports whether s changed. What still
// changes when widen is set is given up.
func (s *state) join(from *state, widen bool) bool {
	if s.lost {
		return false
	}
	changed := false
	known := s.known
	one := func(left, right value) value {
		if left == right {
			return left
		}
		val, lost := join(left, right)
		if lost {
			s.expose(right)
		}
		if val != left && widen {
			if val.kind >= pointer {
				val.off = min(left.off, -1<<40)
			} else {
				val = value{}
			}
		}
		changed = changed || val != left
		return val
	}

	for i := range s.regs {
		s.regs[i] = one(s.regs[i], from.regs[i])
	}

	// Places that s knows of: what the other knows there too.
	var added memory
	keep, at := s.mem[:0], 0
	theirs := func(spot place) (cell, bool) {
		for ; at < len(from.mem) && comparePlace(from.mem[at], spot) < 0; at++ {
			if stored := from.mem[at]; stored.v.kind >= pointer {
				added = append(added, stored)
			}
		}
		if at < len(from.mem) && from.mem[at].place == spot {
			at++
			return from.mem[at-1].cell, true
		}
		return cell{}, false
	}
	for _, kept := range s.mem {
		other, has := theirs(kept.place)
		if kept.end() > s.known[kept.region] { // a pointer to it was lost meanwhile
			continue
		}
		if other.size != kept.size {
			other = cell{size: kept.size}
		}
		if kept.v = one(kept.v, other.v); kept.v != (value{}) {
			keep = append(keep, kept)
		} else if has && from.mem[at-1].v.kind >= pointer {
			added = append(added, from.mem[at-1])
		}
	}
	s.mem = keep

	// Places that only the other knows of hold perhaps a pointer.
	theirs(place{region: nregions})
	for _, stored := range added {
		if stored.end() <= min(s.known[stored.region], from.known[stored.region]) {
			s.mem.set(stored.place, cell{stored.size, stored.v.blur()})
			changed = true
		}
	}

	for reg := range s.known {
		s.known[reg] = min(s.known[reg], from.known[reg])
		s.forget(int8(reg))
		if from.wild[reg] && !s.wild[reg] {
			s.wild[reg], changed = true, true
		}
	}
	if s.flags != from.flags && s.flags.op != unknownFlags {
		s.flags, changed = flags{}, true
	}
	return changed || s.known != known
}

// lose gives everything up.
func (s *state) lose() {
	*s = state{lost: true}
	for reg := range s.known {
		s.known[reg], s.wild[reg] = minInt, true
	}
}

// forget drops what others may have written.
func (s *state) forget(region int8) {
	if s.known[region] < maxInt {
		s.mem.drop(region, s.known[region], maxInt)
	}
}

// expose notes that others know where a pointer points to.
func (s *state) expose(v value) {
	s.known[v.region] = min(s.known[v.region], v.off)
}

// give makes what a pointer points to known to others.
func (s *state) give(v value) {
	if v.kind >= pointer {
		s.expose(v)
		s.forget(v.region)
	}
}

func (s *state) load(ptr value, size int64) value {
	if ptr.kind != pointer {
		return value{}
	}
	whole, ok := s.mem.at(place{ptr.region, ptr.off})
	if ok && whole.size >= size {
		if whole.size == size {
			return whole.v
		}
		return whole.v.extend(int(size))
	}
	for back := int64(1); back < 8; back++ { // within a wider one
		if stored, ok := s.mem.at(place{ptr.region, ptr.off - back}); ok && stored.size >= back+size &&
			stored.v.kind == number {
			return shift(stored.v, -int(8*back), false).extend(int(size))
		}
	}
	if size == 8 && ok && whole.size == 4 {
		if upper, ok := s.mem.at(place{ptr.region, ptr.off + 4}); ok && upper.size == 4 {
			return or(whole.v.extend(4), shift(upper.v, 32, false))
		}
	}
	return value{}
}

func (s *state) store(ptr value, size int64, val value) {
	switch ptr.kind {
	case blurred:
		s.mem.drop(ptr.region, ptr.off, maxInt)
		s.give(val)
		return
	case pointer:
	default:
		for reg := range s.known { // perhaps there
			s.forget(int8(reg))
		}
		s.give(val)
		return
	}
	if ptr.region != frame {
		s.give(val)
	}

	// Of a wider number that is overwritten in part, the rest stays.
	var rest memory
	s.mem = slices.DeleteFunc(s.mem, func(kept entry) bool {
		if kept.region != ptr.region || kept.off >= ptr.off+size || kept.end() <= ptr.off {
			return false
		}
		if kept.v.kind == number && kept.size > size && (kept.off-ptr.off)%size == 0 {
			for off := int64(0); off < kept.size; off += size {
				if kept.off+off != ptr.off {
					part := shift(kept.v, -int(8*off), false).extend(int(size))
					rest = append(rest, entry{place{kept.region, kept.off + off}, cell{size, part}})
				}
			}
		}
		return true
	})
	for _, stored := range rest {
		s.mem.set(stored.place, stored.cell)
	}

	if val != (value{}) && (size == 8 || val.kind == number) {
		s.mem.set(place{ptr.region, ptr.off}, cell{size, val})
	}
}
