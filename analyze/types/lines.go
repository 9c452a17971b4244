package types

import (
	"cmp"
	"debug/dwarf"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/klpforge/klpforge/elfobj"
)

// Lines says from which line of source each instruction of an object comes.
type Lines struct {
	rows []row // by address; a row holds up to the next
}

type row struct {
	addr uint64 // as lineBase
	file string
	line int // 0 after the end of a sequence
}

// lineBase is the address that a section of a relocatable object is read at: its
// sections all begin at 0, and offsets alone would not tell them apart.
func lineBase(sec elfobj.SecID) uint64 { return uint64(sec) << 32 }

// ReadLines reads the line tables of a relocatable object. Broken debug information
// is an error, not a panic; ErrNoDebug means that there is none.
func ReadLines(elfFile *elfobj.File) (lines *Lines, err error) {
	defer func() {
		if r := recover(); r != nil { // debug/dwarf is not safe against all input
			lines, err = nil, fmt.Errorf("read line table: %v", r)
		}
	}()
	data, err := openDWARF(elfFile, func(sec elfobj.SecID) uint64 {
		if int(sec) < len(elfFile.Sections) && elfFile.Sections[sec].Flags&elf.SHF_EXECINSTR != 0 {
			return lineBase(sec)
		}
		return 0
	})
	if err != nil {
		return nil, err
	}
	lines = &Lines{}
	in := data.Reader()
	for {
		unit, err := in.Next()
		if err != nil {
			return nil, fmt.Errorf("read line table: %w", err)
		}
		if unit == nil {
			break
		}
		in.SkipChildren()
		if err := lines.add(data, unit); err != nil {
			return nil, fmt.Errorf("read line table: %w", err)
		}
	}
	// Where one sequence ends another may begin.
	slices.SortStableFunc(lines.rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.addr, b.addr), cmp.Compare(min(a.line, 1), min(b.line, 1)))
	})
	return lines, nil
}

// add takes over the rows of one compilation unit.
func (l *Lines) add(d *dwarf.Data, unit *dwarf.Entry) error {
	in, err := d.LineReader(unit)
	if err != nil || in == nil {
		return err
	}
	var line dwarf.LineEntry
	for {
		switch err := in.Next(&line); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case line.EndSequence:
			l.rows = append(l.rows, row{addr: line.Address})
		case line.File != nil:
			l.rows = append(l.rows, row{addr: line.Address, file: path.Clean(line.File.Name), line: line.Line})
		}
	}
}

// At gives the file, relative to the tree, and the line of the instruction at an
// offset in a section of code. It is false where the table says nothing.
func (l *Lines) At(sec elfobj.SecID, off uint64) (file string, line int, ok bool) {
	addr := lineBase(sec) + off
	// The last of several rows of one address counts.
	i, _ := slices.BinarySearchFunc(l.rows, addr+1, func(r row, a uint64) int { return cmp.Compare(r.addr, a) })
	if i == 0 || l.rows[i-1].line == 0 {
		return "", 0, false
	}
	return l.rows[i-1].file, l.rows[i-1].line, true
}
