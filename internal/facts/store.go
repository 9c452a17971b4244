package facts

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/pack"
	"github.com/klpforge/klpforge/kernel"
)

// magic begins a file of facts; its last part is the version of the format.
const magic = "klpforge facts 1\n"

// maxFiles is how many files of facts the cache keeps, about 8 MB each.
const maxFiles = 8

// program identifies the running program by its content: whatever changes in
// an analysis makes other facts.
var program = sync.OnceValues(func() ([]byte, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
})

// keyOf names the facts of an image: a hash of all that they depend on.
func keyOf(im *kernel.Image, syms *kernel.Symbols, btf []byte) (string, error) {
	id, err := program()
	if err != nil {
		return "", fmt.Errorf("identify this program: %w", err)
	}
	h := sha256.New()
	h.Write(id)
	buf := make([]byte, 0, 1<<16)
	num := func(v uint64) { buf = binary.LittleEndian.AppendUint64(buf, v) }
	flush := func() { h.Write(buf); buf = buf[:0] }
	num(uint64(im.Arch.Machine))
	for i := range im.Sections {
		s := &im.Sections[i]
		num(s.Addr)
		num(s.Size)
		num(uint64(s.Flags))
		buf = append(append(buf, s.Name...), 0)
		flush()
		if s.Addr != 0 || s.Name == ".data..percpu" {
			h.Write(s.Data())
		}
	}
	for s := range syms.All() {
		num(s.Addr)
		buf = append(append(buf, s.Name...), 0)
		if len(buf) > 1<<15 {
			flush()
		}
	}
	num(uint64(len(btf)))
	flush()
	h.Write(btf)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// store is a directory of facts.
type store struct{ dir string }

func (s store) path(key string) string { return filepath.Join(s.dir, key) }

// load reads facts. Any error means that they must be found anew.
func (s store) load(key string, p *model.Program) (*model.Model, *locks.Result, error) {
	path := s.path(key)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	m, l, err := decode(b, p)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now) // the oldest goes first; see prune
	return m, l, nil
}

// save keeps facts. A cache that cannot be written costs time on the next
// run, no more.
func (s store) save(key string, m *model.Model, l *locks.Result) {
	if os.MkdirAll(s.dir, 0o755) != nil {
		return
	}
	f, err := os.CreateTemp(s.dir, "new-*")
	if err != nil {
		return
	}
	_, err = f.Write(encode(m, l))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), s.path(key))
	}
	if err != nil {
		os.Remove(f.Name())
		return
	}
	s.prune()
}

// prune removes the files that were not used for the longest time.
func (s store) prune() {
	list, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	type file struct {
		path string
		used time.Time
	}
	var files []file
	for _, e := range list {
		if i, err := e.Info(); err == nil && i.Mode().IsRegular() {
			files = append(files, file{filepath.Join(s.dir, e.Name()), i.ModTime()})
		}
	}
	slices.SortFunc(files, func(a, b file) int { return b.used.Compare(a.used) })
	for _, f := range files[min(len(files), maxFiles):] {
		os.Remove(f.path)
	}
}

// encode is the content of a file: magic, hash of the rest, model, locks.
func encode(m *model.Model, l *locks.Result) []byte {
	w := pack.Writer{B: make([]byte, 0, 1<<23)}
	w.B = append(append(w.B, magic...), make([]byte, sha256.Size)...)
	m.Pack(&w)
	l.Pack(&w)
	sum := sha256.Sum256(w.B[len(magic)+sha256.Size:])
	copy(w.B[len(magic):], sum[:])
	return w.B
}

func decode(b []byte, p *model.Program) (*model.Model, *locks.Result, error) {
	head := len(magic) + sha256.Size
	if len(b) < head || string(b[:len(magic)]) != magic {
		return nil, nil, pack.ErrCorrupt
	}
	if sum := sha256.Sum256(b[head:]); !bytes.Equal(sum[:], b[len(magic):head]) {
		return nil, nil, pack.ErrCorrupt
	}
	r := pack.NewReader(b[head:])
	m, err := model.Unpack(p, r)
	if err != nil {
		return nil, nil, err
	}
	l, err := locks.Unpack(m, r)
	if err != nil {
		return nil, nil, err
	}
	if len(r.Rest()) > 0 {
		return nil, nil, pack.ErrCorrupt
	}
	return m, l, nil
}
