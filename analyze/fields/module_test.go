package fields

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// splitBTF is the BTF of a module that counts on from a kernel's: a function
// "int act(int)" and "struct own_ops { int (*act)(int); }", as
// Documentation/bpf/btf.rst (v6.1) lays them out.
func splitBTF(t *testing.T, base []byte) []byte {
	t.Helper()
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(base))
	if err != nil {
		t.Fatal(err)
	}
	var last, number btf.TypeID
	for typ, err := range spec.All() {
		if err != nil {
			t.Fatal(err)
		}
		if last, err = spec.TypeID(typ); err != nil {
			t.Fatal(err)
		}
		if named, ok := typ.(*btf.Int); ok && named.Name == "int" {
			number = last
		}
	}
	word := binary.LittleEndian.AppendUint32
	strings := "act\x00own_ops\x00i\x00" // the first string follows the kernel's last
	start := binary.LittleEndian.Uint32(base[20:])
	act, ops, i := start, start+4, start+12

	kind := func(k, count uint32) uint32 { return k<<24 | count }
	const ptr, structure, function, proto = 2, 4, 12, 13
	var types []byte
	for _, w := range []uint32{
		0, kind(proto, 1), uint32(number), i, uint32(number), // last+1: int (int i)
		0, kind(ptr, 0), uint32(last) + 1, // last+2: a pointer to it
		ops, kind(structure, 1), 8, act, uint32(last) + 2, 0, // last+3
		act, kind(function, 0), uint32(last) + 1, // last+4
	} {
		types = word(types, w)
	}
	raw := []byte{0x9f, 0xeb, 1, 0}
	for _, w := range []uint32{24, 0, uint32(len(types)), uint32(len(types)), uint32(len(strings))} {
		raw = word(raw, w)
	}
	return append(append(raw, types...), strings...)
}

// TestModule: the types of a module are those of the kernel and its own.
func TestModule(t *testing.T) {
	kernel := rawTypes(t)
	base, tables, err := Load(kernel)
	if err != nil {
		t.Fatal(err)
	}
	types, both, err := LoadModule(splitBTF(t, kernel), base, tables)
	if err != nil {
		t.Fatal(err)
	}
	act := types.Proto("act")
	if act == nil || types.Proto("use") == nil || types.Proto("none") != nil || base.Proto("act") != nil {
		t.Fatal("prototypes of module and kernel are not those that were given")
	}
	for sig, want := range map[string]string{Signature(act): "own_ops", Signature(openFn): "ops"} {
		_, structure := both.Members([]Entry{{Off: 0, Sig: sig}})
		if structure == nil || structure.Name != want || both.Struct(both.Number(structure)) != btf.Type(structure) {
			t.Errorf("%s: structure %v, want %s", sig, structure, want)
		}
	}
	if _, structure := tables.Members([]Entry{{Off: 0, Sig: Signature(act)}}); structure != nil {
		t.Errorf("the kernel's tables have the module's %v", structure)
	}
	if _, _, err := LoadModule(bytes.Repeat([]byte{1}, 64), base, tables); err == nil {
		t.Error("broken BTF is no error")
	}
}
