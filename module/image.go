package module

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"

	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/kernel"
)

// Image is a module file as the kernel takes it.
type Image struct {
	Info *Info
	// Data is the module with its signature, decompressed.
	Data       []byte
	Compressed bool // the file is
	// Notes are the note sections by name, as sysfs shows them of a loaded
	// module below notes/.
	Notes map[string][]byte
}

// Open reads the module at path like Read, and keeps its bytes.
func Open(path string) (*Image, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	data, err := kernel.Decompress(path, raw)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	info, f, err := parseImage(path, data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	img := &Image{Info: info, Data: data, Compressed: !bytes.Equal(raw, data), Notes: map[string][]byte{}}
	for i := range f.Sections {
		if s := &f.Sections[i]; s.Type == elf.SHT_NOTE && s.Flags&elf.SHF_ALLOC != 0 && len(s.Data) > 0 {
			img.Notes[s.Name] = s.Data
		}
	}
	return img, nil
}

// Manifest is what klpforge leaves in a module.
type Manifest = generate.Manifest

// ErrNoNote means that a module carries no manifest.
var ErrNoNote = generate.ErrNoNote
