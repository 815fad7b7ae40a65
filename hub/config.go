package hub

import (
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"storehub/doors/words"
)

// Config is hub.yaml. Secrets never stand in it: it names the files that hold them.
type Config struct {
	Store    string // id at headquarters
	StateDir string
	Listen   string // API and console
	TLS      TLSConfig
	DNS      DNSConfig
	Metrics  MetricsConfig
	HQ       HQConfig
	MDNS     bool // announce the hub to tills
	API      APIConfig
	Checks   ChecksConfig
	Queue    QueueConfig
	Personal PersonalConfig
	// OpeningHours is data about the store ("mon-sat 08:00-22:00"; the end may
	// pass midnight). Nothing is switched by it.
	OpeningHours []string
	// OfflineLimits are what tills may have taken offline before they are told to take
	// no more, each "eur 50000": a currency and minor units.
	OfflineLimits []string
	Log           LogConfig
}

// TLSConfig names a certificate of the shop's own. Without one the hub uses its
// local CA, or plain HTTP on a loopback address.
type TLSConfig struct {
	CertFile string
	KeyFile  string
	Name     string // what tills know the hub by, in lower case; "": its addresses
}

// DNSConfig has the hub answer for its own name, TLSConfig.Name.
type DNSConfig struct {
	Listen string // host:port, UDP and TCP; "": it does not
}

// MetricsConfig puts /metrics on an address of its own; "": on Listen.
type MetricsConfig struct{ Listen string }

// HQConfig says where headquarters is: at URL, or, Embedded, in this process.
type HQConfig struct {
	URL            string
	CAFile         string // trusted for headquarters alone
	CredentialFile string // "": hq.credential in the state directory
	Embedded       bool
	Location       string // tml_…; only Embedded: there is no other record of the store
	TestLocation   string // tml_… in test mode, where a live store rehearses; only Embedded; "": nowhere
	Stripe         StripeConfig
}

// StripeConfig is hq.yaml's section of the same name, for an embedded headquarters.
type StripeConfig struct {
	APIKeyFile        string
	APIBase           string
	WebhookSecretFile string
	TestAPIKeyFile    string
	TestWebhookFile   string
	RatePerEndpoint   int // requests a second; 0: headquarters' default
}

// APIConfig is who may call from a browser.
type APIConfig struct {
	Origins  []string
	Language string // what the shop's staff reads, see [words.Languages]
}

// ChecksConfig says how the hub looks at its network.
type ChecksConfig struct {
	Every        time.Duration // 0: off
	Integration  string        // sdk-js, sdk-native, server-driven, auto
	Workday      time.Duration // the shortest lease that is not a finding
	Readers      []string      // more readers' addresses
	Endpoints    []string      // more hosts, host or host:port
	IPRangesFile string        // replaces the built-in Stripe ranges
}

// QueueConfig bounds the queue.
type QueueConfig struct {
	MaxBytes int64  // nothing more is taken beyond this
	Mirror   string // a directory on another disk; "": none
	KeyFile  string // what it is encrypted with at rest; "": it is not
	// What has ended may take so much; 0: it goes by its age alone.
	RetentionBytes int64
}

// PersonalConfig says what locks the keys of personal fields, which are kept beside it.
type PersonalConfig struct {
	KeyFile string // "": personal.key in a directory beside the state directory, made when it is missing
}

// LogConfig is where slog begins and how it writes.
type LogConfig struct {
	Level  string // debug, info, warn, error
	Format string // text, json
}

//go:embed hub.yaml
var shippedConfig string

// DefaultConfigText is the commented file that packages and `hub config init` ship,
// with this system's folders.
var DefaultConfigText = onSystem(shippedConfig, runtime.GOOS, os.Getenv("ProgramData"))

var systemFolders = regexp.MustCompile(`/(var/lib|etc)/storehub((?:/[\w.-]+)*)`)

// onSystem is a text with folders as a system has them. Windows has one for all
// programs' data; what only the hub may enter lies below its own.
func onSystem(text, goos, programData string) string {
	if goos != "windows" {
		return text
	}
	return systemFolders.ReplaceAllStringFunc(text, func(path string) string {
		m := systemFolders.FindStringSubmatch(path)
		folder := programData + `\storehub`
		if m[1] == "var/lib" {
			folder += `\data`
		}
		return folder + strings.ReplaceAll(m[2], "/", `\`)
	})
}

// DefaultConfig is what holds where a file says nothing.
func DefaultConfig() Config {
	return Config{
		StateDir: onSystem("/var/lib/storehub", runtime.GOOS, os.Getenv("ProgramData")),
		Listen:   ":7443",
		MDNS:     true,
		API:      APIConfig{Language: words.English},
		Checks: ChecksConfig{
			Every:       5 * time.Minute,
			Integration: "auto",
			Workday:     12 * time.Hour,
		},
		Queue: QueueConfig{MaxBytes: 4 << 30},
		Log:   LogConfig{Level: "info", Format: "text"},
	}
}

// CredentialFile is where the store's credential at headquarters is.
func (c Config) CredentialFile() string {
	if c.HQ.CredentialFile != "" {
		return c.HQ.CredentialFile
	}
	return filepath.Join(c.StateDir, "hq.credential")
}

// Complete says what a hub that serves still misses. A file for `hub diagnose`
// may hold any part; this one must be whole.
func (c Config) Complete() error {
	switch {
	case c.Store == "":
		return errors.New("store: missing; it is the id that headquarters knows this shop by")
	case c.StateDir == "":
		return errors.New("state_dir: missing")
	case c.Listen == "":
		return errors.New("listen: missing")
	case c.HQ.Embedded && c.HQ.Stripe.APIKeyFile == "":
		return errors.New("hq.stripe.api_key_file: missing; an embedded headquarters needs a restricted key")
	case c.HQ.Embedded && c.HQ.Location == "":
		return errors.New("hq.location: missing; an embedded headquarters must know the store's Terminal location (tml_…)")
	case !c.HQ.Embedded && c.HQ.URL == "":
		return errors.New("hq.url: missing; enrol with `hub enroll`, or set hq.embedded")
	}
	return nil
}

// check finds what no single key can say.
func (c Config) check() (key string, err error) {
	switch {
	case c.HQ.Embedded && c.HQ.URL != "":
		return "hq.embedded", errors.New("hq.url is set too; headquarters is either there or here")
	case !c.HQ.Embedded && c.HQ.Location != "":
		return "hq.location", errors.New("only for hq.embedded; elsewhere headquarters knows the location")
	case !c.HQ.Embedded && c.HQ.TestLocation != "":
		return "hq.test_location", errors.New("only for hq.embedded; elsewhere: hq store configure --test-location")
	case c.HQ.TestLocation != "" && c.HQ.Stripe.TestAPIKeyFile == "":
		return "hq.test_location", errors.New("hq.stripe.test.api_key_file is missing; the live key is not rehearsed with")
	case !c.HQ.Embedded && c.HQ.Stripe != StripeConfig{}:
		return "hq.stripe", errors.New("only for hq.embedded; elsewhere headquarters alone holds Stripe keys")
	case c.Queue.Mirror != "" && !filepath.IsAbs(c.Queue.Mirror) && !strings.HasPrefix(c.Queue.Mirror, "/"):
		return "queue.mirror", fmt.Errorf("%q: want an absolute path, such as that of a mounted disk", c.Queue.Mirror)
	case c.checkKeyFile(c.Queue.KeyFile) != nil:
		return "queue.key_file", c.checkKeyFile(c.Queue.KeyFile)
	case c.checkKeyFile(c.Personal.KeyFile) != nil:
		return "personal.key_file", c.checkKeyFile(c.Personal.KeyFile)
	case c.DNS.Listen != "" && c.TLS.Name == "":
		return "dns.listen", errors.New("tls.name is missing; the hub answers for that name alone")
	case c.TLS.CertFile != "" && c.TLS.KeyFile == "":
		return "tls.cert_file", errors.New("tls.key_file is missing; they belong together")
	case c.TLS.CertFile == "" && c.TLS.KeyFile != "":
		return "tls.key_file", errors.New("tls.cert_file is missing; they belong together")
	}
	return "", nil
}

// loopback reports whether an address to listen on can be reached from this
// machine alone.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func checkListen(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not host:port", s)
	}
	if !isPort(port) {
		return fmt.Errorf("%q has no port number", s)
	}
	if host != "" && host != "localhost" {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("%q: the host must be an address of this machine", s)
		}
	}
	return nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == s
}

func checkURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return fmt.Errorf("%q is not a URL", s)
	case u.User != nil:
		return errors.New("a URL may not hold a credential; name its file in hq.credential_file")
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%q: the scheme must be https", s)
	case u.Scheme == "http" && !loopback(net.JoinHostPort(u.Hostname(), "0")):
		return fmt.Errorf("%q: plain http is for this machine alone; use https", s)
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%q: a base URL has no query", s)
	}
	return nil
}

func checkEndpoint(s string) error {
	host := s
	if strings.Contains(s, ":") && strings.Count(s, ":") == 1 {
		h, port, err := net.SplitHostPort(s)
		if err != nil {
			return fmt.Errorf("%q is not host or host:port", s)
		}
		if !isPort(port) {
			return fmt.Errorf("%q is not host or host:port", s)
		}
		host = h
	}
	if host == "" || len(host) > 253 || strings.ContainsAny(host, "/@ \t?#*") {
		return fmt.Errorf("%q is not a host name", s)
	}
	return nil
}

func checkReader(s string) error {
	if _, err := netip.ParseAddr(s); err != nil {
		return fmt.Errorf("%q is not an IP address", s)
	}
	return nil
}
