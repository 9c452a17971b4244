package facts

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klpforge/klpforge/analyze/pack"
	"github.com/klpforge/klpforge/internal/sealed"
	"github.com/klpforge/klpforge/kernel/kimage"
)

// magic begins a file of facts; its last part is the version of the format.
const magic = "klpforge facts 5\n"

// maxKernels is of how many kernels the cache keeps facts, about 10 MB each.
const maxKernels = 8

// part is what one file of facts tells of a kernel.
type part string

const (
	partModel  part = "model"
	partLocks  part = "locks"
	partSleeps part = "sleeps"
	partStacks part = "stacks"
	// partRegistered is where addresses of functions are kept.
	partRegistered part = "registered"
	// partReferences is which modules refer to a symbol.
	partReferences part = "references"
)

// program identifies the running program by its content: whatever changes in
// an analysis makes other facts. The file that runs is meant, even where another
// has taken its name since.
var program = sync.OnceValues(func() ([]byte, error) {
	path, err := "/proc/self/exe", error(nil)
	if runtime.GOOS != "linux" {
		path, err = os.Executable()
	}
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
func keyOf(im *kimage.Image, syms *kimage.Symbols, btf []byte) (string, error) {
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

// store is where the facts of one kernel are, or will be.
type store struct {
	dir string
	key string // of keyOf
}

func (s store) path(p part) string { return filepath.Join(s.dir, s.key+"-"+string(p)) }

// load reads facts. Any error means that they must be found anew.
func (s store) load(p part, unpack func(*pack.Reader) error) error {
	path := s.path(p)
	b, err := sealed.ReadPlain(path)
	if errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err == nil {
		err = s.decode(p, b, unpack)
	}
	if err != nil {
		sealed.Note(filepath.Dir(s.dir), path, err) // dir is CACHE/facts
		return err
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now) // the oldest go first; see prune
	return nil
}

// save keeps facts. A cache that cannot be written costs time on the next
// run, no more.
func (s store) save(p part, pack func(*pack.Writer)) {
	if sealed.MakeDir(filepath.Dir(s.dir), s.dir) != nil {
		return
	}
	f, err := os.CreateTemp(s.dir, "new-*")
	if err != nil {
		return
	}
	_, err = f.Write(s.encode(p, pack))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), s.path(p))
	}
	if err != nil {
		os.Remove(f.Name())
		return
	}
	s.prune()
}

// prune removes the files of the kernels that were not used for the longest
// time.
func (s store) prune() {
	list, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	type kernel struct {
		files []string
		used  time.Time // the last time that any of them was
	}
	byKey := map[string]*kernel{}
	for _, e := range list {
		i, err := e.Info()
		if err != nil || !i.Mode().IsRegular() {
			continue
		}
		key := e.Name()
		if !strings.HasPrefix(key, "new-") { // what a run left that was killed stands alone
			key, _, _ = strings.Cut(key, "-")
		}
		if byKey[key] == nil {
			byKey[key] = &kernel{}
		}
		k := byKey[key]
		k.files = append(k.files, filepath.Join(s.dir, e.Name()))
		if i.ModTime().After(k.used) {
			k.used = i.ModTime()
		}
	}
	kernels := slices.SortedFunc(maps.Values(byKey), func(a, b *kernel) int { return b.used.Compare(a.used) })
	for _, k := range kernels[min(len(kernels), maxKernels):] {
		for _, f := range k.files {
			os.Remove(f)
		}
	}
}

// sum is what a file says of its content, which is that of one part of one
// kernel only.
func (s store) sum(p part, content []byte) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", s.key, p)
	h.Write(content)
	return h.Sum(nil)
}

const headSize = len(magic) + sha256.Size

// encode is the content of a file: magic, sum, facts.
func (s store) encode(p part, facts func(*pack.Writer)) []byte {
	w := pack.Writer{B: make([]byte, headSize, 1<<20)}
	copy(w.B, magic)
	facts(&w)
	copy(w.B[len(magic):], s.sum(p, w.B[headSize:]))
	return w.B
}

func (s store) decode(p part, b []byte, unpack func(*pack.Reader) error) error {
	if len(b) < headSize || string(b[:len(magic)]) != magic || !bytes.Equal(s.sum(p, b[headSize:]), b[len(magic):headSize]) {
		return pack.ErrCorrupt
	}
	r := pack.NewReader(b[headSize:])
	if err := unpack(r); err != nil {
		return err
	}
	if len(r.Rest()) > 0 {
		return pack.ErrCorrupt
	}
	return nil
}
