package machine_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/analyze/machine"
)

const formsFile = "testdata/forms.txt"

// formOf names the form of an instruction: its name, prefixes, and the kinds
// and sizes of its operands. Instructions of one form differ in which
// registers, addresses and values they name.
func formOf(in *machine.Inst) string {
	var b strings.Builder
	if in.Lock {
		b.WriteString("lock ")
	}
	if in.Repeat {
		b.WriteString("rep ")
	}
	if in.RepeatNZ {
		b.WriteString("nz ")
	}
	b.WriteString(in.Name)
	for i := range in.Args {
		o := &in.Args[i]
		switch o.Kind {
		case machine.KindReg:
			fmt.Fprintf(&b, " %s%d", [...]string{"r", "v", "s", "c"}[o.Reg.Class], o.Reg.Size)
			if o.Reg.High {
				b.WriteString("h")
			}
			// What an instruction does to the accumulator, the count and the stack pointer often is a form of its own.
			if o.Reg.Class == machine.General && (o.Reg.Num == machine.RAX || o.Reg.Num == machine.RCX || o.Reg.Num == machine.RSP) {
				b.WriteString([...]string{"a", "c", "", "", "s"}[o.Reg.Num])
			}
			if i > 0 && in.Args[0] == *o {
				b.WriteString("=")
			}
		case machine.KindMem:
			fmt.Fprintf(&b, " m%d", o.Mem.Width)
			switch m := o.Mem; {
			case m.PC:
				b.WriteString("p")
			case m.Base == machine.NoReg && m.Index == machine.NoReg:
				b.WriteString("d")
			case m.Index != machine.NoReg:
				b.WriteString("i")
			}
			if o.Mem.Seg != machine.SegNone {
				b.WriteString("g")
			}
			if o.Mem.Addr32 {
				b.WriteString("32")
			}
		case machine.KindImm:
			b.WriteString(" i")
		case machine.KindRel:
			b.WriteString(" rel")
		}
	}
	return b.String()
}

// form is a line of the file of forms.
type form struct {
	key  string
	code []byte
	in   machine.Inst
}

// readForms reads the forms that the kernels at hand use.
func readForms(t testing.TB) []form {
	t.Helper()
	text, err := os.ReadFile(formsFile)
	if err != nil {
		t.Fatal(err)
	}
	out := parseForms(t, formsFile, string(text))
	if len(out) == 0 {
		t.Fatalf("%s: no forms; run TestKernels with -update", formsFile)
	}
	return out
}

// parseForms reads lines of an encoding in hex, a tab, and its reading, which
// must be what the decoder says.
func parseForms(t testing.TB, name, text string) (out []form) {
	t.Helper()
	for line := range strings.Lines(text) {
		enc, reading, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if enc == "" || enc[0] == '#' {
			continue
		}
		code, err := hex.DecodeString(enc)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		in, err := machine.X86.Decode(code, codeAt)
		if err != nil || in.Len != len(code) {
			t.Fatalf("%s: %s: decodes to %d bytes: %v", name, enc, in.Len, err)
		}
		if got := in.String(); got != reading {
			t.Errorf("%s: %s reads %q, not %q", name, enc, got, reading)
		}
		out = append(out, form{formOf(&in), code, in})
	}
	return out
}
