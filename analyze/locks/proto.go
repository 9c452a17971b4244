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
	proto := t.protos[name]
	if proto == nil {
		return nil, 0, false, false
	}
	for i, param := range proto.Params {
		if _, void := btf.UnderlyingType(param.Type).(*btf.Void); void && i == len(proto.Params)-1 {
			variadic = true
			break
		}
		size, err := btf.Sizeof(param.Type)
		if err != nil || size <= 0 || size > 8 {
			return nil, 0, false, false
		}
		args = append(args, uint8(size))
	}
	if _, void := btf.UnderlyingType(proto.Return).(*btf.Void); void {
		return args, 0, variadic, true
	}
	size, err := btf.Sizeof(proto.Return)
	if err != nil || size <= 0 || size > 8 {
		return nil, 0, false, false
	}
	return args, uint8(size), variadic, true
}
