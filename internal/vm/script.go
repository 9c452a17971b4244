package vm

import (
	"encoding/json"
	"fmt"
	"path"

	"github.com/klpforge/klpforge/internal/vm/guest"
)

// Script is a job for one boot: steps, and the files they name. guest.Modprobe
// steps need no file: Run finds the modules below Options.Root.
type Script struct {
	Steps []guest.Step
	Files []File
}

// File is one file of the initramfs.
type File struct {
	Name string // absolute path in the guest
	Host string // file on the host; when empty, Data is the content
	Data []byte
	Mode uint32 // permission bits; default 0644
}

// Add returns s with more steps.
func (s Script) Add(steps ...guest.Step) Script {
	s.Steps = append(s.Steps[:len(s.Steps):len(s.Steps)], steps...)
	return s
}

// ModuleFile is the place in the guest of a module file that a script loads
// itself. A compressed file on the host is decompressed on the way.
func ModuleFile(host string) File {
	return File{Name: path.Join("/ko", moduleBase(host)+".ko"), Host: host}
}

// resolve turns a script into what the guest reads, and adds the files of all
// modules that it needs. tree is asked only when a step names a module.
func resolve(s Script, tree func() (*ModuleTree, error)) (guest.Script, []File, error) {
	resolving := resolver{tree: tree, have: map[string]bool{}}
	for _, file := range s.Files {
		resolving.files = append(resolving.files, file)
		resolving.have[file.Name] = true
	}
	steps, err := resolving.steps(s.Steps)
	if err != nil {
		return guest.Script{}, nil, err
	}
	gs := guest.Script{Steps: steps}
	text, err := json.Marshal(gs)
	if err != nil {
		return gs, nil, fmt.Errorf("encode script: %w", err)
	}
	resolving.files = append(resolving.files, File{Name: guest.ScriptPath, Data: text})
	return gs, resolving.files, nil
}

type resolver struct {
	tree  func() (*ModuleTree, error)
	files []File
	have  map[string]bool
}

func (r *resolver) steps(in []guest.Step) ([]guest.Step, error) {
	out := make([]guest.Step, len(in))
	for nth, step := range in {
		var err error
		if step.Op == guest.OpModprobe {
			if step.Files, err = r.module(step.Module); err != nil {
				return nil, err
			}
		}
		if len(step.Batch) > 0 {
			if step.Batch, err = r.batch(step.Batch); err != nil {
				return nil, err
			}
		}
		if len(step.Steps) > 0 {
			if step.Steps, err = r.steps(step.Steps); err != nil {
				return nil, err
			}
		}
		out[nth] = step
	}
	return out, nil
}

// batch replaces the names in Before and After by files.
func (r *resolver) batch(in []guest.BatchModule) ([]guest.BatchModule, error) {
	out := make([]guest.BatchModule, len(in))
	for nth, module := range in {
		for _, list := range []*[]guest.ModFile{&module.Before, &module.After} {
			var files []guest.ModFile
			for _, want := range *list {
				if want.Path != "" { // the script brings the file itself
					files = append(files, want)
					continue
				}
				f, err := r.module(want.Name)
				if err != nil {
					return nil, err
				}
				files = append(files, f...)
			}
			*list = files
		}
		out[nth] = module
	}
	return out, nil
}

// module returns the files of a module and its dependencies in load order.
func (r *resolver) module(name string) ([]guest.ModFile, error) {
	tree, err := r.tree()
	if err != nil {
		return nil, err
	}
	deps, err := tree.Closure(name)
	if err != nil {
		return nil, err
	}
	var out []guest.ModFile
	for _, dep := range deps {
		guestPath := path.Join(guest.ModuleDir, dep.Name+".ko")
		if !r.have[guestPath] {
			r.have[guestPath] = true
			r.files = append(r.files, File{Name: guestPath, Host: dep.Path})
		}
		out = append(out, guest.ModFile{Name: dep.Name, Path: guestPath, Optional: dep.Optional})
	}
	return out, nil
}
