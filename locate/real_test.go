package locate

import (
	"debug/elf"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/cachedir"
)

// realRelease is the kernel that the objects in $KLPFORGE_E2E_CACHE/pairs were
// compiled for.
const realRelease = "6.1.0-53-cloud-amd64"

// realOwners are the modules of those objects that are not part of vmlinux.
var realOwners = map[string]string{
	"drivers_md_md":                 "md_mod",
	"drivers_net_bonding_bond_main": "bonding",
	"drivers_net_tun":               "tun",
}

// TestFindReal places objects compiled function by function in the kernel that
// the distribution ships.
func TestFindReal(t *testing.T) {
	dir := os.Getenv("KLPFORGE_E2E_CACHE")
	if dir == "" {
		t.Skip("KLPFORGE_E2E_CACHE is not set: no real kernel")
	}
	objs, err := filepath.Glob(filepath.Join(dir, "pairs", "*.orig.o"))
	if err != nil || len(objs) == 0 {
		t.Skipf("no objects in %s/pairs", dir)
	}
	k, err := kernel.Open(kernel.Options{Release: realRelease, Root: t.TempDir(), Cache: cachedir.Dir(dir)})
	if err != nil {
		t.Skip(err)
	}
	defer k.Close()
	im, err := k.Image()
	if err != nil {
		t.Fatal(err)
	}
	syms, err := k.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	modules, err := k.Modules()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range objs {
		name := strings.TrimSuffix(filepath.Base(path), ".orig.o")
		t.Run(name, func(t *testing.T) {
			f, err := elfobj.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			o, err := elfdiff.Load(f)
			if err != nil {
				t.Fatal(err)
			}
			var v View = &VmlinuxView{Image: im, Symbols: syms}
			if owner := realOwners[name]; owner != "" {
				m, err := modules.Module(owner)
				if err != nil {
					t.Fatal(err)
				}
				if v, err = NewModuleView(m); err != nil {
					t.Fatal(err)
				}
			}
			p := Find(o, v)
			for a, why := range p.Miss {
				if f.Symbols[o.Atoms[a].Sym].Bind == elf.STB_WEAK {
					continue // another object of the kernel overrides it
				}
				t.Errorf("%s (%s): %s", o.Atoms[a].Name, o.Section(a), why)
			}
			t.Logf("%d functions placed, %d missing, %d addresses", len(p.Funcs), len(p.Miss), len(p.Addr))
		})
	}
}
