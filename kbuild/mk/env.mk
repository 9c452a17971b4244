# Included by make at the root of a kernel tree in place of its Makefile: after
# reading that one, writes down everything it exports to the makefiles of
# directories, and which directories end up in vmlinux.
include Makefile

KBUILD_BUILTIN := 1
KBUILD_MODULES := 1
export KBUILD_BUILTIN KBUILD_MODULES

.PHONY: klpforge-env
klpforge-env:
	@env -0 > $(KLPFORGE_OUT)

$(file >$(KLPFORGE_OUT).dirs,libs $(libs-y) $(KBUILD_VMLINUX_LIBS) $(filter %/lib.a,$(KBUILD_VMLINUX_OBJS)))
$(file >>$(KLPFORGE_OUT).dirs,head $(head-y))
$(file >>$(KLPFORGE_OUT).dirs,dirs $(filter-out .,$(sort $(build-dir) $(build-dirs) $(vmlinux-dirs))))
$(file >>$(KLPFORGE_OUT).dirs,objs $(filter %/built-in.a %/built-in.o,$(KBUILD_VMLINUX_OBJS) $(vmlinux-objs) $(vmlinux-deps)))
