package sandbox

import (
	"net/url"
	"strings"
	"testing"
)

func TestFormsAreReadInStripesSpelling(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{"", ""},
		{"a=1", "a=1"},
		{"a=1&a=2", "a=2"},
		{"b=2&a=1", "a=1&b=2"},
		{"a", "a="},
		{"&a=1&&", "a=1"},
		{"a[b][c]=1&a[b][d]=2", "a[b][c]=1&a[b][d]=2"},
		{"a%5Bb%5D=1+2", "a[b]=1 2"},
		{"a[]=x&a[]=y", "a[0]=x&a[1]=y"},
		{"a[0]=x&a[1]=y", "a[0]=x&a[1]=y"},
		{"a[][b]=1&a[][c]=2&a[][b]=3", "a[0][b]=1&a[0][c]=2&a[1][b]=3"},
		{"a[7]=x", "a[7]=x"},
		{"a=%E2%82%AC", "a=€"},
	} {
		f, err := parseForm(c.body)
		if err != nil {
			t.Errorf("%q: %v", c.body, err)
			continue
		}
		got, err := url.QueryUnescape(f.encode())
		if err != nil || got != c.want {
			t.Errorf("%q is %q, want %q", c.body, got, c.want)
		}
	}
}

func TestFormsThatMeanNothingAreRefused(t *testing.T) {
	for _, body := range []string{
		"=1", "[a]=1", "a]=1", "a[=1", "a[b=1", "a[b]c=1", "a[[b]]=1", "%zz=1", "a=%zz", "a=1&a[b]=1", "a[b]=1&a=1",
		"a[]=1&a[b]=1", "a[b]=1&a[]=1", "a[b][c][d][e][f][g][h][i]=1", strings.Repeat("a=1&", maxPairs+1),
	} {
		if f, err := parseForm(body); err == nil {
			t.Errorf("%.40q was read as %q", body, f.encode())
		}
	}
}

func TestNumberedItemsAreAListOnlyWithoutGaps(t *testing.T) {
	for body, want := range map[string]int{"a[0]=x&a[1]=y": 2, "a[]=x": 1, "a[1]=x": -1, "a[0]=x&a[b]=y": -1, "a=x": -1, "a[00]=x&a[0]=y": -1} {
		f, err := parseForm(body)
		if err != nil {
			t.Fatal(err)
		}
		items, ok := f.hash["a"].items()
		if got := len(items); ok != (want >= 0) || ok && got != want {
			t.Errorf("%s: %d items, %v", body, got, ok)
		}
	}
}

func FuzzParseForm(f *testing.F) {
	for _, seed := range []string{"a=1", "a[b][c]=1&a[b][d]=", "a[]=1&a[]=2", "a[][b]=1&a[][b]=2", "a%5B0%5D=1", "a=1&a[b]=2", "=", "a[", "%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		first, err := parseForm(body)
		if err != nil {
			return
		}
		once := first.encode()
		second, err := parseForm(once)
		if err != nil {
			t.Fatalf("%q is written as %q, which cannot be read: %v", body, once, err)
		}
		if twice := second.encode(); twice != once {
			t.Errorf("%q is written as %q and then as %q", body, once, twice)
		}
	})
}
