package provenance

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/modsign"
)

// The statement in full: scripts read it, and verifiers know its form.
func TestStatement(t *testing.T) {
	s := Statement{Name: "fix.ko", File: []byte("module"), Unsigned: []byte("module"), Builder: "1.2",
		Wishes: map[string]any{"kernel": "6.1.0"}, Facts: map[string]any{"compiler": "gcc-12"},
		Inputs: []Input{{Name: "compiler", Digest: map[string]string{"sha256": "00"}}, {Name: "patch a", Annotations: map[string]string{"content": "c"}}}}
	got, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	// printf module | sha256sum
	want := `{
  "_type": "https://in-toto.io/Statement/v1",
  "subject": [
    {
      "name": "fix.ko",
      "digest": {
        "sha256": "SUM"
      }
    }
  ],
  "predicateType": "https://slsa.dev/provenance/v1",
  "predicate": {
    "buildDefinition": {
      "buildType": "https://github.com/klpforge/klpforge/build/v1",
      "externalParameters": {
        "kernel": "6.1.0"
      },
      "internalParameters": {
        "compiler": "gcc-12"
      },
      "resolvedDependencies": [
        {
          "name": "compiler",
          "digest": {
            "sha256": "00"
          }
        },
        {
          "name": "patch a",
          "annotations": {
            "content": "c"
          }
        }
      ]
    },
    "runDetails": {
      "builder": {
        "id": "https://github.com/klpforge/klpforge",
        "version": {
          "klpforge": "1.2"
        }
      }
    }
  }
}
`
	sum, err := exec.Command("sh", "-c", "printf module | sha256sum").Output()
	if err != nil {
		t.Fatal(err)
	}
	want = strings.Replace(want, "SUM", strings.Fields(string(sum))[0], 1)
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}

	// A version is stated in any case.
	s.Builder = ""
	if got, err := s.JSON(); err != nil || strings.Contains(string(got), `"klpforge": ""`) {
		t.Errorf("%s, %v", got, err)
	}
}

// A signed module is stated with who signed it, and what it was before.
func TestSigned(t *testing.T) {
	dir := t.TempDir()
	key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	cmd := exec.Command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Tester", "-keyout", key, "-out", cert)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	signer, err := modsign.Load(key, cert, "sha256")
	if err != nil {
		t.Fatal(err)
	}
	if signer, err = signer.For(""); err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte("module"))
	if err != nil {
		t.Fatal(err)
	}
	s := Statement{Name: "fix.ko", File: signed, Unsigned: []byte("module"), Facts: map[string]any{"compiler": "gcc"}}
	text, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Subject   []Input
		Predicate struct {
			BuildDefinition struct{ InternalParameters map[string]any }
		}
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	sig, _ := got.Predicate.BuildDefinition.InternalParameters["signature"].(map[string]any)
	if sig["hash"] != "sha256" || !strings.Contains(sig["issuer"].(string), "Tester") || sig["serial"] == "" {
		t.Errorf("signature %v", sig)
	}
	if got.Subject[0].Digest["sha256"] != sha256Of(signed)["sha256"] || got.Subject[0].Annotations["unsigned-sha256"] != sha256Of([]byte("module"))["sha256"] {
		t.Errorf("subject %+v", got.Subject)
	}
	if len(s.Facts) != 1 {
		t.Errorf("the caller's facts were changed: %v", s.Facts)
	}
	// The marker of a signature, and none before it.
	s.File = []byte("module~Module signature appended~\n")
	if text, err := s.JSON(); err == nil {
		t.Errorf("a broken signature is stated: %s", text)
	}
}

// TestDir compares the digest of a directory with what in-toto's specification of
// dirHash says computes it.
func TestDir(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"b": "1", "a/c d": "2", "a/b": "", ".hidden": "3", ".git/objects": "left out"} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("b", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	got, err := Dir("source", dir)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "find . -name .git -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sed 's:  \\./:  :' | sha256sum")
	cmd.Dir = dir
	want, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "source" || got.Digest["dirHash"] != strings.Fields(string(want))[0] || got.Annotations["files"] != "4" || got.Annotations["note"] != "without .git" {
		t.Errorf("%+v, want %s", got, want)
	}
	if _, err := Dir("source", filepath.Join(dir, "none")); err == nil {
		t.Error("a directory that is not there has a digest")
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.patch")
	if err := os.WriteFile(path, []byte("text"), 0o666); err != nil {
		t.Fatal(err)
	}
	want := Input{Name: "patch", Digest: sha256Of([]byte("text")), Annotations: map[string]string{"file": "x.patch"}}
	got, err := File("patch", path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	for _, bad := range []string{path + "none", filepath.Dir(path)} {
		if _, err := File("patch", bad); err == nil {
			t.Errorf("%s has a digest", bad)
		}
	}
}
