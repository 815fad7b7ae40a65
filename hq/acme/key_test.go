package acme

import (
	"strings"
	"testing"
)

func TestAKeyIsWhatTsigKeygenWrites(t *testing.T) {
	const written = "key \"hq.example.\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0\";\n};\n"
	if k, err := parseKey(written); err != nil || k != (tsigKey{"hq.example.", "hmac-sha256.", "c2VjcmV0"}) {
		t.Errorf("got %+v, %v", k, err)
	}
	for what, text := range map[string]string{
		"nothing": "", "two": written + written, "MD5": strings.Replace(written, "hmac-sha256", "hmac-md5", 1),
		"no secret": strings.Replace(written, "secret", "# secret is elsewhere", 1), "no name": strings.Replace(written, "hq.example.", "", 1),
		"no base64": strings.Replace(written, "c2VjcmV0", "c2V j", 1),
	} {
		if _, err := parseKey(text); err == nil || strings.Contains(err.Error(), "c2VjcmV0") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("key \"hq\" { algorithm hmac-sha512; secret \"AAAA\"; };")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := parseKey(text)
		if err != nil {
			return
		}
		again, err := parseKey("key \"" + strings.TrimSuffix(k.name, ".") + "\" { algorithm " + strings.TrimSuffix(k.algorithm, ".") + "; secret \"" + k.secret + "\"; };")
		if k.name != "." && (err != nil || again != k) {
			t.Errorf("%+v is read again as %+v, %v", k, again, err)
		}
	})
}
