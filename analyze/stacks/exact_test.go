package stacks

import (
	"math/rand/v2"
	"testing"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/internal/asmtest"
)

// What is known exactly stays so: of constants every operation gives the constant, and
// every condition is decided.
func TestExact(t *testing.T) {
	one := map[string]struct {
		of func(value) value
		do func(uint64) uint64
	}{
		"neg":       {negative, func(a uint64) uint64 { return -a }},
		"not":       {inverse, func(a uint64) uint64 { return ^a }},
		"left 3":    {func(v value) value { return shift(v, 3, false) }, func(a uint64) uint64 { return a << 3 }},
		"left 0":    {func(v value) value { return shift(v, 0, false) }, func(a uint64) uint64 { return a }},
		"right 5":   {func(v value) value { return shift(v, -5, false) }, func(a uint64) uint64 { return a >> 5 }},
		"signed 5":  {func(v value) value { return shift(v, -5, true) }, func(a uint64) uint64 { return uint64(int64(a) >> 5) }},
		"extend 8":  {func(v value) value { return v.extend(8) }, func(a uint64) uint64 { return a }},
		"extend 4":  {func(v value) value { return v.extend(4) }, func(a uint64) uint64 { return uint64(uint32(a)) }},
		"extend 2":  {func(v value) value { return v.extend(2) }, func(a uint64) uint64 { return uint64(uint16(a)) }},
		"extend 1":  {func(v value) value { return v.extend(1) }, func(a uint64) uint64 { return uint64(uint8(a)) }},
		"signed 8":  {func(v value) value { return v.signed(8) }, func(a uint64) uint64 { return a }},
		"signed 4":  {func(v value) value { return v.signed(4) }, func(a uint64) uint64 { return uint64(int64(int32(a))) }},
		"signed 2":  {func(v value) value { return v.signed(2) }, func(a uint64) uint64 { return uint64(int64(int16(a))) }},
		"signed 1":  {func(v value) value { return v.signed(1) }, func(a uint64) uint64 { return uint64(int64(int8(a))) }},
		"low byte":  {func(v value) value { return v.merge(constant(0x40), 0xff) }, func(a uint64) uint64 { return a&^0xff | 0x40 }},
		"high byte": {func(v value) value { return v.merge(constant(0x4000), 0xff00) }, func(a uint64) uint64 { return a&^0xff00 | 0x4000 }},
	}
	two := map[string]struct {
		of func(a, b value) value
		do func(a, b uint64) uint64
	}{
		"and": {and, func(a, b uint64) uint64 { return a & b }}, "or": {or, func(a, b uint64) uint64 { return a | b }},
		"xor": {xor, func(a, b uint64) uint64 { return a ^ b }}, "add": {add, func(a, b uint64) uint64 { return a + b }},
	}
	signed := func(a uint64, size int) int64 { return int64(a<<(64-8*size)) >> (64 - 8*size) }
	for _, a := range numbers {
		for name, op := range one {
			if got := op.of(constant(a)); got != constant(op.do(a)) {
				t.Errorf("%s of %#x is %+v, want %#x", name, a, got, op.do(a))
			}
		}
		for _, b := range numbers {
			for name, op := range two {
				if got := op.of(constant(a), constant(b)); got != constant(op.do(a, b)) {
					t.Errorf("%#x %s %#x is %+v, want %#x", a, name, b, got, op.do(a, b))
				}
			}
			for _, size := range []int{1, 2, 4, 8} {
				m, sa, sb, r := mask(size), signed(a, size), signed(b, size), signed(a&b, size)
				bit := b & 7
				for what, c := range map[string]struct {
					f    flags
					want map[machine.Cond]bool
				}{
					"cmp":  {flags{op: compared, a: constant(a), b: constant(b), size: size}, map[machine.Cond]bool{machine.CondB: a&m < b&m, machine.CondE: a&m == b&m, machine.CondBE: a&m <= b&m, machine.CondL: sa < sb, machine.CondLE: sa <= sb}},
					"test": {flags{op: tested, a: constant(a & b), size: size}, map[machine.Cond]bool{machine.CondB: false, machine.CondE: r == 0, machine.CondBE: r == 0, machine.CondL: r < 0, machine.CondLE: r <= 0, machine.CondS: r < 0}},
					"add":  {flags{op: computed, a: constant(a), size: size}, map[machine.Cond]bool{machine.CondE: sa == 0, machine.CondS: sa < 0}},
					"neg":  {flags{op: negated, a: constant(a), size: size}, map[machine.Cond]bool{machine.CondB: a&m != 0, machine.CondE: a&m == 0}},
					"bt":   {flags{op: bitTested, a: constant(a), b: constant(bit), size: size}, map[machine.Cond]bool{machine.CondB: a>>bit&1 == 1}},
				} {
					for cond, want := range c.want {
						for _, not := range []machine.Cond{0, 1} {
							if yes, known := c.f.holds(cond | not); !known || yes != (want != (not == 1)) {
								t.Errorf("%s of %#x and %#x, %d bytes: condition %d holds %v, known %v", what, a, b, size, cond|not, yes, known)
							}
						}
					}
				}
				// What a sum carries is not known of its result, and nothing of pointers.
				for _, cond := range []machine.Cond{machine.CondB, machine.CondBE, machine.CondL, machine.CondLE} {
					if _, known := (&flags{op: computed, a: constant(a), size: size}).holds(cond); known {
						t.Errorf("condition %d of a sum is known", cond)
					}
				}
			}
		}
	}
	for _, f := range []flags{{op: compared, a: value{kind: pointer}, b: constant(0), size: 8}, {op: compared, a: constant(0), b: value{kind: blurred}, size: 8}, {op: tested, a: value{kind: pointer}, size: 8}, {size: 8}} {
		for cond := machine.Cond(0); cond < 16; cond++ {
			if _, known := f.holds(cond); known {
				t.Errorf("condition %d of %+v is known", cond, f)
			}
		}
	}
}

// Numbers between limits: what follows from the limits is known, and no more.
func TestLimits(t *testing.T) {
	between := func(lo, hi int64) value { return value{lo: lo, hi: hi}.tidy() }
	small, large, below, around := between(3, 9), between(10, 20), between(-9, -3), between(-2, 2)
	for _, c := range []struct {
		op    flagOp
		a, b  value
		cond  machine.Cond
		holds bool
		known bool
	}{
		{compared, small, large, machine.CondL, true, true}, {compared, large, small, machine.CondL, false, true}, {compared, small, between(9, 20), machine.CondL, false, false}, {compared, between(9, 20), small, machine.CondL, false, true},
		{compared, small, between(9, 20), machine.CondLE, true, true}, {compared, small, between(8, 20), machine.CondLE, false, false}, {compared, large, small, machine.CondLE, false, true}, {compared, between(9, 20), small, machine.CondLE, false, false},
		{compared, small, large, machine.CondB, true, true}, {compared, large, small, machine.CondBE, false, true}, {compared, below, small, machine.CondB, false, false}, {compared, below, small, machine.CondL, true, true},
		{compared, small, large, machine.CondE, false, true}, {compared, large, small, machine.CondE, false, true}, {compared, small, between(9, 20), machine.CondE, false, false},
		{compared, value{ones: 1, lo: minInt, hi: maxInt}.tidy(), value{zeros: 1, lo: minInt, hi: maxInt}.tidy(), machine.CondE, false, true},
		{tested, small, value{}, machine.CondE, false, true}, {tested, below, value{}, machine.CondE, false, true}, {tested, around, value{}, machine.CondE, false, false},
		{tested, small, value{}, machine.CondS, false, true}, {tested, below, value{}, machine.CondS, true, true}, {tested, around, value{}, machine.CondS, false, false},
		{tested, between(0, 5), value{}, machine.CondLE, false, false}, {tested, between(1, 5), value{}, machine.CondLE, false, true}, {tested, between(-5, 0), value{}, machine.CondLE, true, true}, {tested, between(0, 5), value{}, machine.CondS, false, true}, {tested, between(-5, 0), value{}, machine.CondS, false, false},
	} {
		f := flags{op: c.op, a: c.a, b: c.b, size: 8}
		if holds, known := f.holds(c.cond); known != c.known || known && holds != c.holds {
			t.Errorf("condition %d of %+v: %v, known %v; want %v, %v", c.cond, f, holds, known, c.holds, c.known)
		}
	}
	for _, c := range []struct{ got, want value }{
		{add(small, large), between(13, 29)}, {add(small, below), between(-6, 6)}, {add(between(maxInt-1, maxInt), small), value{}}, {add(between(minInt, minInt+1), below), value{}},
		{negative(small), below}, {negative(between(minInt, 3)), value{}}, {negative(between(minInt+1, 3)), between(-3, maxInt)},
		{and(value{}, constant(0xf0)), value{zeros: ^uint64(0xf0), hi: 0xf0}.tidy()}, {and(small, large), between(0, 9)}, {and(between(-5, 3), large), between(0, 20)},
		{value{}.extend(1), between(0, 255)}, {value{}.extend(8), value{}}, {small.extend(1), small}, {between(3, 256).extend(1), between(0, 255)},
		{value{}.signed(1), value{lo: -128, hi: 127, kind: 0}}, {between(0, 127).signed(1), between(0, 127)},
		{value{lo: 5, hi: 3, left: true}.tidy(), value{left: true}}, {value{ones: 1, zeros: 1}.tidy(), value{}},
	} {
		if c.got != c.want {
			t.Errorf("%+v, want %+v", c.got, c.want)
		}
	}
	if v, lost := join(small, large); lost || v != (value{lo: 3, hi: 20}).tidy() {
		t.Errorf("joined: %+v, %v", v, lost)
	}
	for _, c := range []struct {
		a, b, want value
		lost       bool
	}{
		{value{kind: pointer, region: 1, off: 8}, value{kind: pointer, region: 1, off: 4}, value{kind: blurred, region: 1, off: 4}, false},
		{value{kind: pointer, region: 1, off: 8}, value{kind: pointer, region: 2, off: 4}, value{kind: blurred, region: 1, off: 8}, true},
		{value{kind: pointer, region: 1, off: 8}, constant(3), value{kind: blurred, region: 1, off: 8}, false},
		{constant(3), value{kind: blurred, region: 2, off: 8}, value{kind: blurred, region: 2, off: 8}, false},
		{value{from: 3}, constant(5), value{from: 3}, false}, {constant(5), value{from: 3}, value{from: 3}, false}, {value{from: 3}, value{from: 4}, value{}, false}, {value{from: 3, left: true}, constant(5), value{from: 3}, false},
		{value{left: true}, value{left: true, from: 3}, value{left: true}, false}, {value{}, constant(5), value{}, false},
	} {
		if v, lost := join(c.a, c.b); v != c.want || lost != c.lost {
			t.Errorf("%+v with %+v: %+v, %v; want %+v, %v", c.a, c.b, v, lost, c.want, c.lost)
		}
	}
	// Pointers move by constants only.
	p := value{kind: pointer, region: 2, off: 8}
	for _, c := range []struct{ got, want value }{
		{add(p, constant(4)), value{kind: pointer, region: 2, off: 12}}, {add(constant(^uint64(7)), p), value{kind: pointer, region: 2}}, {add(p, small), p.blur()}, {add(value{}, p), p.blur()}, {add(p.blur(), constant(4)), p.blur()}, {add(small, p.blur()), p.blur()}, {and(p, constant(8)), and(value{}, constant(8))},
	} {
		if c.got != c.want {
			t.Errorf("%+v, want %+v", c.got, c.want)
		}
	}
}

// The frame is a piece of memory: what was stored is loaded again, in other sizes too, and
// never anything else.
func TestFrameMemory(t *testing.T) {
	const room = 32
	rng := rand.New(rand.NewPCG(3, 4))
	exact := 0
	for range 400 {
		s := &state{}
		for r := range s.known {
			s.known[r] = maxInt
		}
		var bytes [room]byte
		var set [room]bool
		at := func(off int) value { return value{kind: pointer, region: frame, off: int64(off)} }
		for range 12 {
			size := []int{1, 2, 4, 8}[rng.IntN(4)]
			off := rng.IntN(room/size) * size
			if rng.IntN(2) == 0 {
				v := numbers[rng.IntN(len(numbers))] & mask(size)
				s.store(at(off), int64(size), constant(v))
				for i := range size {
					bytes[off+i], set[off+i] = byte(v>>(8*i)), true
				}
				if got := s.load(at(off), int64(size)); got != constant(v) {
					t.Fatalf("stored %#x, %d bytes at %d, and loaded %+v", v, size, off, got)
				}
			}
			size = []int{1, 2, 4, 8}[rng.IntN(4)]
			off = rng.IntN(room - size + 1)
			want, all := uint64(0), true
			for i := range size {
				want |= uint64(bytes[off+i]) << (8 * i)
				all = all && set[off+i]
			}
			got := s.load(at(off), int64(size))
			if got.isConst() {
				exact++
			}
			if !all && got.isConst() || all && got.kind == number && !holdsOf(got, want) {
				t.Fatalf("loaded %+v, %d bytes at %d of % x, set %v", got, size, off, bytes, set)
			}
		}
	}
	if exact < 600 {
		t.Errorf("only %d loads were exact", exact)
	}

	fresh := func() *state {
		s := &state{}
		for r := range s.known {
			s.known[r] = maxInt
		}
		for _, r := range []int8{frame, 1} {
			for off := int64(-16); off < 32; off += 8 {
				s.store(value{kind: pointer, region: r, off: off}, 8, constant(uint64(100+off)))
			}
		}
		return s
	}
	knows := func(s *state, region int8, off int64) bool {
		return s.load(value{kind: pointer, region: region, off: off}, 8) == constant(uint64(100+off))
	}
	// A store through a pointer of which the offset is lost overwrites all behind it in its region.
	s := fresh()
	s.store(value{kind: blurred, region: 1, off: 8}, 8, constant(1))
	if !knows(s, 1, 0) || knows(s, 1, 8) || knows(s, 1, 24) || !knows(s, frame, 8) {
		t.Errorf("after a store through a blurred pointer: %+v", s.mem)
	}
	// One through an unknown pointer overwrites what others know of.
	s = fresh()
	s.store(value{}, 8, constant(1))
	if !knows(s, frame, 8) {
		t.Error("what nobody else knows is lost")
	}
	s.give(value{kind: pointer, region: frame, off: 8})
	if !knows(s, frame, 0) || knows(s, frame, 8) || knows(s, frame, 16) {
		t.Errorf("after giving a pointer away: %+v", s.mem)
	}
	// Storing a pointer where others see it gives it away, storing it in the frame does not.
	s = fresh()
	s.store(value{kind: pointer, region: frame, off: 0}, 8, value{kind: pointer, region: 1, off: 0})
	if !knows(s, 1, 8) {
		t.Error("a pointer in the frame was given away")
	}
	s.store(value{kind: pointer, region: 1, off: 0}, 8, value{kind: pointer, region: frame, off: 16})
	if knows(s, frame, 16) || !knows(s, frame, 8) {
		t.Errorf("a pointer in an argument's memory: %+v", s.mem)
	}
	// Of a number that is overwritten in part, the rest stays.
	for _, size := range []int{1, 2, 4} {
		for part := 0; part < 8; part += size {
			s := fresh()
			at := func(off int) value { return value{kind: pointer, region: frame, off: int64(off)} }
			s.store(at(0), 8, constant(0x8877665544332211))
			s.store(at(part), int64(size), constant(0xeeeeeeee&mask(size)))
			for off := 0; off < 8; off += size {
				want := uint64(0x8877665544332211) >> (8 * off) & mask(size)
				if off == part {
					want = 0xeeeeeeee & mask(size)
				}
				if got := s.load(at(off), int64(size)); got != constant(want) {
					t.Errorf("%d bytes at %d overwritten: %d has %+v, want %#x", size, part, off, got, want)
				}
			}
			if !knows(s, frame, 8) || !knows(s, frame, -8) {
				t.Errorf("%d bytes at %d overwritten: the neighbours are lost", size, part)
			}
		}
	}
	s = fresh()
	s.store(value{kind: pointer, region: frame}, 8, constant(0x8877665544332211))
	s.store(value{kind: pointer, region: frame}, 4, constant(0xeeeeeeee))
	if got := s.load(value{kind: pointer, region: frame}, 8); got != constant(0x88776655eeeeeeee) {
		t.Errorf("both halves: %+v", got)
	}
	// A pointer is known as a whole only.
	s = fresh()
	p := value{kind: pointer, region: 1, off: 4}
	s.store(value{kind: pointer, region: frame, off: 0}, 8, p)
	if got := s.load(value{kind: pointer, region: frame}, 8); got != p {
		t.Errorf("loaded %+v", got)
	}
	s.store(value{kind: pointer, region: frame, off: 0}, 4, p)
	if got := s.load(value{kind: pointer, region: frame}, 4); got != (value{}) {
		t.Errorf("half a pointer: %+v", got)
	}
	if got := s.load(constant(8), 8); got != (value{}) {
		t.Errorf("loaded %+v from a number", got)
	}
	s.lose()
	if !s.lost || len(s.mem) > 0 || !s.wild[0] || s.known[frame] != minInt || s.join(fresh(), false) {
		t.Errorf("lost: %+v", s)
	}
}

// TestComputes: instructions on known numbers give what a processor gives (Intel SDM
// vol. 2). What is not followed may be unknown, and is never another number.
func TestComputes(t *testing.T) {
	for _, c := range []struct {
		name     string
		code     []string
		rax, rcx uint64
		want     uint64 // of rax
		unknown  bool   // not followed
	}{
		{"mov rax, rcx", []string{"4889c8"}, 1, 7, 7, false}, {"mov eax, ecx", []string{"89c8"}, ^uint64(0), 0x1_0000_0007, 7, false},
		{"mov ax, cx", []string{"6689c8"}, 0x11112222, 0x3333, 0x11113333, false}, {"mov al, cl", []string{"88c8"}, 0x1122, 0x33, 0x1133, false}, {"mov ah, cl", []string{"88cc"}, 0x1122, 0x33, 0x3322, false}, {"mov al, ch", []string{"88e8"}, 0x1122, 0x4433, 0x1144, false},
		{"movsx eax, cl", []string{"0fbec1"}, 5, 0x80, 0xffffff80, false}, {"movsx rax, cl", []string{"480fbec1"}, 5, 0x80, 0xffffffffffffff80, false}, {"movsx rax, cx", []string{"480fbfc1"}, 5, 0x18000, 0xffffffffffff8000, false},
		{"movsxd rax, ecx", []string{"4863c1"}, 5, 0x180000000, 0xffffffff80000000, false}, {"movzx eax, cl", []string{"0fb6c1"}, 5, 0x1ff, 0xff, false}, {"movzx eax, cx", []string{"0fb7c1"}, 5, 0x1ffff, 0xffff, false},
		{"add rax, rcx", []string{"4801c8"}, 5, 7, 12, false}, {"add eax, ecx", []string{"01c8"}, 0xffffffff, 1, 0, false}, {"sub rax, rcx", []string{"4829c8"}, 5, 7, ^uint64(1), false}, {"sub rax, 3", []string{"4883e803"}, 5, 0, 2, false},
		{"and rax, rcx", []string{"4821c8"}, 0xf0f, 0x0ff, 0x00f, false}, {"or rax, rcx", []string{"4809c8"}, 0xf00, 0x00f, 0xf0f, false}, {"xor rax, rcx", []string{"4831c8"}, 0xff0, 0x0ff, 0xf0f, false},
		{"xor eax, eax", []string{"31c0"}, 5, 0, 0, false}, {"sub eax, eax", []string{"29c0"}, 5, 0, 0, false},
		{"inc rax", []string{"48ffc0"}, 5, 0, 6, false}, {"dec rax", []string{"48ffc8"}, 5, 0, 4, false}, {"neg rax", []string{"48f7d8"}, 5, 0, ^uint64(4), false}, {"not rax", []string{"48f7d0"}, 5, 0, ^uint64(5), false},
		{"shl rax, 3", []string{"48c1e003"}, 5, 0, 40, false}, {"shl eax, 31", []string{"c1e01f"}, 3, 0, 0x80000000, false}, {"shr rax, 3", []string{"48c1e803"}, ^uint64(0), 0, ^uint64(0) >> 3, false}, {"shr eax, 3", []string{"c1e803"}, 0xf_0000_000f, 0, 1, false},
		{"sar rax, 3", []string{"48c1f803"}, ^uint64(63), 0, ^uint64(7), false}, {"sar eax, 3", []string{"c1f803"}, 0x80000000, 0, 0xf0000000, false}, {"shl rax, cl", []string{"48d3e0"}, 5, 3, 40, false}, {"shl rax, 1", []string{"48d1e0"}, 5, 0, 10, false},
		{"rol eax, 4", []string{"c1c004"}, 0x12345678, 0, 0x23456781, true},
		{"lea rax, [rcx+rcx*4+8]", []string{"488d448908"}, 0, 3, 23, false}, {"lea eax, [rcx-1]", []string{"8d41ff"}, 0, 0, 0xffffffff, false},
		{"cdqe", []string{"4898"}, 0x80000000, 0, 0xffffffff80000000, false}, {"cwde", []string{"98"}, 0x8000, 0, 0xffff8000, false},
		{"imul rax, rcx", []string{"480fafc1"}, 5, 7, 35, true}, {"xchg rax, rcx", []string{"4891"}, 5, 7, 7, true}, {"bswap eax", []string{"0fc8"}, 0x11223344, 0, 0x44332211, true},
		{"push rcx, pop rax", []string{"51", "58"}, 5, 7, 7, false},
		{"cmp rcx, 5; setb al", []string{"4883f905", "0f92c0"}, 0x1ff, 4, 0x101, false}, {"cmp rcx, 5; setb al, not", []string{"4883f905", "0f92c0"}, 0x1ff, 5, 0x100, false}, {"cmp ecx, 5; setg al", []string{"83f905", "0f9fc0"}, 0, 6, 1, false},
		{"test rcx, rcx; cmove rax, rcx", []string{"4885c9", "480f44c1"}, 5, 0, 0, false}, {"test rcx, rcx; cmove rax, rcx, not", []string{"4885c9", "480f44c1"}, 5, 7, 5, false}, {"test ecx, ecx; cmove eax, ecx, not", []string{"85c9", "0f44c1"}, 0x1_0000_0005, 7, 5, false},
		{"cmp rcx, 5; sbb eax, eax", []string{"4883f905", "19c0"}, 3, 4, 0xffffffff, false}, {"cmp rcx, 5; sbb eax, eax, not", []string{"4883f905", "19c0"}, 3, 5, 0, false},
		{"neg rcx; sbb rax, rax", []string{"48f7d9", "4819c0"}, 3, 5, ^uint64(0), false}, {"bt ecx, 2; setc al", []string{"0fbae102", "0f92c0"}, 0, 4, 1, false},
		{"dec ecx; sets al", []string{"ffc9", "0f98c0"}, 0, 0, 1, false}, {"sub ecx, 1; sete al", []string{"83e901", "0f94c0"}, 0, 1, 1, false},
		{"mov [rsp-8], rcx; mov eax, [rsp-8]", []string{"48894c24f8", "8b4424f8"}, 0, 0x1_0000_0007, 7, false}, {"mov byte [rsp-8], 7 over rcx", []string{"48894c24f8", "c64424f807", "488b4424f8"}, 0, 0x1122, 0x1107, true},
		{"add qword [rsp-8], 3", []string{"48894c24f8", "48834424f803", "488b4424f8"}, 0, 4, 7, false}, {"movzx eax, byte [rsp-7]", []string{"48894c24f8", "0fb64424f9"}, 0, 0x1122, 0x11, false},
	} {
		s := &state{}
		for r := range s.known {
			s.known[r] = maxInt
		}
		s.regs[machine.RSP] = value{kind: pointer, region: frame, off: -64}
		s.regs[machine.RAX], s.regs[machine.RCX] = constant(c.rax), constant(c.rcx)
		for _, code := range c.code {
			in := asmtest.Inst(t, code)
			s.step(&in, 0)
		}
		got := s.regs[machine.RAX]
		if !holdsOf(got, c.want) || got.kind >= pointer || !c.unknown && got != constant(c.want) {
			t.Errorf("%s of %#x and %#x: %+v, want %#x", c.name, c.rax, c.rcx, got, c.want)
		}
		if s.regs[machine.RSP] != (value{kind: pointer, region: frame, off: -64}) {
			t.Errorf("%s: stack pointer %+v", c.name, s.regs[machine.RSP])
		}
	}
}
