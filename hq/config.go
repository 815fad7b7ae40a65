package hq

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// DefaultConfigText is hq.yaml as it is shipped: every key with its default.
//
//go:embed hq.yaml
var DefaultConfigText string

// maxConfig bounds a configuration file: a hand-written one has some dozens of lines.
const maxConfig = 256 << 10

// Config is hq.yaml. Secrets never stand in it: it names the files that hold them.
type Config struct {
	Listen    string       `yaml:"listen"`
	PublicURL string       `yaml:"public_url"`
	TLS       TLSConfig    `yaml:"tls"`
	Database  string       `yaml:"database"`
	Stripe    StripeConfig `yaml:"stripe"`
	Log       LogConfig    `yaml:"log"`
}

// TLSConfig names headquarters' certificate.
type TLSConfig struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

// StripeConfig says how headquarters reaches Stripe.
type StripeConfig struct {
	APIKeyFile        string           `yaml:"api_key_file"`
	APIBase           string           `yaml:"api_base"`
	WebhookSecretFile string           `yaml:"webhook_secret_file"`
	RatePerEndpoint   int              `yaml:"rate_per_endpoint"`
	Test              StripeTestConfig `yaml:"test"`
}

// StripeTestConfig is a test mode beside a live key.
type StripeTestConfig struct {
	APIKeyFile        string `yaml:"api_key_file"`
	WebhookSecretFile string `yaml:"webhook_secret_file"`
}

// LogConfig says what is logged, and how.
type LogConfig struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // text, json
}

// DefaultConfig is what an empty file means.
func DefaultConfig() Config {
	return Config{
		Listen:   "127.0.0.1:7480",
		Database: "sqlite:/var/lib/storehub-hq/hq.db",
		Stripe: StripeConfig{
			APIKeyFile:      "/run/credentials/storehub-hq.service/stripe.key",
			APIBase:         "https://api.stripe.com",
			RatePerEndpoint: 20,
		},
		Log: LogConfig{Level: "info", Format: "text"},
	}
}

// ConfigError says what is wrong in a configuration, and where.
type ConfigError struct {
	File string
	Line int    // 0: nowhere in particular
	Key  string // "": the file as a whole
	Err  error
}

// Error is `hq.yaml:12: stripe.api_base: …`.
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

// ParseConfig reads a file over the defaults. Every error is a [*ConfigError];
// name is the file's, for their text.
func ParseConfig(r io.Reader, name string) (Config, error) {
	c := DefaultConfig()
	src, err := io.ReadAll(io.LimitReader(r, maxConfig+1))
	switch {
	case err != nil:
		return c, &ConfigError{File: name, Err: err}
	case len(src) > maxConfig:
		return c, &ConfigError{File: name, Err: fmt.Errorf("larger than %d KiB", maxConfig>>10)}
	case !utf8.Valid(src) || bytes.IndexByte(src, 0) >= 0:
		return c, &ConfigError{File: name, Err: errors.New("not UTF-8 text")}
	}
	file, err := parser.ParseBytes(src, 0)
	if err != nil {
		return c, yamlError(name, err)
	}
	written := 0
	for _, d := range file.Docs {
		if d.Body == nil || isNothing(d.Body) {
			continue
		}
		if written++; written > 1 {
			return c, &ConfigError{File: name, Err: errors.New("more than one document")}
		}
		if err := yaml.NodeToValue(d.Body, &Config{}, yaml.DisallowUnknownField()); err != nil {
			return c, yamlError(name, err)
		}
		dropNothing(d.Body)
		if err := yaml.NodeToValue(d.Body, &c); err != nil {
			return c, yamlError(name, err)
		}
	}
	if key, err := c.check(); err != nil {
		return c, &ConfigError{File: name, Line: lineOf(src, key), Key: key, Err: err}
	}
	return c, nil
}

// dropNothing takes out keys behind which nothing is written, as in a section
// whose keys are all commented out: the library would clear the defaults.
func dropNothing(n ast.Node) {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		return
	}
	m.Values = slices.DeleteFunc(m.Values, func(v *ast.MappingValueNode) bool { return isNothing(v.Value) })
	for _, v := range m.Values {
		dropNothing(v.Value)
	}
}

func isNothing(n ast.Node) bool {
	switch n.(type) {
	case *ast.NullNode, *ast.CommentGroupNode:
		return true
	}
	return false
}

// yamlError keeps the place and the sentence of the library's error, and drops
// its picture of the source.
func yamlError(name string, err error) *ConfigError {
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

// lineOf finds the line of a dotted key.
func lineOf(src []byte, key string) int {
	path, err := yaml.PathString("$." + key)
	if err != nil {
		return 0
	}
	n, err := path.ReadNode(bytes.NewReader(src))
	if err != nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0 // the default is what is wrong
	}
	return n.GetToken().Position.Line
}

// check names the key that is wrong.
func (c Config) check() (key string, err error) {
	if err := checkListen(c.Listen, c.TLS); err != nil {
		return "listen", err
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		return "tls", errors.New("needs both cert_file and key_file, or neither")
	}
	if c.PublicURL != "" {
		if err := checkURL(c.PublicURL); err != nil {
			return "public_url", err
		}
	}
	if strings.HasPrefix(c.Database, "postgres:") || strings.HasPrefix(c.Database, "postgresql:") {
		return "database", errors.New("PostgreSQL is not part of this version; use sqlite:PATH")
	}
	if p, ok := strings.CutPrefix(c.Database, "sqlite:"); !ok || p == "" {
		return "database", fmt.Errorf("want sqlite:PATH, not %q", redactURL(c.Database))
	}
	if c.Stripe.APIKeyFile == "" {
		return "stripe.api_key_file", errors.New("is missing")
	}
	if err := checkURL(c.Stripe.APIBase); err != nil {
		return "stripe.api_base", err
	}
	if r := c.Stripe.RatePerEndpoint; r < 1 || r > 100 {
		return "stripe.rate_per_endpoint", fmt.Errorf("%d is not between 1 and 100", r)
	}
	if t := c.Stripe.Test; t.APIKeyFile == "" && t.WebhookSecretFile != "" {
		return "stripe.test.webhook_secret_file", errors.New("needs stripe.test.api_key_file")
	}
	switch c.Log.Level {
	case "debug", "info", "warn", "error":
	default:
		return "log.level", fmt.Errorf("want debug, info, warn or error, not %q", c.Log.Level)
	}
	switch c.Log.Format {
	case "text", "json":
	default:
		return "log.format", fmt.Errorf("want text or json, not %q", c.Log.Format)
	}
	return "", nil
}

func checkListen(addr string, t TLSConfig) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("want HOST:PORT, not %q", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q is not a port", port)
	} else if n == 0 && host == "" {
		return errors.New("want a port")
	}
	if t.CertFile == "" && !loopback(host) {
		return fmt.Errorf("%q is no loopback address: hubs' credentials must not travel in the clear; set tls.cert_file and tls.key_file", addr)
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func checkURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("want an http or https URL, not %q", redactURL(s))
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return fmt.Errorf("%q: plain http only on a loopback address", redactURL(s))
	}
	return nil
}
