package kbuild

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// confinedRun runs a shell script in a box that may write to dir only.
func confinedRun(t *testing.T, by confiner, dir, script string) (string, error) {
	t.Helper()
	b := &box{by: by, read: systemPaths(), write: []string{dir}}
	out, err := command{name: "sh", dir: dir, env: append(callerEnv(), "LC_ALL=C"), argv: []string{"bash", "-c", script}, box: b}.run(context.Background())
	return string(out), err
}

// confiners are the ways that work here; at least one must.
func confiners(t *testing.T) []confiner {
	t.Helper()
	var out []confiner
	for _, by := range []confiner{byLandlock, byBwrap} {
		if err := tryConfiner(by); err != nil {
			t.Logf("%s: %v", by, err)
			continue
		}
		out = append(out, by)
	}
	if len(out) == 0 {
		t.Fatal("neither Landlock nor bubblewrap works here: nothing of the sandbox is tested")
	}
	return out
}

func TestConfined(t *testing.T) {
	outside, err := os.MkdirTemp("", "outside-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(outside)
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("the canary"), 0o644); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())

	for _, by := range confiners(t) {
		dir := t.TempDir()
		if out, err := confinedRun(t, by, dir, "echo made >file && cat file && gcc --version >/dev/null && mkdir d && mv file d/ && echo $TMPDIR && test -w $TMPDIR"); err != nil || !strings.HasPrefix(out, "made\n"+dir) {
			t.Errorf("%s: a build cannot work: %q, %v", by, out, err)
		}
		for what, script := range map[string]string{
			"read a file":            "cat " + secret,
			"read by a link":         "ln -s " + secret + " link && cat link",
			"read by a hard link":    "ln " + secret + " hard && cat hard",
			"list a directory":       "ls " + outside,
			"read another process":   "cat /proc/" + strconv.Itoa(os.Getppid()) + "/environ",
			"read passwords":         "cat /etc/passwd",
			"write a file":           "echo x >" + outside + "/new",
			"remove a file":          "rm " + secret,
			"truncate a file":        "truncate -s 0 " + secret,
			"make a device":          "mknod dev b 1 1",
			"connect":                "exec 3<>/dev/tcp/127.0.0.1/" + port,
			"talk to a unix socket":  "python3 -c 'import socket; socket.socket(socket.AF_UNIX)'",
			"make a user namespace":  "unshare -U true",
			"signal another process": "kill -CONT " + strconv.Itoa(os.Getppid()),
		} {
			if by == byBwrap && (what == "talk to a unix socket" || what == "make a user namespace") {
				continue // mounts hide sockets instead
			}
			if out, err := confinedRun(t, by, t.TempDir(), script); err == nil {
				t.Errorf("%s: a confined program could %s: %q", by, what, out)
			}
		}
		if by == byLandlock {
			out, err := confinedRun(t, by, t.TempDir(), "cat /proc/self/status || grep -h Cap /proc/thread-self/status")
			if err == nil {
				t.Errorf("a confined program can read /proc/self: %q", out)
			}
		}
	}
	if text, err := os.ReadFile(secret); err != nil || string(text) != "the canary" {
		t.Errorf("the file outside is %q now, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(outside, "new")); err == nil {
		t.Error("a file was made outside")
	}
}

// TestConfinedIsOneThread: this process stays what it was.
func TestConfinedIsOneThread(t *testing.T) {
	for _, by := range confiners(t) {
		for range 20 {
			if _, err := confinedRun(t, by, t.TempDir(), "true"); err != nil {
				t.Fatal(err)
			}
		}
	}
	name := filepath.Join(t.TempDir(), "free")
	if err := os.WriteFile(name, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := (command{name: "sh", argv: []string{"sh", "-c", "cat " + name}, env: callerEnv()}).run(context.Background()); err != nil || string(out) != "x" {
		t.Errorf("an unconfined program: %q, %v", out, err)
	}
	if _, err := net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Error(err)
	}
}

// TestConfinedWithoutCapabilities: a file without write permission stays so, also
// for root, whose programs otherwise pass by permissions.
func TestConfinedWithoutCapabilities(t *testing.T) {
	for _, by := range confiners(t) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "shared"), []byte("x"), 0o444); err != nil {
			t.Fatal(err)
		}
		if out, err := confinedRun(t, by, dir, "echo y >shared"); err == nil {
			t.Errorf("%s: a file of mode 0444 was written to: %q", by, out)
		}
	}
}

func BenchmarkConfined(b *testing.B) {
	for _, by := range []confiner{byNothing, byLandlock, byBwrap} {
		b.Run("by="+string(by), func(b *testing.B) {
			if by != byNothing && tryConfiner(by) != nil {
				b.Skip("not here")
			}
			dir := b.TempDir()
			c := command{name: "true", dir: dir, env: callerEnv(), argv: []string{"/bin/true"}}
			if by != byNothing {
				c.box = &box{by: by, read: systemPaths(), write: []string{dir}}
			}
			for b.Loop() {
				if _, err := c.run(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
