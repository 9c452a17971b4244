package main

import "strings"

// modulePath is the import path of this module.
const modulePath = "github.com/klpforge/klpforge"

// subject is a package that gets faults, and where its tests are.
type subject struct {
	pkg   string   // relative to the module
	tests []string // patterns relative to the module; the package itself is always among them
}

// core lists what decides which code runs in a patched kernel.
var core = []subject{
	{pkg: "elfdiff"},
	{pkg: "locate"},
	{pkg: "generate"},
	{pkg: "release"},
	{pkg: "deploy"},
	{pkg: "patchset"},
	{pkg: "pipeline"},
	{pkg: "module"},
	{pkg: "analyze"},
	{pkg: "analyze/code", tests: []string{"analyze/passes/context", "analyze/passes/meaning", "analyze/passes/returns"}},
	{pkg: "analyze/join"},
	{pkg: "analyze/kfuncs"},
	{pkg: "analyze/lockdiff", tests: []string{"analyze/passes/lockeffect"}},
	{pkg: "analyze/locks", tests: []string{"analyze/passes/lockeffect", "analyze/passes/lockorder", "analyze/passes/selflock"}},
	{pkg: "analyze/model", tests: []string{"analyze/locks", "analyze/stacks"}},
	{pkg: "analyze/sleeps", tests: []string{"analyze/passes/context"}},
	{pkg: "analyze/machine"},
	{pkg: "analyze/stacks", tests: []string{"analyze/passes/unseen"}},
	{pkg: "analyze/fields"},
	{pkg: "analyze/equiv"},
	{pkg: "analyze/types", tests: []string{"analyze/passes/layout", "analyze/passes/ownership"}},
}

// subjects finds the named packages in core; all of it without names.
func subjects(names []string) (out []subject, unknown string) {
	if len(names) == 0 {
		return core, ""
	}
	for _, n := range names {
		n = strings.TrimSuffix(strings.TrimPrefix(n, "./"), "/")
		found := false
		for _, s := range core {
			if s.pkg == n {
				out, found = append(out, s), true
			}
		}
		if !found {
			return nil, n
		}
	}
	return out, ""
}
