package machine_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math/bits"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/elfobj"
)

// Addresses of testdata/processor.c.
const (
	codeAt      = 0x30000000
	scratchAt   = 0x31000000
	scratchSize = 8192
)

// request and answer are those of testdata/processor.c.
type request struct {
	Code        [16]byte
	Len, Kept   uint32
	Regs        [16]uint64
	Flags       uint64
	Seed, Other uint64
	Vectors     uint64
	Ranges      [4][2]uint32
}

type answer struct {
	Signal, Changed uint32
	Regs            [16]uint64
	Flags           uint64
	Stores          [][2]uint16 // offset and value of the bytes that changed, ascending
}

func (q *request) append(b []byte) []byte {
	le := binary.LittleEndian
	b = append(b, q.Code[:]...)
	b = le.AppendUint32(le.AppendUint32(b, q.Len), q.Kept)
	for _, r := range q.Regs {
		b = le.AppendUint64(b, r)
	}
	b = le.AppendUint64(le.AppendUint64(le.AppendUint64(le.AppendUint64(b, q.Flags), q.Seed), q.Other), q.Vectors)
	for _, r := range q.Ranges {
		b = le.AppendUint32(le.AppendUint32(b, r[0]), r[1])
	}
	return b
}

func readAnswer(r io.Reader) (*answer, error) {
	le := binary.LittleEndian
	a := new(answer)
	var head [8 + 17*8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	a.Signal, a.Changed = le.Uint32(head[:]), le.Uint32(head[4:])
	for i := range a.Regs {
		a.Regs[i] = le.Uint64(head[8+8*i:])
	}
	a.Flags = le.Uint64(head[8+128:])
	stores := make([]byte, 4*a.Changed)
	if _, err := io.ReadFull(r, stores); err != nil {
		return nil, err
	}
	for i := range int(a.Changed) {
		a.Stores = append(a.Stores, [2]uint16{le.Uint16(stores[4*i:]), le.Uint16(stores[4*i+2:])})
	}
	return a, nil
}

const (
	sigILL = 4
	sigFPE = 8
)

// outside are the forms that cannot run in a process, by the instruction's
// name; each name that the kernels use is counted in the report.
var outside = map[string]string{}

func init() {
	for reason, names := range map[string]string{
		"privileged": "cli sti hlt in out insb insw insd outsb outsw outsd rdmsr wrmsr rdpmc xsetbv wbinvd invlpg invpcid lgdt lidt lldt ltr " +
			"clac stac stgi clgi monitor mwait xsaves64 xrstors64 serialize tdcall vmcall vmmcall vmgexit encls rmpadjust pvalidate lkgs swapgs iretq sysret lret wrss ljmp",
		"transfers control": "call jmp ret ud1 ud2 int syscall ja jae jb jbe je jg jge jl jle jne jno jnp jns jo jp js loop loope loopne jrcxz jecxz",
		"replaces a segment base that the measuring process needs":                  "wrfsbase wrgsbase",
		"takes only a state area that it wrote itself":                              "fxrstor64 fxrstor xrstor64 xrstor ldmxcsr",
		"switches single-stepping or alignment checks on by what lies on the stack": "popfq",
		"emulated by the host's kernel in a process (UMIP)":                         "sgdt sidt sldt str smsw",
		"changes protection keys of the measuring process":                          "wrpkru",
	} {
		for _, n := range strings.Fields(names) {
			outside[n] = reason
		}
	}
}

// random are instructions whose result is not a function of their input.
var random = map[string]bool{"rdtsc": true, "rdtscp": true, "rdrand": true, "rdseed": true}

// processor is the running child.
type processor struct {
	t   *testing.T
	in  io.Writer
	out io.Reader
	buf []byte
}

func startProcessor(t *testing.T) *processor {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the table of x86-64 is measured on an x86-64 processor")
	}
	bin := filepath.Join(t.TempDir(), "processor")
	if out, err := exec.Command("gcc", "-O2", "-Wall", "-Werror", "-o", bin, "testdata/processor.c").CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	cmd := exec.Command(bin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(4*time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		watchdog.Stop()
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("processor: %v\n%s", err, stderr.String())
		}
	})
	return &processor{t: t, in: in, out: bufio.NewReaderSize(out, 1<<16)}
}

// run asks for all of the requests at once.
func (p *processor) run(qs ...*request) []*answer {
	p.t.Helper()
	p.buf = binary.LittleEndian.AppendUint32(p.buf[:0], uint32(len(qs)))
	for _, q := range qs {
		p.buf = q.append(p.buf)
	}
	if _, err := p.in.Write(p.buf); err != nil {
		p.t.Fatalf("ask processor: %v", err)
	}
	out := make([]*answer, len(qs))
	for i := range out {
		a, err := readAnswer(p.out)
		if err != nil {
			p.t.Fatalf("read from processor: %v", err)
		}
		out[i] = a
	}
	return out
}

// trial measures one form.
type trial struct {
	p    *processor
	rand *rand.Rand
	f    form
	e    machine.Effects
	// address are the registers that explicit memory operands, or the
	// instruction by its nature, take for addresses.
	errs map[string]bool

	ran, failed   int
	lastSignal    uint32
	changed       [16]uint64 // bits seen to change
	flagsChanged  machine.Flags
	memoryChanged bool
	readSeen      machine.RegSet
	flagsSeen     machine.Flags
	memorySeen    bool
}

func (t *trial) errorf(format string, args ...any) { t.errs[fmt.Sprintf(format, args...)] = true }

// relocated rewrites addresses that are fixed in the code so that they lead
// into the scratch area.
func relocated(f form) (form, error) {
	code := slices.Clone(f.code)
	for i := range f.in.Args {
		o := &f.in.Args[i]
		if o.Kind != machine.KindMem || o.Mem.Base != machine.NoReg || o.Mem.Index != machine.NoReg {
			continue
		}
		want := int64(scratchAt + 4096)
		if o.Mem.Seg != machine.SegNone {
			want = 4096
		}
		if o.Mem.PC {
			want -= codeAt + int64(len(code))
		}
		var old [8]byte
		binary.LittleEndian.PutUint64(old[:], uint64(o.Mem.Disp))
		n := 4
		at := bytes.LastIndex(code, old[:n])
		if len(code) >= 9 && (code[len(code)-9]|3) == 0xa3 {
			n, at = 8, len(code)-8
		}
		// The search finds an immediate that equals the displacement; look before it.
		if e, err := x86Lengths.Decode(code); err == nil && e.PCLen == 4 && o.Mem.PC {
			at = e.PCOff
		}
		if at < 0 {
			return f, fmt.Errorf("no displacement %#x", o.Mem.Disp)
		}
		binary.LittleEndian.PutUint64(old[:], uint64(want))
		copy(code[at:at+n], old[:n])
	}
	in, err := machine.X86.Decode(code, codeAt)
	if err != nil {
		return f, err
	}
	if formOf(&in) != f.key {
		return f, fmt.Errorf("relocated, it becomes form %q", formOf(&in))
	}
	return form{f.key, code, in}, nil
}

var x86Lengths = func() elfobj.Arch {
	a, err := elfobj.ArchOf(62)
	if err != nil {
		panic(err)
	}
	return a
}()

// value makes up what a register holds.
func (t *trial) value(n machine.Num) uint64 {
	if n == machine.RCX && (t.f.in.Repeat || t.f.in.RepeatNZ) {
		return t.rand.Uint64N(6)
	}
	if n == machine.RCX && t.f.in.Name == "xgetbv" {
		return t.rand.Uint64()<<32 | t.rand.Uint64N(2)
	}
	if n == machine.RCX && t.f.in.Name == "rdpkru" {
		return t.rand.Uint64() << 32
	}
	switch t.rand.IntN(8) {
	case 0:
		return 0
	case 1:
		return t.rand.Uint64N(256)
	case 2:
		return -t.rand.Uint64N(256)
	case 3:
		return uint64(uint32(t.rand.Uint64()))
	}
	return t.rand.Uint64()
}

func (t *trial) flags() uint64 {
	f := uint64(0x202)
	for _, b := range []machine.Flags{machine.CF, machine.PF, machine.AF, machine.ZF, machine.SF, machine.DF, machine.OF} {
		if t.rand.IntN(2) == 1 {
			f |= uint64(b)
		}
	}
	return f
}

const seenFlags = machine.StatusFlags | machine.DF

// place sets registers so that memory operands lie in the scratch area.
func (t *trial) place(q *request) {
	in := &t.f.in
	spot := func() uint64 { return 2048 + 64*t.rand.Uint64N(32) }
	for i := range in.Args {
		o := &in.Args[i]
		if o.Kind != machine.KindMem {
			continue
		}
		m := o.Mem
		want := spot() - uint64(m.Disp)
		if m.Seg == machine.SegNone {
			want += scratchAt
		}
		switch {
		case m.Base == machine.NoReg && m.Index == machine.NoReg:
		case m.Base == m.Index:
			// base * (1 + scale): odd factors can be inverted.
			if f := uint64(m.Scale) + 1; f%2 == 1 {
				inv := f
				for range 6 {
					inv *= 2 - f*inv
				}
				q.Regs[m.Base] = want * inv
			} else {
				q.Regs[m.Base] = want &^ 1 / 2
			}
		case m.Base == machine.NoReg:
			q.Regs[m.Index] = (want &^ (uint64(m.Scale) - 1)) / uint64(m.Scale)
		default:
			if m.Index != machine.NoReg {
				q.Regs[m.Index] = t.rand.Uint64N(64)
				want -= q.Regs[m.Index] * uint64(m.Scale)
			}
			q.Regs[m.Base] = want
		}
		// The offset of a bit in memory may be far away.
		if len(in.Name) <= 3 && strings.HasPrefix(in.Name, "bt") && in.Args[1].Kind == machine.KindReg {
			n := in.Args[1].Reg.Num
			if !m.Regs().Has(n) {
				q.Regs[n] = uint64(int64(t.rand.Uint64N(16000)) - 8000)
			}
		}
	}
	near := func(n machine.Num) {
		if !t.operandRegs().Has(n) {
			q.Regs[n] = scratchAt + 4096 + 64*t.rand.Uint64N(32)
		}
	}
	switch in.Name {
	case "push", "pop", "pushfq", "popfq", "pushf", "popf":
		near(machine.RSP)
	case "leave", "enter":
		near(machine.RSP)
		near(machine.RBP)
	case "xlatb":
		near(machine.RBX)
	case "maskmovdqu":
		near(machine.RDI)
	case "movdir64b":
		near(in.Args[0].Reg.Num)
	case "monitorx", "clzero":
		near(machine.RAX)
	case "cpuid":
		q.Regs[machine.RAX], q.Regs[machine.RCX] = t.rand.Uint64N(14), t.rand.Uint64N(4)
	case "lar", "lsl", "verw": // selectors of user space
		if o := &in.Args[len(in.Name)/4]; in.Name != "verw" && o.Kind == machine.KindReg {
			q.Regs[o.Reg.Num] = []uint64{0x23, 0x2b, 0x33, 0}[t.rand.IntN(4)]
		}
	case "cmpxchg", "cmpxchg8b", "cmpxchg16b": // equal half of the time
		if t.rand.IntN(2) == 0 {
			t.equal(q)
		}
	}
}

// equal loads the accumulator with what CMPXCHG compares it with.
func (t *trial) equal(q *request) {
	o := &t.f.in.Args[0]
	if o.Kind == machine.KindReg {
		q.Regs[machine.RAX] = q.Regs[o.Reg.Num]
		return
	}
	if o.Mem.Regs().Has(machine.RAX) {
		return
	}
	from, _, known := t.extent(machine.Access{Mem: o.Mem}, q)
	if !known {
		return
	}
	q.Regs[machine.RAX] = scratchWord(q.Seed, uint64(from)/8) >> (from % 8 * 8)
	if t.f.in.Name == "cmpxchg16b" {
		q.Regs[machine.RDX] = scratchWord(q.Seed, uint64(from)/8+1)
	}
	if t.f.in.Name == "cmpxchg8b" {
		q.Regs[machine.RDX] = q.Regs[machine.RAX] >> 32
	}
}

// scratchWord is what testdata/processor.c fills its memory with.
func scratchWord(seed, i uint64) uint64 {
	if seed == 0 {
		return 0
	}
	z := seed + i*0x9e3779b97f4a7c15
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// operandRegs are the registers of memory operands.
func (t *trial) operandRegs() machine.RegSet {
	var s machine.RegSet
	for i := range t.f.in.Args {
		if o := &t.f.in.Args[i]; o.Kind == machine.KindMem {
			s |= o.Mem.Regs()
		}
	}
	return s
}

// addresses are the registers that must keep pointing into the scratch area.
func (t *trial) addresses() machine.RegSet {
	s := t.operandRegs()
	switch t.f.in.Name {
	case "push", "pop", "pushfq", "pushf":
		s |= machine.Regs(machine.RSP)
	case "leave", "enter":
		s |= machine.Regs(machine.RSP, machine.RBP)
	case "xlatb":
		s |= machine.Regs(machine.RBX)
	case "maskmovdqu":
		s |= machine.Regs(machine.RDI)
	case "movdir64b":
		s |= machine.Regs(t.f.in.Args[0].Reg.Num)
	case "monitorx", "clzero":
		s |= machine.Regs(machine.RAX)
	}
	return s
}

func (t *trial) fresh() *request {
	q := &request{Len: uint32(len(t.f.code)), Flags: t.flags(), Seed: t.rand.Uint64(), Other: t.rand.Uint64(), Vectors: t.rand.Uint64()}
	copy(q.Code[:], t.f.code)
	if t.rand.IntN(8) == 0 {
		q.Seed = 0 // memory of zeroes
	}
	for n := range q.Regs {
		q.Regs[n] = t.value(machine.Num(n))
	}
	t.place(q)
	q.Kept = 1
	q.Ranges[0] = [2]uint32{0, scratchSize}
	return q
}

// extent is where an access goes, as offsets in the scratch area; known is
// false when the table does not say.
func (t *trial) extent(a machine.Access, q *request) (from, to int64, known bool) {
	m := a.Mem
	if m.Width == 0 {
		return 0, 0, false
	}
	at := uint64(m.Disp)
	if m.Base != machine.NoReg {
		at += q.Regs[m.Base]
	}
	if m.Index != machine.NoReg {
		at += q.Regs[m.Index] * uint64(m.Scale)
	}
	if m.PC {
		at += codeAt + uint64(len(t.f.code))
	}
	if m.Addr32 {
		at = uint64(uint32(at))
	}
	if m.Seg == machine.SegNone {
		at -= scratchAt
	}
	from, to = int64(at), int64(at)+int64(m.Width)
	if a.Repeat {
		n := int64(q.Regs[machine.RCX])
		if q.Flags&uint64(machine.DF) != 0 {
			from -= (n - 1) * int64(m.Width)
		} else {
			to += (n - 1) * int64(m.Width)
		}
		if n == 0 {
			to = from
		}
	}
	return from, to, true
}

// judge compares what changed with the table.
func (t *trial) judge(q *request, a *answer) {
	e := &t.e
	for n := range machine.Num(16) {
		diff := q.Regs[n] ^ a.Regs[n]
		t.changed[n] |= diff
		if extra := diff &^ e.WrittenBits(n); extra != 0 {
			t.errorf("changes bits %#x of %s", extra, machine.X86.RegName(n))
		}
		if e.Zext.Has(n) && !e.Maybe.Has(n) && a.Regs[n]>>32 != 0 {
			t.errorf("does not clear the upper half of %s", machine.X86.RegName(n))
		}
		if e.Stack == machine.StackMoved && n == machine.RSP && a.Regs[n]-q.Regs[n] != uint64(e.StackDelta) {
			t.errorf("moves the stack pointer by %d, not %d", int64(a.Regs[n]-q.Regs[n]), e.StackDelta)
		}
	}
	if diff := machine.Flags(q.Flags^a.Flags) & seenFlags; diff != 0 {
		t.flagsChanged |= diff
		if extra := diff &^ e.FlagsWritten; extra != 0 {
			t.errorf("changes flags %v", extra)
		}
	}
	for _, st := range a.Stores {
		t.memoryChanged = true
		off, ok := int64(st[0]), e.AnyMemory
		for _, acc := range e.Memory() {
			if acc.Write {
				from, to, known := t.extent(acc, q)
				ok = ok || !known || off >= from && off < to
			}
		}
		if !ok {
			t.errorf("writes memory that the table does not name (%+d bytes off)", t.off(q, off))
		}
	}
}

func (t *trial) off(q *request, off int64) int64 {
	for _, acc := range t.e.Memory() {
		if from, _, known := t.extent(acc, q); known {
			return off - from
		}
	}
	return off
}

// depends compares two runs whose inputs differ in one thing. It returns
// whether anything but that thing's own unchanged bits came out differently.
func depends(q1, q2 *request, a1, a2 *answer) (regs machine.RegSet, passed [16]uint64, flags machine.Flags, memory bool) {
	for n := range a1.Regs {
		diff := a1.Regs[n] ^ a2.Regs[n]
		// Bits that stayed what they were in both runs.
		kept := ^(a1.Regs[n] ^ q1.Regs[n]) & ^(a2.Regs[n] ^ q2.Regs[n])
		passed[n] = diff & kept
		if diff&^kept != 0 {
			regs |= 1 << n
		}
	}
	f1, f2, i1, i2 := machine.Flags(a1.Flags), machine.Flags(a2.Flags), machine.Flags(q1.Flags), machine.Flags(q2.Flags)
	flags = (f1 ^ f2) & seenFlags &^ (^(f1 ^ i1) & ^(f2 ^ i2))
	return regs, passed, flags, !slices.Equal(a1.Stores, a2.Stores)
}

// variation is an input with one thing changed, and what to make of the answer.
type variation struct {
	q     request
	judge func(q *request, b *answer)
}

// vary changes one input at a time.
func (t *trial) vary(q *request) (out []variation) {
	for n := range machine.Num(16) {
		v := *q
		if t.addresses().Has(n) {
			v.Regs[n] += 64 * (1 + t.rand.Uint64N(8))
		} else {
			v.Regs[n] = t.value(n)
			if strings.HasPrefix(t.f.in.Name, "bt") && t.operandRegs() != 0 {
				v.Regs[n] = uint64(int64(t.rand.Uint64N(16000)) - 8000)
			}
		}
		out = append(out, variation{v, nil})
	}
	for _, flag := range flagList {
		v := *q
		v.Flags ^= uint64(flag)
		out = append(out, variation{v, nil})
	}
	// Memory that the table does not call read, then all of it.
	v := *q
	v.Ranges, v.Kept, _ = t.memoryRead(q)
	v.Other = t.rand.Uint64()
	w := *q
	w.Seed = t.rand.Uint64()
	return append(out, variation{v, nil}, variation{w, nil})
}

var flagList = []machine.Flags{machine.CF, machine.PF, machine.AF, machine.ZF, machine.SF, machine.DF, machine.OF}

// compare looks at what the variations changed.
func (t *trial) compare(q *request, a *answer, vs []variation, bs []*answer) {
	for n := range machine.Num(16) {
		t.varied(q, a, &vs[n].q, bs[n], n)
	}
	for i, flag := range flagList {
		t.variedFlag(q, a, &vs[16+i].q, bs[16+i], flag)
	}
	other, all := bs[len(bs)-2], bs[len(bs)-1]
	if _, _, elsewhere := t.memoryRead(q); !elsewhere {
		if other.Signal != 0 {
			t.errorf("faults or not by memory that it does not read")
		} else if regs, _, flags, _ := depends(q, &vs[len(vs)-2].q, a, other); regs != 0 || flags != 0 || !sameStores(a, other) {
			t.errorf("depends on memory that the table does not call read (registers %#x, flags %v)", uint64(regs), flags)
		}
	}
	if all.Signal == 0 {
		regs, _, flags, _ := depends(q, &vs[len(vs)-1].q, a, all)
		t.memorySeen = t.memorySeen || regs != 0 || flags != 0 || !sameStores(a, all)
	}
}

func (t *trial) varied(q *request, a *answer, v *request, b *answer, n machine.Num) {
	e := &t.e
	what := machine.X86.RegName(n)
	if b.Signal != 0 {
		if !e.Reads.Has(n) {
			t.errorf("faults or not by %s, which it does not read", what)
		}
		return
	}
	t.judge(v, b)
	regs, passed, flags, memory := depends(q, v, a, b)
	if regs != 0 || flags != 0 || memory {
		t.readSeen |= 1 << n
		if !e.Reads.Has(n) {
			t.errorf("depends on %s (registers %#x, flags %v, memory %v)", what, uint64(regs), flags, memory)
		}
	}
	if passed[n]&e.WrittenBits(n) != 0 {
		t.readSeen |= 1 << n
		// What is replaced has nothing of the old value.
		if e.Replaced().Has(n) {
			t.errorf("keeps bits %#x of %s, which it replaces", passed[n], what)
		}
	}
}

func (t *trial) variedFlag(q *request, a *answer, v *request, b *answer, flag machine.Flags) {
	e := &t.e
	if b.Signal != 0 {
		return
	}
	t.judge(v, b)
	regs, _, flags, memory := depends(q, v, a, b)
	if regs != 0 || flags != 0 || memory {
		t.flagsSeen |= flag
		if e.FlagsRead&flag == 0 {
			t.errorf("depends on flag %v", flag)
		}
	}
	kept := machine.Flags(^(q.Flags^a.Flags)&^(v.Flags^b.Flags)&(a.Flags^b.Flags)) & flag
	if kept != 0 && e.FlagsWritten&flag != 0 {
		t.flagsSeen |= flag
		if e.FlagsKept&flag == 0 && e.FlagsRead&flag == 0 {
			t.errorf("keeps flag %v, which it replaces", flag)
		}
	}
}

// memoryRead is what the table says is read, as ranges of the scratch area;
// elsewhere: it does not say all.
func (t *trial) memoryRead(q *request) (ranges [4][2]uint32, n uint32, elsewhere bool) {
	elsewhere = t.e.AnyMemory
	for _, acc := range t.e.Memory() {
		if acc.Write {
			continue
		}
		from, to, known := t.extent(acc, q)
		if !known {
			elsewhere = true
			continue
		}
		ranges[n] = [2]uint32{uint32(from), uint32(to - from)}
		n++
	}
	return ranges, n, elsewhere
}

// sameStores reports whether two runs on different memory wrote the same
// values to the same places, as far as both are seen.
func sameStores(a, b *answer) bool {
	m := map[uint16]uint16{}
	for _, st := range a.Stores {
		m[st[0]] = st[1]
	}
	for _, st := range b.Stores {
		if v, ok := m[st[0]]; ok && v != st[1] {
			return false
		}
	}
	return true
}

// measure runs the form with random inputs: some, and more while something
// that the table says was not seen.
func (t *trial) measure() {
	const enough, tries = 5, 60
	for i := 0; i < tries && (t.ran < enough || len(t.loose()) > 0); i++ {
		q := t.fresh()
		vs := t.vary(q)
		qs := []*request{q}
		for i := range vs {
			qs = append(qs, &vs[i].q)
		}
		answers := t.p.run(qs...)
		a := answers[0]
		if a.Signal != 0 {
			t.failed++
			t.lastSignal = a.Signal
			if a.Signal == sigILL {
				return
			}
			continue
		}
		t.ran++
		t.judge(q, a)
		if !random[t.f.in.Name] {
			t.compare(q, a, vs, answers[1:])
		}
	}
}

// TestProcessor compares the table of effects with a processor.
func TestProcessor(t *testing.T) {
	p := startProcessor(t)
	forms := append(readForms(t), moreForms(t)...)
	excluded, lacking, loose := map[string]int{}, map[string]int{}, map[string]int{}
	covered, runs := 0, 0
	for _, f := range forms {
		if reason, ok := outside[f.in.Name]; ok {
			excluded[f.in.Name+": "+reason]++
			continue
		}
		if reason, ok := outsideOperand(&f.in); ok {
			excluded[f.in.Name+": "+reason]++
			continue
		}
		moved, err := relocated(f)
		if err != nil {
			t.Errorf("%s (%x): %v", f.in.String(), f.code, err)
			continue
		}
		seed := uint64(0)
		for _, b := range f.code {
			seed = bits.RotateLeft64(seed, 9) ^ uint64(b)
		}
		tr := &trial{p: p, rand: rand.New(rand.NewPCG(seed, 1)), f: moved, e: moved.in.Effects(), errs: map[string]bool{}}
		tr.measure()
		runs += tr.ran
		switch {
		case tr.ran > 0:
			covered++
		case tr.lastSignal == sigILL:
			lacking[f.in.Name]++
			continue
		default:
			t.Errorf("%s (%x): never ran: signal %d", f.in.String(), f.code, tr.lastSignal)
			continue
		}
		for _, m := range slices.Sorted(maps.Keys(tr.errs)) {
			t.Errorf("%s (%x): %s", f.in.String(), f.code, m)
		}
		for _, l := range tr.loose() {
			loose[l]++
		}
	}
	t.Logf("%d forms, %d measured with %d inputs, each varied in 25 ways", len(forms), covered, runs)
	report(t, "cannot run in a process", excluded)
	report(t, "unknown to this processor", lacking)
	// Vectors of 512 bits are not everywhere; more than that is not missing.
	if missing := len(forms) - covered - total(excluded); missing*20 > len(forms) {
		t.Errorf("%d of %d forms do not run on this processor: too many to say that the table is measured", missing, len(forms))
	}
	for _, l := range slices.Sorted(maps.Keys(loose)) {
		t.Errorf("%s: the table says so, the processor never does, and no reason is given", l)
	}
}

func report(t *testing.T, what string, m map[string]int) {
	t.Helper()
	t.Logf("%d forms %s:", total(m), what)
	for _, k := range slices.Sorted(maps.Keys(m)) {
		t.Logf("  %s (%d)", k, m[k])
	}
}

func total(m map[string]int) (n int) {
	for _, c := range m {
		n += c
	}
	return n
}

// outsideOperand finds operands that a process may not use.
func outsideOperand(in *machine.Inst) (string, bool) {
	for i := range in.Args {
		switch o := &in.Args[i]; {
		case o.Kind == machine.KindReg && o.Reg.Class == machine.System:
			return "control and debug registers are privileged", true
		case o.Kind == machine.KindReg && o.Reg.Class == machine.Segment && i == 0:
			return "loads a segment register", true
		case o.Kind == machine.KindMem && o.Mem.Seg == machine.SegFS:
			return "reaches the measuring process's own thread area", true
		}
	}
	return "", false
}

// loose is what the table says and the processor does not do, without what
// there is a reason for.
func (t *trial) loose() (out []string) {
	add := func(what string) {
		if reason(&t.f.in, &t.e, what) == "" {
			out = append(out, t.f.in.Name+" "+what+fmt.Sprintf(" (as in %s, %x)", t.f.in.String(), t.f.code))
		}
	}
	for n := range t.e.Writes.All {
		if t.changed[n] == 0 {
			add("writes " + machine.X86.RegName(n))
		}
	}
	if f := t.e.FlagsWritten & seenFlags &^ t.flagsChanged &^ t.e.FlagsKept; f != 0 {
		add(fmt.Sprintf("writes %v", f))
	}
	if random[t.f.in.Name] {
		return out
	}
	for n := range (t.e.Reads &^ t.readSeen).All {
		add("reads " + machine.X86.RegName(n))
	}
	if f := t.e.FlagsRead & seenFlags &^ t.flagsSeen; f != 0 {
		add(fmt.Sprintf("reads %v", f))
	}
	reads := false
	for _, a := range t.e.Memory() {
		reads = reads || !a.Write
	}
	if reads && !t.memorySeen {
		add("reads memory")
	}
	if t.e.WritesMemory() && !t.memoryChanged {
		add("writes memory")
	}
	return out
}

// reasons say why something that the table names is not seen to happen.
var reasons = map[string]string{
	"prefetch: reads":                      "a hint has no result",
	"clflush: reads":                       "a flushed line holds what it held",
	"monitorx: reads":                      "a wait has no result",
	"tpause: reads":                        "a wait has no result",
	"mwaitx: reads":                        "a wait has no result",
	"sbb: writes CF":                       "a register less itself and the carry leaves the carry",
	"xsave: ":                              "the state is that of the vector registers, which are not set",
	"fxsave: ":                             "the state is that of the vector registers, which are not set",
	"verw: reads memory":                   "random memory is never a selector of writable memory",
	"ptest: reads rdi":                     "only ZF and CF tell, and random bits are never all zero",
	"vptest: reads rdi":                    "only ZF and CF tell, and random bits are never all zero",
	"rdssp: ":                              "it changes nothing where the process has no shadow stack",
	"add rcx, 0x0: writes":                 "it adds nothing",
	"test 4 gs:[rbx], 0xffff00: reads rbx": "only ZF can tell one memory from the other, and random bits are never all zero",
}

// reason explains why an aspect of the table may not show.
func reason(in *machine.Inst, e *machine.Effects, what string) string {
	if e.Side&machine.SideVector != 0 && strings.HasPrefix(what, "reads") {
		return "it goes into a vector register, which is not captured"
	}
	for k, r := range reasons {
		name, rest, _ := strings.Cut(k, ": ")
		if (strings.HasPrefix(in.Name, name) || in.String() == name) && strings.HasPrefix(what, rest) {
			return r
		}
	}
	return ""
}

// moreForms are forms that the kernels at hand do not use; others and modules
// do. The encodings are the assembler's (GNU as 2.40).
func moreForms(t testing.TB) []form {
	t.Helper()
	f, err := os.ReadFile("testdata/more.txt")
	if err != nil {
		t.Fatal(err)
	}
	return parseForms(t, "testdata/more.txt", string(f))
}
