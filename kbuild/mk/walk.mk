# Read in place of scripts/Makefile.build: evaluates one directory exactly as
# kbuild does, writes down what it would build, and goes on to the directories
# that kbuild would go on to.
include $(srctree)/scripts/Makefile.build

klpforge-out := $(KLPFORGE_OUT)/dir!$(subst /,!,$(obj))
klpforge-parts = $(foreach s,$(2),$($(patsubst $(obj)/%.o,%,$(1))$(s)))

$(file >$(klpforge-out),dir $(obj))
$(file >>$(klpforge-out),real-y $(real-obj-y) $(real-objs-y))
$(file >>$(klpforge-out),obj-m $(obj-m))
$(file >>$(klpforge-out),lib-y $(lib-y))
$(file >>$(klpforge-out),extra-y $(extra-y) $(always-y) $(always))
$(file >>$(klpforge-out),targets $(targets))
$(file >>$(klpforge-out),hostprogs $(hostprogs) $(userprogs) $(hostprogs-y))
$(file >>$(klpforge-out),subdirs $(subdir-ym))
$(file >>$(klpforge-out),modorder $(modorder) $(subdir-modorder))
$(foreach o,$(sort $(filter %.o,$(obj-m))),$(foreach p,$(strip $(call klpforge-parts,$(o),-objs -y -m)),$(file >>$(klpforge-out),part-m $(o) $(p))))

# Until v6.0 the top Makefile, not the Kbuild file beside it, lists the first
# directories, and goes to each of them for vmlinux and for modules.
klpforge-listed := $(if $(filter .,$(obj)),$(filter-out $(subdir-ym),$(KLPFORGE_TOP)))
klpforge-archives := $(real-obj-y) $(real-objs-y) $(addsuffix /built-in.a,$(klpforge-listed))
klpforge-orders := $(obj-m) $(modorder) $(addsuffix /modules.order,$(klpforge-listed))
$(file >>$(klpforge-out),listed $(klpforge-listed))

klpforge-subdirs := $(addprefix klpforge-walk@,$(subdir-ym) $(klpforge-listed))

.PHONY: klpforge-walk $(klpforge-subdirs)
klpforge-walk: $(klpforge-subdirs)
	@:

$(klpforge-subdirs): klpforge-walk@%:
	@$(MAKE) -f $(KLPFORGE_MK) obj=$* need-builtin=$(if $(filter $*/built-in.a $*/built-in.o,$(klpforge-archives)),1) need-modorder=$(if $(filter $*/modules.order,$(klpforge-orders)),1) klpforge-walk
