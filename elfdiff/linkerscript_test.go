package elfdiff

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// linkerSections lists the input sections that linker scripts of the kernel name.
const linkerSections = "testdata/linker-sections.txt"

// inputSection is one line of that file: a name or a pattern, the versions that have it, and whether
// x86 does not.
type inputSection struct {
	pattern, versions string
	elsewhere         bool
}

// notX86 marks such a line.
const notX86 = "\tnot x86"

// sample is a name that the pattern stands for.
func (s inputSection) sample() string {
	name := s.pattern
	switch {
	case strings.HasPrefix(name, ".initcall*"):
		name = strings.Replace(name, "*", "6", 1)
	case name == ".s390_indirect*":
		name = ".s390_indirect_jump"
	case name == ".s390_return*":
		name = ".s390_return_mem"
	case strings.HasPrefix(name, "*.EMB"):
		name = ".PPC" + name[1:]
	case name == "runtime_*_*":
		name = "runtime_ptr_d_hash_shift"
	}
	name = regexp.MustCompile(`\[[^]]*\]\*?`).ReplaceAllString(name, "x")
	return strings.ReplaceAll(name, "*", "x")
}

func inputSections(t *testing.T) []inputSection {
	t.Helper()
	data, err := os.ReadFile(linkerSections)
	if err != nil {
		t.Fatal(err)
	}
	var out []inputSection
	for line := range strings.Lines(string(data)) {
		if line[0] == '#' {
			continue
		}
		pattern, versions, _ := strings.Cut(strings.TrimSpace(line), "\t")
		versions, elsewhere := strings.CutSuffix(versions, notX86)
		out = append(out, inputSection{pattern, versions, elsewhere})
	}
	return out
}

var (
	inputRE   = regexp.MustCompile(`\*\(((?:[^()]|\([^()]*\))*)\)`)
	sortRE    = regexp.MustCompile(`SORT(?:_NONE|_BY_ALIGNMENT|_BY_NAME)?\(([^()]*)\)`)
	hypRE     = regexp.MustCompile(`HYP_SECTION_NAME\(([^()]*)\)`)
	mainRE    = regexp.MustCompile(`(?m)^#define (?:TEXT|DATA|SDATA|RODATA|BSS|SBSS)_MAIN (.*)$`)
	boundedRE = regexp.MustCompile(`(?m)\b(?:BOUNDED|HEADERED)_SECTION\w*\(\s*([^,()\s]+)`)
	namedRE   = regexp.MustCompile(`(?m)\bNAMED_SECTION\(([^()]+)\)`)
	pasteRE   = regexp.MustCompile(`##\w+##|##\w+`)
	tableRE   = regexp.MustCompile(`\b(OF|ACPI_PROBE|THERMAL)_TABLE\((?:CONFIG_\w+,\s*)?([a-z]\w*)\)`)
	memoryRE  = regexp.MustCompile(`\bMEM_(?:KEEP|DISCARD)\(([a-z.]+\.[a-z]+\*?)\)`)
	commentRE = regexp.MustCompile(`(?s)/\*.*?\*/`)
)

// namesOf reads the names of input sections out of a linker script, with a star for
// each argument of a macro.
func namesOf(script string) []string {
	script = strings.ReplaceAll(commentRE.ReplaceAllString(script, ""), "\\\n", "\n")
	var groups []string
	for _, m := range inputRE.FindAllStringSubmatch(script, -1) {
		group := hypRE.ReplaceAllString(m[1], ".hyp$1")
		for sortRE.MatchString(group) {
			group = sortRE.ReplaceAllString(group, "$1")
		}
		groups = append(groups, group)
	}
	for _, re := range []*regexp.Regexp{mainRE, boundedRE, namedRE} {
		for _, m := range re.FindAllStringSubmatch(script, -1) {
			groups = append(groups, m[1])
		}
	}
	for _, m := range tableRE.FindAllStringSubmatch(script, -1) {
		if m[2] != "cfg" && m[2] != "name" {
			groups = append(groups, "__"+m[2]+"_"+strings.ToLower(m[1])+"_table")
		}
	}
	for _, m := range memoryRE.FindAllStringSubmatch(script, -1) {
		groups = append(groups, ".mem"+m[1])
	}
	found := map[string]bool{}
	for _, g := range groups {
		g = regexp.MustCompile(`\s*##\s*`).ReplaceAllString(g, "##")
		for _, name := range strings.Fields(strings.ReplaceAll(g, ";", "")) {
			parameter := strings.HasPrefix(name, "_sec") || strings.HasPrefix(name, "__##name##") || name == "name" || name == "_name"
			if parameter || strings.HasSuffix(name, "_MAIN") || strings.HasSuffix(name, "##sec") {
				continue
			}
			found[pasteRE.ReplaceAllString(name, "*")] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// scriptVersions are the versions of the list, each with a place in the cache where its
// sources are: a prepared tree, or an unpacked source package.
var scriptVersions = []struct {
	version string
	trees   []string
}{
	{"5.10", []string{"trees/5.10.*/linux", "corpus/linux-source-5.10_*"}},
	{"6.1", []string{"trees/6.1.*/linux"}},
	{"6.12", []string{"trees/6.12.*/linux"}},
	{"7.2", []string{"trees/7.2.*/linux"}},
}

// otherArchs are directories of arch/ for which `klpforge diff` reads objects, beside x86.
var otherArchs = []string{"arm64", "loongarch", "powerpc", "s390"}

// headerRE finds the sections that macros of headers write into: in assembly, and attributes of C.
var headerRE = regexp.MustCompile(`(?:\.(?:push)?section[ \t]+|section(?:__)?\()\\?"?([._][a-zA-Z_][-._a-zA-Z0-9]*)`)

// scriptNames reads the names of input sections out of the linker scripts of a tree.
func scriptNames(t *testing.T, tree string) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	for _, script := range []string{"include/asm-generic/vmlinux.lds.h", "arch/x86/kernel/vmlinux.lds.S", "scripts/module.lds.S", "include/asm-generic/codetag.lds.h"} {
		text, err := os.ReadFile(filepath.Join(tree, script))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for _, name := range namesOf(string(text)) {
			seen[name] = true
		}
	}
	return seen
}

// archNames reads the names of input sections out of an architecture's linker scripts and headers;
// none where the tree does not have it.
func archNames(t *testing.T, dir string) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	for _, script := range []string{"kernel/vmlinux.lds.S", "include/asm/vmlinux.lds.h", "include/asm/module.lds.h", "kernel/module.lds"} {
		text, err := os.ReadFile(filepath.Join(dir, script))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for _, name := range namesOf(string(text)) {
			seen[name] = true
		}
	}
	headers, err := filepath.Glob(filepath.Join(dir, "include/asm/*.h"))
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range headers {
		text, err := os.ReadFile(header)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range headerRE.FindAllStringSubmatch(commentRE.ReplaceAllString(string(text), ""), -1) {
			if m[1] != "_section" { // a parameter
				seen[m[1]] = true
			}
		}
	}
	return seen
}

// TestLinkerScripts compares the list with the scripts of all kernels in the cache: a
// section of theirs that it lacks is a failure. Run with -update to add it.
func TestLinkerScripts(t *testing.T) {
	cache := os.Getenv("KLPFORGE_E2E_CACHE")
	if cache == "" {
		t.Skip("KLPFORGE_E2E_CACHE is not set: no linker scripts")
	}
	listed := inputSections(t)
	versions := map[string][]string{} // in order, by section
	x86 := map[string]bool{}
	for _, s := range listed {
		x86[s.pattern] = !s.elsewhere
	}
	for _, v := range scriptVersions {
		var trees []string
		for _, pattern := range v.trees {
			found, err := filepath.Glob(filepath.Join(cache, pattern))
			if err != nil {
				t.Fatal(err)
			}
			trees = append(trees, found...)
		}
		if len(trees) == 0 && v.version != "5.10" {
			t.Fatalf("no tree of %s in %s", v.version, cache)
		}
		// Scripts differ between the releases of a line: what one of them had stays.
		seen := map[string]bool{}
		for _, s := range listed {
			seen[s.pattern] = slices.Contains(strings.Fields(s.versions), v.version)
		}
		for _, tree := range trees {
			names := scriptNames(t, tree)
			maps.Copy(seen, names)
			maps.Copy(x86, names)
			for _, arch := range otherArchs {
				maps.Copy(seen, archNames(t, filepath.Join(tree, "arch", arch)))
			}
		}
		for name, ok := range seen {
			if ok {
				versions[name] = append(versions[name], v.version)
			}
		}
	}
	var b strings.Builder
	b.WriteString("# The input sections that the linker scripts of Linux name, and the versions that have them: vmlinux.lds.h,\n" +
		"# module.lds.S, codetag.lds.h, and vmlinux.lds.S of x86, arm64, loongarch, powerpc and s390; of the last four also\n" +
		"# module.lds.h and the headers. Written by: go test ./elfdiff -run TestLinkerScripts -update\n")
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		mark := ""
		if !x86[name] {
			mark = notX86
		}
		fmt.Fprintf(&b, "%s\t%s%s\n", name, strings.Join(versions[name], " "), mark)
	}
	if *updateMatrix {
		if err := os.WriteFile(linkerSections, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(linkerSections)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(old), b.String()); d != "" {
		t.Errorf("%s is stale (-old +new)\n%s", linkerSections, d)
	}
}

// TestEverySectionKnown: each section that a linker script names has a row that says
// what it holds, how long it matters, and who reads it.
func TestEverySectionKnown(t *testing.T) {
	list := inputSections(t)
	if len(list) < 150 {
		t.Errorf("%s has %d sections only", linkerSections, len(list))
	}
	for _, s := range list {
		r := rowOf(s.sample())
		if r == nil {
			t.Errorf("%s (%s) has no row", s.pattern, s.versions)
			continue
		}
		if r.construct == "" {
			t.Errorf("%s: the row %s names no construct", s.pattern, r.section)
		}
	}
	for i := range rows {
		r := &rows[i]
		if r.reader == "" && (r.holds == holdsEntries || r.holds == holdsSites || r.holds == holdsHalf || r.holds == holdsPieces) {
			t.Errorf("row %s does not say who reads it", r.section)
		}
		if r.holds == holdsSites && len(r.shapes) == 0 && r.section != ".altinstructions" {
			t.Errorf("row %s has no layout", r.section)
		}
		if r.boot && r.life == lifeEver {
			t.Errorf("row %s: its memory is given back, and it is read for ever", r.section)
		}
		// What a livepatch carries somebody must read: the module loader, but for the tables that
		// only a kernel's own code on s390 has.
		if describes := r.holds == holdsSites || r.holds == holdsHalf || r.holds == holdsPieces; describes &&
			!strings.HasSuffix(r.section, "31.ex_table") && r.section != ".dma.ex_table" && r.loader != (r.policy == carry) {
			t.Errorf("row %s: carried %v, read by the module loader %v", r.section, r.policy == carry, r.loader)
		}
		if r.derived && (r.holds != holdsSites || len(r.shapes) != 1 || len(r.shapes[0].refs) != 1) {
			t.Errorf("row %s: an entry that follows from code names one place", r.section)
		}
		if r.stripped && r.holds != holdsNothing {
			t.Errorf("row %s holds something and is stripped", r.section)
		}
		for k := range rows[:i] {
			if rows[k].section == r.section {
				t.Errorf("two rows for %s", r.section)
			}
		}
	}
}

// TestRealSectionsKnown: each section of real objects has a row.
func TestRealSectionsKnown(t *testing.T) {
	for _, p := range realPairs(t) {
		f := readObject(t, p+".patched.o")
		for i := range f.Sections {
			if s := &f.Sections[i]; s.Name != "" && rowOf(s.Name) == nil {
				t.Errorf("%s: section %s has no row", filepath.Base(p), s.Name)
			}
		}
	}
}
