package generate_test

import (
	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/templates"
)

// generation is one generation of the kernel's livepatch interface, with its
// declarations in testdata/include/<name>.
type generation struct {
	name string // mainline version that brought it
	api  generate.API
}

func generations() []generation {
	var out []generation
	for _, name := range templates.Interfaces() {
		a, err := templates.Interface(name)
		if err != nil {
			panic(err)
		}
		out = append(out, generation{name, a})
	}
	return out
}

// apiOf returns the interface of one generation.
func apiOf(name string) generate.API {
	for _, g := range generations() {
		if g.name == name {
			return g.api
		}
	}
	panic("no generation " + name)
}
