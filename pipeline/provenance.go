package pipeline

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/internal/provenance"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/plan"
)

// ProvenanceSuffix is what the name of a module's provenance ends in.
const ProvenanceSuffix = provenance.Suffix

// state states what the module was made of.
func state(opt *Options, target *Target, tree *kbuild.Tree, patchPlan *plan.Plan, module,
	unsigned []byte) ([]byte, error) {
	inputs, err := inputsOf(opt, target, tree, patchPlan)
	if err != nil {
		return nil, fmt.Errorf("state the inputs: %w", err)
	}
	facts := map[string]any{"compiler": tree.CC, "compilerVersion": tree.CCVersion, "linuxVersion": tree.Version}
	if len(patchPlan.States) > 0 {
		var states []map[string]any
		for _, x := range patchPlan.States {
			states = append(states, map[string]any{"id": x.ID, "version": x.Version, "meaning": x.Meaning})
		}
		facts["states"] = states
	}
	s := provenance.Statement{Name: patchPlan.Name + ".ko", File: module, Unsigned: unsigned, Builder: opt.Builder,
		Wishes: wishes(opt, patchPlan), Facts: facts, Inputs: inputs}
	return s.JSON()
}

// wishes are what the user asked for, beside files: whatever may change the module or
// what is accepted in it.
func wishes(opt *Options, p *plan.Plan) map[string]any {
	object := map[string]any{"kernel": p.Release, "name": p.Name, "replace": p.Replace,
		"allowed": append([]plan.Allowed{}, p.Allowed...)}
	for key, value := range map[string]string{"series": p.Product, "vendor": p.Vendor, "version": p.Version,
		"description": p.Description,
		"api":         opt.API, "range": opt.GitRange} {
		if value != "" {
			object[key] = value
		}
	}
	for key, on := range map[string]bool{"immediate": opt.Immediate, "noAutoCallers": opt.NoAutoCallers,
		"skipCompilerCheck": opt.AllowCompilerMismatch, "skipSourceCheck": opt.AllowSourceMismatch,
		"trustPatch": opt.TrustPatch} {
		if on {
			object[key] = true
		}
	}
	for key, n := range map[string]int{"strip": opt.Strip, "fuzz": opt.Fuzz} {
		if n != 0 {
			object[key] = n
		}
	}
	if len(opt.Goals) > 0 {
		object["goals"] = opt.Goals
	}
	return object
}

// inputsOf lists the kernel's parts, the compiler and the patches, with digests.
func inputsOf(opt *Options, target *Target, tree *kbuild.Tree, patchPlan *plan.Plan) ([]provenance.Input, error) {
	var out []provenance.Input
	add := func(x provenance.Input, err error) error {
		out = append(out, x)
		return err
	}
	kern := target.K
	for _, part := range []struct {
		name string
		path func() (string, error)
	}{{"kernel image", kern.ImagePath}, {"kernel configuration", kern.ConfigPath}, {"Module.symvers", kern.SymversPath},
		{"compiler", func() (string, error) { return compilerPath(tree.CC) }}} {
		path, err := part.path()
		if err != nil {
			return nil, err
		}
		if err := add(provenance.File(part.name, path)); err != nil {
			return nil, err
		}
	}

	// Modules whose shipped code was compared and is replaced.
	for _, o := range patchPlan.Objects {
		if f, ok := target.modules.Find(o.Name); ok && o.Name != plan.Vmlinux {
			if err := add(provenance.File("module "+o.Name, f.Path)); err != nil {
				return nil, err
			}
		}
	}
	for _, path := range opt.Kernel.ExtraModules {
		if err := add(provenance.File("module", path)); err != nil {
			return nil, err
		}
	}

	src, err := kern.Source()
	if err != nil {
		return nil, err
	}
	if src.Dir == "" {
		err = add(provenance.File("kernel source", src.Tarball))
	} else {
		err = add(provenance.Dir("kernel source", src.Dir))
	}
	if err == nil && opt.ExternalSource != "" {
		err = add(provenance.Dir("module source", opt.ExternalSource))
	}
	if err != nil {
		return nil, err
	}
	for i := range patchPlan.Patches {
		x, err := patchInput(&patchPlan.Patches[i], opt.Patches)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// patchInput states one patch. One that does not come from one of the files has the
// digest of its commit.
func patchInput(patch *plan.Patch, files []string) (provenance.Input, error) {
	input := provenance.Input{Name: "patch " + patch.Name, Annotations: map[string]string{"content": patch.Content}}
	if patch.Subject != "" {
		input.Annotations["subject"] = patch.Subject
	}
	if len(patch.IDs) > 0 {
		input.Annotations["ids"] = strings.Join(patch.IDs, " ")
	}
	if i := slices.IndexFunc(files, func(f string) bool { return filepath.Base(f) == patch.Name }); i >= 0 {
		file, err := provenance.File(input.Name, files[i])
		if err != nil {
			return input, err
		}
		input.Digest = file.Digest
	}
	if len(patch.Name) == 40 && input.Digest == nil {
		input.Digest = map[string]string{"gitCommit": patch.Name}
	}
	return input, nil
}

// compilerPath is the compiler's program, without what is put before it.
func compilerPath(cc string) (string, error) {
	words := slices.DeleteFunc(strings.Fields(cc), func(w string) bool { return strings.HasPrefix(w, "-") })
	if len(words) == 0 {
		return "", errors.New("no compiler is known")
	}
	return kbuild.FindProgram(words[len(words)-1])
}
