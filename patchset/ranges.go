package patchset

// settle gives lines their original number back where patches removed a line
// and put the same one back: inside each changed group, the common lines at
// both ends are unchanged.
func (t *text) settle() {
	old := splitLines(string(t.old))
	for _, r := range ranges(t.lines, len(old)) {
		o := r.OldStart - 1
		n := r.NewStart - 1
		if r.OldLines == 0 || r.NewLines == 0 {
			continue
		}
		oEnd, nEnd := o+r.OldLines, n+r.NewLines
		for o < oEnd && n < nEnd && old[o] == t.lines[n].text {
			t.lines[n].orig = o + 1
			o++
			n++
		}
		for o < oEnd && n < nEnd && old[oEnd-1] == t.lines[nEnd-1].text {
			oEnd--
			nEnd--
			t.lines[nEnd].orig = oEnd + 1
		}
	}
}

// ranges lists the changed groups between a file of oldLen lines and lines,
// whose kept members carry ascending original numbers.
func ranges(lines []srcLine, oldLen int) []Range {
	var out []Range
	prev := 0 // original number of the last kept line
	newStart := 0
	group := func(i, next int) {
		if next == prev+1 && newStart == i {
			return
		}
		r := Range{OldStart: prev + 1, OldLines: next - prev - 1, NewStart: newStart + 1, NewLines: i - newStart}
		if r.OldLines == 0 {
			r.OldStart--
		}
		if r.NewLines == 0 {
			r.NewStart--
		}
		out = append(out, r)
	}
	for i, l := range lines {
		if l.orig == 0 {
			continue
		}
		group(i, l.orig)
		prev, newStart = l.orig, i+1
	}
	group(len(lines), oldLen+1)
	return out
}
