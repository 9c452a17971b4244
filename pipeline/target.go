package pipeline

import (
	"errors"
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/karch"
	"github.com/klpforge/klpforge/kernel/kimage"
	"github.com/klpforge/klpforge/kernel/kmod"
	"github.com/klpforge/klpforge/locate"
	"github.com/klpforge/klpforge/plan"
)

// Target is a kernel as the differ, the locator and the verifier want it.
type Target struct {
	K       *kernel.Target
	vmlinux *locate.VmlinuxView
	symvers *kmod.Symvers
	trace   *kimage.Trace
	modules *kmod.Index
	// noModules tells why modules is empty although the kernel may have some; nil if
	// they are there.
	noModules error
	views     map[string]*moduleTarget
	extra     []*kmod.Module // from outside of the kernel's tree
	types     targetTypes
	missing   string // part that a review did without, "" if none
}

type moduleTarget struct {
	m    *kmod.Module
	view *locate.ModuleView
}

var (
	_ generate.VerifyTarget = (*Target)(nil)
	_ generate.TypesTarget  = (*Target)(nil)
)

// OpenTarget opens the parts of a kernel that every build and check needs.
func OpenTarget(o kernel.Options) (*Target, error) {
	return openTarget(o, false, kernel.PartImage, kernel.PartSymvers, kernel.PartHeaders)
}

// openTarget can do without the headers package, for a review: nothing is linked
// then, and what the kernel exports is not known. Those of the parts needs that are
// missing are reported together.
func openTarget(opts kernel.Options, review bool, needs ...kernel.Part) (*Target, error) {
	target, err := kernel.Open(opts)
	if err != nil {
		return nil, err
	}
	result := &Target{K: target, views: map[string]*moduleTarget{}}
	if err = target.Require(needs...); err == nil {
		err = result.load(opts, review)
	}
	if err != nil {
		target.Close()
		return nil, err
	}
	return result, nil
}

// openFor opens what the options need of the kernel.
func openFor(opt *Options, open *closers) (*Target, error) {
	// Without these nothing can be said of a patch, or nothing be built.
	parts := []kernel.Part{kernel.PartImage, kernel.PartConfig, kernel.PartSource}
	if !opt.DiffOnly {
		parts = append(parts, kernel.PartSymvers, kernel.PartHeaders)
	}
	t, err := openTarget(opt.Kernel, opt.DiffOnly, parts...)
	if err != nil {
		return nil, err
	}
	open.add(t)
	return t, nil
}

// suits refuses a kernel for which no livepatch of that name can be built.
func (t *Target) suits(opt *Options, name string, say *journal) error {
	if err := checkArch(t.vmlinux.Image.Arch); err != nil {
		return err
	}
	say.res.Release = t.Release()
	if !opt.DiffOnly {
		if err := t.checkFree(name); err != nil {
			return err
		}
	}
	if t.missing != "" {
		say.note("without %s: the compiled layout is not compared with the target's headers, exports are not known",
			t.missing)
	}
	return nil
}

// checkArch refuses kernels whose shipped code nothing here can judge.
func checkArch(a karch.Arch) error {
	if !a.Builds {
		return fmt.Errorf("the kernel is for %s: livepatches are built and patches checked for %s only; klpforge "+
			"diff compares objects of other architectures", a.Name, karch.Built())
	}
	return nil
}

func (t *Target) load(opts kernel.Options, review bool) error {
	if err := t.K.CheckParts(); err != nil {
		return err
	}
	im, err := t.K.Image()
	if err != nil {
		return err
	}
	syms, err := t.K.Symbols()
	if err != nil {
		return err
	}
	t.vmlinux = &locate.VmlinuxView{Image: im, Symbols: syms}
	t.symvers, err = t.K.Symvers()
	if err == nil {
		_, err = t.K.Headers()
	}
	var missing *kernel.MissingPartError
	if review && errors.As(err, &missing) {
		t.missing = missing.Part
		if t.symvers == nil {
			t.symvers = &kmod.Symvers{}
		}
		err = nil
	}
	if err != nil {
		return err
	}
	if t.trace, err = t.K.Trace(); err != nil {
		return err
	}
	switch t.modules, err = t.K.Modules(); {
	case errors.As(err, &missing) && len(opts.ExtraModules) == 0:
		// Built-in code needs none.
		t.modules, t.noModules = &kmod.Index{}, err
	case err != nil:
		return err
	}
	for _, p := range opts.ExtraModules {
		m, err := kmod.Read(p)
		if err != nil {
			return err
		}
		t.extra = append(t.extra, m)
	}
	return nil
}

// Close releases the target's files.
func (t *Target) Close() error { return t.K.Close() }

// View returns the shipped object of that name.
func (t *Target) View(object string) (locate.View, error) {
	if object == plan.Vmlinux {
		return t.vmlinux, nil
	}
	m, err := t.module(object)
	if err != nil {
		return nil, err
	}
	return m.view, nil
}

func (t *Target) module(name string) (*moduleTarget, error) {
	if m, ok := t.views[name]; ok {
		return m, nil
	}
	module, err := t.modules.Module(name)
	if err != nil {
		return nil, err
	}
	v, err := locate.NewModuleView(module)
	if err != nil {
		return nil, err
	}
	mt := &moduleTarget{m: module, view: v}
	t.views[name] = mt
	return mt, nil
}

// shipped returns the bytes of a placed function as they are in the file.
func (t *Target) shipped(object string, place locate.Place) ([]byte, uint64, error) {
	if object == plan.Vmlinux {
		b := t.vmlinux.Read(place.Addr, int(place.Size))
		if b == nil {
			return nil, 0, fmt.Errorf("read %d bytes at %#x of vmlinux", place.Size, place.Addr)
		}
		return b, place.Addr, nil
	}
	m, err := t.module(object)
	if err != nil {
		return nil, 0, err
	}
	loc, ok := m.view.Loc(place.Addr)
	data := m.m.File.Sections[loc.Sec].Data
	if !ok || loc.Off+place.Size > uint64(len(data)) {
		return nil, 0, fmt.Errorf("read %d bytes of %s in module %s", place.Size, place.Name, object)
	}
	return data[loc.Off : loc.Off+place.Size], loc.Off, nil
}

// traceableAt reports whether ftrace can hook a placed function.
func (t *Target) traceableAt(object string, place locate.Place) kimage.Tri {
	if object == plan.Vmlinux {
		return t.trace.Traceable(place.Addr, place.Size)
	}
	target, err := t.module(object)
	if err != nil {
		return kimage.Unknown
	}
	loc, ok := target.view.Loc(place.Addr)
	if !ok {
		return kimage.Unknown
	}
	if target.m.Traceable(loc, place.Size) {
		return kimage.Yes
	}
	return kimage.No
}

// Release implements generate.VerifyTarget.
func (t *Target) Release() string { return t.K.Release() }

// Vermagic implements generate.VerifyTarget.
func (t *Target) Vermagic() (string, error) { return t.K.Vermagic() }

// HasObject implements generate.VerifyTarget.
func (t *Target) HasObject(object string) bool {
	if object == plan.Vmlinux {
		return true
	}
	_, ok := t.modules.Find(object)
	return ok
}

// Symbols implements generate.VerifyTarget.
func (t *Target) Symbols(object, name string) ([]generate.ShippedSym, error) {
	var out []generate.ShippedSym
	if object == plan.Vmlinux {
		for _, s := range t.vmlinux.Symbols.Lookup(name) {
			// kallsyms knows no sizes: up to the next symbol there is padding too.
			out = append(out, generate.ShippedSym{Addr: s.Addr, Pos: s.Pos})
		}
		return out, nil
	}
	m, err := t.module(object)
	if err != nil {
		return nil, err
	}
	for _, s := range m.m.Lookup(name) {
		out = append(out, generate.ShippedSym{Addr: s.Off, Section: m.m.File.Sections[s.Sec].Name, Size: s.Size,
			Pos: s.Pos, Unstable: !s.SymposStable()})
	}
	return out, nil
}

// Code implements generate.VerifyTarget.
func (t *Target) Code(object string, sym generate.ShippedSym, size uint64) ([]byte, error) {
	if object == plan.Vmlinux {
		return t.vmlinux.Image.Read(sym.Addr, int(size))
	}
	m, err := t.module(object)
	if err != nil {
		return nil, err
	}
	for _, s := range m.m.File.Sections {
		if s.Name == sym.Section && sym.Addr+size <= uint64(len(s.Data)) {
			return s.Data[sym.Addr : sym.Addr+size], nil
		}
	}
	return nil, fmt.Errorf("module %s has no %d bytes at %s+%#x", object, size, sym.Section, sym.Addr)
}

// entryBytes bounds where the ftrace location of a function of unknown size may
// lie: behind endbr and padding, at most.
const entryBytes = 16

// Traceable implements generate.VerifyTarget.
func (t *Target) Traceable(object string, sym generate.ShippedSym) (yes, known bool) {
	var tri kimage.Tri
	if object == plan.Vmlinux {
		tri = t.trace.Traceable(sym.Addr, max(sym.Size, entryBytes))
	} else {
		target, err := t.module(object)
		if err != nil {
			return false, false
		}
		for i := range target.m.File.Sections {
			if target.m.File.Sections[i].Name == sym.Section {
				yes = yes || target.m.Traceable(kmod.Loc{Sec: elfobj.SecID(i), Off: sym.Addr},
					max(sym.Size, entryBytes))
			}
		}
		return yes, true
	}
	return tri == kimage.Yes, tri != kimage.Unknown
}

// Indirect implements generate.VerifyTarget.
func (t *Target) Indirect(object string, sym generate.ShippedSym) (string, error) {
	endbr, err := t.K.Endbr()
	if err != nil || endbr == nil {
		return "", err
	}
	entry := kimage.EntryOpen
	if object == plan.Vmlinux {
		entry = endbr.Entry(sym.Addr)
	} else {
		target, err := t.module(object)
		if err != nil {
			return "", err
		}
		for i := range target.m.File.Sections {
			if target.m.File.Sections[i].Name == sym.Section {
				entry = target.m.IndirectEntry(kmod.Loc{Sec: elfobj.SecID(i), Off: sym.Addr})
			}
		}
	}
	if entry == kimage.EntryOpen {
		return "", nil
	}
	return entry.String(), nil
}

// Export implements generate.VerifyTarget.
func (t *Target) Export(name string) (generate.Export, bool) {
	e, ok := t.export(name)
	return generate.Export{CRC: e.CRC, Module: e.Object(), Namespace: e.Namespace}, ok
}

// callers lists the traceable functions of vmlinux that call or jump to addr
// directly, by name.
func (t *Target) callers(addr uint64) []string {
	text := t.vmlinux.Image.Section(".text")
	if text == nil {
		return nil
	}
	arch, err := elfobj.ArchOf(t.vmlinux.Image.Arch.Machine)
	if err != nil {
		return nil
	}
	var names []string
	for _, site := range arch.BranchesTo(text.Data(), text.Addr, addr) {
		if s, ok := t.vmlinux.Symbols.Find(site); ok && s.Addr != addr &&
			t.trace.Traceable(s.Addr, entryBytes) == kimage.Yes {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
