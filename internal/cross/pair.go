package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/module/note"
)

// pair is what became of one pair of objects.
type pair struct {
	outcome                    string // carried, refused, no change, nothing to replace, WRONG
	replaced, fresh, externals int
	findings                   []string
	types                      map[string]int // relocations of the result, those in .klp.rela.* tables included
	wrong                      []string       // what the architecture's tools see otherwise
}

const klpPrefix = ".klp.sym.vmlinux."

// try compares one pair, cuts and links the result and reads it back.
func try(base, arch string, t tools) (*pair, error) {
	before, err := elfobj.ReadFile(base + ".orig.o")
	if err != nil {
		return nil, err
	}
	after, err := elfobj.ReadFile(base + ".patched.o")
	if err != nil {
		return nil, err
	}
	p := &pair{types: map[string]int{}}
	r, err := elfdiff.Diff(before, after)
	var problem *finding.Finding
	if errors.As(err, &problem) {
		p.outcome = "refused"
		p.find(*problem)
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	if got := r.Orig.Arch.Name(); got != arch {
		return nil, fmt.Errorf("the objects are for %s", got)
	}
	var replaced []elfdiff.AtomID
	for _, ch := range r.Functions {
		if ch.Kind == elfdiff.Changed && !ch.Init {
			replaced = append(replaced, ch.Patched)
		}
	}
	for _, pr := range r.Problems {
		p.find(pr)
	}
	p.replaced = len(replaced)
	switch {
	case p.outcome == "refused":
		return p, nil
	case len(r.Functions)+len(r.Data)+len(r.Problems) == 0:
		p.outcome = "no change"
		return p, nil
	case len(replaced) == 0:
		p.outcome = "nothing to replace"
		return p, nil
	}
	x, err := r.Extract(elfdiff.ExtractOptions{Unit: filepath.Base(base) + ".o", Object: "vmlinux", Functions: replaced,
		Resolve: func(e elfdiff.External) (string, error) { return klpPrefix + e.Name + ",0", nil }})
	if errors.As(err, &problem) {
		p.find(*problem)
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	for _, pr := range x.Problems {
		p.find(pr)
	}
	p.outcome, p.fresh, p.externals = "carried", len(x.NewFuncs)+len(x.NewData), len(x.Externals)
	if err := p.readBack(base, r, x, t); err != nil {
		return nil, err
	}
	if len(p.wrong) > 0 {
		p.outcome = "WRONG"
	}
	return p, nil
}

func (p *pair) find(pr finding.Finding) {
	if pr.Severity == finding.Error {
		p.outcome = "refused"
	}
	if pr.Severity == finding.Note {
		return
	}
	name := pr.Symbol
	if name == "" {
		name = pr.Section
	}
	f := fmt.Sprintf("%s %s", pr.ID, name)
	if pr.Severity == finding.Error {
		f += ": " + strings.ReplaceAll(pr.Message, "|", "\\|")
	}
	if !slices.Contains(p.findings, f) {
		p.findings = append(p.findings, f)
	}
}

// readBack writes, links and finishes the result in a temporary directory, and
// has the architecture's tools read it.
func (p *pair) readBack(base string, r *elfdiff.Result, x *elfdiff.Extracted, t tools) error {
	dir, err := os.MkdirTemp("", "klpforge-cross-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// By this section the post-link step knows a module; modpost's is of no
	// interest here.
	f := *x.File
	f.Sections = append(slices.Clone(f.Sections), elfobj.Section{Name: ".gnu.linkonce.this_module", Type: elf.SHT_PROGBITS,
		Flags: elf.SHF_ALLOC | elf.SHF_WRITE, Align: 8, Size: 8, Data: make([]byte, 8)})
	raw, err := f.Write()
	if err != nil {
		return err
	}
	cut, linked, ko := filepath.Join(dir, "cut.o"), filepath.Join(dir, "linked.o"), filepath.Join(dir, "out.ko")
	if err := os.WriteFile(cut, raw, 0o600); err != nil {
		return err
	}
	if out, err := exec.Command(t.link, "-r", "-o", linked, cut).CombinedOutput(); err != nil || len(out) > 0 {
		p.wrong = append(p.wrong, fmt.Sprintf("%s: %v: %s", t.link, err, out))
		return nil
	}
	data, err := os.ReadFile(linked)
	if err != nil {
		return err
	}
	done, err := generate.PostLink(data, &note.Note{API: klpapi.API{EarlyRelocs: true}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(ko, done, 0o600); err != nil {
		return err
	}
	if err := p.tables(ko, done, r.Patched.Arch, t); err != nil {
		return err
	}
	return p.code(base+".patched.o", linked, r, x, t)
}

// tables compares what readelf says of relocations and livepatch symbols with
// our own reading.
func (p *pair) tables(path string, raw []byte, arch elfobj.Arch, t tools) error {
	f, err := elfobj.Read(raw)
	if err != nil {
		return err
	}
	var ours []string
	add := func(section string, list []elfobj.Reloc) {
		for _, r := range list {
			name := arch.RelocName(r.Type)
			p.types[name]++
			ours = append(ours, fmt.Sprintf("%s %x %s", section, r.Off, name))
		}
	}
	for i := range f.Sections {
		s := &f.Sections[i]
		add(".rela"+s.Name, s.Relocs)
		for _, k := range s.KlpRelocs {
			add(k.Name, k.Relocs)
		}
	}
	theirs, err := readRelocs(path, t)
	if err != nil {
		return err
	}
	var list []string
	for _, r := range theirs {
		list = append(list, fmt.Sprintf("%s %x %s", r.section, r.off, r.name))
		if strings.HasPrefix(r.section, ".klp.rela.") != strings.HasPrefix(r.symbol, ".klp.sym.") {
			p.wrong = append(p.wrong, fmt.Sprintf("%s+%#x: reference to %s", r.section, r.off, r.symbol))
		}
	}
	slices.Sort(ours)
	slices.Sort(list)
	if !slices.Equal(ours, list) {
		p.wrong = append(p.wrong, fmt.Sprintf("%s sees %d relocations, we %d, or not the same: %s", t.readelf, len(list), len(ours), firstOther(ours, list)))
	}
	syms, err := readSymbols(path, t)
	if err != nil {
		return err
	}
	for _, s := range syms {
		if klp := strings.HasPrefix(s.name, ".klp.sym."); klp != (s.index == "OS[0xff20]") {
			p.wrong = append(p.wrong, fmt.Sprintf("symbol %s has section index %s", s.name, s.index))
		}
	}
	return nil
}

func firstOther(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("%s, %s", a[i], b[i])
		}
	}
	return "one ends earlier"
}
