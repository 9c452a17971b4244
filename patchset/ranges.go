package patchset

// settle gives lines their original number back where patches removed a line
// and put the same one back: inside each changed group, the common lines at
// both ends are unchanged.
func (t *text) settle() {
	old := splitLines(string(t.old))
	for _, changed := range ranges(t.lines, len(old)) {
		oldAt := changed.OldStart - 1
		now := changed.NewStart - 1
		if changed.OldLines == 0 || changed.NewLines == 0 {
			continue
		}
		oEnd, nEnd := oldAt+changed.OldLines, now+changed.NewLines
		for oldAt < oEnd && now < nEnd && old[oldAt] == t.lines[now].text {
			t.lines[now].orig = oldAt + 1
			oldAt++
			now++
		}
		for oldAt < oEnd && now < nEnd && old[oEnd-1] == t.lines[nEnd-1].text {
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
		changed := Range{OldStart: prev + 1, OldLines: next - prev - 1, NewStart: newStart + 1, NewLines: i - newStart}
		if changed.OldLines == 0 {
			changed.OldStart--
		}
		if changed.NewLines == 0 {
			changed.NewStart--
		}
		out = append(out, changed)
	}
	for i, line := range lines {
		if line.orig == 0 {
			continue
		}
		group(i, line.orig)
		prev, newStart = line.orig, i+1
	}
	group(len(lines), oldLen+1)
	return out
}
