// Package facts brings together what is known of one whole kernel: its
// program model, its types, the lock effects of its functions, which of them
// may sleep, where their addresses are kept, where tasks sleep without bound, and
// which modules refer to a symbol. It opens the target's parts, runs the analyses,
// and keeps their results in the cache.
package facts

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/pack"
	"github.com/klpforge/klpforge/analyze/registered"
	"github.com/klpforge/klpforge/analyze/sleeps"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/kimage"
)

// Kernel is a kernel and what is known of it. Its parts are immutable and
// safe for concurrent use until Close.
type Kernel struct {
	Target *kernel.Target
	Image  *kimage.Image
	Model  *model.Model
	Locks  *locks.Result
	// Types are the kernel's BTF; nil when it has none.
	Types *locks.Types
	// Cached: Model and Locks came from the cache.
	Cached bool
	store  store
	btf    []byte // raw; nil when it has none
	// types are found when first asked for.
	types struct {
		once   sync.Once
		types  *fields.Types
		tables *fields.Tables
		err    error
	}
}

// Open opens a kernel and finds its facts, from the cache if this program has
// analysed this very image before. The caller closes it.
func Open(o kernel.Options) (k *Kernel, err error) {
	t, err := kernel.Open(o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	src, err := sourceOf(t)
	if err != nil {
		return nil, err
	}
	k = &Kernel{Target: t, Image: src.image, store: src.store, btf: src.btf}
	if src.btf != nil {
		if k.Types, err = locks.LoadTypes(src.btf); err != nil {
			return nil, fmt.Errorf("%s: %w", src.image.Path, err)
		}
	}
	k.Model, k.Cached = src.model()
	if k.Cached && src.store.load(partLocks, func(r *pack.Reader) (err error) {
		k.Locks, err = locks.Unpack(k.Model, r)
		return err
	}) == nil {
		return k, nil
	}
	k.Cached = false
	k.Locks = locks.Analyze(k.Model, locks.Options{Types: k.Types})
	src.store.save(partLocks, k.Locks.Pack)
	return k, nil
}

// Close unmaps the kernel's image; nothing of the kernel may be used
// afterwards.
func (k *Kernel) Close() error { return k.Target.Close() }

// Sleeps finds which functions may sleep, from the cache if this program has
// done so before.
func (k *Kernel) Sleeps() *sleeps.Result {
	var r *sleeps.Result
	if k.store.load(partSleeps, func(b *pack.Reader) (err error) {
		r, err = sleeps.Unpack(k.Model, b)
		return err
	}) == nil {
		return r
	}
	r = sleeps.Analyze(k.Model, sleeps.Options{Flows: k.Locks.FlowsApart})
	k.store.save(partSleeps, r.Pack)
	return r
}

// Fields are the types of the kernel as package fields has them, nil when it has no BTF.
func (k *Kernel) Fields() (*fields.Types, *fields.Tables, error) {
	t := &k.types
	t.once.Do(func() {
		if k.btf == nil {
			return
		}
		if t.types, t.tables, t.err = fields.Load(k.btf); t.err != nil {
			t.err = fmt.Errorf("%s: %w", k.Image.Path, t.err)
		}
	})
	return t.types, t.tables, t.err
}

// Registered finds where the kernel keeps the addresses of its functions, from the cache
// if this program has done so before.
func (k *Kernel) Registered() (*registered.Result, error) {
	var r *registered.Result
	if k.store.load(partRegistered, func(b *pack.Reader) (err error) {
		r, err = registered.Unpack(k.Model, b)
		return err
	}) == nil {
		return r, nil
	}
	types, tables, err := k.Fields()
	if err != nil {
		return nil, err
	}
	r = registered.Find(k.Model, types, tables)
	k.store.save(partRegistered, r.Pack)
	return r, nil
}

// source is what facts are found from, and where they are kept.
type source struct {
	image *kimage.Image
	btf   []byte // nil: the kernel has none
	prog  *model.Program
	store store
}

func sourceOf(t *kernel.Target) (*source, error) {
	im, err := t.Image()
	if err != nil {
		return nil, err
	}
	syms, err := t.Symbols()
	if err != nil {
		return nil, err
	}
	raw, err := t.BTF()
	if err != nil && !errors.Is(err, kimage.ErrNoBTF) {
		return nil, err
	}
	s := &source{image: im, btf: raw}
	if s.prog, err = model.FromImage(im, syms); err != nil {
		return nil, err
	}
	s.store.dir = filepath.Join(string(t.Cache()), "facts")
	s.store.key, err = keyOf(im, syms, raw)
	return s, err
}

// model decodes the kernel, or finds it in the cache.
func (s *source) model() (m *model.Model, cached bool) {
	if s.store.load(partModel, func(r *pack.Reader) (err error) {
		m, err = model.Unpack(s.prog, r)
		return err
	}) == nil {
		return m, true
	}
	m = model.Build(s.prog)
	s.store.save(partModel, m.Pack)
	return m, false
}
