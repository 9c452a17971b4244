package kfuncs

import "testing"

func TestMembers(t *testing.T) {
	for name, want := range map[string]Context{"net_device_ops.ndo_start_xmit": InBH, "bio.bi_end_io": InIRQ,
		"net_device_ops.ndo_open": "", "virtio_config_ops.find_vqs[3]": InIRQ, "virtio_config_ops.find_vqs": "", "ndo_start_xmit": ""} {
		got, ok := MemberRuns(name)
		if got.In != want || ok != (want != "") || ok && (got.File == "" || !got.In.ForbidsSleep()) {
			t.Errorf("%s: %+v, %v; want %q", name, got, ok, want)
		}
	}
	for row := range Members() {
		if !row.In.ForbidsSleep() {
			t.Errorf("%s: %s allows sleeping", row.Name, row.In)
		}
	}
}

func TestMemberFaults(t *testing.T) {
	good := "a/b.c:\n  s.m irq since=5.1 until=6.1\n"
	rows, err := parseMembers(good)
	if err != nil || len(rows) != 1 || rows[0] != (Member{"s.m", "a/b.c", InIRQ, "5.1", "6.1"}) {
		t.Errorf("%+v, error %v", rows, err)
	}
	for _, text := range []string{"  s.m irq\n", "a/b.c:\n  s.m\n", "a/b.c:\n  m irq\n", "a/b.c:\n  s.m thread\n",
		"a/b.c:\n  s.m irq old\n", good + "  s.m irq\n", "a b.c\n  s.m irq\n", "a/b.c:\n  s.m[9] irq\n",
		"a/b.c:\n  s.m[1 irq\n"} {
		if rows, err := parseMembers(text); err == nil {
			t.Errorf("%q: %+v", text, rows)
		}
	}
}
