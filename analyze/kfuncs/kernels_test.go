package kfuncs_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/plan"
)

// TestSources looks each function of the table up in the file that its row stands
// below, in the prepared trees of the kernels at hand. It need be in one of them,
// because files move; a row of versions of which none is at hand is only counted.
func TestSources(t *testing.T) {
	trees, err := filepath.Glob(filepath.Join(cache(t), "trees", "*", "linux"))
	if err != nil {
		t.Fatal(err)
	}
	if len(trees) == 0 {
		t.Skip("no prepared tree of a kernel in the cache; run `make kernels`")
	}
	var old []string
	texts := map[string]string{}
	read := func(path string) string {
		if text, ok := texts[path]; ok {
			return text
		}
		b, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		texts[path] = commentsRE.ReplaceAllString(string(b), "")
		return texts[path]
	}
	for row := range kfuncs.All() {
		if row.File == "" {
			continue
		}
		word := regexp.MustCompile(`\b` + regexp.QuoteMeta(row.As) + `(_noprof)?\b`)
		inRange, found := false, false
		for _, tree := range trees {
			if !covers(row, filepath.Base(filepath.Dir(tree))) {
				continue
			}
			inRange = true
			if found = word.MatchString(read(filepath.Join(tree, row.File))); found {
				break
			}
		}
		switch {
		case !inRange:
			old = append(old, row.Name)
		case !found:
			t.Errorf("no kernel at hand has %s in %s", row.As, row.File)
		}
	}
	t.Logf("%d trees; not looked up, of other versions: %s", len(trees), strings.Join(old, " "))
}

var commentsRE = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)

// covers reports whether a release is one of the versions of a row.
func covers(row kfuncs.Row, release string) bool {
	version := versionRE.FindString(release)
	return (row.Since == "" || plan.CompareVersions(version, row.Since) >= 0) &&
		(row.Until == "" || plan.CompareVersions(version, row.Until) <= 0)
}

var versionRE = regexp.MustCompile(`^\d+\.\d+`)

// TestMemberSources looks each member of the table up in the file that its row stands
// below, in the prepared trees, and in the types of the kernels at hand: it is a pointer
// to a function. A structure of drivers need not be among the types of a kernel's image.
func TestMemberSources(t *testing.T) {
	trees, err := filepath.Glob(filepath.Join(cache(t), "trees", "*", "linux"))
	if err != nil {
		t.Fatal(err)
	}
	var specs []*btf.Spec
	for _, k := range kernels(t) {
		raw, err := k.BTF()
		if err != nil {
			t.Fatal(err)
		}
		spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		specs = append(specs, spec)
	}
	for row := range kfuncs.Members() {
		structure, member, _ := strings.Cut(row.Name, ".")
		member, _, _ = strings.Cut(member, "[") // an argument of calls through it
		word := regexp.MustCompile(`\b` + regexp.QuoteMeta(member) + `\b`)
		if !slices.ContainsFunc(trees, func(tree string) bool {
			b, err := os.ReadFile(filepath.Join(tree, row.File))
			return err == nil && word.Match(commentsRE.ReplaceAll(b, nil))
		}) {
			t.Errorf("no kernel at hand has %s in %s", member, row.File)
		}
		seen, right := false, false
		for _, spec := range specs {
			var typ *btf.Struct
			if spec.TypeByName(structure, &typ) != nil {
				continue
			}
			seen = true
			right = right || holdsFunc(typ.Members, member)
		}
		if seen && !right {
			t.Errorf("%s is no pointer to a function in the kernels at hand", row.Name)
		}
	}
}

// holdsFunc reports whether a member, or one in a member without a name, is a pointer to a
// function.
func holdsFunc(members []btf.Member, name string) bool {
	return slices.ContainsFunc(members, func(m btf.Member) bool {
		switch inner := btf.UnderlyingType(m.Type).(type) {
		case *btf.Struct:
			return m.Name == "" && holdsFunc(inner.Members, name)
		case *btf.Union:
			return m.Name == "" && holdsFunc(inner.Members, name)
		}
		return m.Name == name && pointsToFunc(m.Type)
	})
}

// TestFamilies looks for a symbol of each family in the kernels at hand, or for an
// inline function or macro in the headers of their trees.
func TestFamilies(t *testing.T) {
	var names []string
	for _, k := range kernels(t) {
		syms, err := k.Symbols()
		if err != nil {
			t.Fatal(err)
		}
		for s := range syms.All() {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	inline := inlines(t)
	for row := range kfuncs.All() {
		if row.File != "" {
			continue
		}
		word := strings.Trim(row.Name, "*")
		fits := strings.HasPrefix
		switch {
		case strings.HasPrefix(row.Name, "*") && strings.HasSuffix(row.Name, "*"):
			fits = strings.Contains
		case strings.HasPrefix(row.Name, "*"):
			fits = strings.HasSuffix
		}
		fit := func(name string) bool { return fits(name, word) }
		if !slices.ContainsFunc(names, fit) && !slices.ContainsFunc(inline, fit) {
			t.Errorf("no kernel at hand has a function of the family %s", row.Name)
		}
	}
}

// inlines lists what headers of the prepared trees define as inline function or macro
// with parameters.
func inlines(t *testing.T) []string {
	t.Helper()
	headers, err := filepath.Glob(filepath.Join(cache(t), "trees", "*", "linux", "include", "linux", "*.h"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, h := range headers {
		b, err := os.ReadFile(h)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range inlineRE.FindAllStringSubmatch(commentsRE.ReplaceAllString(string(b), ""), -1) {
			seen[m[1]+m[2]] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

var inlineRE = regexp.MustCompile(`(?m)^static (?:__always_)?inline [^;=(]*?(\w+)\s*\(|^#define (\w+)\(`)

// TestArguments compares the arguments that rows speak of with the types that the
// kernels at hand have of the functions.
func TestArguments(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range kernels(t) {
		raw, err := k.BTF()
		if err != nil {
			t.Fatal(err)
		}
		spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		for row := range kfuncs.All() {
			if row.File == "" || !covers(row, k.Release()) {
				continue
			}
			proto := protoOf(spec, row.Name)
			if proto == nil {
				continue
			}
			for column, check := range checks {
				val, ok := row.Columns[column]
				if !ok {
					continue
				}
				seen[column] = true
				for _, arg := range argsOf(column, val) {
					if arg >= len(proto.Params) {
						t.Errorf("%s: %s has %d parameters, the row says %s=%s", k.Release(), row.Name, len(proto.Params), column, val)
					} else if typ := proto.Params[arg].Type; !check(typ) {
						t.Errorf("%s: argument %d of %s is %s, the row says %s=%s", k.Release(), arg, row.Name, typeName(typ), column, val)
					}
				}
			}
		}
	}
	for column := range checks {
		if !seen[column] {
			t.Errorf("no kernel at hand has types of a function with %s=", column)
		}
	}
}

// checks say which types the arguments of a column have.
var checks = map[string]func(btf.Type) bool{
	"gfp":       func(typ btf.Type) bool { return typeName(typ) == "gfp_t" },
	"state-arg": isInt,
	"shadow-id": isInt,
	"restores":  isInt,
	"runs":      func(typ btf.Type) bool { return isPointer(typ) && pointsToFunc(typ) },
	"lock":      isPointer,
	"get":       isPointer,
	"put":       isPointer,
	"last":      isPointer,
	"free":      func(typ btf.Type) bool { return isPointer(typ) || isInt(typ) },
}

// argsOf lists the arguments that a column speaks of, sorted.
func argsOf(column, val string) []int {
	seen := map[int]bool{}
	switch column {
	case "lock":
		val, _, _ = strings.Cut(val, "?")
		for op := range strings.SplitSeq(val, ",") {
			kind, at, has := strings.Cut(strings.TrimLeft(op, "+-"), "@")
			n, err := strconv.Atoi(at)
			switch {
			case has && err == nil:
				seen[n] = true
			case !has && !slices.Contains([]string{"none", "rcu", "irq", "bh"}, kind), strings.Contains(at, "."):
				seen[0] = true
			}
		}
	default:
		for word := range strings.SplitSeq(val, ",") {
			number, _, _ := strings.Cut(word, ":")
			if n, err := strconv.Atoi(number); err == nil {
				seen[n] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

func protoOf(spec *btf.Spec, name string) *btf.FuncProto {
	for _, n := range []string{name, name + "_noprof"} {
		var f *btf.Func
		if spec.TypeByName(n, &f) == nil {
			if proto, ok := f.Type.(*btf.FuncProto); ok {
				return proto
			}
		}
	}
	return nil
}

// typeName names the first typedef of a type, else what it is.
func typeName(typ btf.Type) string {
	if d, ok := typ.(*btf.Typedef); ok {
		return d.Name
	}
	return fmt.Sprintf("%v", btf.UnderlyingType(typ))
}

func isInt(typ btf.Type) bool {
	_, ok := btf.UnderlyingType(typ).(*btf.Int)
	return ok
}

func isPointer(typ btf.Type) bool {
	_, ok := btf.UnderlyingType(typ).(*btf.Pointer)
	return ok
}

func pointsToFunc(typ btf.Type) bool {
	p, ok := btf.UnderlyingType(typ).(*btf.Pointer)
	if !ok {
		return false
	}
	_, ok = btf.UnderlyingType(p.Target).(*btf.FuncProto)
	return ok
}

func cache(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("KLPFORGE_E2E_CACHE")
	if os.Getenv("KLPFORGE_E2E") == "" || dir == "" {
		t.Skip("needs real kernels; run `make e2e`")
	}
	return dir
}

// kernels opens those of the cache that are complete.
func kernels(t *testing.T) []*kernel.Target {
	t.Helper()
	dir := cachedir.Dir(cache(t))
	manifests, err := filepath.Glob(filepath.Join(dir.Targets(), "*", "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(manifests) == 0 {
		t.Skip("no kernel in the cache; run `make kernels`")
	}
	var out []*kernel.Target
	for _, m := range manifests {
		release := filepath.Base(filepath.Dir(m))
		k, err := kernel.Open(kernel.Options{Release: release, Root: dir.TargetRoot(release), Cache: dir})
		if err != nil {
			t.Fatalf("%s: %v", release, err)
		}
		t.Cleanup(func() { k.Close() })
		out = append(out, k)
	}
	return out
}
