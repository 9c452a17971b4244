# Read in place of scripts/Makefile.build: goes down a chain of directories as kbuild
# does, to hand goals to the makefile of the last one and to no other.
include $(srctree)/scripts/Makefile.build

klpforge-next := $(firstword $(KLPFORGE_CHAIN))
klpforge-rest := $(wordlist 2,$(words $(KLPFORGE_CHAIN)),$(KLPFORGE_CHAIN))

.PHONY: klpforge-goals
klpforge-goals:
	@KLPFORGE_CHAIN='$(klpforge-rest)' $(MAKE) -f $(if $(klpforge-rest),$(KLPFORGE_MK),$(srctree)/scripts/Makefile.build) obj=$(klpforge-next) need-builtin=$(if $(filter $(klpforge-next)/built-in.a $(klpforge-next)/built-in.o,$(real-obj-y) $(real-objs-y)),1) need-modorder=$(if $(filter $(klpforge-next)/modules.order,$(obj-m)),1) $(if $(klpforge-rest),klpforge-goals,$(KLPFORGE_GOALS))
