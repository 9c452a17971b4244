package facts

import (
	"fmt"
	"strconv"

	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/pack"
	"github.com/klpforge/klpforge/analyze/stacks"
	"github.com/klpforge/klpforge/kernel"
)

// Stacks finds where tasks of a kernel sleep without bound. The model is the
// target's; nil finds it too. The result can be the base of an object's, for which
// the kernel's functions are followed again with other arguments, so it does not
// come from the cache.
func Stacks(t *kernel.Target, m *model.Model) (*stacks.Result, error) {
	return stacksOf(t, m, true)
}

// StacksOnly is Stacks from the cache, if this program has done so before. The
// result must not be the base of an object's.
func StacksOnly(t *kernel.Target) (*stacks.Result, error) {
	return stacksOf(t, nil, false)
}

func stacksOf(t *kernel.Target, m *model.Model, base bool) (*stacks.Result, error) {
	src, err := sourceOf(t)
	if err != nil {
		return nil, err
	}
	if m == nil {
		m, _ = src.model()
	}
	var r *stacks.Result
	if !base && src.store.load(partStacks, func(b *pack.Reader) (err error) {
		r, err = stacks.Unpack(m, b)
		return err
	}) == nil {
		return r, nil
	}
	var o stacks.Options
	if src.btf != nil {
		if o.Types, o.Tables, err = fields.Load(src.btf); err != nil {
			return nil, fmt.Errorf("%s: %w", src.image.Path, err)
		}
	}
	if c, err := t.Config(); err == nil {
		o.HZ, _ = strconv.Atoi(c.Value("HZ"))
	}
	r = stacks.Analyze(m, o)
	if !base || !src.store.has(partStacks) {
		src.store.save(partStacks, r.Pack)
	}
	return r, nil
}
