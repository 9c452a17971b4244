package kimage

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/klpforge/klpforge/internal/regular"
	"github.com/klpforge/klpforge/internal/sealed"
	"github.com/klpforge/klpforge/internal/unpack"
	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/kernel/karch"
)

// Image is a linked vmlinux. Its bytes are mapped read-only; slices it
// returns alias the mapping and are valid until Close. Addresses are
// link-time virtual addresses.
type Image struct {
	Path     string // the file given: a bzImage or an ELF vmlinux
	Cached   string // the decompressed vmlinux that is mapped; "" when Path itself is or when it is in memory
	Arch     karch.Arch
	Order    binary.ByteOrder
	Sections []Section // in file order, without the null section
	data     []byte
	segs     []segment // sorted by addr
	unmap    func() error
}

// Section is one section of a vmlinux.
type Section struct {
	Name    string
	Type    elf.SectionType
	Flags   elf.SectionFlag
	Addr    uint64
	Size    uint64 // bytes
	EntSize uint64
	Link    uint32 // index into the ELF section table, counting the null section
	data    []byte // nil for SHT_NOBITS
}

type segment struct {
	addr uint64
	data []byte // file part only
	exec bool
}

// Open maps an ELF vmlinux, or unpacks a bzImage. An unpacked vmlinux is
// kept as <cacheDir>/vmlinux-<sha256 of the bzImage> and mapped from there;
// it stays in memory when cacheDir is empty or cannot be written.
func Open(path, cacheDir string) (*Image, error) {
	data, unmap, err := mapFile(path)
	if err != nil {
		return nil, fmt.Errorf("open kernel image: %w", err)
	}
	im, err := open(path, data, unmap, cacheDir)
	if err != nil {
		return nil, fmt.Errorf("open kernel image %s: %w", path, err)
	}
	return im, nil
}

func open(path string, data []byte, unmap func() error, cacheDir string) (*Image, error) {
	if bytes.HasPrefix(data, []byte(elf.ELFMAG)) {
		im, err := parse(path, data)
		if err != nil {
			unmap()
			return nil, err
		}
		im.unmap = unmap
		return im, nil
	}
	defer unmap()
	if len(data) < 0x264 || string(data[0x202:0x206]) != "HdrS" {
		// A compressed vmlinux (vmlinux.gz, vmlinuz of some architectures).
		f := unpack.Format(data)
		if f == "" {
			return nil, errors.New("neither a bzImage nor an ELF vmlinux")
		}
		return unpackCached(path, data, cacheDir, func(b []byte) ([]byte, error) { return unpack.Bytes(f, b, 0) })
	}
	return unpackCached(path, data, cacheDir, unpackImage)
}

// unpackCached parses unpack(data), through the cache when there is one.
func unpackCached(path string, data []byte, cacheDir string, unpack func([]byte) ([]byte, error)) (*Image, error) {
	if cacheDir == "" {
		out, err := unpack(data)
		if err != nil {
			return nil, err
		}
		return parse(path, out)
	}
	sum := sha256.Sum256(data)
	cached := filepath.Join(cacheDir, "vmlinux-"+hex.EncodeToString(sum[:]))
	im, err := openCached(path, cached)
	if err == nil {
		return im, nil
	}
	if errors.Is(err, sealed.ErrDamaged) {
		// cacheDir is CACHE/targets/RELEASE.
		sealed.Note(filepath.Dir(filepath.Dir(cacheDir)), cached, err)
	}
	out, err := unpack(data)
	if err != nil {
		return nil, err
	}
	if _, err := parse(path, out); err != nil {
		return nil, err
	}
	old, _ := filepath.Glob(filepath.Join(cacheDir, "vmlinux-*"))
	err = os.MkdirAll(cacheDir, 0o755)
	if err == nil {
		err = cachedir.WriteFile(cached, out)
	}
	if err == nil {
		err = cachedir.WriteFile(sumFile(cached), sealed.Seal(filepath.Base(cached), imageSum(out)))
	}
	if err != nil {
		// A cache that cannot be written costs time on the next run, no more.
		return parse(path, out)
	}
	for _, o := range old { // of an earlier image of this release; still mapped files survive this
		if o != cached {
			os.Remove(o)
			os.Remove(sumFile(o))
		}
	}
	return openCached(path, cached)
}

// sumFile has the checksum of an unpacked image.
func sumFile(cached string) string {
	return filepath.Join(filepath.Dir(cached), "."+filepath.Base(cached)+".sum")
}

// imageSum is a checksum against accidents. It is taken at each use, so it
// must be fast: CRC-32C has instructions of its own.
func imageSum(data []byte) []byte {
	return fmt.Appendf(nil, "%d %08x", len(data), crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
}

// openCached opens an image that was unpacked before. The error wraps
// fs.ErrNotExist without one, also where nothing vouches for it, and
// sealed.ErrDamaged when it is not what was written.
func openCached(path, cached string) (*Image, error) {
	want, err := sealed.Read(sumFile(cached), filepath.Base(cached))
	if err != nil {
		return nil, err
	}
	data, unmap, err := mapFile(cached)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", sealed.ErrDamaged, err)
	}
	if !bytes.Equal(imageSum(data), want) {
		unmap()
		return nil, fmt.Errorf("%w: its checksum does not match", sealed.ErrDamaged)
	}
	im, err := parse(path, data)
	if err != nil {
		unmap()
		return nil, err
	}
	im.Cached, im.unmap = cached, unmap
	return im, nil
}

// mapFile maps a file read-only.
func mapFile(path string) ([]byte, func() error, error) {
	file, err := regular.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	if st.Size() == 0 || st.Size() > math.MaxInt32*4 {
		return nil, nil, &os.PathError{Op: "map", Path: path, Err: errors.New("not of a plausible size")}
	}
	data, err := unix.Mmap(int(file.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, nil, &os.PathError{Op: "map", Path: path, Err: err}
	}
	return data, func() error { return unix.Munmap(data) }, nil
}

// parse reads the ELF headers of a vmlinux. It does not take ownership
// of data.
func parse(path string, data []byte) (im *Image, err error) {
	// debug/elf may panic on hostile headers; this is the one place that uses it.
	defer func() {
		if r := recover(); r != nil {
			im, err = nil, fmt.Errorf("malformed ELF: %v", r)
		}
	}()
	elfFile, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if elfFile.Class != elf.ELFCLASS64 {
		return nil, fmt.Errorf("%v kernels are not supported", elfFile.Class)
	}
	if elfFile.Type != elf.ET_EXEC && elfFile.Type != elf.ET_DYN {
		return nil, fmt.Errorf("ELF type %v is not a linked vmlinux", elfFile.Type)
	}
	arch, ok := karch.Of(elfFile.Machine)
	if !ok {
		return nil, fmt.Errorf("architecture %v is not supported", elfFile.Machine)
	}
	im = &Image{Path: path, Arch: arch, Order: elfFile.ByteOrder, data: data, unmap: func() error { return nil }}
	slice := func(off, n uint64) ([]byte, bool) {
		if off > uint64(len(data)) || n > uint64(len(data))-off {
			return nil, false
		}
		return data[off : off+n : off+n], true
	}
	for _, section := range elfFile.Sections {
		if section.Type == elf.SHT_NULL {
			continue
		}
		is := Section{Name: section.Name, Type: section.Type, Flags: section.Flags, Addr: section.Addr,
			Size: section.FileSize, EntSize: section.Entsize, Link: section.Link}
		if section.Flags&elf.SHF_COMPRESSED == 0 && section.Type != elf.SHT_NOBITS {
			d, ok := slice(section.Offset, section.FileSize)
			if !ok {
				return nil, fmt.Errorf("section %s lies outside the file", section.Name)
			}
			is.data = d
		}
		im.Sections = append(im.Sections, is)
	}
	for i, prog := range elfFile.Progs {
		if prog.Type != elf.PT_LOAD || prog.Filesz == 0 {
			continue
		}
		d, ok := slice(prog.Off, prog.Filesz)
		if !ok || prog.Vaddr+prog.Filesz < prog.Vaddr {
			return nil, fmt.Errorf("segment %d lies outside the file", i)
		}
		// Sections say more exactly what is code and where .bss begins.
		im.segs = append(im.segs, segment{addr: prog.Vaddr, data: d, exec: prog.Flags&elf.PF_X != 0})
	}
	if len(im.segs) == 0 {
		return nil, errors.New("no loadable segment")
	}
	sort.Slice(im.segs, func(i, j int) bool { return im.segs[i].addr < im.segs[j].addr })
	return im, im.relocate()
}

// Close unmaps the image. Slices taken from it must not be used afterwards.
func (im *Image) Close() error {
	u := im.unmap
	im.unmap = func() error { return nil }
	im.data, im.segs, im.Sections = nil, nil, nil
	return u()
}

// Read returns length bytes at addr. The slice is read-only memory. The error is
// an [AddressError] when any of the bytes is not stored in the image.
func (im *Image) Read(addr uint64, length int) ([]byte, error) {
	if length < 0 {
		return nil, &AddressError{addr, length}
	}
	data := im.from(addr)
	if uint64(len(data)) < uint64(length) || len(data) == 0 {
		return nil, &AddressError{addr, length}
	}
	if s := im.SectionAt(addr); s != nil && s.Type == elf.SHT_NOBITS {
		return nil, &AddressError{addr, length} // .bss within a segment that file bytes pad out
	}
	return data[:length:length], nil
}

// from returns the stored bytes from addr to the end of its segment.
func (im *Image) from(addr uint64) []byte {
	i := sort.Search(len(im.segs), func(i int) bool { return im.segs[i].addr > addr }) - 1
	if i < 0 || addr-im.segs[i].addr >= uint64(len(im.segs[i].data)) {
		return nil
	}
	return im.segs[i].data[addr-im.segs[i].addr:]
}

// String returns the NUL-terminated string at addr, at most max bytes long.
func (im *Image) String(addr uint64, limit int) (string, error) {
	data := im.from(addr)
	data = data[:min(len(data), limit)]
	i := bytes.IndexByte(data, 0)
	if i < 0 {
		return "", &AddressError{addr, limit}
	}
	return string(data[:i]), nil
}

// Uint64 reads an 8-byte word.
func (im *Image) Uint64(addr uint64) (uint64, error) {
	b, err := im.Read(addr, 8)
	if err != nil {
		return 0, err
	}
	return im.Order.Uint64(b), nil
}

// Section returns the first section of that name, nil when there is none.
func (im *Image) Section(name string) *Section {
	for i := range im.Sections {
		if im.Sections[i].Name == name {
			return &im.Sections[i]
		}
	}
	return nil
}

// SectionAt returns the allocated section that holds addr, nil when none does.
func (im *Image) SectionAt(addr uint64) *Section {
	for i := range im.Sections {
		section := &im.Sections[i]
		if section.Flags&elf.SHF_ALLOC != 0 && addr >= section.Addr && addr-section.Addr < section.Size {
			return section
		}
	}
	return nil
}

// Data returns a section's bytes, nil for SHT_NOBITS. The slice is read-only
// memory, valid until the image is closed.
func (s *Section) Data() []byte { return s.data }

// Executable reports whether addr lies in code.
func (im *Image) Executable(addr uint64) bool {
	if s := im.SectionAt(addr); s != nil {
		return s.Flags&elf.SHF_EXECINSTR != 0
	}
	for _, seg := range im.segs {
		if addr >= seg.addr && addr-seg.addr < uint64(len(seg.data)) {
			return seg.exec
		}
	}
	return false
}

// writable reports whether addr lies in data. The kernel maps that as not executable,
// whatever else the section says: .data of v7.2 is both.
func (im *Image) writable(addr uint64) bool {
	s := im.SectionAt(addr)
	return s != nil && s.Flags&elf.SHF_WRITE != 0
}

// ErrNoBTF means that the image has no .BTF section.
var ErrNoBTF = errors.New("no BTF in the image")

// BTF returns the raw type information of vmlinux (section .BTF), as
// cilium/ebpf/btf.LoadSpecFromReader wants it. The slice is read-only memory.
func (im *Image) BTF() ([]byte, error) {
	section := im.Section(".BTF")
	if section == nil || len(section.data) == 0 {
		return nil, fmt.Errorf("%s: %w; the kernel was built without CONFIG_DEBUG_INFO_BTF", im.Path, ErrNoBTF)
	}
	return section.data, nil
}

// ReaderAt gives the whole (unpacked) ELF file, for debug/elf or debug/dwarf.
func (im *Image) ReaderAt() io.ReaderAt { return bytes.NewReader(im.data) }

func hasSuffixAny(s string, suffixes ...string) bool {
	for _, x := range suffixes {
		if strings.HasSuffix(s, x) {
			return true
		}
	}
	return false
}
