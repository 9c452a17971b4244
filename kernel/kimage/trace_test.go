package kimage

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/kernel/kerneltest"
)

func fakeTrace(t *testing.T, change func(im *Image)) *Trace {
	t.Helper()
	im, err := parse("fake", kerneltest.Vmlinux(kerneltest.Layouts[3], kerneltest.Symbols(true), false))
	if err != nil {
		t.Fatal(err)
	}
	s, err := im.Kallsyms()
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(im)
	}
	return NewTrace(im, s)
}

func TestTrace(t *testing.T) {
	tr := fakeTrace(t, nil)
	if tr.Why != "" {
		t.Fatal(tr.Why)
	}
	// Unsorted in the image, with a cleared entry.
	if d := cmp.Diff([]uint64{kerneltest.Text + 20, kerneltest.Text + 48, kerneltest.Text + 64}, tr.Locs); d != "" {
		t.Error(d)
	}
	for _, c := range []struct {
		name       string
		addr, size uint64
		want       Tri
	}{
		{"at its entry", kerneltest.Text + 48, 16, Yes},
		{"behind endbr", kerneltest.Text + 16, 16, Yes},
		{"location is the last byte", kerneltest.Text + 16, 5, Yes},
		{"that of an overridden weak function", kerneltest.Text + 40, 64, No},
		{"location is behind it", kerneltest.Text + 16, 4, No},
		{"none", kerneltest.Text + 32, 16, No},
		{"no size", kerneltest.Text + 48, 0, Yes},
	} {
		if got := tr.Traceable(c.addr, c.size); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if !tr.Blacklisted(kerneltest.Text+32) || tr.Blacklisted(kerneltest.Text+33) {
		t.Errorf("Blacklisted is wrong: %#x", tr.Blacklist)
	}
}

func TestTraceUnknown(t *testing.T) {
	tr := fakeTrace(t, func(im *Image) { clear(im.Section(".init.data").data) })
	if tr.Traceable(kerneltest.Text+48, 16) != Unknown || !strings.Contains(tr.Why, "relocations at boot") {
		t.Errorf("%v, %q", tr.Traceable(kerneltest.Text+48, 16), tr.Why)
	}
	im, _ := parse("fake", kerneltest.Vmlinux(kerneltest.Layouts[3], kerneltest.Symbols(true), false))
	b := newSymbolsBuilder(0)
	b.add("_stext", kerneltest.Text, 'T')
	tr = NewTrace(im, b.finish("", ""))
	if tr.Traceable(kerneltest.Text, 16) != Unknown || !strings.Contains(tr.Why, "__start_mcount_loc") {
		t.Errorf("%q", tr.Why)
	}
}

func TestRegions(t *testing.T) {
	b := newSymbolsBuilder(0)
	for _, s := range []nmSymbol{{0x100, 'T', "__entry_text_start"}, {0x110, 'T', "__irqentry_text_start"}, {0x120, 'T', "__irqentry_text_end"}, {0x200, 'T', "__entry_text_end"}, {0x300, 'T', "_sinittext"}, {0x300, 'T', "_einittext"}} {
		b.add(s.name, s.addr, s.typ)
	}
	tr := NewTrace(&Image{Order: binary.LittleEndian}, b.finish("", ""))
	for addr, want := range map[uint64]string{0xff: "", 0x100: "entry", 0x110: "irqentry", 0x11f: "irqentry", 0x120: "entry", 0x200: "", 0x300: ""} {
		if r, _ := tr.Region(addr); r.Name != want {
			t.Errorf("Region(%#x) = %+v, want %q", addr, r, want)
		}
	}
}
