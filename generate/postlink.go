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
	return fmt.Sprintf("%s+%#x refers to %s of %s: %s; %s", e.Section, e.Off, e.Symbol.Name, e.Symbol.Object, e.Why,
		e.Remedy)
}

// ErrNotModule means that the input of PostLink is no linked kernel module.
var ErrNotModule = errors.New("not a linked kernel module")

// PostLink finishes the module that kbuild linked: relocations against
// undefined .klp.sym.* symbols move to .klp.rela.* tables, the symbols become
// livepatch symbols, debug information goes (it describes only the generated
// tables and names the build's directories), the build ID is made anew, and
// the note is added. Everything else stays.
//
// The result depends on in and recorded alone. A finished module comes back
// unchanged. References that the kernel cannot resolve give a *RelocError.
func PostLink(in []byte, recorded *note.Note) ([]byte, error) {
	elfFile, err := elfobj.Read(in)
	if err != nil {
		return nil, err
	}
	if findSection(elfFile, ".gnu.linkonce.this_module") == nil {
		return nil, fmt.Errorf("%w: it has no .gnu.linkonce.this_module section", ErrNotModule)
	}
	if err := stripDebug(elfFile); err != nil {
		return nil, err
	}
	if err := moveRelocs(elfFile, recorded); err != nil {
		return nil, err
	}
	if err := markSymbols(elfFile); err != nil {
		return nil, err
	}
	if err := setNote(elfFile, recorded); err != nil {
		return nil, err
	}
	return finish(elfFile)
}

// maxModule bounds a module that is finished, in bytes.
const maxModule = 1 << 30

// PostLinkFile runs PostLink on the module at path with the note in
// manifest.json next to it, and replaces the module atomically. A module that
// is finished already is not touched.
func PostLinkFile(path string) error {
	recorded, err := note.ReadFile(filepath.Join(filepath.Dir(path), ManifestFile))
	if err != nil {
		return fmt.Errorf("postlink %s: the emitted directory must have its manifest.json: %w", path, err)
	}
	in, err := regular.Read(path, maxModule)
	if err != nil {
		return err
	}
	out, err := PostLink(in, recorded)
	if err != nil {
		return fmt.Errorf("postlink %s: %w", path, err)
	}
	if slices.Equal(in, out) {
		return nil
	}
	return writeFile(path, out)
}

func isDebug(section *elfobj.Section) bool {
	return section.Debug() || section.Flags&elf.SHF_ALLOC == 0 && (section.Name == ".debug" || section.Name == ".comment")
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
func moveRelocs(elfFile *elfobj.File, recorded *note.Note) error {
	// The linker left these symbols undefined: their names say which object defines them, and
	// where.
	syms := map[elfobj.SymID]elfobj.KlpSymbol{}
	for i, sym := range elfFile.Symbols {
		if sym.Sec != elfobj.SecUndef || !elfobj.IsKlpSymbol(sym.Name) {
			continue
		}
		klp, err := elfobj.ParseKlpSymbol(sym.Name)
		if err != nil {
			return err
		}
		syms[elfobj.SymID(i)] = klp
	}
	if len(syms) == 0 {
		return nil
	}

	// The kernel resolves livepatch relocations from sections of their own, one for each pair of
	// section and object.
	for i := range elfFile.Sections {
		section := &elfFile.Sections[i]
		var keep []elfobj.Reloc
		moved := map[string][]elfobj.Reloc{}
		for _, rel := range section.Relocs {
			klp, ok := syms[rel.Sym]
			if !ok {
				keep = append(keep, rel)
				continue
			}
			if err := checkMove(section, rel, klp, recorded); err != nil {
				return err
			}
			moved[klp.Object] = append(moved[klp.Object], rel)
		}
		if len(moved) == 0 {
			continue
		}

		// Sorted, because the order of a map would show in the file.
		section.Relocs = keep
		for object, relocs := range moved {
			addKlpRelocs(section, elfobj.KlpRelaName(object, section.Name), relocs)
		}
		slices.SortFunc(section.KlpRelocs, func(a, b elfobj.KlpRelocs) int { return strings.Compare(a.Name, b.Name) })
	}
	return nil
}

func addKlpRelocs(section *elfobj.Section, name string, relocs []elfobj.Reloc) {
	for i := range section.KlpRelocs {
		if k := &section.KlpRelocs[i]; k.Name == name {
			k.Relocs = append(k.Relocs, relocs...)
			slices.SortStableFunc(k.Relocs, func(rel, b elfobj.Reloc) int {
				if rel.Off < b.Off {
					return -1
				}
				return int(min(rel.Off-b.Off, 1))
			})
			return
		}
	}
	section.KlpRelocs = append(section.KlpRelocs, elfobj.KlpRelocs{Name: name, Relocs: relocs})
}

// checkMove refuses references that livepatch would resolve too late or never.
func checkMove(section *elfobj.Section, rel elfobj.Reloc, klp elfobj.KlpSymbol, recorded *note.Note) error {
	refused := &RelocError{Section: section.Name, Off: rel.Off, Symbol: klp}
	switch {
	case section.Flags&elf.SHF_ALLOC == 0:
		refused.Why = "the section is not loaded, so the kernel never resolves it"
		refused.Remedy = "build the objects without that section"
	case isVmlinux(klp.Object):
		if recorded.API.EarlyRelocs || !isLoadTimeSection(section.Name) {
			return nil
		}
		refused.Why = "this kernel reads the section before it applies livepatch relocations (mainline: until 5.8)"
		refused.Remedy = "avoid the construct in the patched functions, or use an exported symbol"
	case isLoadTimeSection(section.Name):
		refused.Why = "the kernel reads the section when the livepatch loads, before module " + klp.Object +
			" need be there"
		refused.Remedy = "rewrite the patched functions without " + construct(section.Name)
	case recorded.Object(klp.Object) == nil:
		refused.Why = "the livepatch has no object " + klp.Object + ", so the relocation would never be applied"
		refused.Remedy = "emit the module again with this version of klpforge"
	default:
		return nil
	}
	return refused
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
func markSymbols(elfFile *elfobj.File) error {
	used := make([]bool, len(elfFile.Symbols))
	for i := range elfFile.Sections {
		for _, rel := range elfFile.Sections[i].Relocs {
			used[rel.Sym] = true
		}
		for _, k := range elfFile.Sections[i].KlpRelocs {
			for _, rel := range k.Relocs {
				used[rel.Sym] = true
			}
		}
	}
	for i := range elfFile.Symbols {
		sym := &elfFile.Symbols[i]
		if used[i] && sym.Sec == elfobj.SecUndef && elfobj.IsKlpSymbol(sym.Name) {
			*sym = elfobj.Symbol{Name: sym.Name, Bind: elf.STB_GLOBAL, Type: elf.STT_NOTYPE, Sec: elfobj.SecLivepatch}
		}
	}
	unused := func(id elfobj.SymID) bool {
		sym := &elfFile.Symbols[id]
		return !used[id] && elfobj.IsKlpSymbol(sym.Name) &&
			(sym.Sec == elfobj.SecUndef || sym.Sec == elfobj.SecLivepatch)
	}
	return remove(elfFile, func(*elfobj.Section) bool { return false }, unused)
}

// finish serialises the file with a build ID that depends on the module's content
// only; the linker's own depends on the debug information that was dropped.
func finish(elfFile *elfobj.File) ([]byte, error) {
	id := buildID(elfFile)
	clear(id)
	out, err := elfFile.Write()
	if err != nil {
		return nil, fmt.Errorf("write module: %w", err)
	}
	if id == nil {
		return out, nil
	}
	sum := sha1.Sum(out)
	copy(id, sum[:])
	if out, err = elfFile.Write(); err != nil {
		return nil, fmt.Errorf("write module: %w", err)
	}
	return out, nil
}

// buildID returns the bytes of the build ID in the file, its own copy, or nil.
func buildID(f *elfobj.File) []byte {
	const header = 16 // sizes, type, "GNU\0"
	section := findSection(f, ".note.gnu.build-id")
	if section == nil || section.Type != elf.SHT_NOTE || len(section.Data) <= header ||
		string(section.Data[12:16]) != "GNU\x00" {
		return nil
	}
	section.Data = slices.Clone(section.Data)
	return section.Data[header:]
}
