package analyze

import "testing"

func TestPrototype(t *testing.T) {
	for _, c := range [][2]string{
		{"static int foo ( int a , struct x * b )", "int foo(int, struct x *)"},
		{"static inline const char * foo ( void )", "char * foo(void)"},
		{"int __must_check foo ( struct x * , int ( * cb ) ( int , long ) , char name [ 4 ] )", "int foo(struct x *, int ( * cb ) ( int , long ), char [ 4 ])"},
		{"SYSCALL_DEFINE ( foo , int , a )", "SYSCALL_DEFINE ( foo , int , a )"},
	} {
		if got := prototype(c[0], "foo"); got != c[1] {
			t.Errorf("%q, want %q", got, c[1])
		}
	}
}

func TestClones(t *testing.T) {
	for name, want := range map[string]string{"foo": "", "foo.isra.0": "isra", "foo.constprop.0.isra.1": "constprop.isra", "foo.part.0": ""} {
		if got := clones(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
