package elfobj

import (
	"debug/elf"
	"fmt"
	"os"
	"strings"
)

// origin is a file of which a part was not read.
type origin struct {
	path string
	info os.FileInfo
}

// ReadCode reads the object at path without the contents and relocations of its debug
// information, which are most of an object: its sections are there, with their sizes.
// A pipe is read whole.
func ReadCode(path string) (*File, error) {
	in, file, err := openInput(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	leave := info.Mode().IsRegular() // what a pipe gave is gone
	f, err := read(in, leave)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if leave {
		f.origin = &origin{path, info}
	}
	return f, nil
}

// Whole is the file with its debug information, which is read when [ReadCode] left it
// out; otherwise it is f itself. It is an error when the file has changed since.
func (f *File) Whole() (*File, error) {
	if f.origin == nil {
		return f, nil
	}
	whole, err := ReadFile(f.origin.path)
	if err != nil {
		return nil, err
	}
	now, err := os.Stat(f.origin.path)
	if err != nil {
		return nil, err
	}
	before := f.origin.info
	if !os.SameFile(before, now) || before.Size() != now.Size() || !before.ModTime().Equal(now.ModTime()) {
		return nil, fmt.Errorf("read %s: it has changed since it was first read", f.origin.path)
	}
	return whole, nil
}

// Debug reports whether the section is debug information, which nothing that runs refers to.
func (s *Section) Debug() bool {
	return s.Flags&elf.SHF_ALLOC == 0 && strings.HasPrefix(s.Name, ".debug_")
}
