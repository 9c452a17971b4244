package typecheck

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/klpforge/klpforge/elfobj"
)

func TestZZ(t *testing.T) {
	raw, err := os.ReadFile("/tmp/types/vmlinux.btf")
	if err != nil {
		t.Fatal(err)
	}
	s := time.Now()
	b, err := LoadBTF("vmlinux's BTF", raw, nil)
	fmt.Println("load", time.Since(s), err)
	for _, n := range []string{"meminfo", "mballoc", "signal", "tcp_input", "blk-mq"} {
		f, err := elfobj.ReadFile("/tmp/types/m." + n + ".c.g+notrack.o")
		if err != nil {
			t.Fatal(err)
		}
		s = time.Now()
		o, err := ReadObject(f)
		if err != nil {
			t.Fatal(err)
		}
		d := time.Since(s)
		s = time.Now()
		r, err := Check(o, b, func(string) bool { return true }, func() (*Object, error) { return nil, nil })
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(n, "dwarf", d, "check", time.Since(s), len(o.Types), len(o.Funcs), len(r.Checked), r.Absent, len(r.Mismatches))
		for _, m := range r.Mismatches {
			fmt.Println(m.Name, m.Several)
			for _, p := range m.Parts {
				fmt.Println("   ", p.Say("here", "there"))
			}
		}
	}
}
