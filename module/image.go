package module

import (
	"debug/elf"
	"fmt"

	"github.com/klpforge/klpforge/internal/regular"
	"github.com/klpforge/klpforge/internal/unpack"
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

// MaxFile bounds a module file, packed or not: livepatches have a few hundred
// kilobytes, the largest modules of distributions, with debug information, as many megabytes.
const MaxFile = 1 << 30

// Open reads the module at path like Read, and keeps its bytes.
func Open(path string) (*Image, error) {
	raw, err := regular.Read(path, MaxFile)
	if err != nil {
		return nil, err
	}
	return OpenBytes(path, raw)
}

// OpenBytes is Open for a file that was read already; path is what it is
// called. The image may alias raw.
func OpenBytes(path string, raw []byte) (*Image, error) {
	data, err := unpack.File(path, raw)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	info, file, err := parseImage(path, data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	compressed := len(raw) != len(data) || len(raw) > 0 && &raw[0] != &data[0]
	img := &Image{Info: info, Data: data, Compressed: compressed, Notes: map[string][]byte{}}
	for i := range file.Sections {
		if s := &file.Sections[i]; s.Type == elf.SHT_NOTE && s.Flags&elf.SHF_ALLOC != 0 && len(s.Data) > 0 {
			img.Notes[s.Name] = s.Data
		}
	}
	return img, nil
}
