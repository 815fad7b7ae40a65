package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"storehub/doors"
	"storehub/hub"
)

// No secret is logged or told anywhere; the redactor is the second lock. It
// takes out what looks like a secret, and what this machine's files of secrets
// hold, whatever it looks like.
type redactor struct{ known *strings.Replacer }

const redacted = "[redacted]"

// secretForms are what secrets look like, in the order in which they are taken out.
var secretForms = []struct {
	form *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`-----BEGIN[\sA-Z0-9]*PRIVATE\s+KEY-----(?s:.*?)-----END[\sA-Z0-9]*PRIVATE\s+KEY-----`), redacted},
	{regexp.MustCompile(`-----BEGIN[\sA-Z0-9]*PRIVATE\s+KEY-----(?:[A-Za-z0-9+/=\s#]|\\+[nr])*`), redacted}, // torn
	{regexp.MustCompile(`\b(sk|rk|pk|ek|uk)_(live|test)_[A-Za-z0-9_]+`), "${1}_${2}_" + redacted},
	{regexp.MustCompile(`\bwhsec_[A-Za-z0-9+/=_-]+`), "whsec_" + redacted},
	{regexp.MustCompile(`\bpst_[A-Za-z0-9_]+`), "pst_" + redacted},
	{regexp.MustCompile(`_secret_[A-Za-z0-9_%-]+`), "_secret_" + redacted},
	{regexp.MustCompile(`\b(sh[a-z])_[A-Za-z0-9_%-]{6,}`), "${1}_" + redacted}, // tills' and hubs' credentials
	{regexp.MustCompile(`/pos/[^/\s"'?\\]+`), "/pos/" + redacted},
	{regexp.MustCompile(`(?i)\b[0-9a-hjkmnp-tv-z]{4}(?:-[0-9a-hjkmnp-tv-z]{4}){3}\b`), redacted}, // headquarters' one-time codes
	{regexp.MustCompile(`\b[0-9A-HJKMNP-TV-Z]{4}(?: [0-9A-HJKMNP-TV-Z]{4}){3}\b`), redacted},     // as somebody reads them out
	{regexp.MustCompile(`\b[0-9A-HJKMNP-TV-Z]{16}\b`), redacted},
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}`), "${1} " + redacted},
	{regexp.MustCompile(`(://)[^/\s:@"]+:[^/\s@"]+@`), "${1}" + redacted + "@"},
	{regexp.MustCompile(`(?i)([?&](?:code|token|key|secret|credential|password)=)[^&\s"\\]+`), "${1}" + redacted},
	// Passwords may hold blanks: up to a quote, a comma, or the line's end.
	{regexp.MustCompile(`(?i)\b([\w.-]*(?:pass[ _-]?phrase|password|passwd|pass[ _-]?code|psk|wpa[\w-]*key|admin[ _-]?pin)["']?\s*(?:[:=]|\bis\b)\s*)` +
		`("(?:[^"\\]|\\.)*"|\\+["'](?:[^"'\\]|\\+[^"'\\])*\\*["']?|'[^']*'|[^\n",;]+)`), "${1}" + redacted},
	{regexp.MustCompile(`(?i)\b([\w.-]*(?:secret|credential|api_?key|token)["']?\s*[:=]\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;}"'\\]+)`), "${1}" + redacted},
	{regexp.MustCompile(`[\p{L}\p{N}._%+-]+(?:@|%40)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+`), "[e-mail]"},
}

// secretKey is a key of JSON whose value is a secret.
var secretKey = regexp.MustCompile(`(?i)(pass_?phrase|password|pass_?code|psk|secret|credential|api_?key|token)$`)

// digitRun is what a card number may be written in.
var digitRun = regexp.MustCompile(`\d(?:[ -]?\d){12,}`)

var jsonNumber = regexp.MustCompile(`-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?`)

// newRedactor knows the secrets in the files that the configuration names, and
// in the state directory.
func newRedactor(cfg hub.Config, configText []byte) *redactor {
	var pairs []string
	add := func(s string) {
		if s = strings.TrimSpace(s); len(s) >= 8 {
			raw, _ := json.Marshal(s)
			for _, form := range []string{s, string(raw[1 : len(raw)-1]), url.QueryEscape(s), url.PathEscape(s)} {
				pairs = append(pairs, form, redacted)
			}
		}
	}
	for _, file := range secretFiles(cfg, configText) {
		b, err := os.ReadFile(file)
		if err != nil || len(b) > 64<<10 {
			continue // what we cannot read nobody can have packed by us
		}
		add(string(b))
		for line := range strings.Lines(string(b)) {
			if !strings.HasPrefix(line, "-----") {
				add(line)
			}
		}
		for _, form := range []string{hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)), base64.StdEncoding.EncodeToString(b), base64.RawStdEncoding.EncodeToString(b),
			base64.URLEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b)} {
			add(form)
		}
	}
	return &redactor{strings.NewReplacer(pairs...)}
}

var namedFile = regexp.MustCompile(`(?m)^[^#\n]*\b(\w*_file)["']?\s*:\s*["']?([^"'\n#]+)`)

// secretFiles are files that hold secrets: those the configuration names, but
// for certificates and lists, and keys and credentials in the state directory.
func secretFiles(cfg hub.Config, configText []byte) []string {
	files := []string{cfg.CredentialFile()}
	for _, m := range namedFile.FindAllSubmatch(configText, -1) {
		if !slices.Contains([]string{"ca_file", "cert_file", "ip_ranges_file"}, string(m[1])) {
			files = append(files, strings.TrimSpace(string(m[2])))
		}
	}
	_ = filepath.WalkDir(cfg.StateDir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // a directory that cannot be read is not packed either
		case d.IsDir() && (d.Name() == "queue" || d.Name() == "history"):
			return fs.SkipDir
		case d.Type().IsRegular() && (filepath.Ext(path) == ".key" || filepath.Ext(path) == ".credential" || strings.Contains(d.Name(), "secret")):
			files = append(files, path)
		}
		return nil
	})
	return files
}

// text takes the secrets out of a text.
func (r *redactor) text(s string) string {
	s = r.known.Replace(s)
	for _, f := range secretForms {
		s = f.form.ReplaceAllString(s, f.to)
	}
	return digitRun.ReplaceAllStringFunc(s, withoutCards)
}

// withoutCards takes card numbers out of a run of digits.
func withoutCards(run string) string {
	for begin := 0; begin < len(run); begin++ {
		var digits []byte
		for end := begin; end < len(run) && len(digits) < 19; end++ {
			if run[end] < '0' || run[end] > '9' {
				continue
			}
			if digits = append(digits, run[end]); len(digits) >= 13 && doors.IsCardNumber(string(digits)) {
				return run[:begin] + "[card]" + withoutCards(run[end+1:])
			}
		}
	}
	return run
}

var literal = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// document takes the secrets out of JSON: out of its texts and keys, which then
// are still JSON, in their order. A secret by its key's name goes whole.
func (r *redactor) document(b []byte) []byte {
	var out bytes.Buffer
	last, key := 0, ""
	for _, at := range literal.FindAllIndex(b, -1) {
		between := b[last:at[0]]
		// A number or word between two texts that belongs to the key before.
		if value := bytes.TrimSpace(between); key != "" && secretKey.MatchString(key) && len(value) > 1 && value[0] == ':' {
			if v := bytes.Trim(value[1:], " ,\n\t{}[]"); len(v) > 0 && string(v) != "null" && !bytes.ContainsAny(value, "{[") {
				between = bytes.Replace(between, v, []byte(`"`+redacted+`"`), 1)
			}
		}
		out.Write(r.numbers(between))
		var s string
		if err := json.Unmarshal(b[at[0]:at[1]], &s); err != nil {
			s = string(b[at[0]+1 : at[1]-1])
		}
		isKey := bytes.HasPrefix(bytes.TrimLeft(b[at[1]:], " \n\t"), []byte(":"))
		if !isKey && secretKey.MatchString(key) && s != "" {
			s = redacted
		} else {
			s = r.text(s)
		}
		var text bytes.Buffer
		e := json.NewEncoder(&text)
		e.SetEscapeHTML(false)
		_ = e.Encode(s) // a string
		out.Write(bytes.TrimRight(text.Bytes(), "\n"))
		if last = at[1]; isKey {
			key = s
		}
	}
	out.Write(r.numbers(b[last:]))
	return out.Bytes()
}

// clean is a value without secrets.
func clean[T any](r *redactor, v T) T {
	var out T
	raw, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(r.document(raw), &out)
	}
	if err != nil { // a number became a text: better nothing than a secret
		var none T
		return none
	}
	return out
}

// numbers takes card numbers out of what stands between texts: a number goes whole, with its
// fraction and exponent.
func (r *redactor) numbers(b []byte) []byte {
	return jsonNumber.ReplaceAllFunc(b, func(number []byte) []byte {
		for _, run := range digitRun.FindAllString(string(number), -1) {
			if withoutCards(run) != run {
				return []byte(`"[card]"`)
			}
		}
		return number
	})
}
