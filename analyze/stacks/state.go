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
	c := *s
	c.mem = slices.Clone(s.mem)
	return &c
}

// become makes s a copy of o that can be changed independently.
func (s *state) become(o *state) {
	mem := append(s.mem[:0], o.mem...)
	*s = *o
	s.mem = mem
}

// meet keeps what holds of both and reports whether s changed. What still
// changes when widen is set is given up.
func (s *state) meet(o *state, widen bool) bool {
	if s.lost {
		return false
	}
	changed := false
	known := s.known
	one := func(a, b value) value {
		if a == b {
			return a
		}
		v, lost := join(a, b)
		if lost {
			s.expose(b)
		}
		if v != a && widen {
			if v.kind >= pointer {
				v.off = min(a.off, -1<<40)
			} else {
				v = value{}
			}
		}
		changed = changed || v != a
		return v
	}

	for i := range s.regs {
		s.regs[i] = one(s.regs[i], o.regs[i])
	}

	// Places that s knows of: what o knows there too.
	var added memory
	keep, at := s.mem[:0], 0
	theirs := func(p place) (cell, bool) {
		for ; at < len(o.mem) && comparePlace(o.mem[at], p) < 0; at++ {
			if e := o.mem[at]; e.v.kind >= pointer {
				added = append(added, e)
			}
		}
		if at < len(o.mem) && o.mem[at].place == p {
			at++
			return o.mem[at-1].cell, true
		}
		return cell{}, false
	}
	for _, e := range s.mem {
		other, has := theirs(e.place)
		if e.end() > s.known[e.region] { // a pointer to it was lost meanwhile
			continue
		}
		if other.size != e.size {
			other = cell{size: e.size}
		}
		if e.v = one(e.v, other.v); e.v != (value{}) {
			keep = append(keep, e)
		} else if has && o.mem[at-1].v.kind >= pointer {
			added = append(added, o.mem[at-1])
		}
	}
	s.mem = keep

	// Places that only o knows of hold perhaps a pointer.
	theirs(place{region: nregions})
	for _, e := range added {
		if e.end() <= min(s.known[e.region], o.known[e.region]) {
			s.mem.set(e.place, cell{e.size, e.v.blur()})
			changed = true
		}
	}

	for r := range s.known {
		s.known[r] = min(s.known[r], o.known[r])
		s.forget(int8(r))
		if o.wild[r] && !s.wild[r] {
			s.wild[r], changed = true, true
		}
	}
	if s.flags != o.flags && s.flags.op != unknownFlags {
		s.flags, changed = flags{}, true
	}
	return changed || s.known != known
}

// lose gives everything up.
func (s *state) lose() {
	*s = state{lost: true}
	for r := range s.known {
		s.known[r], s.wild[r] = minInt, true
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

func (s *state) load(p value, size int64) value {
	if p.kind != pointer {
		return value{}
	}
	whole, ok := s.mem.at(place{p.region, p.off})
	if ok && whole.size >= size {
		if whole.size == size {
			return whole.v
		}
		return whole.v.extend(int(size))
	}
	for back := int64(1); back < 8; back++ { // within a wider one
		if c, ok := s.mem.at(place{p.region, p.off - back}); ok && c.size >= back+size && c.v.kind == number {
			return shift(c.v, -int(8*back), false).extend(int(size))
		}
	}
	if size == 8 && ok && whole.size == 4 {
		if upper, ok := s.mem.at(place{p.region, p.off + 4}); ok && upper.size == 4 {
			return or(whole.v.extend(4), shift(upper.v, 32, false))
		}
	}
	return value{}
}

func (s *state) store(p value, size int64, v value) {
	switch p.kind {
	case blurred:
		s.mem.drop(p.region, p.off, maxInt)
		s.give(v)
		return
	case pointer:
	default:
		for r := range s.known { // perhaps there
			s.forget(int8(r))
		}
		s.give(v)
		return
	}
	if p.region != frame {
		s.give(v)
	}

	// Of a wider number that is overwritten in part, the rest stays.
	var rest memory
	s.mem = slices.DeleteFunc(s.mem, func(e entry) bool {
		if e.region != p.region || e.off >= p.off+size || e.end() <= p.off {
			return false
		}
		if e.v.kind == number && e.size > size && (e.off-p.off)%size == 0 {
			for o := int64(0); o < e.size; o += size {
				if e.off+o != p.off {
					part := shift(e.v, -int(8*o), false).extend(int(size))
					rest = append(rest, entry{place{e.region, e.off + o}, cell{size, part}})
				}
			}
		}
		return true
	})
	for _, e := range rest {
		s.mem.set(e.place, e.cell)
	}

	if v != (value{}) && (size == 8 || v.kind == number) {
		s.mem.set(place{p.region, p.off}, cell{size, v})
	}
}
