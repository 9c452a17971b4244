package kimage

import (
	"bytes"
	"debug/elf"
	"fmt"
)

// A relocatable image may keep its addresses in a table alone, and zeros in their places: arm64 links
// it with --no-apply-dynamic-relocs (arch/arm64/Makefile, v7.2), for zeros compress better. The boot
// code fills them in (relocate_kernel, arch/arm64/kernel/pi/relocate.c, v7.2), and passes over
// relocations of other types.

// relaSize is sizeof(Elf64_Rela), bytes.
const relaSize = 24

// relocate fills in what boot code does, for a kernel that lies where it was linked. The file's
// bytes stay: segments and sections then have copies of them.
func (im *Image) relocate() error {
	rela := im.Section(".rela.dyn")
	if im.Arch.Relative == 0 || rela == nil || len(rela.data) == 0 {
		return nil
	}
	if len(rela.data)%relaSize != 0 {
		return fmt.Errorf("%s of %d bytes is not a table of relocations", rela.Name, len(rela.data))
	}
	table := rela.data
	im.own()
	for ; len(table) > 0; table = table[relaSize:] {
		if uint32(im.Order.Uint64(table[8:])) != im.Arch.Relative {
			continue
		}
		place := im.Order.Uint64(table)
		at := im.from(place)
		if len(at) < 8 {
			return fmt.Errorf("relocation at %#x lies outside the image", place)
		}
		im.Order.PutUint64(at, im.Order.Uint64(table[16:]))
	}
	return nil
}

// own copies the segments, which are in order, and has the sections in them share the copies.
func (im *Image) own() {
	for i := range im.segs {
		im.segs[i].data = bytes.Clone(im.segs[i].data)
	}
	for i := range im.Sections {
		section := &im.Sections[i]
		if section.Flags&elf.SHF_ALLOC == 0 || section.data == nil {
			continue
		}
		if at := im.from(section.Addr); uint64(len(at)) >= section.Size {
			section.data = at[:section.Size:section.Size]
		}
	}
}
