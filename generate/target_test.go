package generate_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/kimage"
	"github.com/klpforge/klpforge/kernel/kmod"
	"github.com/klpforge/klpforge/plan"
)

// kernelTarget shows a real kernel to Verify, with some modules added to those
// that it ships.
type kernelTarget struct {
	*kernel.Target
	extra map[string]*kmod.Module
}

var _ generate.VerifyTarget = kernelTarget{}

func (k kernelTarget) module(name string) (*kmod.Module, error) {
	if m := k.extra[name]; m != nil {
		return m, nil
	}
	return k.Target.Module(name)
}

func (k kernelTarget) HasObject(object string) bool {
	_, err := k.module(object)
	return err == nil
}

// Needs gives the direct dependencies, which is as far as these tests go.
func (k kernelTarget) Needs(object string) ([]string, error) {
	m, err := k.module(object)
	if err != nil {
		return nil, err
	}
	return strings.Split(m.Info.Get("depends"), ","), nil
}

func (k kernelTarget) Symbols(object, name string) ([]generate.ShippedSym, error) {
	var out []generate.ShippedSym
	if object == plan.Vmlinux {
		syms, err := k.Target.Symbols()
		if err != nil {
			return nil, err
		}
		for _, s := range syms.Lookup(name) {
			out = append(out, generate.ShippedSym{Addr: s.Addr, Pos: s.Pos})
		}
		return out, nil
	}
	m, err := k.module(object)
	if err != nil {
		return nil, err
	}
	for _, s := range m.Lookup(name) {
		out = append(out, generate.ShippedSym{
			Addr: s.Off, Section: m.File.Sections[s.Sec].Name, Size: s.Size, Pos: s.Pos, Unstable: !s.SymposStable(),
		})
	}
	return out, nil
}

func (k kernelTarget) Code(object string, sym generate.ShippedSym, size uint64) ([]byte, error) {
	if object == plan.Vmlinux {
		im, err := k.Image()
		if err != nil {
			return nil, err
		}
		return im.Read(sym.Addr, int(size))
	}
	m, err := k.module(object)
	if err != nil {
		return nil, err
	}
	id, err := sectionID(m, sym.Section)
	if err != nil {
		return nil, err
	}
	data := m.File.Sections[id].Data
	if sym.Addr > uint64(len(data)) || size > uint64(len(data))-sym.Addr {
		return nil, errors.New("code lies outside its section")
	}
	return data[sym.Addr : sym.Addr+size], nil
}

func (k kernelTarget) Traceable(object string, sym generate.ShippedSym) (yes, known bool) {
	if object == plan.Vmlinux {
		tr, err := k.Trace()
		if err != nil {
			return false, false
		}
		t := tr.Traceable(sym.Addr, max(sym.Size, 16))
		return t == kimage.Yes, t != kimage.Unknown
	}
	m, err := k.module(object)
	if err != nil {
		return false, false
	}
	id, err := sectionID(m, sym.Section)
	if err != nil {
		return false, false
	}
	return m.Traceable(kmod.Loc{Sec: id, Off: sym.Addr}, sym.Size), true
}

// Indirect leaves the question to the tests of package kernel.
func (k kernelTarget) Indirect(string, generate.ShippedSym) (string, error) { return "", nil }

func (k kernelTarget) Export(name string) (generate.Export, bool) {
	sv, err := k.Symvers()
	if err != nil {
		return generate.Export{}, false
	}
	e, ok := sv.Lookup(name)
	return generate.Export{CRC: e.CRC, Module: e.Object(), Namespace: e.Namespace}, ok
}

func sectionID(m *kmod.Module, name string) (elfobj.SecID, error) {
	for i := range m.File.Sections {
		if i > 0 && m.File.Sections[i].Name == name {
			return elfobj.SecID(i), nil
		}
	}
	return 0, fmt.Errorf("module %s has no section %s", m.Name, name)
}
