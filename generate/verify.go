package generate

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/module/note"
	"github.com/klpforge/klpforge/plan"
)

// VerifyTarget is what Verify must know of the kernel that the module is for.
// Objects are plan.Vmlinux or module names as the kernel spells them.
type VerifyTarget interface {
	// Release is what uname -r gives.
	Release() string
	// Vermagic is the string that modules for the kernel carry.
	Vermagic() (string, error)
	// HasObject reports whether the kernel has the object as such: a module
	// that is built in is none.
	HasObject(object string) bool
	// Needs lists the modules that are loaded whenever the object is, itself not
	// included; vmlinux needs none.
	Needs(object string) ([]string, error)
	// Symbols lists the symbols of that name that kallsyms shows for the
	// object, in kallsyms order, data included.
	Symbols(object, name string) ([]ShippedSym, error)
	// Code returns the size bytes of the symbol's code as shipped, before any
	// load-time patching or relocation.
	Code(object string, sym ShippedSym, size uint64) ([]byte, error)
	// Traceable reports whether ftrace can hook the function; known is false
	// when the target does not say.
	Traceable(object string, sym ShippedSym) (yes, known bool)
	// Indirect tells why a call through a pointer to the symbol makes the kernel
	// stop on processors that track indirect branches; "" when it does not, and
	// for data.
	Indirect(object string, sym ShippedSym) (string, error)
	// Export looks an exported symbol up. crc is 0 without modversions.
	Export(name string) (e Export, ok bool)
}

// ShippedSym is one symbol of the target.
type ShippedSym struct {
	Addr    uint64 // link-time address in vmlinux; offset in Section for a module
	Section string // for a module
	Size    uint64 // bytes; 0 when unknown
	Pos     int    // 1-based position among the namesakes of the object
	// Unstable says that the position, or whether there are namesakes, depends
	// on whether the module is initialised already: its initialisation code has
	// a symbol of that name, which goes away.
	Unstable bool
}

// Export is one exported symbol of the target.
type Export struct {
	CRC       uint32
	Module    string // plan.Vmlinux or the exporting module
	Namespace string
}

// Verify reads the finished module ko back and checks it against target. The
// problems come sorted by object, symbol and id; none means that the module
// fits. The error tells that the check itself failed: ko is no module, or the
// target could not be read.
func Verify(ko []byte, target VerifyTarget) ([]finding.Finding, error) {
	elfFile, err := elfobj.Read(ko)
	if err != nil {
		return nil, err
	}
	if findSection(elfFile, ".gnu.linkonce.this_module") == nil {
		return nil, ErrNotModule
	}
	arch, err := elfFile.Arch()
	if err != nil {
		return nil, err
	}
	verifying := &verifier{f: elfFile, arch: arch, target: target, info: readModinfo(elfFile)}

	// A module from elsewhere has no note: what can be checked without one is checked all the
	// same.
	recorded, err := note.Read(elfFile)
	switch {
	case errors.Is(err, note.ErrNoNote), errors.Is(err, note.ErrMalformed):
		verifying.add(finding.Finding{ID: finding.IDTables, Severity: finding.Error, Message: err.Error(),
			Remedy: "finish the module with klpforge postlink"})
		recorded = nil
	case err != nil:
		return nil, err
	}
	verifying.m = recorded

	checks := []func() error{verifying.modinfo, verifying.relocations, verifying.klpSymbols, verifying.undefined,
		verifying.depends, verifying.indirect}
	if recorded != nil {
		checks = append(checks, verifying.tables, verifying.functions, verifying.prerequisites, verifying.types)
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return nil, err
		}
	}

	// Two checks may find the same thing; sorted, so that the report is the same each time.
	slices.SortFunc(verifying.problems, func(f, b finding.Finding) int {
		return cmp.Or(cmp.Compare(f.Object, b.Object), cmp.Compare(f.Symbol, b.Symbol),
			cmp.Compare(f.ID, b.ID), cmp.Compare(f.Message, b.Message))
	})
	return slices.CompactFunc(verifying.problems, finding.Same), nil
}

type verifier struct {
	f        *elfobj.File
	arch     elfobj.Arch // of f
	m        *note.Note  // nil when the module has none
	target   VerifyTarget
	info     modinfo
	problems []finding.Finding
}

func (v *verifier) add(p finding.Finding) { v.problems = append(v.problems, p) }

func (v *verifier) errorf(id finding.ID, object, symbol, remedy, format string, args ...any) {
	v.add(finding.Finding{ID: id, Severity: finding.Error, Object: object, Symbol: symbol, Remedy: remedy,
		Message: fmt.Sprintf(format, args...)})
}

// functions checks each function of the note in the target.
func (v *verifier) functions() error {
	for _, object := range v.m.Objects {
		if !isVmlinux(object.Name) && !v.target.HasObject(object.Name) {
			v.errorf(finding.IDNoObject, object.Name, "",
				"name the module as the kernel does, or vmlinux when it is built in",
				"the kernel %s has no module of that name, so the livepatch would load and do nothing",
				v.target.Release())
			continue
		}
		for _, fn := range object.Funcs {
			if err := v.function(object.Name, fn); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *verifier) function(object string, fn note.Func) error {
	sym, ok, err := v.lookup(object, fn.Name, fn.Sympos)
	if err != nil || !ok {
		return err
	}
	if yes, known := v.target.Traceable(object, sym); known && !yes {
		v.errorf(finding.IDNotTraceable, object, fn.Name, "patch its callers instead",
			"ftrace cannot hook it, so livepatch cannot replace it")
	} else if !known {
		v.add(finding.Finding{ID: finding.IDNotTraceable, Severity: finding.Warning, Object: object, Symbol: fn.Name,
			Message: "whether ftrace can hook it is unknown for this target"})
	}
	return v.shipped(object, fn, sym)
}

// shipped compares the fingerprint of the replaced code.
func (v *verifier) shipped(object string, fn note.Func, sym ShippedSym) error {
	const remedy = "build with the compiler, config and source that the kernel was built with"
	recorded := fn.Shipped

	// Cheap comparisons first: they tell the usual mistakes apart, another build and another
	// function of that name.
	if recorded.Size == 0 || recorded.SHA256 == "" {
		v.errorf(finding.IDShippedCode, object, fn.Name, "", "the module does not say what code it replaces")
		return nil
	}
	if sym.Size != 0 && sym.Size != recorded.Size {
		v.errorf(finding.IDShippedCode, object, fn.Name, remedy,
			"the kernel's function has %d bytes, the one that was compiled %d", sym.Size, recorded.Size)
		return nil
	}
	code, err := v.target.Code(object, sym, recorded.Size)
	if err != nil {
		return fmt.Errorf("read the code of %s in %s: %w", fn.Name, object, err)
	}
	if uint64(len(code)) != recorded.Size {
		v.errorf(finding.IDShippedCode, object, fn.Name, remedy, "the kernel has %d bytes of code there, not %d",
			len(code), recorded.Size)
		return nil
	}

	// What the linker or the running kernel fills in is masked, so equal sums mean the same
	// instructions.
	sum, err := Fingerprint(code, recorded.Masks)
	if err != nil {
		v.errorf(finding.IDShippedCode, object, fn.Name, "", "%v", err)
		return nil
	}
	if sum != recorded.SHA256 {
		v.errorf(finding.IDShippedCode, object, fn.Name, remedy,
			"the kernel's code is not the code that was compiled before the patch")
	}
	return nil
}

// Fingerprint is the hex SHA-256 of code with the masks, offset and length in
// bytes, zeroed. code is not changed.
func Fingerprint(code []byte, masks [][2]uint64) (string, error) {
	masked := slices.Clone(code)
	for _, m := range masks {
		if m[0] > uint64(len(masked)) || m[1] > uint64(len(masked))-m[0] {
			return "", fmt.Errorf("mask of %d bytes at %#x lies outside the function of %d bytes", m[1], m[0],
				len(masked))
		}
		clear(masked[m[0] : m[0]+m[1]])
	}
	sum := sha256.Sum256(masked)
	return hex.EncodeToString(sum[:]), nil
}

// lookup resolves a name the way livepatch does (klp_find_object_symbol,
// kernel/livepatch/core.c, v6.1): position 0 demands that it be unique. ok is
// false after a problem was reported.
func (v *verifier) lookup(object, name string, pos int) (sym ShippedSym, ok bool, err error) {
	syms, err := v.target.Symbols(object, name)
	if err != nil {
		return ShippedSym{}, false, fmt.Errorf("look up %s in %s: %w", name, object, err)
	}
	remedy := "build the livepatch for this very kernel"
	switch {
	case len(syms) == 0:
		v.errorf(finding.IDSymbol, object, name, remedy, "%s has no such symbol", objectWord(object))
	case pos == 0 && len(syms) > 1:
		v.errorf(finding.IDSymbol, object, name, remedy,
			"%s has %d symbols of that name, and the livepatch does not say which", objectWord(object), len(syms))
	case pos > len(syms):
		v.errorf(finding.IDSymbol, object, name, remedy, "the livepatch means number %d of that name, %s has %d", pos,
			objectWord(object), len(syms))
	default:
		sym = syms[max(pos, 1)-1]
		if sym.Unstable {
			v.add(finding.Finding{ID: finding.IDSymbol, Severity: finding.Warning, Object: object, Symbol: name,
				Message: "its position among its namesakes changes when the module is initialised, so the livepatch " +
					"means another symbol when it is loaded after the module"})
		}
		return sym, true, nil
	}
	return ShippedSym{}, false, nil
}

func objectWord(object string) string {
	if object == plan.Vmlinux {
		return "the kernel image"
	}
	return "module " + object
}
