package generate_test

import (
	"github.com/klpforge/klpforge/kernel/klpapi"
)

// generation is one generation of the kernel's livepatch interface, with its
// declarations in testdata/livepatch/<name> at the top.
type generation struct {
	name string // mainline version that brought it
	api  klpapi.API
}

func generations() []generation {
	var out []generation
	for _, name := range klpapi.Versions() {
		a, err := klpapi.Mainline(name)
		if err != nil {
			panic(err)
		}
		out = append(out, generation{name, a})
	}
	return out
}

// apiOf returns the interface of one generation.
func apiOf(name string) klpapi.API {
	for _, g := range generations() {
		if g.name == name {
			return g.api
		}
	}
	panic("no generation " + name)
}
