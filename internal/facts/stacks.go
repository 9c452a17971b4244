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

// Stacks finds where tasks of a kernel sleep without bound, from the cache if this
// program has done so before. The model is the target's; nil finds it too. The target
// must stay open while objects are judged with the result.
func Stacks(t *kernel.Target, m *model.Model) (*stacks.Result, error) {
	src, err := sourceOf(t)
	if err != nil {
		return nil, err
	}
	if m == nil {
		m, _ = src.model()
	}
	options := func() (o stacks.Options, err error) {
		if src.btf != nil {
			if o.Types, o.Tables, err = fields.Load(src.btf); err != nil {
				return o, fmt.Errorf("%s: %w", src.image.Path, err)
			}
		}
		if c, err := t.Config(); err == nil {
			o.HZ, _ = strconv.Atoi(c.Value("HZ"))
		}
		return o, nil
	}
	var r *stacks.Result
	if src.store.load(partStacks, func(b *pack.Reader) (err error) {
		r, err = stacks.Unpack(m, b, options)
		return err
	}) == nil {
		return r, nil
	}
	o, err := options()
	if err != nil {
		return nil, err
	}
	r = stacks.Analyze(m, o)
	src.store.save(partStacks, r.Pack)
	return r, nil
}
