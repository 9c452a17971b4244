package patchset

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// places reads lines with a mark in front of each and marks them again: | where a #line
// directive may stand before the line, . where it may not.
func places(marked []string) (got []string, l *lexer) {
	l = &lexer{}
	for _, m := range marked {
		text := m[1:]
		mark := "."
		if l.clean(text) {
			mark = "|"
		}
		got = append(got, mark+text)
		if l.feed(text+"\n") == dirEndif {
			l.pop()
		}
	}
	return got, l
}

// A directive stands between whole definitions at the top level: not in a comment, a
// literal, a continued line, the arguments of a macro, or between a macro and them.
func TestLexerPlaces(t *testing.T) {
	for name, lines := range map[string]string{
		"functions":                   "|int a(void)\n.{\n.\tx();\n.}\n|int b;\n|int c(\n.\tint d)\n.{ }\n|",
		"name apart from arguments":   "|FOO\n.(a);\n|int b;",
		"arguments, blank, body":      "|int a(void)\n.\n|{\n.}\n|",
		"macro without a semicolon":   "|MODULE_LICENSE(\"GPL\")\n.\n|int a;",
		"macro that ends a structure": "|MACHINE_START(A, \"b\")\n.\t.c = d,\n.MACHINE_END\n.\n|int a;\n|int b;",
		"word before what may follow": "|MACHINE_END\n.\n.(x);\n|int a;",
		"block comment":               "|/* a {\n. * (\n. */\n|int a; /* b\n. { */ int b;\n|int c;",
		"comment within a line":       "|int /* { */ a; /* ( */\n|int b;",
		"comment ends before a brace": "|int a; /* b */ struct c {\n.\tint d;\n.};\n|int e;",
		"stars and slashes":           "|int a; /* ** / *** */\n|int b; /*/ {\n.*/\n|int c;",
		"line comment":                "|int a; // {\n|// (\n|int b;",
		"line comment, continued":     "|int a; // b \\\n.{ still\n|int c;",
		"line comment, empty":         "|int a; //\n|int b;",
		"semicolon in brackets":       "|X[a;\n.b];\n|int c;",
		"division":                    "|int a = 4 / 2;\n|int b = 4 /\n.2;\n|int c;",
		"star at the end":             "|int a; /* b *\n.{/ */\n|int c;",
		"braces in literals":          "|char a = '{', *b = \"({[\";\n|int c;",
		"quotes in literals":          "|char a = '\\'', *b = \"\\\"{\", c = '\"', *d = \"'\";\n|int e;",
		"backslash in a literal":      "|char a = '\\\\', *b = \"\\\\\"; struct c {\n.};\n|int d;",
		"literal, continued":          "|char *a = \"b \\\n.{ c\";\n|int d;",
		"literal that is not closed":  "|don't {\n.int a = {\n.};\n|int b;",
		"comment marks in literals":   "|char *a = \"/*\", *b = \"//\"; struct c {\n.};\n|int d;",
		"continued code":              "|int a \\\n.= 3;\n|int b;",
		"continued, blanks behind":    "|int a \\ \t\n.= 3;\n|int b;",
		"define":                      "|#define A {\n|#define B ( \\\n.\tx\n|int a;",
		"define in a comment's reach": "|#define A /* b\n. { */ 1\n|int a;",
		"define behind a comment":     "|/* a */ #define B {\n|int c;",
		"define behind a long one":    "|/* a\n. b */ #define C {\n|int d;",
		"directive, blank in front":   "|  #  define A {\n|int b;",
		"hash in code":                "|int a; #b {\n.}\n|int c;",
		"include":                     "|#include <a.h>\n|#include \"b.h\"\n|int c;",
		"before a directive":          "|int a(void)\n|#if X\n|;\n|#endif\n|int b;",
		"braces":                      "|struct a {\n.\tstruct { int b; } c;\n.\tint d;\n.};\n|",
		"brackets":                    "|int a[\n.3]\n.;\n|int b;",
		"parens in braces":            "|int a = { (\n.) };\n|int b;",
		"closed too often":            "|}\n|) ;\n|]\n.;\n|int a(\n.);\n|",
		"closed too often, opened":    "|}\n|struct a {\n.};\n|)(\n.);\n|",
		"blanks":                      "|\t\v\f int a(void)\t\v\n.\t\f\n|{\n.}\n|",

		"both branches":          "|#ifdef A\n|int a(int b) {\n.#else\n|int a(void) {\n.#endif\n.\tx();\n.}\n|int c;",
		"branch never compiled":  "|#if 0\n|{ (\n.#endif\n|int a;",
		"in parentheses":         "|#if (0)\n|{\n.#elif 1\n|int a;\n|#endif\n|int b;",
		"other condition":        "|#if 1\n|{\n.#endif\n.}\n|int a;",
		"for C++":                "|#ifdef __cplusplus\n|extern \"C\" {\n.#endif\n|int a;",
		"for C++, defined":       "|#if defined(__cplusplus)\n|extern \"C\" {\n.#endif\n|int a;",
		"not for C++":            "|#ifndef __cplusplus\n|struct a {\n.#endif\n.};\n|int b;",
		"the first that counts":  "|#if 0\n|{ {\n.#elif X\n|struct a {\n.#else\n|int b;\n|#endif\n.};\n|int c;",
		"nested":                 "|#if X\n|struct a {\n.#if 0\n.{\n.#else\n.int b;\n.#endif\n.};\n|#else\n|int c;\n|#endif\n|int d;",
		"other spellings":        "|#if X\n|struct a {\n.#elifdef Y\n|int b;\n|#elifndef Z\n|int c;\n|#endif\n.};\n|",
		"elifndef resets":        "|#if X\n|struct a {\n.#elifndef Y\n|int b;\n|#endif\n.};\n|",
		"elifdef resets":         "|#if X\n|struct a {\n.#elifdef Y\n|int b;\n|#endif\n.};\n|",
		"elif resets":            "|#if X\n|struct a {\n.#elif Y\n|int b;\n|#endif\n.};\n|",
		"no #if":                 "|#else\n|#endif\n|int a;\n|#elif X\n|",
		"alone":                  "|#\n|int a;",
		"unknown":                "|#pragma once {\n|#error don't (\n|int a;",
		"directive in arguments": "|FOO(a,\n.#ifdef X\n.\tb,\n.#endif\n.\tc);\n|int d;",
	} {
		want := strings.Split(lines, "\n")
		got, _ := places(want)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got)\n%s", name, d)
		}
	}
}

// A file that sets line numbers itself is recognized, by both forms, and only then.
func TestLexerOwnLines(t *testing.T) {
	for line, want := range map[string]bool{
		"#line 7": true, "# line 7 \"x\"": true, "# 12 \"x.c\"": true, "#0": true, "# 9": true, "/* a */ # 1": true,
		"#define line 7": false, "#lines 7": false, "# a1": false, "int line; # 7": false, "#": false, "\"#line 7\"": false, "// #line 7": false, "#_1": false, "#:1": false, "#/1": false,
	} {
		if _, l := places([]string{"|" + line}); l.ownLines != want {
			t.Errorf("%q: own numbers %v", line, l.ownLines)
		}
	}
}

// What can be part of an identifier.
func TestIsWord(t *testing.T) {
	for c := range 256 {
		want := strings.ContainsRune("_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", rune(c))
		if got := isWord(byte(c)); got != want {
			t.Errorf("%q: %v", byte(c), got)
		}
	}
}
