package kmod

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/klpforge/klpforge/elfobj"
)

// References are the modules that refer to a symbol which they do not define, by the
// symbol; each list in the order of [Index.List].
type References map[string][]string

// readers is how many modules are read at the same time: each is held whole meanwhile.
const readers = 4

// References reads every module of the index and finds what it refers to. No module is
// kept in memory.
func (m *Index) References() (References, error) {
	files := m.List()
	undefined := make([][]string, len(files))
	var group errgroup.Group
	group.SetLimit(readers)
	for i, file := range files {
		group.Go(func() error {
			module, err := read(file.Path, m.rules)
			if err != nil {
				return err
			}
			undefined[i] = module.undefined()
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}

	references := References{}
	for i, file := range files {
		for _, symbol := range undefined[i] {
			references[symbol] = append(references[symbol], file.Name)
		}
	}
	return references, nil
}

// undefined names what a module refers to and does not define, each once.
func (m *Module) undefined() []string {
	var out []string
	seen := map[string]bool{}
	for i := range m.File.Symbols {
		if s := &m.File.Symbols[i]; s.Sec == elfobj.SecUndef && s.Name != "" && !seen[s.Name] {
			seen[s.Name] = true
			out = append(out, s.Name)
		}
	}
	return out
}

// State is another one whenever a module of the index may have another content: it is
// made of the files' names, sizes, inodes and times. The change time tells of a file
// whose modification time was set back.
func (m *Index) State() (string, error) {
	h := sha256.New()
	var b []byte
	for _, file := range m.List() {
		info, err := os.Stat(file.Path)
		if err != nil {
			return "", fmt.Errorf("look at a module: %w", err)
		}
		b = append(b[:0], file.Name+"\x00"+file.Path+"\x00"...)
		b = binary.LittleEndian.AppendUint64(b, uint64(info.Size()))
		b = binary.LittleEndian.AppendUint64(b, uint64(info.ModTime().UnixNano()))
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			b = binary.LittleEndian.AppendUint64(b, st.Ino)
			b = binary.LittleEndian.AppendUint64(b, uint64(syscall.TimespecToNsec(st.Ctim)))
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
