package facts

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/kernel/kimage"
)

//go:generate sh -c "cd testdata && gcc -O0 -g -gdwarf-5 -gz=none -fdebug-prefix-map=$(pwd)=. -fno-asynchronous-unwind-tables -fcf-protection=none -ffreestanding -nostdlib -static -no-pie -Wl,--build-id=none -o lines.elf lines.c"

func TestSourceLines(t *testing.T) {
	im, err := kimage.Open("testdata/lines.elf", "")
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	syms, err := im.Symtab()
	if err != nil {
		t.Fatal(err)
	}
	addr := map[string]uint64{}
	for _, s := range syms {
		addr[s.Name] = s.Addr
	}
	got, err := sourceLines(im, []uint64{addr["second"], addr["first"], addr["_start"], 0x10, addr["second"]})
	if err != nil {
		t.Fatal(err)
	}
	want := map[uint64]string{addr["first"]: "lines.c:2", addr["second"]: "lines.c:7", addr["_start"]: "lines.c:11"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("lines (-want +got):\n%s", d)
	}
}

func TestInTree(t *testing.T) {
	for _, c := range [][3]string{
		{"kernel/signal.c", "/build/linux", "kernel/signal.c"},
		{"./kernel/signal.c", "./debian/build/x", "kernel/signal.c"},
		{"/build/linux/kernel/signal.c", "/build/linux", "kernel/signal.c"},
		{"/build/linux/kernel/signal.c", "/build/linux/out", "kernel/signal.c"},
		{"/usr/include/x.h", "/build/linux", "/usr/include/x.h"},
	} {
		if got := inTree(c[0], c[1]); got != c[2] {
			t.Errorf("%s compiled in %s is %s, want %s", c[0], c[1], got, c[2])
		}
	}
}
