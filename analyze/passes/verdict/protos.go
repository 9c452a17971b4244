package verdict

import (
	"sync"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/equiv"
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/plan"
)

// protos tells the parameters of functions: from the object's debug information
// where it has some, else from the kernel's own types. A function that a module
// defines is not the kernel's of the same name.
func protos(pass *analyze.Pass, unit *analyze.Unit) func(string) (equiv.Proto, bool) {
	own := sync.OnceValue(func() map[string]types.Proto {
		m, err := types.Protos(unit.Diff.Orig.File)
		if err != nil {
			return nil // without: the registers are compared
		}
		return m
	})
	defined := sync.OnceValue(func() map[string]bool {
		m := map[string]bool{}
		for i := range unit.Diff.Orig.Atoms {
			m[unit.Diff.Orig.Atoms[i].Name] = true
		}
		return m
	})
	return func(name string) (equiv.Proto, bool) {
		if x, ok := own()[name]; ok {
			return sizes(x)
		}
		if pass.Kernel == nil || unit.Owner != plan.Vmlinux && defined()[name] {
			return equiv.Proto{}, false
		}
		k, err := pass.Kernel()
		if err != nil || k == nil {
			return equiv.Proto{}, false
		}
		args, ret, variadic, ok := k.Types.Proto(name)
		return equiv.Proto{Args: args, Ret: ret, Variadic: variadic}, ok
	}
}

func sizes(x types.Proto) (equiv.Proto, bool) {
	out := equiv.Proto{Variadic: x.Variadic, Ret: uint8(x.Ret)}
	if x.Ret > 8 {
		return out, false
	}
	for _, n := range x.Args {
		if n <= 0 || n > 8 {
			return out, false
		}
		out.Args = append(out.Args, uint8(n))
	}
	return out, true
}
