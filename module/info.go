package module

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/internal/regular"
	"github.com/klpforge/klpforge/internal/unpack"
	"github.com/klpforge/klpforge/kernel/kmod"
	"github.com/klpforge/klpforge/modsign"
	"github.com/klpforge/klpforge/module/note"
)

// Schema identifies the JSON form of Info.
const Schema = "klpforge.info/v1"

// NoteFile is the note's file below the sysfs directory of a loaded module,
// /sys/module/<name>.
const NoteFile = "notes/.note.klpforge"

// ErrNotModule means that a file is no kernel module.
var ErrNotModule = errors.New("not a kernel module: it has no modinfo")

// Info is what a module says of itself.
type Info struct {
	Schema string `json:"schema"`
	File   string `json:"file"`
	// Name is the kernel module's; a module without a name in modinfo is
	// called after its file.
	Name      string `json:"name"`
	Livepatch bool   `json:"livepatch"`
	Signed    bool   `json:"signed"`
	// Signature is who signed the module; it is not checked here. Nil without one.
	Signature *Signature `json:"signature,omitempty"`
	// Objects are the kernel objects that livepatch relocations name. Without
	// a note nothing more is known of what is patched.
	Objects []string `json:"objects"`
	// Note is nil for a module that klpforge did not make.
	Note    *note.Note `json:"manifest,omitempty"`
	Modinfo []KeyValue `json:"modinfo"` // in the module's order
}

// Signature names the certificate that a module was signed with.
type Signature struct {
	Issuer string `json:"issuer"`
	Serial string `json:"serial"` // hexadecimal
	Hash   string `json:"hash"`
}

// KeyValue is one string of modinfo.
type KeyValue struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Get returns the first value of a modinfo key, "" when there is none.
func (i *Info) Get(key string) string {
	for _, kv := range i.Modinfo {
		if kv.Key == key {
			return kv.Value
		}
	}
	return ""
}

// Read reads the module at path, plain or compressed, stripped or not, signed
// or not. A file that is no module gives ErrNotModule, a damaged note an error
// wrapping note.ErrMalformed.
func Read(path string) (*Info, error) {
	raw, err := regular.Read(path, MaxFile)
	if err != nil {
		return nil, err
	}
	info, err := parse(path, raw)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return info, nil
}

func parse(path string, raw []byte) (*Info, error) {
	raw, err := unpack.File(path, raw)
	if err != nil {
		return nil, err
	}
	info, _, err := parseImage(path, raw)
	return info, err
}

// parseImage reads what is not compressed, or not any more.
func parseImage(path string, raw []byte) (*Info, *elfobj.File, error) {
	signature, err := modsign.Parse(raw)
	if err != nil && !errors.Is(err, modsign.ErrUnsigned) {
		return nil, nil, err
	}
	if raw, _, err = modsign.Split(raw); err != nil {
		return nil, nil, err
	}

	file, err := elfobj.Read(raw)
	if err != nil {
		return nil, nil, err
	}
	info := &Info{Schema: Schema, File: path, Name: kmod.Name(path), Signed: signature != nil, Objects: []string{},
		Modinfo: []KeyValue{}}
	if signature != nil {
		info.Signature = &Signature{signature.Issuer, signature.Serial.Text(16), signature.Hash}
	}

	found := false
	for i := range file.Sections {
		section := &file.Sections[i]
		if section.Name == ".modinfo" {
			found = true
			for _, kv := range kmod.ParseModinfo(section.Data) {
				info.Modinfo = append(info.Modinfo, KeyValue(kv))
			}
		}
		for _, k := range section.KlpRelocs {
			object, err := elfobj.KlpRelaObject(k.Name)
			if err != nil {
				return nil, nil, err
			}
			info.Objects = append(info.Objects, object)
		}
	}
	if !found {
		return nil, nil, ErrNotModule
	}

	slices.Sort(info.Objects)
	info.Objects = slices.Compact(info.Objects)
	if n := info.Get("name"); n != "" {
		info.Name = n
	}
	info.Livepatch = info.Get("livepatch") != ""

	// No note is no fault: modules by others can be livepatches too.
	info.Note, err = note.Read(file)
	if errors.Is(err, note.ErrNoNote) {
		return info, file, nil
	}
	return info, file, err
}

// ReadLoaded reads the note of a loaded module below the sysfs directory
// of modules, usually /sys/module. A module without the note gives an error
// wrapping note.ErrNoNote.
func ReadLoaded(sysModule, name string) (*note.Note, error) {
	text, err := os.ReadFile(filepath.Join(sysModule, name, NoteFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("loaded module %s: %w", name, note.ErrNoNote)
	}
	if err != nil {
		return nil, fmt.Errorf("loaded module %s: %w", name, err)
	}
	recorded, err := note.ParseSection(text, binary.NativeEndian)
	if err != nil {
		return nil, fmt.Errorf("loaded module %s: %w", name, err)
	}
	return recorded, nil
}
