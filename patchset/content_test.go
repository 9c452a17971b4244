package patchset

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const contentMail = `From 1111111111111111111111111111111111111111 Mon Sep 17 00:00:00 2001
From: A <a@example.org>
Date: Mon, 2 Nov 2026 10:00:00 +0000
Subject: [PATCH] x: fix a leak (CVE-2026-12345)

commit 2222222222222222222222222222222222222222 upstream.

Text.
---
 a.c | 2 +-

diff --git a/a.c b/a.c
--- a/a.c
+++ b/a.c
@@ -10,3 +10,3 @@ int f(void)
 	one();
-	two();
+	three();
 	four();
`

func contentPatch(t *testing.T, text string) *Patch {
	t.Helper()
	p := filepath.Join(t.TempDir(), "x.patch")
	if err := os.WriteFile(p, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	s, err := Read([]string{p}, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s.Patches[0]
}

func TestContent(t *testing.T) {
	a := contentPatch(t, contentMail)
	for name, text := range map[string]string{
		"moved":           strings.Replace(contentMail, "@@ -10,3 +10,3 @@", "@@ -90,3 +91,3 @@", 1),
		"other context":   strings.Replace(contentMail, " \tfour", " \tfive", 1),
		"other log":       strings.Replace(contentMail, "Text.", "Another text.", 1),
		"without a log":   contentMail[strings.Index(contentMail, "diff --git"):],
		"without git's a": strings.Replace(contentMail[strings.Index(contentMail, "diff --git"):], "diff --git a/a.c b/a.c\n", "", 1),
	} {
		if got := contentPatch(t, text).Content(); got != a.Content() {
			t.Errorf("%s: content %s, want %s", name, got, a.Content())
		}
	}
	for name, text := range map[string]string{
		"other line": strings.Replace(contentMail, "+\tthree", "+\tfive", 1),
		"other file": strings.ReplaceAll(contentMail, "a.c", "b.c"),
	} {
		if contentPatch(t, text).Content() == a.Content() {
			t.Errorf("%s: same content", name)
		}
	}
	want := []string{"CVE-2026-12345", strings.Repeat("1", 40), strings.Repeat("2", 40)}
	if d := cmp.Diff(want, a.IDs()); d != "" {
		t.Errorf("ids (-want +got)\n%s", d)
	}
}
