package kmod

import (
	"github.com/klpforge/klpforge/kernel/kconfig"
)

// rules are the facts of the configuration that decide which symbols of a
// module kallsyms keeps.
type rules struct {
	all    bool // KALLSYMS_ALL: data symbols too
	unload bool // MODULE_UNLOAD: a module's .exit sections are kept
}

// rulesOf takes both for set when there is no configuration.
func rulesOf(config *kconfig.Config) rules {
	if config == nil {
		return rules{all: true, unload: true}
	}
	return rules{all: config.Bool("KALLSYMS_ALL"), unload: config.Bool("MODULE_UNLOAD")}
}
