package note

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klpforge/klpforge/elfobj"
)

// Section is the ELF note section that carries the note. It is allocated, so that a
// loaded module shows it as /sys/module/<name>/notes/.note.klpforge.
const Section = ".note.klpforge"

const (
	owner    = "klpforge"
	noteType = 1 // JSON, or zlib-compressed JSON

	compressAbove = 4 << 10 // bytes of JSON
	// maxJSON bounds what a note may expand to, in bytes. Parsed, JSON made to
	// deceive takes some fifty times as much; real notes have up to some hundred kilobytes.
	maxJSON = 4 << 20
)

// ErrNoNote means that a module carries no klpforge note.
var ErrNoNote = errors.New("module has no " + Section + " section; it was not finished by klpforge")

// Read returns the note that the module carries. It fails with ErrNoNote when there
// is none, and with an error wrapping ErrMalformed when it is malformed.
func Read(file *elfobj.File) (*Note, error) {
	i := slices.IndexFunc(file.Sections, func(s elfobj.Section) bool { return s.Name == Section })
	if i < 0 {
		return nil, ErrNoNote
	}
	var bo binary.ByteOrder = binary.LittleEndian
	if file.BigEndian {
		bo = binary.BigEndian
	}
	return ParseSection(file.Sections[i].Data, bo)
}

// ParseSection reads the note from the content of its section, for instance from
// sysfs. bo is the byte order of the kernel.
func ParseSection(data []byte, bo binary.ByteOrder) (*Note, error) {
	bad := func(what string) error { return fmt.Errorf("%w: note: %s", ErrMalformed, what) }
	if len(data) < 12 {
		return nil, bad("too short")
	}

	// The header of an ELF note: sizes of the owner's name and of the content, a type; both parts
	// are padded to four bytes.
	namesz, descsz, typ := uint64(bo.Uint32(data)), uint64(bo.Uint32(data[4:])), bo.Uint32(data[8:])
	data = data[12:]
	if namesz > uint64(len(data)) || align4(namesz) > uint64(len(data)) {
		return nil, bad("owner is longer than the section")
	}
	if string(bytes.TrimRight(data[:namesz], "\x00")) != owner || typ != noteType {
		return nil, bad(fmt.Sprintf("owner %q, type %d", data[:namesz], typ))
	}
	data = data[align4(namesz):]
	if descsz > uint64(len(data)) {
		return nil, bad("content is longer than the section")
	}
	data = data[:descsz]

	// Short notes are stored as they are, long ones compressed.
	if len(data) == 0 || data[0] == '{' {
		return Parse(data)
	}
	z, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: note: %w", ErrMalformed, err)
	}
	text, err := io.ReadAll(io.LimitReader(z, maxJSON+1))
	if err != nil {
		return nil, fmt.Errorf("%w: note: %w", ErrMalformed, err)
	}

	if len(text) > maxJSON {
		return nil, bad("expands to too much")
	}
	return Parse(text)
}

// EncodeSection gives the content of the section, for a kernel of byte order bo.
func (n *Note) EncodeSection(bo binary.ByteOrder) ([]byte, error) {
	text, err := n.marshal("")
	if err != nil {
		return nil, err
	}
	text = bytes.TrimSpace(text)
	if len(text) > maxJSON {
		return nil, fmt.Errorf("the manifest has %d bytes, a module can carry %d", len(text), maxJSON)
	}

	// The note stays in memory as long as the module: past a size it is worth packing.
	if len(text) > compressAbove {
		var buf bytes.Buffer
		compressor, err := zlib.NewWriterLevel(&buf, zlib.BestCompression)
		if err != nil {
			return nil, err
		}
		if _, err := compressor.Write(text); err != nil {
			return nil, err
		}
		if err := compressor.Close(); err != nil {
			return nil, err
		}
		text = buf.Bytes()
	}

	name := owner + "\x00"
	header := make([]byte, 12, 12+len(name)+len(text)+8)
	bo.PutUint32(header, uint32(len(name)))
	bo.PutUint32(header[4:], uint32(len(text)))
	bo.PutUint32(header[8:], noteType)
	header = pad4(append(header, name...))
	return pad4(append(header, text...)), nil
}

func align4(n uint64) uint64 { return (n + 3) &^ 3 }

func pad4(b []byte) []byte { return append(b, make([]byte, int(align4(uint64(len(b))))-len(b))...) }
