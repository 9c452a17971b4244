package annot

import (
	"debug/elf"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/kernel/kimage"
)

// Files tells which source file each function of an image was compiled from.
type Files interface {
	// From reports whether a function may come from a source file.
	From(addr uint64, file string) bool
}

// Symtab is Files by a symbol table in which local symbols follow the name of
// their file, as a debug package's vmlinux has it.
type Symtab struct {
	base map[uint64]string // address of a local function -> its file's base name
}

// ReadSymtab reads the symbol table of an image.
func ReadSymtab(im *kimage.Image) (*Symtab, error) {
	syms, err := im.Symtab()
	if err != nil {
		return nil, err
	}
	f := &Symtab{base: map[uint64]string{}}
	file := ""
	for _, s := range syms {
		switch {
		case s.Type == elf.STT_FILE:
			file = s.Name
		case s.Type == elf.STT_FUNC && s.Bind == elf.STB_LOCAL:
			f.base[s.Addr] = file
		}
	}
	return f, nil
}

// From compares base names, of which a symbol table holds no more. What a
// header defines may come from any file.
func (f *Symtab) From(addr uint64, file string) bool {
	b, ok := f.base[addr]
	return !ok || strings.HasSuffix(file, ".h") || b == path.Base(file)
}

// Built is Files by which sources a kernel's image is built from, for images
// without a symbol table.
type Built func(file string) bool

// From asks for the file alone.
func (f Built) From(_ uint64, file string) bool { return strings.HasSuffix(file, ".h") || f(file) }

// Class says why an annotated function was not found to change locks.
type Class string

const (
	// ClassNoCode: neither the function nor a direct callee contains a lock
	// operation; the annotation is out of date, or configured away.
	ClassNoCode Class = "no lock operation in the compiled code"
	// ClassNeutral: there are lock operations, and they balance on every path
	// without a lock being dropped that was held at entry.
	ClassNeutral Class = "balanced in the compiled code"
	// ClassContext: the lock is the CPU's state alone, listed as context.
	ClassContext Class = "changes the state of the CPU only"
	// ClassPossible: listed as possible, as nothing tells the return path
	// from one without the change.
	ClassPossible Class = "possible, not certain"
	// ClassUnknown: the effect could not be followed.
	ClassUnknown Class = "effect not known"
)

// Miss is an annotated function that was not found.
type Miss struct {
	Annotation
	ID    model.FuncID
	Class Class
}

// Report compares annotations with effects. A function counts as found when
// its summary says that it acquires or releases a lock.
type Report struct {
	Annotated int // definitions in the source with __acquires, __releases or __cond_acquires
	InImage   int // of these, functions of the image
	Found     int
	Misses    []Miss
	// Unannotated are the functions of the image without an annotation; the
	// lock primitives themselves are not counted. Called are those of them
	// that acquire or release a lock according to their summary: Net those that
	// leave some lock other than they found it, the rest drops a lock for a
	// while.
	Unannotated int
	Called      []model.FuncID
	Net         int
	// Unknown counts the functions whose effect is not fully known.
	Unknown int
}

// Recall is the share of annotated functions of the image that were found.
func (r *Report) Recall() float64 { return share(r.Found, r.InImage) }

// CalledShare is the share of functions without an annotation that were said
// to acquire or release a lock.
func (r *Report) CalledShare() float64 { return share(len(r.Called), r.Unannotated) }

func share(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// Compare matches annotations with the functions of an image by name, and by
// file where files, which may be nil, knows it. A clone (.isra, .constprop)
// stands for a function that is not in the image itself.
func Compare(res *locks.Result, list []Annotation, files Files) *Report {
	m := res.Model
	clones := map[string][]model.FuncID{}
	for i := range m.Funcs {
		name := m.Funcs[i].Name
		if j := strings.IndexByte(name, '.'); j > 0 && !strings.Contains(name, ".part.") {
			clones[name[:j]] = append(clones[name[:j]], model.FuncID(i))
		}
	}
	r := &Report{Annotated: len(list)}
	marked := map[model.FuncID]bool{}
	for _, a := range list {
		ids := m.Lookup(a.Func)
		if len(ids) == 0 {
			ids = clones[a.Func]
		}
		ids = slices.DeleteFunc(slices.Clone(ids), func(id model.FuncID) bool {
			return marked[id] || files != nil && !files.From(m.Func(id).Addr, a.File)
		})
		if len(ids) == 0 {
			continue
		}
		r.InImage++
		found := false
		for _, id := range ids {
			marked[id] = true
			s := res.Summary(res.Effect(id), nil)
			found = found || changes(&s)
		}
		if found {
			r.Found++
			continue
		}
		r.Misses = append(r.Misses, Miss{a, ids[0], classify(res, ids[0])})
	}
	for i := range m.Funcs {
		id := model.FuncID(i)
		e := res.Effect(id)
		if e.Unknown != 0 {
			r.Unknown++
		}
		if marked[id] || e.Primitive {
			continue
		}
		r.Unannotated++
		if s := res.Summary(e, nil); changes(&s) {
			r.Called = append(r.Called, id)
			if !slices.Equal(s.Acquires, s.Releases) {
				r.Net++
			}
		}
	}
	return r
}

func changes(s *locks.Summary) bool { return len(s.Acquires)+len(s.Releases) > 0 }

func classify(res *locks.Result, id model.FuncID) Class {
	e := res.Effect(id)
	s := res.Summary(e, nil)
	switch {
	case len(s.Possible) > 0:
		return ClassPossible
	case len(s.Context) > 0:
		return ClassContext
	case e.Unknown != 0:
		return ClassUnknown
	case touches(res, id):
		return ClassNeutral
	}
	return ClassNoCode
}

// touches reports whether a function's own code or a direct callee changes
// any lock.
func touches(res *locks.Result, id model.FuncID) bool {
	m := res.Model
	if m.Func(id).Flags&model.FuncContext != 0 {
		return true
	}
	for _, c := range m.Calls(id) {
		if c.Target != model.NoFunc && !res.Effect(c.Target).Neutral() {
			return true
		}
	}
	return false
}

// Write prints the numbers, then every miss by class.
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "annotated definitions in the source:      %6d\n", r.Annotated)
	fmt.Fprintf(&b, "of these in the image:                    %6d\n", r.InImage)
	fmt.Fprintf(&b, "found to acquire or release a lock:       %6d   recall %.1f %%\n", r.Found, 100*r.Recall())
	fmt.Fprintf(&b, "functions without annotation:             %6d\n", r.Unannotated)
	fmt.Fprintf(&b, "of these said to acquire or release one:  %6d   %.2f %%\n", len(r.Called), 100*r.CalledShare())
	fmt.Fprintf(&b, "  leave it other than they found it:      %6d   %.2f %%\n", r.Net, 100*share(r.Net, r.Unannotated))
	fmt.Fprintf(&b, "functions not fully known:                %6d\n", r.Unknown)
	for _, class := range []Class{ClassNoCode, ClassNeutral, ClassContext, ClassPossible, ClassUnknown} {
		for _, x := range r.Misses {
			if x.Class == class {
				fmt.Fprintf(&b, "miss: %s: %s (%s:%d) acquires %v releases %v\n", class, x.Func, x.File, x.Line, x.Acquires, x.Releases)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
