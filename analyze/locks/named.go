package locks

import (
	"slices"

	"github.com/klpforge/klpforge/analyze/model"
)

// namedBase is where the locks of wrappers such as cpus_read_lock lie in
// objects, which call the wrapper and do not mention the lock. Nothing else has
// such addresses (see FromObject).
const namedBase = 0xfffffffffe000000

// named are these locks, in the order of their names.
var named = func() (out []string) {
	for _, p := range prims {
		if p.global != "" && !slices.Contains(out, p.global) {
			out = append(out, p.global)
		}
	}
	slices.Sort(out)
	return out
}()

// globalAddr is the address of a lock that a primitive implies.
func globalAddr(p *model.Program, name string) uint64 {
	if addr, ok := p.Lookup(name); ok {
		return addr
	}
	for i, n := range named {
		if n == name {
			return namedBase + uint64(i)*16
		}
	}
	return 0
}

// Named returns the name of a lock that its program does not mention.
func Named(addr uint64) (string, bool) {
	if index := (addr - namedBase) / 16; addr >= namedBase && index < uint64(len(named)) {
		return named[index], true
	}
	return "", false
}
