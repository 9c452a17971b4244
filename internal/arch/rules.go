package arch

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Module is the path of the module; packages are named relative to it.
const Module = "github.com/klpforge/klpforge"

// rule says what a package may import.
type rule struct {
	pattern string   // of the package, as for path.Match; "/..." at the end stands for the package and all below
	own     []string // patterns of the packages of this module that it may import
	not     []string // patterns of other packages that it must not import
}

// impure is what a pure function of its inputs does without.
var impure = []string{"os", "os/...", "io/ioutil", "time", "net/...", "math/rand/...", "crypto/rand", "syscall", "golang.org/x/sys/..."}

// rules, of which the first that matches a package holds. A package that none
// matches is not part of the design: extend docs/architecture.md, then this.
var rules = []rule{
	// The flow, from patches to the module. What knows nothing of its neighbours comes first.
	{pattern: "finding", not: concat(elf, impure)},
	{pattern: "patchset", own: []string{"finding", "internal/regular"}, not: elf},
	{pattern: "plan", own: []string{"finding"}, not: concat(elf, impure)},
	{pattern: "kernel/klpapi", not: concat(elf, impure)},
	{pattern: "kernel/karch", not: impure},
	{pattern: "kernel/cachedir", own: []string{"internal/regular", "internal/sealed"}, not: elf},
	{pattern: "kernel/kconfig", own: []string{"internal/regular", "internal/syntax", "internal/unpack"}, not: elf},
	{pattern: "kernel/kimage", own: []string{"internal/regular", "internal/sealed", "internal/syntax", "internal/unpack", "kernel/cachedir", "kernel/karch", "kernel/kconfig"}},
	{pattern: "kernel/kmod", own: []string{"elfobj", "internal/regular", "internal/syntax", "internal/unpack", "kernel/karch", "kernel/kconfig", "kernel/kimage"}},
	{pattern: "kernel", own: []string{"internal/regular", "internal/unpack", "kernel/cachedir", "kernel/karch", "kernel/kconfig", "kernel/kimage", "kernel/klpapi", "kernel/kmod"}, not: elf},
	{pattern: "kernel/trusted", own: []string{"internal/regular", "internal/syntax", "kernel", "kernel/cachedir", "kernel/kimage"}, not: elf},
	// A provider knows neither the engine nor another provider.
	{pattern: "kernel/fetch/provider", own: []string{"kernel/kconfig"}, not: elf},
	{pattern: "kernel/fetch/*", own: []string{"kernel/cachedir", "kernel/fetch/provider", "kernel/kconfig"}, not: elf},
	{pattern: "kernel/fetch", own: []string{"internal/regular", "internal/sealed", "kernel/...", "kernel/fetch/..."}, not: elf},
	{pattern: "kernel/kerneltest", own: []string{"elfobj", "internal/unpack/packtest"}},
	{pattern: "templates", own: []string{"kernel/klpapi"}, not: concat(elf, impure)},
	{pattern: "kernel/buildtree", own: []string{"internal/regular", "kernel", "kernel/karch"}, not: elf},
	{pattern: "kbuild", own: []string{"finding", "internal/regular", "internal/sealed", "internal/unpack", "kernel/karch", "kernel/kconfig"}, not: elf},
	{pattern: "elfobj", own: []string{"internal/regular"}},
	{pattern: "elfdiff", own: []string{"elfobj", "finding"}, not: impure},
	{pattern: "locate", own: []string{"elfdiff", "elfobj", "finding", "kernel/kimage", "kernel/kmod"}, not: impure},
	{pattern: "generate", own: []string{"elfobj", "finding", "internal/regular", "kernel/klpapi", "module/note", "plan", "templates"}},

	{pattern: "release", own: []string{"finding", "module/note", "plan"}, not: concat(elf, impure)},
	{pattern: "release/manifest", own: []string{"finding", "internal/regular"}, not: []string{"os/exec"}},
	{pattern: "modsign", own: []string{"internal/regular"}, not: concat(elf, []string{"net/..."})},
	{pattern: "module/note", own: []string{"elfobj", "finding", "internal/regular", "kernel/klpapi"}, not: concat(elf, impure)},
	{pattern: "module", own: []string{"modsign", "elfobj", "internal/regular", "internal/unpack", "kernel/kmod", "kernel/trusted", "module/note"}, not: []string{"os/exec"}},

	// Checks use shared facts; one check does not use another.
	{pattern: "analyze/pack", not: impure},
	{pattern: "analyze/kfuncs", not: concat(elf, impure)},
	{pattern: "analyze/machine", own: []string{"analyze/kfuncs", "elfobj"}, not: impure},
	{pattern: "analyze/model", own: []string{"analyze/kfuncs", "analyze/machine", "analyze/pack", "elfobj", "elfdiff", "kernel/kimage", "plan"}, not: impure},
	{pattern: "analyze/locks/annot", own: []string{"analyze/...", "elfobj", "kernel/kimage"}, not: []string{"os/exec", "time", "net/..."}}, // reads sources
	{pattern: "analyze/passes/...", own: []string{"analyze", "analyze/*", "elfdiff", "elfobj", "finding", "kernel/klpapi", "plan"}, not: impure},
	{pattern: "analyze/...", own: []string{"analyze/...", "elfdiff", "elfobj", "finding", "kernel/klpapi", "locate", "plan"}, not: impure},
	{pattern: "report", own: []string{"analyze", "analyze/*", "elfdiff", "elfobj", "finding", "plan"}, not: []string{"os/exec"}},
	{pattern: "deploy", own: []string{"finding", "internal/regular", "module", "module/note", "plan", "release"}, not: elf},

	// Who wires them together.
	{pattern: "pipeline", own: []string{"*", "analyze/...", "kernel/k*", "internal/facts", "internal/provenance"}, not: []string{"os/exec"}},
	{pattern: "cmd/...", own: []string{"..."}, not: elf},

	// Tests and tools.
	{pattern: "internal/arch"},
	{pattern: "internal/regular"},
	{pattern: "internal/sealed", own: []string{"internal/regular"}},
	{pattern: "internal/syntax", not: concat(elf, impure)},
	{pattern: "internal/unpack"},
	// Who holds a transition up is found as klpforge load finds it.
	{pattern: "internal/vm/guest", own: []string{"deploy"}},
	{pattern: "internal/vm/...", own: []string{"internal/vm/...", "kernel/karch"}},
	{pattern: "internal/...", own: []string{"..."}},
}

var elf = []string{"debug/elf", "debug/dwarf"}

// reserved are packages of others that only some of ours may import.
var reserved = []rule{
	{pattern: "os/exec", own: []string{"kbuild", "kernel/fetch/...", "modsign", "internal/..."}},
	{pattern: "github.com/spf13/...", own: []string{"cmd/..."}},
	{pattern: "github.com/vbauerster/mpb/...", own: []string{"cmd/..."}},
	{pattern: "github.com/go-git/...", own: []string{"patchset"}},
	{pattern: "github.com/bluekeyes/...", own: []string{"patchset"}},
	{pattern: "github.com/cilium/ebpf/...", own: []string{"analyze/..."}},
	// Decoders: analyze/machine says what instructions do, elfobj how long they are and how an
	// assembler writes them; certcheck is written apart from all of them on purpose.
	{pattern: "golang.org/x/arch/...", own: []string{"elfobj", "analyze/machine", "internal/certcheck"}},
}

func concat(lists ...[]string) []string { return slices.Concat(lists...) }

// match reports whether a package fits a pattern.
func match(pattern, pkg string) bool {
	if pattern == "..." {
		return true
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == base || strings.HasPrefix(pkg, base+"/")
	}
	ok, err := path.Match(pattern, pkg)
	return ok && err == nil
}

func matchAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, pkg) })
}

// Violations lists what is wrong with the imports of a package, which is
// named relative to the module.
func Violations(pkg string, imports []string) []string {
	i := slices.IndexFunc(rules, func(r rule) bool { return match(r.pattern, pkg) })
	if i < 0 {
		return []string{fmt.Sprintf("%s: the design has no such package", pkg)}
	}
	var out []string
	for _, imp := range imports {
		own, isOwn := strings.CutPrefix(imp, Module+"/")
		switch {
		case isOwn && !matchAny(rules[i].own, own):
			out = append(out, fmt.Sprintf("%s must not import %s", pkg, own))
		case !isOwn && matchAny(rules[i].not, imp):
			out = append(out, fmt.Sprintf("%s must not import %s", pkg, imp))
		}
		for _, r := range reserved {
			if !isOwn && match(r.pattern, imp) && !matchAny(r.own, pkg) {
				out = append(out, fmt.Sprintf("%s must not import %s, which is for %s", pkg, imp, strings.Join(r.own, ", ")))
			}
		}
	}
	return out
}

// tools are the programs that only kbuild may run.
var tools = []string{"make", "cc", "gcc", "clang", "ld", "ld.lld", "ld.bfd", "as", "objtool", "objcopy", "strip", "genksyms", "pahole"}

// BuildTool reports whether a string of a program is, or begins with, the name
// of a program that compiles or links. Formats of error texts are not.
func BuildTool(text string) bool {
	if strings.Contains(text, "%w") {
		return false
	}
	word, _, _ := strings.Cut(text, " ")
	base := path.Base(word)
	return slices.Contains(tools, base) || strings.HasPrefix(base, "gcc-") || strings.HasPrefix(base, "clang-")
}
