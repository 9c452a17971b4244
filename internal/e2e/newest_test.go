package e2e

import "testing"

func TestNewest(t *testing.T) {
	const names = `linux-image-7.2.9+deb14-cloud-amd64
linux-image-7.2.13+deb14-cloud-amd64
linux-image-7.2.13+deb14-cloud-amd64-dbg
linux-image-7.2.13+deb14-cloud-amd64-unsigned
linux-image-7.3.1+deb14-amd64
linux-image-5.10.0-9-cloud-amd64
linux-image-cloud-amd64
`
	for like, want := range map[string]string{
		"7.2.3+deb14-cloud-amd64": "7.2.13+deb14-cloud-amd64",
		"7.2.3+deb14-amd64":       "7.3.1+deb14-amd64",
		"7.2.3+deb14-rt-amd64":    "",
		"strange":                 "",
	} {
		if got := newest(names, like); got != want {
			t.Errorf("like %s: %q, want %q", like, got, want)
		}
	}
}
