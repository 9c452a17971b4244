package generate

import (
	"bytes"
	"compress/zlib"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klpforge/klpforge/elfobj"
)

// The manifest travels in a note section. It is allocated, so that a loaded
// module shows it as /sys/module/<name>/notes/.note.klpforge.
const (
	noteSection = ".note.klpforge"
	noteOwner   = "klpforge"
	noteType    = 1 // JSON, or zlib-compressed JSON
)

const (
	noteCompressAbove = 4 << 10 // bytes of JSON
	// noteMaxJSON bounds what a note may expand to, in bytes. Parsed, JSON made to
	// deceive takes some fifty times as much; real notes have up to some hundred kilobytes.
	noteMaxJSON = 4 << 20
	// maxModule bounds a module that is finished, in bytes.
	maxModule = 1 << 30
)

// ErrNoNote means that a module carries no klpforge note.
var ErrNoNote = errors.New("module has no " + noteSection + " section; it was not finished by klpforge")

// ReadNote returns the manifest that the module f carries. It fails with
// ErrNoNote when there is none, and with an error wrapping ErrManifest when it
// is malformed.
func ReadNote(f *elfobj.File) (*Manifest, error) {
	s := findSection(f, noteSection)
	if s == nil {
		return nil, ErrNoNote
	}
	var bo binary.ByteOrder = binary.LittleEndian
	if f.BigEndian {
		bo = binary.BigEndian
	}
	return parseNote(s.Data, bo)
}

// ParseNote reads the manifest from the content of a note section, for
// instance from sysfs. bo is the byte order of the kernel.
func ParseNote(b []byte, bo binary.ByteOrder) (*Manifest, error) { return parseNote(b, bo) }

func parseNote(b []byte, bo binary.ByteOrder) (*Manifest, error) {
	bad := func(what string) error { return fmt.Errorf("%w: note: %s", ErrManifest, what) }
	if len(b) < 12 {
		return nil, bad("too short")
	}
	namesz, descsz, typ := uint64(bo.Uint32(b)), uint64(bo.Uint32(b[4:])), bo.Uint32(b[8:])
	b = b[12:]
	if namesz > uint64(len(b)) || align4(namesz) > uint64(len(b)) {
		return nil, bad("owner is longer than the section")
	}
	if string(bytes.TrimRight(b[:namesz], "\x00")) != noteOwner || typ != noteType {
		return nil, bad(fmt.Sprintf("owner %q, type %d", b[:namesz], typ))
	}
	b = b[align4(namesz):]
	if descsz > uint64(len(b)) {
		return nil, bad("content is longer than the section")
	}
	b = b[:descsz]
	if len(b) == 0 || b[0] == '{' {
		return ParseManifest(b)
	}
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%w: note: %w", ErrManifest, err)
	}
	text, err := io.ReadAll(io.LimitReader(z, noteMaxJSON+1))
	if err != nil {
		return nil, fmt.Errorf("%w: note: %w", ErrManifest, err)
	}
	if len(text) > noteMaxJSON {
		return nil, bad("expands to too much")
	}
	return ParseManifest(text)
}

// encodeNote gives the content of the note section for m.
func encodeNote(m *Manifest, bo binary.ByteOrder) ([]byte, error) {
	text, err := m.marshal("")
	if err != nil {
		return nil, err
	}
	text = bytes.TrimSpace(text)
	if len(text) > noteMaxJSON {
		return nil, fmt.Errorf("the manifest has %d bytes, a module can carry %d", len(text), noteMaxJSON)
	}
	if len(text) > noteCompressAbove {
		var buf bytes.Buffer
		z, err := zlib.NewWriterLevel(&buf, zlib.BestCompression)
		if err != nil {
			return nil, err
		}
		if _, err := z.Write(text); err != nil {
			return nil, err
		}
		if err := z.Close(); err != nil {
			return nil, err
		}
		text = buf.Bytes()
	}
	name := noteOwner + "\x00"
	b := make([]byte, 12, 12+len(name)+len(text)+8)
	bo.PutUint32(b, uint32(len(name)))
	bo.PutUint32(b[4:], uint32(len(text)))
	bo.PutUint32(b[8:], noteType)
	b = pad4(append(b, name...))
	return pad4(append(b, text...)), nil
}

// setNote adds the note section to f, or replaces its content.
func setNote(f *elfobj.File, m *Manifest) error {
	var bo binary.ByteOrder = binary.LittleEndian
	if f.BigEndian {
		bo = binary.BigEndian
	}
	data, err := encodeNote(m, bo)
	if err != nil {
		return err
	}
	s := findSection(f, noteSection)
	if s == nil {
		f.Sections = append(f.Sections, elfobj.Section{})
		s = &f.Sections[len(f.Sections)-1]
	}
	*s = elfobj.Section{
		Name: noteSection, Type: elf.SHT_NOTE, Flags: elf.SHF_ALLOC, Align: 4,
		Size: uint64(len(data)), Data: data,
	}
	return nil
}

func align4(n uint64) uint64 { return (n + 3) &^ 3 }

func pad4(b []byte) []byte { return append(b, make([]byte, int(align4(uint64(len(b))))-len(b))...) }
