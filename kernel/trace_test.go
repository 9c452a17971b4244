package kernel

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func fakeTrace(t *testing.T, change func(im *Image)) *Trace {
	t.Helper()
	im, err := parseImage("fake", fakeVmlinux(kallsymsLayouts[3], fakeSymbols(true), false))
	if err != nil {
		t.Fatal(err)
	}
	s, err := decodeKallsyms(im)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(im)
	}
	return newTrace(im, s)
}

func TestTrace(t *testing.T) {
	tr := fakeTrace(t, nil)
	if tr.Why != "" {
		t.Fatal(tr.Why)
	}
	// Unsorted in the image, with a cleared entry.
	if d := cmp.Diff([]uint64{fakeText + 20, fakeText + 48, fakeText + 64}, tr.Locs); d != "" {
		t.Error(d)
	}
	for _, c := range []struct {
		name       string
		addr, size uint64
		want       Tri
	}{
		{"at its entry", fakeText + 48, 16, Yes},
		{"behind endbr", fakeText + 16, 16, Yes},
		{"location is the last byte", fakeText + 16, 5, Yes},
		{"that of an overridden weak function", fakeText + 40, 64, No},
		{"location is behind it", fakeText + 16, 4, No},
		{"none", fakeText + 32, 16, No},
		{"no size", fakeText + 48, 0, Yes},
	} {
		if got := tr.Traceable(c.addr, c.size); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if !tr.Blacklisted(fakeText+32) || tr.Blacklisted(fakeText+33) {
		t.Errorf("Blacklisted is wrong: %#x", tr.Blacklist)
	}
}

func TestTraceUnknown(t *testing.T) {
	tr := fakeTrace(t, func(im *Image) { clear(im.Section(".init.data").data) })
	if tr.Traceable(fakeText+48, 16) != Unknown || !strings.Contains(tr.Why, "relocations at boot") {
		t.Errorf("%v, %q", tr.Traceable(fakeText+48, 16), tr.Why)
	}
	im, _ := parseImage("fake", fakeVmlinux(kallsymsLayouts[3], fakeSymbols(true), false))
	b := newSymbolsBuilder(0)
	b.add("_stext", fakeText, 'T')
	tr = newTrace(im, b.finish("", ""))
	if tr.Traceable(fakeText, 16) != Unknown || !strings.Contains(tr.Why, "__start_mcount_loc") {
		t.Errorf("%q", tr.Why)
	}
}

func TestRegions(t *testing.T) {
	b := newSymbolsBuilder(0)
	for _, s := range []nmSymbol{{0x100, 'T', "__entry_text_start"}, {0x110, 'T', "__irqentry_text_start"}, {0x120, 'T', "__irqentry_text_end"}, {0x200, 'T', "__entry_text_end"}, {0x300, 'T', "_sinittext"}, {0x300, 'T', "_einittext"}} {
		b.add(s.name, s.addr, s.typ)
	}
	tr := newTrace(&Image{Order: binary.LittleEndian}, b.finish("", ""))
	for addr, want := range map[uint64]string{0xff: "", 0x100: "entry", 0x110: "irqentry", 0x11f: "irqentry", 0x120: "entry", 0x200: "", 0x300: ""} {
		if r, _ := tr.Region(addr); r.Name != want {
			t.Errorf("Region(%#x) = %+v, want %q", addr, r, want)
		}
	}
}
