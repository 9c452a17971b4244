package machine_test

import (
	"debug/elf"
	"math/rand/v2"
	"testing"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/elfobj"
)

// TestSpares holds what elfobj takes of instructions between the arguments of a call against
// the effects known here, for each form that kernels use, with other registers too.
func TestSpares(t *testing.T) {
	arch, err := elfobj.ArchOf(elf.EM_X86_64)
	if err != nil {
		t.Fatal(err)
	}
	args := machine.X86.Convention().Args
	rng := rand.New(rand.NewPCG(1, 2))
	spared, constants := 0, 0
	check := func(code []byte) {
		in, err := machine.X86.Decode(code, codeAt)
		if err != nil || in.Len != len(code) {
			return
		}
		e := in.Effects()
		for n, reg := range args {
			if arch.Spares(code, n) {
				spared++
				if e.Unknown || e.Flow != machine.FlowNext || e.Reads.Has(reg) || e.Writes.Has(reg) || e.Maybe.Has(reg) {
					t.Errorf("%x %s is said to leave argument %d alone", code, in.String(), n)
				}
			}
		}
		if c, ok := arch.Constant(code); ok {
			constants++
			if c.Len != in.Len || e.Reads != 0 || e.Writes != machine.Regs(args[c.Arg]) || in.Args[1].Kind != machine.KindImm {
				t.Errorf("%x %s is said to load a constant into argument %d", code, in.String(), c.Arg)
			}
		}
	}
	for _, f := range readForms(t) {
		check(f.code)
		for range 200 {
			other := append([]byte(nil), f.code...)
			for range 1 + rng.IntN(2) {
				other[rng.IntN(min(len(other), 4))] ^= 1 << rng.IntN(8)
			}
			check(other)
			check(append([]byte{0x40 | byte(rng.IntN(16))}, other...))
		}
	}
	if spared < 1000 || constants < 100 {
		t.Errorf("%d answers that something is left alone and %d constants: too few to say anything", spared, constants)
	}
}
