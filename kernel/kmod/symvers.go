package kmod

import (
	"bytes"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/klpforge/klpforge/internal/regular"
	"github.com/klpforge/klpforge/internal/syntax"
	"github.com/klpforge/klpforge/internal/unpack"
)

// Export is one symbol that the kernel exports, a line of Module.symvers.
type Export struct {
	Name      string
	CRC       uint32
	Module    string // "vmlinux", or the module's path without .ko as in the file
	Type      string // "EXPORT_SYMBOL", "EXPORT_SYMBOL_GPL"
	Namespace string // "" for none
}

// GPL reports whether only GPL modules may use the symbol.
func (e Export) GPL() bool { return strings.HasSuffix(e.Type, "_GPL") }

// Object is the name of the exporting object as a livepatch names it:
// "vmlinux", or the module's name.
func (e Export) Object() string {
	if e.Module == "vmlinux" {
		return e.Module
	}
	return Name(e.Module)
}

// Symvers is a Module.symvers.
type Symvers struct {
	Path   string
	list   []Export
	byName map[string]int32
}

// ParseSymvers reads the text of a Module.symvers; path is for messages. The
// format is scripts/mod/modpost.c's: CRC, symbol, module, export type and,
// since 5.4, a namespace (before the module in 5.4 and 5.5), separated by tabs.
func ParseSymvers(path, text string) (*Symvers, error) {
	n := strings.Count(text, "\n")
	symvers := &Symvers{Path: path, list: make([]Export, 0, n), byName: make(map[string]int32, n)}
	line := 0
	for row := range strings.Lines(text) {
		line++
		row = strings.TrimSuffix(row, "\n")
		if row == "" {
			continue
		}
		var fields [5]string
		nf := 0
		for rest, more := row, true; more; nf++ {
			if nf == len(fields) {
				return nil, syntax.Errorf(path, line, "more than %d fields in %q", len(fields), syntax.Clip(row))
			}
			fields[nf], rest, more = strings.Cut(rest, "\t")
		}
		if nf < 4 {
			return nil, syntax.Errorf(path, line,
				"want CRC, symbol, module, export type and namespace separated by tabs, have %q", syntax.Clip(row))
		}

		// In v5.4 and v5.5 the namespace stands before the module.
		export := Export{Name: fields[1], Module: fields[2], Type: fields[3], Namespace: fields[4]}
		if !strings.HasPrefix(export.Type, "EXPORT_") && strings.HasPrefix(fields[4], "EXPORT_") {
			export.Namespace, export.Module, export.Type = fields[2], fields[3], fields[4]
		}

		crc, err := strconv.ParseUint(strings.TrimPrefix(fields[0], "0x"), 16, 32)
		if err != nil {
			return nil, syntax.Errorf(path, line, "CRC %q is not a 32-bit hexadecimal number", syntax.Clip(fields[0]))
		}
		if export.Name == "" || export.Module == "" || !strings.HasPrefix(export.Type, "EXPORT_") {
			return nil, syntax.Errorf(path, line, "no symbol, module or export type in %q", syntax.Clip(row))
		}

		export.CRC = uint32(crc)
		if _, dup := symvers.byName[export.Name]; !dup {
			symvers.byName[export.Name] = int32(len(symvers.list))
		}
		symvers.list = append(symvers.list, export)
	}
	return symvers, nil
}

// ReadSymvers reads a Module.symvers file, plain or compressed.
func ReadSymvers(path string) (*Symvers, error) {
	text, err := regular.Read(path, unpack.MaxFile)
	if err != nil {
		return nil, err
	}
	if text, err = unpack.File(path, text); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return ParseSymvers(path, string(bytes.TrimRight(text, "\x00")))
}

// Lookup returns the export of a symbol, the first when several objects
// export the name.
func (s *Symvers) Lookup(name string) (Export, bool) {
	i, ok := s.byName[name]
	if !ok {
		return Export{}, false
	}
	return s.list[i], true
}

// Len is the number of exports.
func (s *Symvers) Len() int { return len(s.list) }

// All yields the exports in file order.
func (s *Symvers) All() iter.Seq[Export] {
	return func(yield func(Export) bool) {
		for _, e := range s.list {
			if !yield(e) {
				return
			}
		}
	}
}
