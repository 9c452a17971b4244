package facts

import (
	"errors"
	"fmt"

	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/stacks"
	"github.com/klpforge/klpforge/kernel"
)

// Stacks finds where tasks of a kernel sleep without bound. The model is the
// decoded kernel; nil decodes it.
func Stacks(t *kernel.Target, m *model.Model) (*stacks.Result, error) {
	im, err := t.Image()
	if err != nil {
		return nil, err
	}
	syms, err := t.Symbols()
	if err != nil {
		return nil, err
	}
	var o stacks.Options
	switch raw, err := t.BTF(); {
	case err == nil:
		if o.Types, o.Tables, err = fields.Load(raw); err != nil {
			return nil, fmt.Errorf("%s: %w", im.Path, err)
		}
	case !errors.Is(err, kernel.ErrNoBTF):
		return nil, err
	}
	if m == nil {
		p, err := model.FromImage(im, syms)
		if err != nil {
			return nil, err
		}
		m = model.Build(p)
	}
	return stacks.Analyze(m, o), nil
}
