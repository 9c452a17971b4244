package main

import (
	"debug/elf"
	"os"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
)

// distinct gives every function and variable of an object a name of its own, and
// the section that -ffunction-sections made for it: both differs pair by names,
// and ld joins sections of one name.
func distinct(f *elfobj.File, number string) {
	for i := range f.Symbols {
		s := &f.Symbols[i]
		if s.Sec <= 0 || s.Name == "" || s.Type == elf.STT_SECTION || s.Type == elf.STT_FILE {
			continue
		}
		s.Name = numbered(s.Name, number)
	}
	for i := range f.Sections {
		s := &f.Sections[i]
		if s.Flags&elf.SHF_MERGE != 0 || strings.Contains(s.Name, "..") {
			continue
		}
		for _, prefix := range []string{".text.unlikely.", ".text.hot.", ".text.startup.", ".text.", ".data.rel.ro.local.", ".data.rel.ro.", ".data.", ".bss.", ".rodata."} {
			if rest, ok := strings.CutPrefix(s.Name, prefix); ok && rest != "once" {
				s.Name = prefix + numbered(rest, number)
				break
			}
		}
	}
}

// numbered puts the number before what the compiler appended to a name.
func numbered(name, number string) string {
	i := strings.IndexByte(name, '.')
	if i <= 0 {
		return name + "_" + number
	}
	return name[:i] + "_" + number + name[i:]
}

func writeObject(path string, f *elfobj.File) error {
	b, err := f.Write()
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o600)
}

func removeAll(files []string) error {
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	return nil
}
