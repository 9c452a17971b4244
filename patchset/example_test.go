package patchset_test

import (
	"fmt"
	"strings"
	"testing/fstest"

	"github.com/klpforge/klpforge/patchset"
)

func ExampleSeries_Apply() {
	tree := fstest.MapFS{"fs/x.c": {Data: []byte("int a(void)\n{\n\treturn __LINE__;\n}\n\nint b(void)\n{\n\treturn __LINE__;\n}\n")}}
	patch := "--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1,5 +1,6 @@\n int a(void)\n {\n+\tcheck();\n \treturn __LINE__;\n }\n \n"

	series, err := patchset.Read([]string{"-"}, patchset.ReadOptions{Stdin: strings.NewReader(patch)})
	if err != nil {
		fmt.Println(err)
		return
	}
	overlay, err := series.Apply(tree, patchset.ApplyOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, path := range overlay.Paths() {
		fmt.Println(path)
		fmt.Print(string(overlay.Files[path].Stable))
	}
	// Output:
	// fs/x.c
	// int a(void)
	// {
	// 	check();
	// 	return __LINE__;
	// }
	// #line 5
	//
	// int b(void)
	// {
	// 	return __LINE__;
	// }
}
