package doors

import (
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

func TestKeysAreNormalisedToOneSpelling(t *testing.T) {
	for key, want := range map[string]string{
		"amount":                 "amount",
		"a[b]":                   "a[b]",
		"a[]":                    "a[]",
		"a[b][]":                 "a[b][]",
		"a[b][c]":                "a[b][c]",
		"a[b[c]]":                "a[b][c]",
		"a[b[c[d]]]":             "a[b][c][d]",
		"a[b[c]][d]":             "a[b][c][d]",
		"a[b[]]":                 "a[b][]",
		"a[0][b]":                "a[0][b]",
		"a[b":                    "a[b", // no nesting: left alone
		"a[b]c":                  "a[b]c",
		"[a]":                    "[a]",
		"a]b[c]":                 "a]b[c]",
		"":                       "",
		"address[postal_code]":   "address[postal_code]",
		"p[card_present[extra]]": "p[card_present][extra]",
	} {
		if got := normaliseKey(key); got != want {
			t.Errorf("%q: got %q, want %q", key, got, want)
		}
	}
}

func TestFormIsReadAsAppsSendIt(t *testing.T) {
	for _, c := range []struct {
		name, target, kind, body string
		want                     form
	}{
		{"nothing", "/", "", "", form{}},
		{"nothing, said to be JSON", "/", "application/json", "", form{}},
		{"no type", "/", "", "a=1", form{"a": {"1"}}},
		{"charset", "/", "application/x-www-form-urlencoded; charset=UTF-8", "a=%C3%BC+b", form{"a": {"ü b"}}},
		{"body over query", "/?a=1&b=2", "", "a=3", form{"a": {"3"}, "b": {"2"}}},
		{"body over query in another spelling", "/?a[b][c]=1", "", "a[b[c]]=2", form{"a[b][c]": {"2"}}},
		{"doubled", "/", "", "t[]=x&t[]=x", form{"t[]": {"x", "x"}}},
	} {
		r := httptest.NewRequest(post, c.target, strings.NewReader(c.body))
		if c.kind != "" {
			r.Header.Set("Content-Type", c.kind)
		}
		if got, err := parseForm(r); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v, %v", c.name, got, err)
		}
	}
	r := httptest.NewRequest(post, "/", strings.NewReader(strings.Repeat("&k=1", 1)+manyFields(maxPairs+1)))
	if _, err := parseForm(r); err == nil {
		t.Error("too many fields passed")
	}
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("&k" + itoa(int64(i)) + "=1")
	}
	return b.String()
}

func TestUnsetFieldsAreAbsentButMoneyIsStrict(t *testing.T) {
	f := form{"label": {"null"}, "note": {"NaN"}, "email": {""}, "last": {"a", "b"}, "types[]": {"x", "null", "x"},
		"amount": {"NaN"}, "twice": {"5", "5"}, "torn": {"5", "6"}}
	for key, want := range map[string]string{"label": "", "note": "", "email": "", "last": "b", "missing": ""} {
		if got := f.text(key); got != want {
			t.Errorf("%s: got %q", key, got)
		}
	}
	if got := f.list("types"); !reflect.DeepEqual(got, []string{"x"}) {
		t.Errorf("types: got %v", got)
	}
	if n, err := f.money("missing"); n != nil || err != nil {
		t.Errorf("a missing amount means all of it: got %v, %v", n, err)
	}
	if n, err := f.money("twice"); err != nil || *n != 5 {
		t.Errorf("twice the same: got %v, %v", n, err)
	}
	for _, key := range []string{"amount", "label", "email", "torn"} {
		if n, err := f.money(key); err == nil {
			t.Errorf("%s as money: got %d", key, *n)
		}
	}
}
