package locks

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Span is a range of integers, both ends included.
type Span struct{ Lo, Hi int64 }

// Set is a set of integers as ascending ranges that do not touch. nil is the
// full set of whatever size is meant; the empty set is not nil. A set keeps at
// most maxSpans ranges; more are joined, which makes it larger, never smaller.
type Set []Span

const maxSpans = 5

// full is the set of all values of size bytes, sign-extended. Sets are never
// changed in place once made, so this one is shared.
func full(size uint8) Set {
	switch size {
	case 1:
		return fullSets[0]
	case 2:
		return fullSets[1]
	case 4:
		return fullSets[2]
	}
	return fullSets[3]
}

var fullSets = [4]Set{
	{{math.MinInt8, math.MaxInt8}}, {{math.MinInt16, math.MaxInt16}}, {{math.MinInt32, math.MaxInt32}}, {{math.MinInt64, math.MaxInt64}},
}

// isFull reports whether s, which is not nil, is full(size).
func isFull(s Set, size uint8) bool { return len(s) == 1 && s[0] == full(size)[0] }

func single(v int64) Set { return Set{{v, v}} }

// Empty reports whether the set has no member.
func (s Set) Empty() bool { return s != nil && len(s) == 0 }

// Contains reports whether v is a member.
func (s Set) Contains(v int64) bool {
	return s == nil || slices.ContainsFunc(s, func(x Span) bool { return x.Lo <= v && v <= x.Hi })
}

// Single returns the only member.
func (s Set) Single() (int64, bool) {
	if len(s) == 1 && s[0].Lo == s[0].Hi {
		return s[0].Lo, true
	}
	return 0, false
}

// Equal compares two sets.
func (s Set) Equal(t Set) bool { return (s == nil) == (t == nil) && slices.Equal(s, t) }

// intersect returns the common members; neither may be nil.
func (s Set) intersect(t Set) Set {
	if len(t) == 1 && len(s) > 0 && t[0].Lo <= s[0].Lo && t[0].Hi >= s[len(s)-1].Hi {
		return s
	}
	if len(s) == 1 && len(t) > 0 && s[0].Lo <= t[0].Lo && s[0].Hi >= t[len(t)-1].Hi {
		return t
	}
	out := Set{}
	for i, j := 0, 0; i < len(s) && j < len(t); {
		lo, hi := max(s[i].Lo, t[j].Lo), min(s[i].Hi, t[j].Hi)
		if lo <= hi {
			out = append(out, Span{lo, hi})
		}
		if s[i].Hi < t[j].Hi {
			i++
		} else {
			j++
		}
	}
	return out.cap()
}

// union returns the members of either; neither may be nil.
func (s Set) union(t Set) Set {
	if slices.Equal(s, t) {
		return s
	}
	if len(s) == 1 && len(t) == 1 { // by far the most frequent
		first, second := s[0], t[0]
		if second.Lo < first.Lo {
			first, second = second, first
		}
		switch {
		case first.Hi >= second.Hi:
			return Set{first}
		case first.Hi >= second.Lo || first.Hi+1 == second.Lo:
			return Set{{first.Lo, second.Hi}}
		}
		return Set{first, second}
	}
	all := append(slices.Clone(s), t...)
	slices.SortFunc(all, func(a, b Span) int {
		if a.Lo != b.Lo {
			if a.Lo < b.Lo {
				return -1
			}
			return 1
		}
		return 0
	})
	out := Set{}
	for _, span := range all {
		if count := len(out); count > 0 && (span.Lo <= out[count-1].Hi || span.Lo == out[count-1].Hi+1) {
			out[count-1].Hi = max(out[count-1].Hi, span.Hi)
			continue
		}
		out = append(out, span)
	}
	return out.cap()
}

// cap joins the closest ranges until few enough remain.
func (s Set) cap() Set {
	for len(s) > maxSpans {
		best := 1
		for i := 1; i < len(s); i++ {
			if uint64(s[i].Lo-s[i-1].Hi) < uint64(s[best].Lo-s[best-1].Hi) {
				best = i
			}
		}
		s[best-1].Hi = s[best].Hi
		s = slices.Delete(s, best, best+1)
	}
	return s
}

// minus returns the members of full(size) that are not in s.
func (s Set) complement(size uint8) Set {
	whole := full(size)[0]
	out := Set{}
	lo := whole.Lo
	done := false
	for _, span := range s {
		if span.Lo > lo {
			out = append(out, Span{lo, span.Lo - 1})
		}
		if span.Hi >= whole.Hi {
			done = true
			break
		}
		lo = span.Hi + 1
	}
	if !done {
		out = append(out, Span{lo, whole.Hi})
	}
	return out
}

// String prints a set as "0", "[-4095,-1]" or "[1,max]", joined by "|".
func (s Set) String() string {
	if s == nil {
		return "any"
	}
	num := func(v int64) string {
		switch v {
		case math.MinInt64, math.MinInt32, math.MinInt8:
			return "min"
		case math.MaxInt64, math.MaxInt32, math.MaxInt8:
			return "max"
		}
		return fmt.Sprint(v)
	}
	var parts []string
	for _, span := range s {
		if span.Lo == span.Hi {
			parts = append(parts, num(span.Lo))
		} else {
			parts = append(parts, "["+num(span.Lo)+","+num(span.Hi)+"]")
		}
	}
	return strings.Join(parts, "|")
}

// signExt sign-extends the low size bytes of v.
func signExt(v int64, size uint8) int64 {
	switch size {
	case 1:
		return int64(int8(v))
	case 2:
		return int64(int16(v))
	case 4:
		return int64(int32(v))
	}
	return v
}

// zeroExt keeps the low size bytes of v.
func zeroExt(v int64, size uint8) int64 {
	switch size {
	case 1:
		return int64(uint8(v))
	case 2:
		return int64(uint16(v))
	case 4:
		return int64(uint32(v))
	}
	return v
}

// narrow maps a set of values of the zero-extension of size bytes to the set
// of the low bytes, sign-extended.
func (s Set) narrow(size uint8) Set {
	if size >= 8 {
		return s
	}
	half := int64(1) << (8*uint(size) - 1)
	low := s.intersect(Set{{0, half - 1}})
	high := slices.Clone(s.intersect(Set{{half, 2*half - 1}}))
	for i := range high {
		high[i].Lo -= 2 * half
		high[i].Hi -= 2 * half
	}
	return high.union(low)
}
