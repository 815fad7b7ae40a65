package hub

import (
	"fmt"
	"io"
	"strings"
	"time"

	"storehub/doors"
	"storehub/doors/words"
	"storehub/hq"
	"storehub/internal/yamlfile"
)

// keys is every key there is.
var keys = yamlfile.Keys[Config]{
	"store":     yamlfile.Text(func(c *Config, s string) error { c.Store = s; return checkStore(s) }),
	"state_dir": yamlfile.Path(func(c *Config) *string { return &c.StateDir }),
	"listen":    yamlfile.Text(func(c *Config, s string) error { c.Listen = s; return checkListen(s) }),

	"tls.cert_file": yamlfile.Path(func(c *Config) *string { return &c.TLS.CertFile }),
	"tls.key_file":  yamlfile.Path(func(c *Config) *string { return &c.TLS.KeyFile }),
	"tls.name":      yamlfile.Text(setName),
	"dns.listen":    yamlfile.Text(func(c *Config, s string) error { c.DNS.Listen = s; return checkListen(s) }),

	"metrics.listen": yamlfile.Text(func(c *Config, s string) error { c.Metrics.Listen = s; return checkListen(s) }),

	"hq.url":                             yamlfile.Text(func(c *Config, s string) error { c.HQ.URL = strings.TrimRight(s, "/"); return checkURL(s) }),
	"hq.ca_file":                         yamlfile.Path(func(c *Config) *string { return &c.HQ.CAFile }),
	"hq.credential_file":                 yamlfile.Path(func(c *Config) *string { return &c.HQ.CredentialFile }),
	"hq.embedded":                        yamlfile.Choice(func(c *Config, s string) { c.HQ.Embedded = s == "true" }, "true", "false"),
	"hq.location":                        yamlfile.Text(func(c *Config, s string) error { c.HQ.Location = s; return checkLocation(s) }),
	"hq.test_location":                   yamlfile.Text(func(c *Config, s string) error { c.HQ.TestLocation = s; return checkLocation(s) }),
	"hq.stripe.api_key_file":             yamlfile.Path(func(c *Config) *string { return &c.HQ.Stripe.APIKeyFile }),
	"hq.stripe.api_base":                 yamlfile.Text(func(c *Config, s string) error { c.HQ.Stripe.APIBase = s; return checkURL(s) }),
	"hq.stripe.webhook_secret_file":      yamlfile.Path(func(c *Config) *string { return &c.HQ.Stripe.WebhookSecretFile }),
	"hq.stripe.test.api_key_file":        yamlfile.Path(func(c *Config) *string { return &c.HQ.Stripe.TestAPIKeyFile }),
	"hq.stripe.rate_per_endpoint":        yamlfile.Number(func(c *Config, n int64) { c.HQ.Stripe.RatePerEndpoint = int(n) }, 1, 100),
	"hq.stripe.test.webhook_secret_file": yamlfile.Path(func(c *Config) *string { return &c.HQ.Stripe.TestWebhookFile }),

	"mdns": yamlfile.Choice(func(c *Config, s string) { c.MDNS = s == "on" }, "on", "off"),

	"api.origins":  yamlfile.List(func(c *Config) *[]string { return &c.API.Origins }, doors.CheckOrigin),
	"api.language": yamlfile.Choice(func(c *Config, s string) { c.API.Language = s }, words.Languages()...),

	// 30s is the least, since a run of checks may take 5 s and is traffic that
	// somebody pays for.
	"checks.every": yamlfile.Or("off", func(c *Config) { c.Checks.Every = 0 },
		yamlfile.Duration(func(c *Config) *time.Duration { return &c.Checks.Every }, 30*time.Second, 24*time.Hour)),
	"checks.integration":    yamlfile.Choice(func(c *Config, s string) { c.Checks.Integration = s }, "sdk-js", "sdk-native", "server-driven", "auto"),
	"checks.workday":        yamlfile.Duration(func(c *Config) *time.Duration { return &c.Checks.Workday }, time.Hour, 7*24*time.Hour),
	"checks.readers":        yamlfile.List(func(c *Config) *[]string { return &c.Checks.Readers }, checkReader),
	"checks.endpoints":      yamlfile.List(func(c *Config) *[]string { return &c.Checks.Endpoints }, checkEndpoint),
	"checks.ip_ranges_file": yamlfile.Path(func(c *Config) *string { return &c.Checks.IPRangesFile }),

	// 16 MiB: less than that is one busy Saturday without internet.
	"queue.max_bytes":       yamlfile.Bytes(func(c *Config) *int64 { return &c.Queue.MaxBytes }, 16<<20, 1<<40),
	"queue.mirror":          yamlfile.Path(func(c *Config) *string { return &c.Queue.Mirror }),
	"queue.key_file":        yamlfile.Path(func(c *Config) *string { return &c.Queue.KeyFile }),
	"queue.retention_bytes": yamlfile.Bytes(func(c *Config) *int64 { return &c.Queue.RetentionBytes }, 1<<20, 1<<40),

	"personal.key_file": yamlfile.Path(func(c *Config) *string { return &c.Personal.KeyFile }),

	"opening_hours": yamlfile.List(func(c *Config) *[]string { return &c.OpeningHours }, hq.CheckHours),

	"offline.limits": yamlfile.List(func(c *Config) *[]string { return &c.OfflineLimits }, checkOfflineLimit),

	"log.level":  yamlfile.Choice(func(c *Config, s string) { c.Log.Level = s }, "debug", "info", "warn", "error"),
	"log.format": yamlfile.Choice(func(c *Config, s string) { c.Log.Format = s }, "text", "json"),
}

// ParseConfig reads a file over the defaults. Every error is a [*yamlfile.Error];
// name is the file's, for their text.
func ParseConfig(r io.Reader, name string) (Config, error) {
	c := DefaultConfig()
	err := keys.Read(r, name, &c, Config.check)
	return c, err
}

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
