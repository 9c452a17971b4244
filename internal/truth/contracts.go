package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/passes/ownership"
	"github.com/klpforge/klpforge/internal/facts"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/cachedir"
)

// What the checks find of functions of a kernel is held against what its developers wrote
// for other readers: the verifier of BPF (BTF_ID_FLAGS, include/linux/btf.h, v6.1) and the
// compiler (__must_check).

// contracts are the functions of a source tree, by what it says of them.
type contracts struct {
	retNull, acquire, release, mustCheck map[string]bool
}

var (
	flagsRE = regexp.MustCompile(`BTF_ID_FLAGS\(func,\s*(\w+)\s*(?:,\s*([A-Z_|\s]+))?\)`)
	// A declaration at the start of a line: type, attribute, name.
	mustCheckRE = regexp.MustCompile(`(?m)^(?:[\w*]+[ \t*]+)*?__must_check[ \t\n]+(?:[\w*]+[ \t*]+)*?\**(\w+)\(`)
)

// read adds what one file says.
func (c *contracts) read(text string) {
	if !strings.Contains(text, "BTF_ID_FLAGS") && !strings.Contains(text, "__must_check") {
		return // an expression takes long for half a gigabyte
	}
	for _, match := range flagsRE.FindAllStringSubmatch(text, -1) {
		for flag := range strings.SplitSeq(match[2], "|") {
			switch strings.TrimSpace(flag) {
			case "KF_RET_NULL":
				c.retNull[match[1]] = true
			case "KF_ACQUIRE":
				c.acquire[match[1]] = true
			case "KF_RELEASE":
				c.release[match[1]] = true
			}
		}
	}
	for _, match := range mustCheckRE.FindAllStringSubmatch(text, -1) {
		c.mustCheck[match[1]] = true
	}
}

// readContracts reads a kernel's sources, without those for tests and tools.
func readContracts(tree string) (*contracts, error) {
	out := &contracts{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
	err := filepath.WalkDir(tree, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && slices.Contains([]string{"tools", "samples", "Documentation", "scripts"}, name) {
			return fs.SkipDir
		}
		if !entry.Type().IsRegular() || !strings.HasSuffix(name, ".c") && !strings.HasSuffix(name, ".h") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil {
			out.read(string(text))
		}
		return err
	})
	if err == nil && len(out.retNull) == 0 {
		err = fmt.Errorf("%s has no functions with KF_RET_NULL", tree)
	}
	return out, err
}

// score counts how often what was found is what the source says.
type score struct {
	agrees, unknown int
	otherwise       []string // names
}

// verdict is what was found of one function.
type verdict int

const (
	unknown verdict = iota
	agrees
	otherwise
)

func (s *score) add(name string, found verdict) {
	switch found {
	case agrees:
		s.agrees++
	case otherwise:
		s.otherwise = append(s.otherwise, name)
	default:
		s.unknown++
	}
}

func (s *score) row(what string) string {
	whole := s.agrees + s.unknown + len(s.otherwise)
	slices.Sort(s.otherwise)
	return fmt.Sprintf("| %s | %d | %s | %s | %s | %s |", what, whole, share(s.agrees, whole), share(s.unknown, whole),
		share(len(s.otherwise), whole), strings.Join(slices.Compact(s.otherwise), ", "))
}

// each scores the functions of a set that the kernel's image holds.
func each(m *model.Model, names map[string]bool, judge func(model.FuncID) verdict) (out score) {
	for name := range names {
		if ids := m.Lookup(name); len(ids) == 1 && len(m.Blocks(ids[0])) > 0 {
			out.add(name, judge(ids[0]))
		}
	}
	return out
}

// returnsNull judges whether a function may return NULL.
func returnsNull(m *model.Model) func(model.FuncID) verdict {
	return func(id model.FuncID) verdict {
		switch returns := code.ReturnsOf(m, id); {
		case returns.Has(0):
			return agrees
		case returns.Other:
			return unknown
		}
		return otherwise
	}
}

// counts judges whether a function takes or gives up a reference.
func counts(of func(model.FuncID) []ownership.Summary, takes bool) func(model.FuncID) verdict {
	return func(id model.FuncID) verdict {
		found := of(id)
		right := func(s ownership.Summary) bool { return takes && s.Takes || !takes && s.Drops }
		switch {
		case slices.ContainsFunc(found, right):
			return agrees
		case len(found) == 0:
			return unknown
		}
		return otherwise
	}
}

// looked scores the calls of functions whose result must be looked at: the caller's name
// and the function's stand for one that does not.
func looked(m *model.Model, names map[string]bool) (out score) {
	follow := &code.Follower{}
	for name := range names {
		ids := m.Lookup(name)
		if len(ids) != 1 {
			continue
		}
		for call := range m.Callers(ids[0]) {
			switch use := follow.ResultUse(m, call); {
			case use.Ignores():
				out.add(name+" by "+m.Func(call.Caller).Name, otherwise)
			case use == code.UseUnknown:
				out.add(name, unknown)
			default:
				out.add(name, agrees)
			}
		}
	}
	return out
}

// against measures the summaries of one prepared kernel and prints them.
func against(out io.Writer, cache cachedir.Dir, release string) error {
	trees, err := filepath.Glob(filepath.Join(string(cache), "trees", release+"-*", "linux"))
	if err != nil || len(trees) == 0 {
		return fmt.Errorf("no prepared tree of %s (error %v)", release, err)
	}
	says, err := readContracts(trees[0])
	if err != nil {
		return err
	}
	k, err := facts.Open(kernel.Options{Release: release, Root: cache.TargetRoot(release), Cache: cache})
	if err != nil {
		return err
	}
	defer k.Close()
	of := ownership.Summaries(k.Model, k.Locks)
	fmt.Fprintf(out, "\n%s:\n\n", release)
	fmt.Fprintln(out, "| the source says | functions or calls | found the same | nothing found | found otherwise | which |")
	fmt.Fprintln(out, "| --- | --- | --- | --- | --- | --- |")
	for _, one := range []struct {
		what string
		score
	}{
		{"KF_RET_NULL: may return NULL", each(k.Model, says.retNull, returnsNull(k.Model))},
		{"KF_ACQUIRE: takes a reference to an argument, or makes an object", each(k.Model, says.acquire, counts(of, true))},
		{"KF_RELEASE: gives up an argument, or frees it", each(k.Model, says.release, counts(of, false))},
		{"__must_check: callers look at the result", looked(k.Model, says.mustCheck)},
	} {
		fmt.Fprintln(out, one.row(one.what))
	}
	return nil
}
