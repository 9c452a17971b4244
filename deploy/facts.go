package deploy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/klpforge/klpforge/internal/regular"
	"github.com/klpforge/klpforge/module"
	"github.com/klpforge/klpforge/module/note"
	"github.com/klpforge/klpforge/plan"
)

// Facts are what is known of a livepatch, loaded or not. A module that klpforge
// did not make says little; what it does not say is unknown, not absent.
type Facts struct {
	// FromNote says whether the note of klpforge in the module is the source; without it
	// Replace, States and Callbacks are unknown, but see Livepatch.
	FromNote bool `json:"manifest"`

	Product string `json:"series,omitempty"`
	Vendor  string `json:"vendor,omitempty"`
	Version string `json:"version,omitempty"`
	// Replace is nil when it is not known whether the livepatch replaces all others.
	Replace     *bool    `json:"replace"`
	SafeToForce bool     `json:"safe_to_force,omitempty"` // verdict KLP402
	Objects     []Object `json:"objects"`
	States      []State  `json:"states,omitempty"`
	// Callbacks lists "object: pre_patch" and so on, in the kernel's order.
	Callbacks []string `json:"callbacks,omitempty"`
	IDs       []string `json:"ids,omitempty"` // what its patches are known by, such as CVE numbers

	// NoteTrusted says that what the note claims is vouched for: by a
	// signature that was checked with a key this machine trusts or, of a loaded
	// module, by the kernel. NoteTrust tells by whom, or why it is not; "" before it
	// was looked at.
	NoteTrusted bool   `json:"note_trusted"`
	NoteTrust   string `json:"note_trust,omitempty"`

	recorded *note.Note // the source; nil when FromNote is false
}

// Object is a patched object.
type Object struct {
	Name string `json:"name"` // vmlinux or a module
	// Patched says whether the object is there and patched; nil where the
	// kernel does not tell (before 6.1) or nothing is loaded.
	Patched   *bool  `json:"patched"`
	Functions []Func `json:"functions"`
}

// Func is a patched function.
type Func struct {
	Name   string `json:"name"`
	Sympos int    `json:"sympos"`        // 1-based position among namesakes
	New    string `json:"new,omitempty"` // symbol of the replacement, when known
}

// State is a system state that a livepatch takes care of.
type State struct {
	ID      uint64 `json:"id"`
	Version uint32 `json:"version"`
	Meaning string `json:"meaning,omitempty"`
}

// Module is a module file.
type Module struct {
	Name      string
	File      string
	Livepatch bool
	Release   string // of the kernel it is for; "" when it does not say
	Depends   []string
	Facts     Facts

	// SHA256 is that of the file as it was read, hexadecimal.
	SHA256 string

	srcversion string
	notes      map[string][]byte
	data       []byte   // the module, uncompressed
	file       *os.File // what data was read from; nil for a compressed file, which is loaded from memory
	checked    bool     // the signature was, see Machine.trust
	signed     bool     // it has a signature, good or bad
	forged     bool     // the kernel will refuse it
	ours       bool     // this process loaded it
}

// maxModule bounds a module file, in bytes. A livepatch has some hundred
// kilobytes; what it depends on may be large.
const maxModule = 512 << 20

// ReadModule reads a module file, plain or compressed. Only a regular file is
// opened. It stays open: what is loaded later is that file, whatever has its name
// by then, and only if it has not changed.
func ReadModule(path string) (*Module, error) {
	file, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	mod, _, err := readModule(path, file)
	return mod, err
}

// readModule reads an open file, and keeps it when it is not compressed, else
// closes it. The digest is given also of what is no module; "" when it cannot be read.
func readModule(path string, file *os.File) (mod *Module, digest string, err error) {
	// The file stays open with the module: what was checked is what the kernel is given, even if
	// the path changes.
	defer func() {
		if mod == nil || mod.file == nil {
			file.Close()
		}
	}()
	raw, err := regular.ReadFrom(file, maxModule)
	if err != nil {
		return nil, "", err
	}

	sum := sha256.Sum256(raw)
	digest = hex.EncodeToString(sum[:])
	img, err := module.OpenBytes(path, raw)
	if err != nil {
		return nil, digest, err
	}

	info := img.Info
	release, _, _ := strings.Cut(info.Get("vermagic"), " ")
	mod = &Module{
		Name: info.Name, File: path, Livepatch: info.Livepatch, Release: release,
		SHA256:     digest,
		srcversion: info.Get("srcversion"), notes: img.Notes, Facts: factsOf(info.Note), data: img.Data,
		signed: info.Signed,
	}

	// The note knows best; modules that others made say at least what modinfo has.
	if mod.Facts.Version == "" {
		mod.Facts.Version = info.Get("version")
	}
	for d := range strings.SplitSeq(info.Get("depends"), ",") {
		if d != "" {
			mod.Depends = append(mod.Depends, d)
		}
	}

	// The kernel reads an uncompressed module from the file itself (finit_module).
	if !img.Compressed {
		mod.file = file
	}
	return mod, digest, nil
}

// factsOf converts a note, which may be nil.
func factsOf(recorded *note.Note) Facts {
	facts := Facts{Objects: []Object{}}
	if recorded == nil {
		return facts
	}
	facts.FromNote, facts.recorded = true, recorded
	facts.Product, facts.Vendor, facts.Version = recorded.Product, recorded.Vendor, recorded.Version
	facts.Replace, facts.SafeToForce = &recorded.Replace, recorded.Force
	for _, object := range recorded.Objects {
		obj := Object{Name: object.Name, Functions: []Func{}}
		for _, fn := range object.Funcs {
			obj.Functions = append(obj.Functions, Func{Name: fn.Name, Sympos: max(1, fn.Sympos), New: fn.New})
		}
		facts.Objects = append(facts.Objects, obj)
		for _, c := range object.Callbacks.Names() {
			facts.Callbacks = append(facts.Callbacks, object.Name+": "+c[0])
		}
	}
	for _, s := range recorded.States {
		facts.States = append(facts.States, State(s))
	}
	for _, p := range recorded.Patches {
		facts.IDs = append(facts.IDs, p.IDs...)
	}
	return facts
}

// loadedFacts reads what sysfs says of a loaded module. problem tells what
// could not be read of it.
func (m *Machine) loadedFacts(name string) (facts Facts, problem string) {
	recorded, err := module.ReadLoaded(m.path("sys/module"), name)
	if err != nil && !errors.Is(err, note.ErrNoNote) {
		problem = err.Error()
	}
	facts = factsOf(recorded)
	facts.NoteTrusted, facts.NoteTrust = m.loadedTrust(name)
	if facts.Version == "" {
		if v, ok, err := attr(m.path("sys/module", name, "version")); ok && err == nil {
			facts.Version = v
		}
	}
	return facts, problem
}

// identity is the outcome of comparing a file with the loaded module of its name.
type identity int

const (
	unknown identity = iota
	same
	different
)

// identify compares the notes of a file, among them the linker's build id and
// klpforge's note, with those of the loaded module. Without notes the
// digest of the sources, srcversion, can only tell that they differ.
func (m *Machine) identify(mod *Module) (identity, error) {
	if mod.ours {
		return same, nil
	}

	// Notes are part of the module's image in memory, so they tell builds apart. The build ID and
	// our own note are enough to call them one.
	compared := false
	for name, want := range mod.notes {
		got, ok, err := rawAttr(m.path("sys/module", mod.Name, "notes", name))
		if err != nil {
			return unknown, fmt.Errorf("compare %s with the loaded module: %w", mod.File, err)
		}
		if !ok {
			continue
		}
		if !bytes.Equal(got, want) {
			return different, nil
		}
		compared = compared || name == buildID || name == filepath.Base(module.NoteFile)
	}
	if compared {
		return same, nil
	}

	// Without a note that tells, srcversion can still tell that sources differ; that it is equal
	// proves nothing.
	src, ok, err := attr(m.path("sys/module", mod.Name, "srcversion"))
	if err != nil {
		return unknown, fmt.Errorf("compare %s with the loaded module: %w", mod.File, err)
	}
	if ok && mod.srcversion != "" && src != mod.srcversion {
		return different, nil
	}
	return unknown, nil
}

const buildID = ".note.gnu.build-id"

// newer compares the versions of two livepatches: positive when a is the newer
// one. ok is false when they are not known to be releases of one series.
func newer(a, b Facts) (c int, ok bool) {
	if a.Product == "" || a.Product != b.Product || a.Vendor != b.Vendor || a.Version == "" || b.Version == "" {
		return 0, false
	}
	return plan.CompareVersions(a.Version, b.Version), true
}

func parseInt(s string) (int64, error) { return strconv.ParseInt(strings.TrimSpace(s), 10, 64) }
