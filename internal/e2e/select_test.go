package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// commitRepo is a repository with a few files of a kernel's source.
type commitRepo struct {
	t    *testing.T
	dir  string
	repo *git.Repository
	when time.Time
}

func newCommitRepo(t *testing.T) *commitRepo {
	t.Helper()
	dir := t.TempDir()
	repo, err := git.PlainInit(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	return &commitRepo{t, dir, repo, time.Unix(1_700_000_000, 0)}
}

// commit writes files and commits them; it returns the commit's hash.
func (r *commitRepo) commit(message string, files map[string][]byte) string {
	r.t.Helper()
	tree, err := r.repo.Worktree()
	if err != nil {
		r.t.Fatal(err)
	}
	for name, text := range files {
		p := filepath.Join(r.dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(p, text, 0o644); err != nil {
			r.t.Fatal(err)
		}
		if _, err := tree.Add(name); err != nil {
			r.t.Fatal(err)
		}
	}
	r.when = r.when.Add(time.Hour)
	who := &object.Signature{Name: "A", Email: "a@example.org", When: r.when}
	hash, err := tree.Commit(message, &git.CommitOptions{Author: who, Committer: who})
	if err != nil {
		r.t.Fatal(err)
	}
	return hash.String()
}

// edited replaces a text that occurs once.
func edited(t *testing.T, text []byte, old, replacement string) []byte {
	t.Helper()
	if n := bytes.Count(text, []byte(old)); n != 1 {
		t.Fatalf("%q occurs %d times", old, n)
	}
	return bytes.Replace(text, []byte(old), []byte(replacement), 1)
}

// TestReleaseSelect: two dozen commits of a real update's changes, among them such as
// cannot be live: a table, code that has run, code without ftrace entry; one that builds on
// such a one, one whose correction is such a one, one that is taken back, and one for
// another architecture. What is live becomes one module, which loads; the others have their
// reasons, and the CVEs stand as their commits do.
func TestReleaseSelect(t *testing.T) {
	t.Parallel()
	e := env(t)
	pair, expected, err := e.CorpusPair(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, u, err := e.corpusUpdate(t.Context(), &CorpusOptions{Release: pair.Release, NewVersion: pair.Newer})
	if err != nil {
		t.Fatal(err)
	}
	source := func(dir, name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}

	// Each file's change is a commit.
	good := []string{"arch/x86/kvm/hyperv.c", "block/blk-mq.c", "drivers/acpi/scan.c", "drivers/net/veth.c", "fs/exec.c",
		"fs/ext4/namei.c", "fs/fuse/file.c", "io_uring/io-wq.c", "kernel/entry/common.c", "kernel/signal.c", "mm/vmscan.c",
		"net/ipv6/route.c", "net/openvswitch/flow.c"}
	refused := []string{"drivers/hid/hid-hyperv.c", "fs/fuse/cuse.c", "lib/ucs2_string.c", "net/ipv4/sysctl_net_ipv4.c"}
	elsewhere := "arch/arm64/kernel/signal.c"
	if !expected {
		files, err := e.CorpusFiles(t.Context(), CorpusOptions{Release: pair.Release, NewVersion: pair.Newer, Max: 17})
		if err != nil {
			t.Fatal(err)
		}
		good, refused = files, nil
	}
	repo := newCommitRepo(t)
	base := map[string][]byte{}
	for _, f := range slices.Concat(good, refused, []string{elsewhere, "fs/proc/cmdline.c", "fs/proc/version.c"}) {
		base[f] = source(u.tree.Dir, f)
	}
	first := repo.commit("base", base)
	want := map[string]string{}
	for i, f := range slices.Concat(good, refused) {
		hash := repo.commit(fmt.Sprintf("%s: as in the update\n\nThis is CVE-2026-%d.\n", f, 1000+i), map[string][]byte{f: source(u.newer, f)})
		want[hash[:12]] = map[bool]string{true: "left out", false: "live"}[slices.Contains(refused, f)]
	}
	mark := func(hash, fate string) string {
		want[hash[:12]] = fate
		return hash
	}
	arm := append(slices.Clone(base[elsewhere]), "/* changed */\n"...)
	mark(repo.commit("arm64: changed\n\nThis is CVE-2026-2000.\n", map[string][]byte{elsewhere: arm}), "not compiled here")

	// On top of one that is refused, in the very lines that it changed.
	if expected {
		hid := edited(t, source(u.newer, refused[0]), "static struct hid_driver mousevsc_hid_driver = {",
			"/* on top */\nstatic struct hid_driver mousevsc_hid_driver = {")
		mark(repo.commit("hid-hyperv: on top\n", map[string][]byte{refused[0]: hid}), "left out")
	}
	// A mistake, and its correction, which changes a table.
	cmdline := edited(t, base["fs/proc/cmdline.c"], "seq_puts(m, saved_command_line);", "seq_puts(m, saved_command_line);\n\tseq_putc(m, ' ');")
	mistake := mark(repo.commit("cmdline: a mistake\n\nThis is CVE-2026-2001.\n", map[string][]byte{"fs/proc/cmdline.c": cmdline}), "left out")
	corrected := edited(t, cmdline, "static int __init proc_cmdline_init(void)\n{\n", "static int __init proc_cmdline_init(void)\n{\n\tpr_info(\"cmdline\\n\");\n")
	mark(repo.commit(fmt.Sprintf("cmdline: correct it\n\nFixes: %.12s (\"cmdline: a mistake\")\n", mistake), map[string][]byte{"fs/proc/cmdline.c": corrected}), "left out")
	// A change that is taken back.
	version := edited(t, base["fs/proc/version.c"], "seq_printf(m, linux_proc_banner,", "seq_putc(m, ' ');\n\tseq_printf(m, linux_proc_banner,")
	back := mark(repo.commit("version: a change\n", map[string][]byte{"fs/proc/version.c": version}), "changes no code here")
	mark(repo.commit("Revert \"version: a change\"\n\nThis reverts commit "+back+".\n", map[string][]byte{"fs/proc/version.c": base["fs/proc/version.c"]}), "changes no code here")

	program, dir := buildCLI(t), t.TempDir()
	vex := filepath.Join(dir, "vex.json")
	argv := []string{"release", "select", "-k", pair.Release, "--root", e.Cache.TargetRoot(pair.Release),
		"--cache", string(e.Cache), "--git", repo.dir, "--range", first + "..HEAD", "--format", "json"}
	selectInParts(t, program, argv)
	cmd := exec.CommandContext(t.Context(), program, append(argv, "-o", filepath.Join(dir, "out"), "--name", "sel",
		"--html", filepath.Join(dir, "out.html"), "--vex", vex, "--vex-author", "test")...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	t.Log(stderr.String())
	var result struct {
		CVEs   []struct{ ID, Status string }
		Module string
		Slices []struct {
			Name, Fate, Why, Finding string
			Functions                []string
		}
	}
	if err := json.Unmarshal(stdout.Bytes(), &result); err != nil {
		t.Fatal(err)
	}
	if len(result.Slices) != len(want) {
		t.Errorf("%d slices for %d commits", len(result.Slices), len(want))
	}
	fates := map[string]string{}
	for _, s := range result.Slices {
		fates[s.Name] = s.Fate
		if expected && s.Fate != want[s.Name] {
			t.Errorf("%s is %q, want %q: %s", s.Name, s.Fate, want[s.Name], s.Why)
		}
		if s.Fate == "left out" && s.Why == "" {
			t.Errorf("%s is left out without a reason", s.Name)
		}
	}
	for _, c := range result.CVEs {
		if expected && c.ID == "CVE-2026-2000" && c.Status != "not_affected" || c.ID == "CVE-2026-2001" && c.Status != "affected" {
			t.Errorf("%s is %s", c.ID, c.Status)
		}
	}
	if doc, err := os.ReadFile(vex); err != nil || !strings.Contains(string(doc), "CVE-2026-2001") {
		t.Errorf("the VEX document: %v\n%s", err, doc)
	}

	// The module is that of the manifest, and loads.
	if out, err := exec.CommandContext(t.Context(), program, "release", "check", "-f", filepath.Join(dir, "out", "livepatch.yaml"),
		result.Module).CombinedOutput(); err != nil {
		t.Errorf("release check: %v\n%s", err, out)
	}
	opt, err := e.VM(t.Context(), pair.Release)
	if err != nil {
		t.Fatal(err)
	}
	cases := []Case{{File: "select", Outcome: Built, Module: result.Module, Objects: []string{"vmlinux"}}}
	if err := e.LoadCases(t.Context(), opt, cases, nil); err != nil {
		t.Fatal(err)
	}
	if cases[0].Loads == nil || !*cases[0].Loads {
		t.Errorf("the module does not load and unload: %s", cases[0].LoadLog)
	}
}

// selectInParts has the shares of a selection compiled by runs of their own: together they
// leave nothing of it to compile.
func selectInParts(t *testing.T, program string, argv []string) {
	t.Helper()
	objects := map[string]int{}
	for _, part := range []string{"1/2", "2/2", "1/1"} {
		cmd := exec.CommandContext(t.Context(), program, append(slices.Clone(argv), "--part", part)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("part %s: %v\n%s", part, err, stderr.String())
		}
		var result struct {
			Part   struct{ Number, Of, Objects int }
			Slices []struct{}
			Cost   struct{ Compile float64 }
		}
		if err := json.Unmarshal(out, &result); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%d/%d", result.Part.Number, result.Part.Of); got != part || len(result.Slices) > 0 {
			t.Errorf("part %s says %s, of %d slices", part, got, len(result.Slices))
		}
		if part == "1/1" && result.Cost.Compile > 0 {
			t.Errorf("the parts left %.1f s of compilations", result.Cost.Compile)
		}
		objects[part] = result.Part.Objects
	}
	if objects["1/2"] == 0 || objects["1/2"]+objects["2/2"] != objects["1/1"] {
		t.Errorf("objects of the parts: %v", objects)
	}
}
