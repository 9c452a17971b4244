package facts

import (
	"maps"
	"slices"

	"github.com/klpforge/klpforge/analyze/pack"
	"github.com/klpforge/klpforge/kernel/kmod"
)

// References finds which modules of an index refer to a symbol, from the cache if it was
// done for these very files. The index is that of this kernel's modules; it may hold
// others beside them.
func (k *Kernel) References(index *kmod.Index) (kmod.References, error) {
	state, err := index.State()
	if err != nil {
		return nil, err
	}
	var kept keptReferences
	if k.store.load(partReferences, kept.unpack) == nil && kept.state == state {
		return kept.of, nil
	}
	if kept.of, err = index.References(); err != nil {
		return nil, err
	}
	kept.state = state
	k.store.save(partReferences, kept.pack)
	return kept.of, nil
}

// keptReferences are references with the state of the modules in which they were found:
// the name of the file is that of the kernel, which may get other modules.
type keptReferences struct {
	state string
	of    kmod.References
}

func (kept *keptReferences) pack(w *pack.Writer) {
	w.String(kept.state)
	w.Uint(uint64(len(kept.of)))
	for _, symbol := range slices.Sorted(maps.Keys(kept.of)) {
		w.String(symbol)
		w.Uint(uint64(len(kept.of[symbol])))
		for _, module := range kept.of[symbol] {
			w.Text(module)
		}
	}
}

func (kept *keptReferences) unpack(r *pack.Reader) error {
	kept.state = r.String()
	symbols := r.Len()
	kept.of = make(kmod.References, symbols)
	for range symbols {
		symbol := r.String()
		modules := make([]string, r.Len())
		for i := range modules {
			modules[i] = r.Text()
		}
		kept.of[symbol] = modules
	}
	return r.Err()
}
