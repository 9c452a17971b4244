package kernel

import (
	"testing"

	"github.com/klpforge/klpforge/kernel/kconfig"
)

func TestVermagic(t *testing.T) {
	for cfg, want := range map[string]string{
		"CONFIG_SMP=y\nCONFIG_PREEMPT_BUILD=y\nCONFIG_MODULE_UNLOAD=y\nCONFIG_MODVERSIONS=y\n": "6.1.0 SMP preempt mod_unload modversions ",
		"CONFIG_SMP=y\nCONFIG_PREEMPT_RT=y\nCONFIG_PREEMPT_BUILD=y\n":                          "6.1.0 SMP preempt_rt ",
		"CONFIG_ARM64=y\n": "6.1.0 aarch64",
		"CONFIG_PPC64=y\nCONFIG_SMP=y\nCONFIG_MPROFILE_KERNEL=y\nCONFIG_RELOCATABLE=y\n": "6.1.0 SMP mprofile-kernel relocatable ",
	} {
		c, err := kconfig.Parse("c", cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := vermagicOf("6.1.0", c); err != nil || got != want {
			t.Errorf("%q: %q, %v", cfg, got, err)
		}
	}
	c, _ := kconfig.Parse("c", "CONFIG_RANDSTRUCT=y\n")
	if _, err := vermagicOf("6.1.0", c); err == nil {
		t.Error("no error for RANDSTRUCT")
	}
}
