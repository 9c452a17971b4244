package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/internal/certcheck"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/fetch"
	"github.com/klpforge/klpforge/pipeline"
)

// change is an edit of one function of the kernel's source.
type change struct{ name, file, old, new string }

// harmlessChanges are fixes that may switch at any time.
var harmlessChanges = []change{
	{"argument checked before anything is done", "net/core/dev.c",
		"\tif (len >= IFALIASZ)\n\t\treturn -EINVAL;\n", "\tif (len >= IFALIASZ)\n\t\treturn -EINVAL;\n\tif (len && !alias)\n\t\treturn -EINVAL;\n"},
	{"tightened limit", "kernel/bpf/arraymap.c",
		"\tif (attr->value_size > INT_MAX)\n\t\treturn -E2BIG;\n", "\tif (attr->value_size > INT_MAX - 4096)\n\t\treturn -E2BIG;\n"},
	{"message", "kernel/time/posix-clock.c",
		"pr_err(\"%s unable to add device %d:%d\\n\",\n\t\t\tdev_name(dev), MAJOR(dev->devt), MINOR(dev->devt));", "pr_err(\"%s: unable to add the clock: %d\\n\",\n\t\t\tdev_name(dev), err);"},
	{"one more rejected", "fs/attr.c",
		"\tif (offset < 0)\n\t\treturn -EINVAL;\n\tif (inode->i_size < offset) {", "\tif (offset < 0)\n\t\treturn -EINVAL;\n\tif (offset > inode->i_sb->s_maxbytes + PAGE_SIZE)\n\t\treturn -EINVAL;\n\tif (inode->i_size < offset) {"},
	{"state checked", "fs/read_write.c",
		"\tif (unlikely((ssize_t) count < 0))\n\t\treturn -EINVAL;\n\n\tif (ppos) {", "\tif (unlikely((ssize_t) count < 0))\n\t\treturn -EINVAL;\n\tif (unlikely(!file->f_op))\n\t\treturn -EINVAL;\n\n\tif (ppos) {"},
	{"pointer checked that was used", "net/core/neighbour.c",
		"\tneigh_hold(n);\n\tif (!time_in_range(n->confirmed, mint, jiffies))", "\tif (!n)\n\t\treturn;\n\tneigh_hold(n);\n\tif (!time_in_range(n->confirmed, mint, jiffies))"},
	{"range checked", "block/ioprio.c",
		"\tint level = IOPRIO_PRIO_LEVEL(ioprio);\n\n\tswitch (class) {", "\tint level = IOPRIO_PRIO_LEVEL(ioprio);\n\n\tif (ioprio >> 24)\n\t\treturn -EINVAL;\n\n\tswitch (class) {"},
}

// hazardousChanges are right as source, perhaps, and need the consistency model.
var hazardousChanges = []change{
	{"hash computed otherwise", "fs/kernfs/dir.c", "\thash &= 0x7fffffffU;\n", "\thash = (hash >> 1) & 0x7fffffffU;\n"},
	{"flags of an allocation", "net/core/dev.c", "new_alias = kmalloc(sizeof(*new_alias) + len + 1, GFP_KERNEL);", "new_alias = kmalloc(sizeof(*new_alias) + len + 1, GFP_ATOMIC);"},
	{"store moved over an unlock", "fs/fcntl.c",
		"\t\tfilp->f_owner.pid_type = type;\n\n\t\tif (pid) {\n\t\t\tconst struct cred *cred = current_cred();\n\t\t\tsecurity_file_set_fowner(filp);\n\t\t\tfilp->f_owner.uid = cred->uid;\n\t\t\tfilp->f_owner.euid = cred->euid;\n\t\t}\n\t}\n\twrite_unlock_irq(&filp->f_owner.lock);\n",
		"\n\t\tif (pid) {\n\t\t\tconst struct cred *cred = current_cred();\n\t\t\tsecurity_file_set_fowner(filp);\n\t\t\tfilp->f_owner.uid = cred->uid;\n\t\t\tfilp->f_owner.euid = cred->euid;\n\t\t}\n\t}\n\twrite_unlock_irq(&filp->f_owner.lock);\n\tfilp->f_owner.pid_type = type;\n"},
	{"reference no more taken", "net/core/neighbour.c", "\tneigh_hold(n);\n\tif (!time_in_range(n->confirmed, mint, jiffies))", "\tif (!time_in_range(n->confirmed, mint, jiffies))"},
	{"store before it is visible", "kernel/time/posix-clock.c", "\terr = cdev_device_add(&clk->cdev, dev);\n", "\tclk->dev = dev;\n\terr = cdev_device_add(&clk->cdev, dev);\n"},
	{"unit of a stored value", "net/ipv4/inetpeer.c", "\tpeer->rate_last = now;\n", "\tpeer->rate_last = now / HZ;\n"},
	{"new error", "block/ioprio.c", "\t\t\tif (level)\n\t\t\t\treturn -EINVAL;\n", "\t\t\tif (level)\n\t\t\t\treturn -ERANGE;\n"},
	{"limit loosened", "kernel/bpf/arraymap.c", "\tif (attr->value_size > INT_MAX)\n\t\treturn -E2BIG;\n", "\tif (attr->value_size > UINT_MAX - 8)\n\t\treturn -E2BIG;\n"},
}

// TestVerdicts lints changes of real source: of the hazardous none gets a verdict,
// of the harmless most do, and each certificate holds on a second look.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	e := env(t)
	given := 0
	for _, c := range harmlessChanges {
		if lintVerdict(t, e, c) {
			given++
		}
	}
	if given*3 < len(harmlessChanges)*2 {
		t.Errorf("%d of %d harmless changes got a verdict, want two thirds", given, len(harmlessChanges))
	}
	for _, c := range hazardousChanges {
		if lintVerdict(t, e, c) {
			t.Errorf("%s: a verdict was given", c.name)
		}
	}
}

// lintVerdict reports whether a change gets both verdicts. It tries the
// certificates of those that do.
func lintVerdict(t *testing.T, e *Env, c change) bool {
	t.Helper()
	fetched, err := fetch.Kernel(t.Context(), CloudRelease, fetch.Options{Cache: e.Cache})
	if err != nil {
		t.Fatal(err)
	}
	patch, err := e.EditPatch(t.Context(), fetched, c.file, c.old, c.new)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pipeline.Run(t.Context(), pipeline.Options{Kernel: kernel.Options{Release: CloudRelease, Root: string(e.Cache.TargetRoot(CloudRelease)), Cache: e.Cache},
		Patches: []string{patch}, DiffOnly: true})
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	n, why := 0, ""
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.ID != "KLP401" && f.ID != "KLP402" {
			continue
		}
		if !f.Given {
			if f.ID == "KLP401" {
				why = strings.Join(append([]string{f.Message}, f.Evidence...), "; ")
			}
			continue
		}
		n++
		try(t, r.Analysis, f)
	}
	t.Logf("%s: %d verdicts %s", c.name, n, why)
	return n == 2
}

// try checks the certificates of a verdict on the objects that they are about.
func try(t *testing.T, in *analyze.Input, f *finding.Finding) {
	t.Helper()
	if len(analyze.Proofs(f)) == 0 {
		t.Errorf("%s on %s has no certificate", f.ID, f.Symbol)
	}
	k, err := in.Kernel()
	if err != nil {
		t.Fatal(err)
	}
	for _, proof := range analyze.Proofs(f) {
		text, err := json.Marshal(proof)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range in.Units {
			for _, ch := range u.Replace {
				if ch.Name != proof.Function {
					continue
				}
				err := certcheck.Check(u.Diff.Orig.File, u.Diff.Patched.File, text, certcheck.Options{Sizes: func(name string) (s certcheck.Sizes, ok bool) {
					args, ret, variadic, ok := k.Types.Proto(name)
					s.Ret, s.Variadic = int(ret), variadic
					for _, n := range args {
						s.Args = append(s.Args, int(n))
					}
					return s, ok
				}})
				if err != nil {
					t.Errorf("certificate of %s: %v", proof.Function, err)
				}
			}
		}
	}
}
