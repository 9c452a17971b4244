package deploy

import (
	"strings"

	"github.com/klpforge/klpforge/module"
)

// trust checks the signature of a module file, once, and writes into its facts
// how far they can be relied on.
func (m *Machine) trust(mod *Module, release string) {
	if mod.checked {
		return
	}
	mod.checked = true
	trust := module.Check(mod.data, func() *module.Keyring {
		if m.keys == nil {
			m.keys = module.ReadKeyring(m.path(), release)
		}
		return m.keys
	})
	mod.Facts.NoteTrusted, mod.Facts.NoteTrust, mod.forged = trust.Trusted, trust.Reason, trust.Forged
}

// loadedTrust says whether the kernel vouches for a loaded module: one that
// knows signatures marks what it took without a valid one (taint flag E,
// Documentation/admin-guide/tainted-kernels.rst).
func (m *Machine) loadedTrust(name string) (trusted bool, why string) {
	if _, ok, err := attr(m.path("sys/module/module/parameters/sig_enforce")); err != nil || !ok {
		return false, "this kernel does not check signatures of modules (CONFIG_MODULE_SIG)"
	}
	taint, ok, err := attr(m.path("sys/module", name, "taint"))
	switch {
	case err != nil || !ok:
		return false, "whether the kernel found a valid signature is not known"
	case strings.Contains(taint, "E"):
		return false, "the kernel found no valid signature when it was loaded"
	}
	return true, "the kernel checked its signature when it was loaded"
}

// enforced says why the kernel takes only modules with a valid signature; ""
// when it takes others, or where it cannot be told.
func (m *Machine) enforced() string {
	if v, ok, err := attr(m.path("sys/module/module/parameters/sig_enforce")); err == nil && ok && v == "Y" {
		return "module.sig_enforce is on"
	}
	if v, ok, err := attr(m.path("sys/kernel/security/lockdown")); err == nil && ok &&
		(strings.Contains(v, "[integrity]") || strings.Contains(v, "[confidentiality]")) {
		return "the kernel is locked down"
	}
	return ""
}
