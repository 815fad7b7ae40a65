package hub

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxConfig bounds a configuration file: a hand-written one has a few hundred lines at most.
const maxConfig = 256 << 10

// ConfigError says what is wrong, where, in the words of the file.
type ConfigError struct {
	File string
	Line int    // 0: nowhere in particular
	Key  string // "": the file as a whole
	Err  error
}

// Error is `hub.yaml:12: checks.every: …`.
func (e *ConfigError) Error() string {
	s := e.File
	if e.Line > 0 {
		s += ":" + strconv.Itoa(e.Line)
	}
	if e.Key != "" {
		s += ": " + e.Key
	}
	return s + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *ConfigError) Unwrap() error { return e.Err }

// keys is every key there is. A key that this version does not act on is here
// too, so that setting it is refused in words and not ignored.
var keys = map[string]func(c *Config, v value) error{
	"store":     text(func(c *Config, s string) error { c.Store = s; return checkStore(s) }),
	"state_dir": path(func(c *Config) *string { return &c.StateDir }),
	"listen":    text(func(c *Config, s string) error { c.Listen = s; return checkListen(s) }),

	"tls.cert_file": path(func(c *Config) *string { return &c.TLS.CertFile }),
	"tls.key_file":  path(func(c *Config) *string { return &c.TLS.KeyFile }),
	"tls.name":      later,
	"dns.listen":    later,

	"metrics.listen": text(func(c *Config, s string) error { c.Metrics.Listen = s; return checkListen(s) }),

	"hq.url":                             text(func(c *Config, s string) error { c.HQ.URL = strings.TrimRight(s, "/"); return checkURL(s) }),
	"hq.ca_file":                         path(func(c *Config) *string { return &c.HQ.CAFile }),
	"hq.credential_file":                 path(func(c *Config) *string { return &c.HQ.CredentialFile }),
	"hq.embedded":                        choice(func(c *Config, s string) { c.HQ.Embedded = s == "true" }, "true", "false"),
	"hq.location":                        text(func(c *Config, s string) error { c.HQ.Location = s; return checkLocation(s) }),
	"hq.stripe.api_key_file":             path(func(c *Config) *string { return &c.HQ.Stripe.APIKeyFile }),
	"hq.stripe.api_base":                 text(func(c *Config, s string) error { c.HQ.Stripe.APIBase = s; return checkURL(s) }),
	"hq.stripe.webhook_secret_file":      path(func(c *Config) *string { return &c.HQ.Stripe.WebhookSecretFile }),
	"hq.stripe.test.api_key_file":        path(func(c *Config) *string { return &c.HQ.Stripe.TestAPIKeyFile }),
	"hq.stripe.rate_per_endpoint":        number(func(c *Config, n int64) { c.HQ.Stripe.RatePerEndpoint = int(n) }, 1, 100),
	"hq.stripe.test.webhook_secret_file": path(func(c *Config) *string { return &c.HQ.Stripe.TestWebhookFile }),

	"mdns": choice(func(c *Config, s string) { c.MDNS = s == "on" }, "on", "off"),

	"api.origins": list(func(c *Config) *[]string { return &c.API.Origins }, checkOrigin),

	"checks.every":          setEvery,
	"checks.integration":    choice(func(c *Config, s string) { c.Checks.Integration = s }, "sdk-js", "sdk-native", "server-driven", "auto"),
	"checks.workday":        duration(func(c *Config) *time.Duration { return &c.Checks.Workday }, time.Hour, 7*24*time.Hour),
	"checks.readers":        list(func(c *Config) *[]string { return &c.Checks.Readers }, checkReader),
	"checks.endpoints":      list(func(c *Config) *[]string { return &c.Checks.Endpoints }, checkEndpoint),
	"checks.ip_ranges_file": path(func(c *Config) *string { return &c.Checks.IPRangesFile }),

	// 16 MiB: less than that is one busy Saturday without internet.
	"queue.max_bytes":       bytesKey(func(c *Config) *int64 { return &c.Queue.MaxBytes }, 16<<20, 1<<40),
	"queue.mirror":          later,
	"queue.key_file":        later,
	"queue.retention_bytes": later,

	"opening_hours": list(func(c *Config) *[]string { return &c.OpeningHours }, checkHours),

	"log.level":  choice(func(c *Config, s string) { c.Log.Level = s }, "debug", "info", "warn", "error"),
	"log.format": choice(func(c *Config, s string) { c.Log.Format = s }, "text", "json"),
}

// ParseConfig reads a file over the defaults. Every error is a [*ConfigError];
// name is the file's, for their text.
func ParseConfig(r io.Reader, name string) (Config, error) {
	c := DefaultConfig()
	src, err := io.ReadAll(io.LimitReader(r, maxConfig+1))
	if err != nil {
		return c, &ConfigError{File: name, Err: err}
	}
	if len(src) > maxConfig {
		return c, &ConfigError{File: name, Err: fmt.Errorf("larger than %d KiB", maxConfig>>10)}
	}
	if !utf8.Valid(src) || bytes.IndexByte(src, 0) >= 0 {
		return c, &ConfigError{File: name, Err: errors.New("not UTF-8 text")}
	}
	file, err := parser.ParseBytes(src, 0)
	if err != nil {
		return c, syntaxError(name, err)
	}
	docs := slices.DeleteFunc(file.Docs, func(d *ast.DocumentNode) bool { return d.Body == nil })
	if len(docs) > 1 {
		return c, &ConfigError{File: name, Line: line(docs[1].Body), Err: errors.New("a second document; there may be one")}
	}
	lines := map[string]int{}
	for _, d := range docs {
		if _, comment := d.Body.(*ast.CommentGroupNode); comment {
			continue
		}
		if err := c.section("", d.Body, lines); err != nil {
			err.File = name
			return c, err
		}
	}
	if key, err := c.check(); err != nil {
		return c, &ConfigError{File: name, Line: lines[key], Key: key, Err: err}
	}
	return c, nil
}

// section reads one mapping; prefix is "" or ends in a dot.
func (c *Config) section(prefix string, n ast.Node, lines map[string]int) *ConfigError {
	name := strings.TrimSuffix(prefix, ".")
	if _, null := n.(*ast.NullNode); null {
		return nil // a section whose keys are all commented out
	}
	m, ok := n.(ast.MapNode)
	if !ok {
		return &ConfigError{Line: line(n), Key: name, Err: fmt.Errorf("want keys under it, not %s", describe(n))}
	}
	for it := m.MapRange(); it.Next(); {
		word, ok := it.Key().(*ast.StringNode)
		if !ok {
			return &ConfigError{Line: line(it.Key()), Key: name, Err: fmt.Errorf("%q cannot be a key", it.Key().String())}
		}
		key := prefix + word.Value
		lines[key] = line(it.Key())
		switch set, known := keys[key]; {
		case known:
			v, err := scalarOrList(it.Value())
			if err == nil && !v.null {
				err = set(c, v)
			}
			if err != nil {
				return &ConfigError{Line: lines[key], Key: key, Err: err}
			}
		case isSection(key):
			if err := c.section(key+".", it.Value(), lines); err != nil {
				return err
			}
		default:
			return &ConfigError{Line: lines[key], Key: key, Err: errors.New("unknown key" + meant(key))}
		}
	}
	return nil
}

func isSection(key string) bool {
	for k := range keys {
		if strings.HasPrefix(k, key+".") {
			return true
		}
	}
	return false
}

// meant guesses the key that was meant: the same last word elsewhere.
func meant(key string) string {
	last := key[strings.LastIndexByte(key, '.')+1:]
	var found []string
	for k := range keys {
		if k == last || strings.HasSuffix(k, "."+last) {
			found = append(found, k)
		}
	}
	if len(found) != 1 {
		return ""
	}
	return "; did you mean " + found[0] + "?"
}

// value is what stands behind a key, as it was written.
type value struct {
	text string
	list []string
	many bool // it is a list
	null bool // nothing was written: the default holds
}

func scalarOrList(n ast.Node) (value, error) {
	if seq, ok := n.(*ast.SequenceNode); ok {
		v := value{many: true, list: make([]string, 0, len(seq.Values))}
		for _, item := range seq.Values {
			one, err := scalarOrList(item)
			if err != nil {
				return v, err
			}
			if one.many || one.null {
				return v, fmt.Errorf("want plain values in the list, not %s", describe(item))
			}
			v.list = append(v.list, one.text)
		}
		return v, nil
	}
	switch n := n.(type) {
	case *ast.NullNode:
		return value{null: true}, nil
	case *ast.StringNode:
		return value{text: n.Value}, nil
	case *ast.LiteralNode:
		return value{text: strings.TrimSpace(n.Value.Value)}, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return value{text: n.GetToken().Value}, nil // 0412 stays 0412
	}
	return value{}, fmt.Errorf("want a plain value, not %s", describe(n))
}

func text(set func(*Config, string) error) func(*Config, value) error {
	return func(c *Config, v value) error {
		if v.many {
			return errors.New("want one value, not a list")
		}
		if v.text == "" {
			return errors.New("empty; leave the key out for the default")
		}
		return set(c, v.text)
	}
}

func path(field func(*Config) *string) func(*Config, value) error {
	return text(func(c *Config, s string) error { *field(c) = s; return nil })
}

func choice(set func(*Config, string), words ...string) func(*Config, value) error {
	return text(func(c *Config, s string) error {
		if !slices.Contains(words, s) {
			return fmt.Errorf("%q is not one of %s", s, strings.Join(words, ", "))
		}
		set(c, s)
		return nil
	})
}

func list(field func(*Config) *[]string, check func(string) error) func(*Config, value) error {
	return func(c *Config, v value) error {
		if !v.many {
			return fmt.Errorf("want a list, not %q", v.text)
		}
		for _, s := range v.list {
			if err := check(s); err != nil {
				return err
			}
		}
		*field(c) = v.list
		if len(v.list) == 0 {
			*field(c) = nil
		}
		return nil
	}
}

func number(set func(*Config, int64), least, most int64) func(*Config, value) error {
	return text(func(c *Config, s string) error {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", s)
		}
		if n < least || n > most {
			return fmt.Errorf("%d is not between %d and %d", n, least, most)
		}
		set(c, n)
		return nil
	})
}

func duration(field func(*Config) *time.Duration, least, most time.Duration) func(*Config, value) error {
	return text(func(c *Config, s string) error {
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 30s, 5m or 12h", s)
		}
		if d < least || d > most {
			return fmt.Errorf("%s is not between %s and %s", s, least, most)
		}
		*field(c) = d
		return nil
	})
}

// setEvery: 30s is the least, since a run of checks may take 5 s and is traffic
// that somebody pays for.
func setEvery(c *Config, v value) error {
	if v.text == "off" {
		c.Checks.Every = 0
		return nil
	}
	return duration(func(c *Config) *time.Duration { return &c.Checks.Every }, 30*time.Second, 24*time.Hour)(c, v)
}

func bytesKey(field func(*Config) *int64, least, most int64) func(*Config, value) error {
	return text(func(c *Config, s string) error {
		digits, shift := s, 0
		for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
			if rest, ok := strings.CutSuffix(s, unit); ok {
				digits, shift = strings.TrimSpace(rest), 10*(i+1)
			}
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 0 || n<<shift>>shift != n {
			return fmt.Errorf("%q is not a size such as 512MiB or a number of bytes", s)
		}
		if n <<= shift; n < least || n > most {
			return fmt.Errorf("%s is not between %d MiB and %d MiB", s, least>>20, most>>20)
		}
		*field(c) = n
		return nil
	})
}

func later(*Config, value) error { return errors.New("not part of this version") }

func checkStore(s string) error {
	if len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool { return !idRune(r) }) {
		return fmt.Errorf("%q: letters, digits, dot, dash and underscore, at most 64", s)
	}
	return nil
}

func checkLocation(s string) error {
	if rest, ok := strings.CutPrefix(s, "tml_"); !ok || rest == "" || len(s) > 64 || strings.ContainsFunc(rest, func(r rune) bool { return !idRune(r) }) {
		return fmt.Errorf("%q is not a Terminal location (tml_…)", s)
	}
	return nil
}

func idRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_'
}

func line(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}

func describe(n ast.Node) string {
	switch n.(type) {
	case ast.MapNode:
		return "more keys"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AnchorNode, *ast.AliasNode:
		return "an anchor"
	case *ast.TagNode:
		return "a tag"
	case *ast.NullNode:
		return "nothing"
	}
	return strconv.Quote(n.String())
}

func syntaxError(name string, err error) *ConfigError {
	out := &ConfigError{File: name, Err: err}
	var at yaml.Error
	if errors.As(err, &at) {
		out.Err = errors.New(at.GetMessage())
		if t := at.GetToken(); t != nil && t.Position != nil {
			out.Line = t.Position.Line
		}
	}
	return out
}
