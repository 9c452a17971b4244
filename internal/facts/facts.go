// Package facts brings together what is known of one whole kernel: its
// program model, its types and the lock effects of its functions. It opens
// the target's parts, runs the analyses, and keeps their results in the cache.
package facts

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/kernel"
)

// Kernel is a kernel and what is known of it. Its parts are immutable and
// safe for concurrent use until Close.
type Kernel struct {
	Target *kernel.Target
	Image  *kernel.Image
	Model  *model.Model
	Locks  *locks.Result
	// Types are the kernel's BTF; nil when it has none.
	Types *locks.Types
	// Cached: Model and Locks came from the cache.
	Cached bool
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
	im, err := t.Image()
	if err != nil {
		return nil, err
	}
	syms, err := t.Symbols()
	if err != nil {
		return nil, err
	}
	k = &Kernel{Target: t, Image: im}
	raw, err := t.BTF()
	if err != nil && !errors.Is(err, kernel.ErrNoBTF) {
		return nil, err
	}
	if err == nil {
		if k.Types, err = locks.LoadTypes(raw); err != nil {
			return nil, fmt.Errorf("%s: %w", im.Path, err)
		}
	}
	p, err := model.FromImage(im, syms)
	if err != nil {
		return nil, err
	}
	s := store{dir: filepath.Join(string(t.Cache()), "facts")}
	key, err := keyOf(im, syms, raw)
	if err != nil {
		return nil, err
	}
	if k.Model, k.Locks, err = s.load(key, p); err == nil {
		k.Cached = true
		return k, nil
	}
	k.Model = model.Build(p)
	k.Locks = locks.Analyze(k.Model, locks.Options{Types: k.Types})
	s.save(key, k.Model, k.Locks)
	return k, nil
}

// Close unmaps the kernel's image; nothing of the kernel may be used
// afterwards.
func (k *Kernel) Close() error { return k.Target.Close() }
