package hq

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"storehub/doors"
	"storehub/internal/yamlfile"
)

// DefaultConfigText is hq.yaml as it is shipped: every key with its default.
//
//go:embed hq.yaml
var DefaultConfigText string

// Config is hq.yaml. Secrets never stand in it: it names the files that hold them.
type Config struct {
	Listen    string
	PublicURL string
	TLS       TLSConfig
	API       APIConfig
	Database  string
	Stripe    StripeConfig
	Personal  PersonalConfig
	ACME      ACMEConfig
	Fleet     FleetConfig
	Log       LogConfig
}

// TLSConfig names headquarters' certificate.
type TLSConfig struct {
	CertFile string
	KeyFile  string
}

// APIConfig is about the tills' doors here, for when a store's hub is dead.
type APIConfig struct {
	Origins []string // web origins that may call from a browser
}

// StripeConfig says how headquarters reaches Stripe.
type StripeConfig struct {
	APIKeyFile        string
	APIBase           string
	WebhookSecretFile string
	RatePerEndpoint   int
	Test              StripeTestConfig
}

// StripeTestConfig is a test mode beside a live key.
type StripeTestConfig struct {
	APIKeyFile        string
	WebhookSecretFile string
}

// PersonalConfig is about what operations hold of persons.
type PersonalConfig struct {
	// KeyFile locks the keys of personal fields. "": beside SQLite's database, made when it
	// is missing; with PostgreSQL personal fields are not kept.
	KeyFile string
}

// ACMEConfig says by whom, and how, hubs' public names are certified. Without a directory
// hubs have none.
type ACMEConfig struct {
	Directory      string // the authority's
	CAFile         string // trusted for the authority alone; "": the system's
	Terms          bool   // the authority's terms were agreed to
	Contact        string // e-mail address
	AccountKeyFile string
	Zone           string // hubs are STORE in it, in lower case
	DNS            ACMEDNSConfig
}

// ACMEDNSConfig is the name server that takes updates of the zone.
type ACMEDNSConfig struct {
	Server  string   // host:port
	KeyFile string   // as tsig-keygen writes it
	Servers []string // host:port of each that the authority may ask; none: Server alone
}

// FleetConfig is about many stores together.
type FleetConfig struct {
	SharedStores int // so many stores with one fault are one finding
}

// LogConfig says what is logged, and how.
type LogConfig struct {
	Level  string // debug, info, warn, error
	Format string // text, json
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
		Fleet: FleetConfig{SharedStores: defaultSharedStores},
		Log:   LogConfig{Level: "info", Format: "text"},
	}
}

// keys is every key there is.
var keys = yamlfile.Keys[Config]{
	"listen":                          yamlfile.Path(func(c *Config) *string { return &c.Listen }),
	"public_url":                      yamlfile.Path(func(c *Config) *string { return &c.PublicURL }),
	"tls.cert_file":                   yamlfile.Path(func(c *Config) *string { return &c.TLS.CertFile }),
	"tls.key_file":                    yamlfile.Path(func(c *Config) *string { return &c.TLS.KeyFile }),
	"api.origins":                     yamlfile.List(func(c *Config) *[]string { return &c.API.Origins }, doors.CheckOrigin),
	"database":                        yamlfile.Path(func(c *Config) *string { return &c.Database }),
	"stripe.api_key_file":             yamlfile.Path(func(c *Config) *string { return &c.Stripe.APIKeyFile }),
	"stripe.api_base":                 yamlfile.Path(func(c *Config) *string { return &c.Stripe.APIBase }),
	"stripe.webhook_secret_file":      yamlfile.Path(func(c *Config) *string { return &c.Stripe.WebhookSecretFile }),
	"personal.key_file":               yamlfile.Path(func(c *Config) *string { return &c.Personal.KeyFile }),
	"acme.directory":                  yamlfile.Path(func(c *Config) *string { return &c.ACME.Directory }),
	"acme.ca_file":                    yamlfile.Path(func(c *Config) *string { return &c.ACME.CAFile }),
	"acme.terms_agreed":               yamlfile.Choice(func(c *Config, s string) { c.ACME.Terms = s == "true" }, "true", "false"),
	"acme.contact":                    yamlfile.Path(func(c *Config) *string { return &c.ACME.Contact }),
	"acme.account_key_file":           yamlfile.Path(func(c *Config) *string { return &c.ACME.AccountKeyFile }),
	"acme.zone":                       yamlfile.Text(func(c *Config, s string) error { c.ACME.Zone = strings.ToLower(s); return checkZone(c.ACME.Zone) }),
	"acme.dns.server":                 yamlfile.Text(func(c *Config, s string) error { c.ACME.DNS.Server = s; return checkServer(s) }),
	"acme.dns.key_file":               yamlfile.Path(func(c *Config) *string { return &c.ACME.DNS.KeyFile }),
	"acme.dns.servers":                yamlfile.List(func(c *Config) *[]string { return &c.ACME.DNS.Servers }, checkServer),
	"fleet.shared_stores":             yamlfile.Number(func(c *Config, n int64) { c.Fleet.SharedStores = int(n) }, 2, 1000),
	"stripe.rate_per_endpoint":        yamlfile.Number(func(c *Config, n int64) { c.Stripe.RatePerEndpoint = int(n) }, 1, 100),
	"stripe.test.api_key_file":        yamlfile.Path(func(c *Config) *string { return &c.Stripe.Test.APIKeyFile }),
	"stripe.test.webhook_secret_file": yamlfile.Path(func(c *Config) *string { return &c.Stripe.Test.WebhookSecretFile }),
	"log.level":                       yamlfile.Choice(func(c *Config, s string) { c.Log.Level = s }, "debug", "info", "warn", "error"),
	"log.format":                      yamlfile.Choice(func(c *Config, s string) { c.Log.Format = s }, "text", "json"),
}

// ParseConfig reads a file over the defaults. Every error is a [*yamlfile.Error];
// name is the file's, for their text.
func ParseConfig(r io.Reader, name string) (Config, error) {
	c := DefaultConfig()
	err := keys.Read(r, name, &c, Config.check)
	return c, err
}

// Shared reports whether the database is one for several replicas.
func (c Config) Shared() bool {
	return strings.HasPrefix(c.Database, "postgres://") || strings.HasPrefix(c.Database, "postgresql://")
}

// PersonalKeys reads what locks personal fields; none: they are not kept. create makes
// the one beside SQLite's database, for headquarters itself: a command may run as
// another user.
func (c Config) PersonalKeys(create bool) (PersonalKeys, error) {
	path, lite := strings.CutPrefix(c.Database, "sqlite:")
	switch {
	case c.Personal.KeyFile != "":
		return ReadPersonalKeys(c.Personal.KeyFile, false)
	case lite:
		keys, err := ReadPersonalKeys(path+".personal-key", create)
		if !create && errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return keys, err
	}
	return nil, nil
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
	if p, ok := strings.CutPrefix(c.Database, "sqlite:"); !c.Shared() && (!ok || p == "") {
		return "database", fmt.Errorf("want sqlite:PATH or postgres://USER@HOST/DATABASE, not %q", redactURL(c.Database))
	}
	if err := checkURL(c.Stripe.APIBase); err != nil {
		return "stripe.api_base", err
	}
	if t := c.Stripe.Test; t.APIKeyFile == "" && t.WebhookSecretFile != "" {
		return "stripe.test.webhook_secret_file", errors.New("needs stripe.test.api_key_file")
	}
	return c.ACME.check()
}

// check wants all that an order needs, or nothing.
func (c ACMEConfig) check() (key string, err error) {
	if c.Directory == "" {
		if c.Zone != "" || c.AccountKeyFile != "" || c.DNS.Server != "" || c.DNS.KeyFile != "" {
			return "acme", errors.New("acme.directory is missing; without it hubs have no public names")
		}
		return "", nil
	}
	if err := checkURL(c.Directory); err != nil {
		return "acme.directory", err
	}
	for _, need := range []struct{ key, value string }{{"acme.zone", c.Zone}, {"acme.account_key_file", c.AccountKeyFile},
		{"acme.dns.server", c.DNS.Server}, {"acme.dns.key_file", c.DNS.KeyFile}} {
		if need.value == "" {
			return "acme.directory", fmt.Errorf("needs %s", need.key)
		}
	}
	if !c.Terms {
		return "acme.directory", errors.New("needs acme.terms_agreed: true, once you have read and agreed to the authority's terms")
	}
	return "", nil
}

var zoneName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$`)

// checkZone takes what leaves room for a hub's label.
func checkZone(s string) error {
	if !zoneName.MatchString(s) || len(s) > 180 {
		return fmt.Errorf("%q is not a DNS zone such as hubs.example.com", s)
	}
	return nil
}

func checkServer(s string) error {
	host, port, err := net.SplitHostPort(s)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 || host == "" {
		return fmt.Errorf("want HOST:PORT, not %q", s)
	}
	return nil
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
