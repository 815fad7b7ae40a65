package offlinequeue

import (
	"encoding/json"
	"strings"
	"testing"
)

// jsons begins the search for what the two tell apart.
var jsons = []string{
	``, ` `, `{}`, `[]`, `{"a":1,"b":[true,false,null,-0.5e+7]}`, ` [ 1 , "x" ] `, `{"a" : {"b":"c"}}`,
	`"`, `"\"`, `"a\u00e9\n\\ \/"`, `"\u12g4"`, `"\x"`, "\"\x01\"", "\"1234567\x1f9\"", `"1234567"8`, `"12345678\"0123456789"`, "\"\xff\xfe\"",
	`01`, `-`, `1.`, `.5`, `1e`, `1E-`, `-0`, `1e5`, `nul`, `true1`, `truefalse`, `[1,]`, `[,1]`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1,}`, `[}`, `{]`, `1 2`,
	strings.Repeat("[", nestingMost) + strings.Repeat("]", nestingMost),
	strings.Repeat("[", nestingMost+1) + strings.Repeat("]", nestingMost+1),
	`{"a":"` + strings.Repeat("x", 1<<10) + `"}`,
}

func TestWellFormedSaysWhatTheLibrarySays(t *testing.T) {
	for _, s := range jsons {
		if got, want := wellFormed([]byte(s)), json.Valid([]byte(s)); got != want {
			t.Errorf("%.40q: %v, want %v", s, got, want)
		}
	}
}

func FuzzWellFormed(f *testing.F) {
	for _, s := range jsons {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, want := wellFormed(b), json.Valid(b); got != want {
			t.Errorf("%q: %v, want %v", b, got, want)
		}
	})
}

func BenchmarkWellFormed(b *testing.B) {
	data := []byte(jsons[len(jsons)-1])
	for range b.N {
		if !wellFormed(data) {
			b.Fatal("it is")
		}
	}
}
