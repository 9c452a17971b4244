package generate

import (
	"crypto/sha1"
	"debug/elf"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/internal/regular"
	"github.com/klpforge/klpforge/module/note"
)

// RelocError reports a reference to a livepatch symbol from a place where the
// kernel cannot resolve it.
type RelocError struct {
	Section string
	Off     uint64 // bytes from the start of Section
	Symbol  elfobj.KlpSymbol
	Why     string
	Remedy  string
}

func (e *RelocError) Error() string {
	return fmt.Sprintf("%s+%#x refers to %s of %s: %s; %s", e.Section, e.Off, e.Symbol.Name, e.Symbol.Object, e.Why, e.Remedy)
}

// ErrNotModule means that the input of PostLink is no linked kernel module.
var ErrNotModule = errors.New("not a linked kernel module")

// PostLink finishes the module that kbuild linked: relocations against
// undefined .klp.sym.* symbols move to .klp.rela.* tables, the symbols become
// livepatch symbols, debug information goes (it describes only the generated
// tables and names the build's directories), the build ID is made anew, and
// the manifest is added as a note. Everything else stays.
//
// The result depends on in and m alone. A finished module comes back
// unchanged. References that the kernel cannot resolve give a *RelocError.
func PostLink(in []byte, m *note.Note) ([]byte, error) {
	f, err := elfobj.Read(in)
	if err != nil {
		return nil, err
	}
	if findSection(f, ".gnu.linkonce.this_module") == nil {
		return nil, fmt.Errorf("%w: it has no .gnu.linkonce.this_module section", ErrNotModule)
	}
	if err := stripDebug(f); err != nil {
		return nil, err
	}
	if err := moveRelocs(f, m); err != nil {
		return nil, err
	}
	if err := markSymbols(f); err != nil {
		return nil, err
	}
	if err := setNote(f, m); err != nil {
		return nil, err
	}
	return finish(f)
}

// maxModule bounds a module that is finished, in bytes.
const maxModule = 1 << 30

// PostLinkFile runs PostLink on the module at path with the manifest in
// manifest.json next to it, and replaces the module atomically. A module that
// is finished already is not touched.
func PostLinkFile(path string) error {
	m, err := note.ReadFile(filepath.Join(filepath.Dir(path), ManifestFile))
	if err != nil {
		return fmt.Errorf("postlink %s: the emitted directory must have its manifest: %w", path, err)
	}
	in, err := regular.Read(path, maxModule)
	if err != nil {
		return err
	}
	out, err := PostLink(in, m)
	if err != nil {
		return fmt.Errorf("postlink %s: %w", path, err)
	}
	if slices.Equal(in, out) {
		return nil
	}
	return writeFile(path, out)
}

func isDebug(s *elfobj.Section) bool {
	return s.Flags&elf.SHF_ALLOC == 0 && (strings.HasPrefix(s.Name, ".debug_") || s.Name == ".debug" || s.Name == ".comment")
}

func stripDebug(f *elfobj.File) error {
	if err := remove(f, isDebug, func(elfobj.SymID) bool { return false }); err != nil {
		return fmt.Errorf("strip debug information: %w", err)
	}
	return nil
}

// moveRelocs gives each section its livepatch relocation tables. Each table
// holds the relocations against symbols of one object, because the kernel
// applies a table when that object is there.
func moveRelocs(f *elfobj.File, m *note.Note) error {
	syms := map[elfobj.SymID]elfobj.KlpSymbol{}
	for i, s := range f.Symbols {
		if s.Sec != elfobj.SecUndef || !elfobj.IsKlpSymbol(s.Name) {
			continue
		}
		k, err := elfobj.ParseKlpSymbol(s.Name)
		if err != nil {
			return err
		}
		syms[elfobj.SymID(i)] = k
	}
	if len(syms) == 0 {
		return nil
	}
	for i := range f.Sections {
		s := &f.Sections[i]
		var keep []elfobj.Reloc
		moved := map[string][]elfobj.Reloc{}
		for _, r := range s.Relocs {
			k, ok := syms[r.Sym]
			if !ok {
				keep = append(keep, r)
				continue
			}
			if err := checkMove(s, r, k, m); err != nil {
				return err
			}
			moved[k.Object] = append(moved[k.Object], r)
		}
		if len(moved) == 0 {
			continue
		}
		s.Relocs = keep
		for object, relocs := range moved {
			addKlpRelocs(s, elfobj.KlpRelaName(object, s.Name), relocs)
		}
		slices.SortFunc(s.KlpRelocs, func(a, b elfobj.KlpRelocs) int { return strings.Compare(a.Name, b.Name) })
	}
	return nil
}

func addKlpRelocs(s *elfobj.Section, name string, relocs []elfobj.Reloc) {
	for i := range s.KlpRelocs {
		if k := &s.KlpRelocs[i]; k.Name == name {
			k.Relocs = append(k.Relocs, relocs...)
			slices.SortStableFunc(k.Relocs, func(a, b elfobj.Reloc) int {
				if a.Off < b.Off {
					return -1
				}
				return int(min(a.Off-b.Off, 1))
			})
			return
		}
	}
	s.KlpRelocs = append(s.KlpRelocs, elfobj.KlpRelocs{Name: name, Relocs: relocs})
}

// checkMove refuses references that livepatch would resolve too late or never.
func checkMove(s *elfobj.Section, r elfobj.Reloc, k elfobj.KlpSymbol, m *note.Note) error {
	e := &RelocError{Section: s.Name, Off: r.Off, Symbol: k}
	switch {
	case s.Flags&elf.SHF_ALLOC == 0:
		e.Why = "the section is not loaded, so the kernel never resolves it"
		e.Remedy = "build the objects without that section"
	case isVmlinux(k.Object):
		if m.API.EarlyRelocs || !isLoadTimeSection(s.Name) {
			return nil
		}
		e.Why = "this kernel reads the section before it applies livepatch relocations (mainline: until 5.8)"
		e.Remedy = "avoid the construct in the patched functions, or use an exported symbol"
	case isLoadTimeSection(s.Name):
		e.Why = "the kernel reads the section when the livepatch loads, before module " + k.Object + " need be there"
		e.Remedy = "rewrite the patched functions without " + construct(s.Name)
	case m.Object(k.Object) == nil:
		e.Why = "the livepatch has no object " + k.Object + ", so the relocation would never be applied"
		e.Remedy = "emit the module again with this version of klpforge"
	default:
		return nil
	}
	return e
}

// construct names the source construct that makes entries in a section.
func construct(section string) string {
	switch section {
	case "__jump_table":
		return "the module's static key: test it with static_key_enabled()"
	case ".static_call_sites":
		return "the module's static call: call through static_call_query()"
	case ".altinstructions", ".altinstr_replacement":
		return "the alternative that names the module's symbol"
	case ".parainstructions":
		return "the paravirt call that names the module's symbol"
	case "__tracepoints_ptrs", "_ftrace_events":
		return "the module's tracepoint"
	}
	return "the reference"
}

// markSymbols turns the livepatch symbols that are in use into SHN_LIVEPATCH
// ones and drops the others.
func markSymbols(f *elfobj.File) error {
	used := make([]bool, len(f.Symbols))
	for i := range f.Sections {
		for _, r := range f.Sections[i].Relocs {
			used[r.Sym] = true
		}
		for _, k := range f.Sections[i].KlpRelocs {
			for _, r := range k.Relocs {
				used[r.Sym] = true
			}
		}
	}
	for i := range f.Symbols {
		s := &f.Symbols[i]
		if used[i] && s.Sec == elfobj.SecUndef && elfobj.IsKlpSymbol(s.Name) {
			*s = elfobj.Symbol{Name: s.Name, Bind: elf.STB_GLOBAL, Type: elf.STT_NOTYPE, Sec: elfobj.SecLivepatch}
		}
	}
	unused := func(id elfobj.SymID) bool {
		s := &f.Symbols[id]
		return !used[id] && elfobj.IsKlpSymbol(s.Name) && (s.Sec == elfobj.SecUndef || s.Sec == elfobj.SecLivepatch)
	}
	return remove(f, func(*elfobj.Section) bool { return false }, unused)
}

// finish serialises f with a build ID that depends on the module's content
// only; the linker's own depends on the debug information that was dropped.
func finish(f *elfobj.File) ([]byte, error) {
	id := buildID(f)
	clear(id)
	out, err := f.Write()
	if err != nil {
		return nil, fmt.Errorf("write module: %w", err)
	}
	if id == nil {
		return out, nil
	}
	sum := sha1.Sum(out)
	copy(id, sum[:])
	if out, err = f.Write(); err != nil {
		return nil, fmt.Errorf("write module: %w", err)
	}
	return out, nil
}

// buildID returns the bytes of the build ID in f, its own copy, or nil.
func buildID(f *elfobj.File) []byte {
	const header = 16 // sizes, type, "GNU\0"
	s := findSection(f, ".note.gnu.build-id")
	if s == nil || s.Type != elf.SHT_NOTE || len(s.Data) <= header || string(s.Data[12:16]) != "GNU\x00" {
		return nil
	}
	s.Data = slices.Clone(s.Data)
	return s.Data[header:]
}
