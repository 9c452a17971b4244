package elfobj

import (
	"debug/elf"
	"strings"
	"testing"
)

// TestText: each architecture's code is written by its own disassembler, and bytes that are no
// instruction by none.
func TestText(t *testing.T) {
	for machine, cases := range map[elf.Machine][]struct{ code, want string }{
		elf.EM_X86_64:    {{"\x0f\x1f\x44\x00\x00", "nop"}, {"\x31\xc0", "xor %eax,%eax"}, {"\xff\xff", ""}},
		elf.EM_AARCH64:   {{"\xc0\x03\x5f\xd6", "ret"}, {"\xe0\x03\x01\xaa", "mov x0, x1"}, {"\xff\xff\xff\xff", ""}},
		elf.EM_PPC64:     {{"\x20\x00\x80\x4e", "blr"}, {"\x01\x00\x63\x38", "addi r3,r3,1"}, {"\x00\x00\x00\x00", ""}},
		elf.EM_S390:      {{"\x07\xfe", "br %r14"}, {"\xb9\x04\x00\xef", "lgr %r14,%r15"}, {"\x00\x00", ""}},
		elf.EM_LOONGARCH: {{"\x20\x00\x00\x4c", "ret"}, {"\xff\xff\xff\xff", ""}},
	} {
		arch, err := ArchOf(machine)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			got, ok := arch.Text([]byte(c.code), 0x1000)
			if got = strings.Join(strings.Fields(got), " "); ok != (c.want != "") || ok && got != c.want {
				t.Errorf("%s: %x is %q, %v; want %q", arch.Name(), c.code, got, ok, c.want)
			}
		}
		for length := range 8 {
			arch.Text(make([]byte, length), 0) // whatever it is, it ends
		}
	}
}
