package returns

import (
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/registered"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/plan"
)

// Bounds of the search for callers.
const (
	maxUp      = 3   // functions that hand the result on, one above the other
	maxCallers = 500 // that are looked at for one function
)

// caller is a function that is not patched and gets the result, and what it does with it.
type caller struct {
	name string
	via  string // how the result gets there, "" when the function is called by its name
	use  code.Use
}

func (c *caller) String() string {
	if c.via == "" {
		return c.name
	}
	return fmt.Sprintf("%s (%s)", c.name, c.via)
}

// search finds who gets the result of one changed function.
type search struct {
	unit   *analyze.Unit
	ch     elfdiff.Change
	before *code.Object
	kernel *analyze.Kernel // nil when the target is not known
	follow *code.Follower

	callers []caller
	// everywhere says that callers in the rest of the kernel or of the module were looked at.
	everywhere bool
	members    []string // of structures that hold the changed function
	seen       map[place]bool
	looked     map[site]bool
}

// site is a call in a program.
type site struct {
	owner string
	at    uint64
}

// place is a function of a program; the owner of the object itself is "".
type place struct {
	owner string
	id    model.FuncID
}

// find looks for the callers of the changed function in its object, in the kernel and in
// modules, by name and through members of structures, and for those of the functions that
// hand its result on.
func find(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, before *code.Object, id model.FuncID) (*search,
	error) {
	s := &search{unit: unit, ch: ch, before: before, seen: map[place]bool{}, looked: map[site]bool{}}
	if pass.Kernel != nil {
		kernel, err := pass.Kernel()
		if err != nil {
			return nil, fmt.Errorf("look for callers in the kernel: %w", err)
		}
		s.kernel = kernel
	}
	s.follow = &code.Follower{Elsewhere: s.elsewhere}
	if err := s.look(before.Model, "", calling(before.Model, id), "", 0); err != nil {
		return nil, err
	}
	shipped := s.shipped(ch.Name)
	if shipped == model.NoFunc {
		return s, nil
	}
	s.everywhere = true
	return s, s.above(place{unit.Owner, shipped}, "", 0)
}

// shipped is the function of that name in the program that the object is part of; NoFunc
// when there is none, or several.
func (s *search) shipped(name string) model.FuncID {
	if s.kernel == nil {
		return model.NoFunc
	}
	program := s.kernel.Program(s.unit.Owner)
	if program == nil {
		return model.NoFunc
	}
	ids := program.Model.Lookup(name)
	if len(ids) != 1 {
		return model.NoFunc
	}
	return ids[0]
}

// elsewhere finds the code of a function that a program leaves undefined.
func (s *search) elsewhere(name string) (*model.Model, model.FuncID) {
	if s.kernel == nil {
		return nil, model.NoFunc
	}
	defined := func(m *model.Model) bool {
		if m == nil {
			return false
		}
		ids := m.Lookup(name)
		return len(ids) == 1 && m.Func(ids[0]).Flags&model.FuncExtern == 0
	}
	if program := s.kernel.Program(s.unit.Owner); program != nil && defined(program.Model) {
		return program.Model, program.Model.Lookup(name)[0]
	}
	if defined(s.kernel.Model) {
		return s.kernel.Model, s.kernel.Model.Lookup(name)[0]
	}
	if s.kernel.Exporter != nil {
		if m := s.kernel.Exporter(name); defined(m) {
			return m, m.Lookup(name)[0]
		}
	}
	return nil, model.NoFunc
}

// above looks at the callers of a function of the target: by name in its program and, for
// one that it exports, in modules, and through the members that hold it.
func (s *search) above(at place, via string, depth int) error {
	if s.seen[at] {
		return nil
	}
	s.seen[at] = true
	program := s.kernel.Program(at.owner)
	if program == nil {
		return nil
	}
	name := program.Model.Func(at.id).Name
	if err := s.look(program.Model, at.owner, calling(program.Model, at.id), via, depth); err != nil {
		return err
	}
	if err := s.through(at, via, depth); err != nil {
		return err
	}
	if s.kernel.Users == nil || !exported(program.Model, name) {
		return nil
	}
	users, err := s.kernel.Users(name)
	if err != nil {
		return fmt.Errorf("look for modules that call %s: %w", name, err)
	}
	for _, user := range users {
		module := s.kernel.Program(user)
		if module == nil || user == at.owner {
			continue
		}
		for _, id := range module.Model.Lookup(name) {
			if err := s.look(module.Model, user, calling(module.Model, id), via, depth); err != nil {
				return err
			}
			if err := s.through(place{user, id}, via, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// through looks at the calls, in the kernel and in one module, through the members of
// structures in which one of these surely holds a function.
func (s *search) through(at place, via string, depth int) error {
	if s.kernel.Registered == nil {
		return nil
	}
	kept, err := s.kernel.Registered(at.owner)
	if err != nil || kept == nil {
		return err
	}
	members := kept.Members(at.id)
	owners := []string{plan.Vmlinux}
	if at.owner != plan.Vmlinux {
		owners = append(owners, at.owner)
	}
	if depth == 0 {
		for _, member := range members {
			if !slices.Contains(s.members, member) {
				s.members = append(s.members, member)
			}
		}
		slices.Sort(s.members)
	}
	for _, owner := range owners {
		from, err := s.kernel.Registered(owner)
		if err != nil {
			return err
		}
		if from == nil {
			continue
		}
		for _, member := range members {
			way := "through " + member
			if via != "" {
				way = via + ", " + way
			}
			if err := s.look(from.Model, owner, throughCalls(from, member), way, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// look notes what the functions do that make some calls, and goes on above those that
// hand the result on. The owner of the object's own code is "".
func (s *search) look(m *model.Model, owner string, calls []*model.Call, via string, depth int) error {
	for _, call := range calls[:min(len(calls), maxCallers)] {
		name := m.Func(call.Caller).Name
		if s.replaced(name) || owner == s.unit.Owner && depth == 0 && via == "" && s.inObject(name) {
			continue // the object was looked at
		}
		if s.looked[site{owner, call.Site}] {
			continue // through the tables of several modules
		}
		s.looked[site{owner, call.Site}] = true
		use := s.follow.ResultUse(m, call)
		found := caller{name, via, use}
		if !slices.Contains(s.callers, found) {
			s.callers = append(s.callers, found)
		}
		if !use.Has(code.UseReturned) || depth == maxUp || s.kernel == nil {
			continue
		}
		at := place{owner, call.Caller}
		if owner == "" {
			if at = (place{s.unit.Owner, s.shipped(name)}); at.id == model.NoFunc {
				continue
			}
		}
		way := "through " + name
		if via != "" {
			way = via + ", " + name
		}
		if err := s.above(at, way, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// exported reports whether a module may refer to a function of the program by its name.
func exported(m *model.Model, name string) bool {
	_, ok := m.Prog.Lookup("__ksymtab_" + name)
	return ok
}

func (s *search) replaced(name string) bool {
	return name == s.ch.Name || slices.ContainsFunc(s.unit.Replace, func(c elfdiff.Change) bool { return c.Name == name })
}

// inObject reports whether the object defines a function of that name.
func (s *search) inObject(name string) bool {
	return slices.ContainsFunc(s.before.Model.Lookup(name), func(id model.FuncID) bool {
		return s.before.Model.Func(id).Flags&model.FuncExtern == 0
	})
}

// calling lists the calls of a function by its name.
func calling(m *model.Model, id model.FuncID) []*model.Call {
	var out []*model.Call
	for call := range m.Callers(id) {
		out = append(out, call)
	}
	return out
}

// throughCalls lists the calls through a member.
func throughCalls(kept *registered.Result, member string) []*model.Call {
	var out []*model.Call
	for _, site := range kept.Through(member) {
		calls := kept.Model.Calls(site.Caller)
		for i := range calls {
			if calls[i].Site == site.At {
				out = append(out, &calls[i])
				break // a call with several known targets is one call
			}
		}
	}
	return out
}

// with names the callers that do one of some things, sorted.
func (s *search) with(is func(use code.Use) bool) []string {
	var out []string
	for i := range s.callers {
		if is(s.callers[i].use) {
			out = append(out, s.callers[i].String())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// unsure are the callers of which it is not known what they do.
func (s *search) unsure() []string {
	return s.with(func(use code.Use) bool {
		return use.Has(code.UseUnknown) || use.Has(code.UseIgnored) && !use.Ignores()
	})
}

// shortList names some of a list.
func shortList(list []string) string {
	const some = 8
	if len(list) > some {
		return strings.Join(list[:some], ", ") + fmt.Sprintf(" and %d more", len(list)-some)
	}
	return strings.Join(list, ", ")
}
