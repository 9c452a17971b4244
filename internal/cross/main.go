// Command cross compares pairs of kernel objects of other architectures, which
// scripts/cross-objects compiled, cuts the livepatch out of each, links it, and
// reads the result back with the architecture's own readelf and objdump.
//
// It prints a table for each architecture: what became of each pair, and how
// often each relocation type occurs in the results. It fails when a result says
// something else to these tools than the object it was cut from.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// tools are the programs that read and link objects of one architecture.
type tools struct{ readelf, objdump, link string }

func gnu(triple string) tools { return tools{triple + "-readelf", triple + "-objdump", triple + "-ld"} }

// architectures by the names that klpforge diff gives them. Debian 12 has no
// binutils for loongarch64.
var architectures = map[string]tools{
	"arm64":       gnu("aarch64-linux-gnu"),
	"ppc64le":     gnu("powerpc64le-linux-gnu"),
	"s390x":       gnu("s390x-linux-gnu"),
	"loongarch64": {"llvm-readelf-19", "llvm-objdump-19", "/usr/bin/ld.lld-19"},
}

func main() {
	dir := flag.String("dir", cacheDir(), "the directory with the pairs of each architecture")
	flag.Parse()
	names := flag.Args()
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(architectures))
	}
	bad := false
	for _, name := range names {
		t, ok := architectures[name]
		if !ok {
			fmt.Fprintf(os.Stderr, "cross: no architecture %s: %s\n", name, strings.Join(slices.Sorted(maps.Keys(architectures)), ", "))
			os.Exit(2)
		}
		ok, err := run(name, filepath.Join(*dir, name), t)
		if err != nil {
			fmt.Fprintf(os.Stderr, "cross: %s: %v\n", name, err)
			os.Exit(3)
		}
		bad = bad || !ok
	}
	if bad {
		os.Exit(1)
	}
}

func cacheDir() string {
	dir := os.Getenv("KLPFORGE_CACHE")
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "cross"
		}
		dir = filepath.Join(base, "klpforge")
	}
	return filepath.Join(dir, "cross")
}

// run prints the table of one architecture and reports whether all was well.
func run(arch, dir string, t tools) (bool, error) {
	list, err := filepath.Glob(filepath.Join(dir, "*.orig.o"))
	if err != nil {
		return false, err
	}
	if len(list) == 0 {
		return false, fmt.Errorf("no pairs in %s: run scripts/cross-objects %s 20", dir, arch)
	}
	slices.Sort(list)
	ok := true
	types, outcomes := map[string]int{}, map[string]int{}
	fmt.Printf("## %s, %s\n\n| object | outcome | replaced | new | symbols of the kernel | findings |\n| --- | --- | --- | --- | --- | --- |\n", arch, time.Now().UTC().Format(time.DateOnly))
	for _, orig := range list {
		base := strings.TrimSuffix(orig, ".orig.o")
		p, err := try(base, arch, t)
		if err != nil {
			return false, fmt.Errorf("%s: %w", filepath.Base(base), err)
		}
		fmt.Printf("| %s | %s | %d | %d | %d | %s |\n", filepath.Base(base), p.outcome, p.replaced, p.fresh, p.externals, strings.Join(p.findings, ", "))
		for _, e := range p.wrong {
			ok = false
			fmt.Fprintf(os.Stderr, "%s: %s\n", filepath.Base(base), e)
		}
		outcomes[p.outcome]++
		for name, n := range p.types {
			types[name] += n
		}
	}
	fmt.Printf("\n%d pairs:", len(list))
	for _, o := range slices.Sorted(maps.Keys(outcomes)) {
		fmt.Printf(" %d %s", outcomes[o], o)
	}
	fmt.Printf("\n\n| relocation | in the results |\n| --- | --- |\n")
	for _, name := range slices.SortedFunc(maps.Keys(types), func(a, b string) int { return cmp.Or(types[b]-types[a], cmp.Compare(a, b)) }) {
		fmt.Printf("| %s | %d |\n", name, types[name])
	}
	fmt.Println()
	return ok, nil
}
