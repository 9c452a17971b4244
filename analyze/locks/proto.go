package locks

import (
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Proto gives the sizes of a function's parameters and of its result in bytes,
// 0 for a result that there is none of. ok is false for a name that the types do
// not know, or that has several prototypes, and for parameters that take more than a register.
func (t *Types) Proto(name string) (args []uint8, ret uint8, variadic, ok bool) {
	if t == nil || strings.Contains(name, ".") {
		return nil, 0, false, false
	}
	p := t.protos[name]
	if p == nil {
		return nil, 0, false, false
	}
	for i, a := range p.Params {
		if _, void := btf.UnderlyingType(a.Type).(*btf.Void); void && i == len(p.Params)-1 {
			variadic = true
			break
		}
		n, err := btf.Sizeof(a.Type)
		if err != nil || n <= 0 || n > 8 {
			return nil, 0, false, false
		}
		args = append(args, uint8(n))
	}
	if _, void := btf.UnderlyingType(p.Return).(*btf.Void); void {
		return args, 0, variadic, true
	}
	n, err := btf.Sizeof(p.Return)
	if err != nil || n <= 0 || n > 8 {
		return nil, 0, false, false
	}
	return args, uint8(n), variadic, true
}
