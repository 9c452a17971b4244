package pipeline

import (
	"errors"
	"fmt"
	"sync"

	"github.com/klpforge/klpforge/analyze/typecheck"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/kimage"
	"github.com/klpforge/klpforge/plan"
)

// targetTypes are the target's types as far as they were asked for.
type targetTypes struct {
	mu      sync.Mutex
	base    *typecheck.BTF // vmlinux's; nil when it has none
	sources map[string]typecheck.Source
}

// Types returns where the types of an object's code are looked up: its BTF on top of
// vmlinux's, else vmlinux's BTF, else the DWARF of a vmlinux. It is nil when the target
// has no types.
func (t *Target) Types(object string) (typecheck.Source, error) {
	t.types.mu.Lock()
	defer t.types.mu.Unlock()
	if s, ok := t.types.sources[object]; ok {
		return s, nil
	}
	source, err := t.openTypes(object)
	if err != nil {
		return nil, err
	}
	if t.types.sources == nil {
		t.types.sources = map[string]typecheck.Source{}
	}
	t.types.sources[object] = source
	return source, nil
}

func (t *Target) openTypes(object string) (typecheck.Source, error) {
	if t.types.base == nil {
		raw, err := t.K.BTF()
		if errors.Is(err, kimage.ErrNoBTF) {
			return t.dwarfTypes()
		}
		if err != nil {
			return nil, err
		}
		if t.types.base, err = typecheck.LoadBTF("vmlinux's BTF", raw, nil); err != nil {
			return nil, err
		}
	}
	if object == plan.Vmlinux {
		return t.types.base, nil
	}
	m, err := t.module(object)
	if err != nil {
		return nil, err
	}
	if raw := m.btf(); raw != nil {
		return typecheck.LoadBTF("the BTF of "+object+" and vmlinux", raw, t.types.base)
	}
	return t.types.base, nil
}

// btf is the raw BTF of a module, which counts on from the kernel's; nil when it has none.
func (m *moduleTarget) btf() []byte {
	for i := range m.m.File.Sections {
		if s := &m.m.File.Sections[i]; s.Name == ".BTF" && len(s.Data) > 0 {
			return s.Data
		}
	}
	return nil
}

// dwarfTypes looks for a vmlinux with debug information: the one that was given, or
// that of the debug package.
func (t *Target) dwarfTypes() (typecheck.Source, error) {
	im, err := t.K.Image()
	if err != nil {
		return nil, err
	}
	if im.Section(".debug_info") == nil {
		var missing *kernel.MissingPartError
		im, err = t.K.DebugImage()
		if errors.As(err, &missing) || err == nil && im.Section(".debug_info") == nil {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	image, err := typecheck.OpenImage("vmlinux's DWARF", func(name string) []byte {
		if s := im.Section(name); s != nil {
			return s.Data()
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", im.Path, err)
	}
	return image, nil
}

// TypesDigest implements generate.TypesTarget.
func (t *Target) TypesDigest(object string) (source, digest string, err error) {
	s, err := t.Types(object)
	if err != nil || s == nil {
		return "", "", err
	}
	return s.Name(), s.Digest(), nil
}

// uniqueFunc reports whether one function alone has a name in an object's reach, so
// that a prototype found under that name is its own.
func (t *Target) uniqueFunc(object, name string) bool {
	count := len(t.vmlinux.Symbols.Lookup(name))
	if object != plan.Vmlinux {
		if m, err := t.module(object); err == nil {
			count += len(m.m.Lookup(name))
		}
	}
	return count == 1
}
