package deploy

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseFrame(t *testing.T) {
	for line, want := range map[string]Frame{
		"[<0>] oom_reaper+0x24b/0x390":                   {Text: "oom_reaper+0x24b/0x390", Function: "oom_reaper"},
		"[<0>] f.isra.0+0x1/0x2 [ext4]":                  {Text: "f.isra.0+0x1/0x2 [ext4]", Function: "f.isra.0", Module: "ext4"},
		"[<ffffffff81000000>] f+0x1/0x2 [ext4 0123abcd]": {Text: "f+0x1/0x2 [ext4 0123abcd]", Function: "f", Module: "ext4"},
		"[<ffffffff81000000>] 0xffffffffffffffff":        {},
		"": {},
	} {
		got, ok := parseFrame(line)
		if ok != (want.Text != "") || got != want {
			t.Errorf("%q: %+v, %v", line, got, ok)
		}
	}
}

func TestStatusDuringTransition(t *testing.T) {
	bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
		mod := k.file("a", series("1", "f"))
		k.stuck["a"] = true
		if err := k.insert(mod.File); err != nil {
			t.Fatal(err)
		}
		s, err := m.Status(Places{})
		if err != nil {
			t.Fatal(err)
		}
		want := &Transition{Module: "a", Phase: Enabling, Tasks: 3, Left: 1, Blocking: []Task{{
			PID: 2, TID: 2, Name: "task2", State: "S (sleeping)", Kernel: true,
			Stack: []Frame{
				{Text: "schedule+0x1/0x2", Function: "schedule"},
				{Text: "f+0x5c/0x240", Function: "f", Patched: "vmlinux:f"},
				{Text: "klp_f+0x5c/0x240 [old]", Function: "klp_f", Module: "old"},
				{Text: "ret_from_fork+0x22/0x30", Function: "ret_from_fork"},
			},
		}}}
		if d := cmp.Diff(want, s.Transition); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	})
}

func TestNoLivepatching(t *testing.T) {
	k, m := newFake(t)
	k.remove("sys/kernel/livepatch")
	if _, err := m.Status(Places{}); !errors.Is(err, ErrNoLivepatch) {
		t.Error(err)
	}
}

func TestParseRecord(t *testing.T) {
	seq, text, ok := parseRecord("6,1234,5678,-;livepatch: 'x': complete\n SUBSYSTEM=module\n")
	if seq != 1234 || text != "livepatch: 'x': complete" || !ok {
		t.Errorf("%d %q %v", seq, text, ok)
	}
	if _, _, ok := parseRecord("no record"); ok {
		t.Error("nonsense is a record")
	}
}
