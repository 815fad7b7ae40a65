package hub

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"storehub/internal/yamlfile"
)

func TestShippedFileEqualsDefaults(t *testing.T) {
	shipped, err := ParseConfig(strings.NewReader(DefaultConfigText), "hub.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if want := DefaultConfig(); !reflect.DeepEqual(shipped, want) {
		t.Errorf("hub.yaml and DefaultConfig differ:\n%+v\n%+v", shipped, want)
	}
	empty, err := ParseConfig(strings.NewReader(""), "hub.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(empty, shipped) {
		t.Errorf("an empty file is not the defaults: %+v", empty)
	}
}

// Whoever takes away the first # of a line must get a file that is read.
func TestEveryKeyIsInTheShippedFile(t *testing.T) {
	for key := range keys {
		last := key[strings.LastIndexByte(key, '.')+1:]
		if !strings.Contains(DefaultConfigText, last+":") {
			t.Errorf("%s is not in hub.yaml", key)
		}
	}
}

func TestMinimalFileIsComplete(t *testing.T) {
	c, err := ParseConfig(strings.NewReader("store: 0412\nhq:\n  url: https://hq.example.com/\n"), "hub.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Complete(); err != nil {
		t.Error(err)
	}
	if c.Store != "0412" {
		t.Errorf("store is %q: a store's number must stay as it was written", c.Store)
	}
	if c.HQ.URL != "https://hq.example.com" {
		t.Errorf("hq.url is %q", c.HQ.URL)
	}
	want := DefaultConfig()
	want.Store, want.HQ.URL = c.Store, c.HQ.URL
	if !reflect.DeepEqual(c, want) {
		t.Errorf("a minimal file changes more than it says: %+v", c)
	}
}

func parseFile(t *testing.T, name string) Config {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "config", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := ParseConfig(f, name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnEmbeddedHeadquartersIsRead(t *testing.T) {
	got := parseFile(t, "embedded.yml")
	want := DefaultConfig()
	want.Store = "0412"
	want.HQ = HQConfig{Embedded: true, Location: "tml_1",
		Stripe: StripeConfig{APIKeyFile: "/a", APIBase: "http://127.0.0.1:12111", WebhookSecretFile: "/b", TestAPIKeyFile: "/c", TestWebhookFile: "/d", RatePerEndpoint: 20}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if err := got.Complete(); err != nil {
		t.Error(err)
	}
}

func TestWholeFileIsRead(t *testing.T) {
	got := parseFile(t, "whole.yml")
	want := Config{
		Store: "0412", StateDir: "/srv/hub", Listen: "192.168.7.2:7443",
		TLS:     TLSConfig{CertFile: "/etc/c.pem", KeyFile: "/etc/k.pem", Name: "hub.shop.example"},
		DNS:     DNSConfig{Listen: "192.168.7.2:53"},
		Metrics: MetricsConfig{Listen: "127.0.0.1:9743"},
		HQ:      HQConfig{URL: "https://hq.example.com", CAFile: "/etc/ca.pem", CredentialFile: "/etc/cred"},
		API:     APIConfig{Origins: []string{"https://pos.example.com", "http://localhost:3000"}, Language: "pl"},
		Checks: ChecksConfig{
			Every: time.Minute, Integration: "sdk-js", Workday: 10 * time.Hour,
			Readers: []string{"192.168.7.31"}, Endpoints: []string{"erp.example.com", "erp.example.com:8443"}, IPRangesFile: "/r",
		},
		Queue:        QueueConfig{MaxBytes: 512 << 20, Mirror: "/mnt/stick", KeyFile: "/etc/q.key", RetentionBytes: 64 << 20},
		Personal:     PersonalConfig{KeyFile: "/etc/p.key"},
		OpeningHours: []string{"mon-fri 08:00-20:00", "sat 18:00-02:00"},
		Log:          LogConfig{Level: "debug", Format: "json"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

// Each file in testdata/config/invalid-*.yml holds one mistake and, in its first
// line, what is said about it.
func TestEveryMistakeIsSaidWithLineAndKey(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "config", "invalid-*.yml"))
	if err != nil || len(files) < 15 {
		t.Fatalf("found %d files: %v", len(files), err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := bytes.Cut(src, []byte("\n"))
		want, ok := strings.CutPrefix(string(first), "# want: ")
		if !ok {
			t.Errorf("%s does not begin with `# want: `", file)
			continue
		}
		_, err = ParseConfig(bytes.NewReader(src), "hub.yaml")
		var located *yamlfile.Error
		if !errors.As(err, &located) {
			t.Errorf("%s: error is %v", file, err)
			continue
		}
		if err.Error() != want {
			t.Errorf("%s:\n got %s\nwant %s", file, err, want)
		}
	}
}

func TestConfigForServingMustBeWhole(t *testing.T) {
	whole := DefaultConfig()
	whole.Store, whole.HQ.URL = "0412", "https://hq.example.com"
	for _, tc := range []struct {
		change func(*Config)
		want   string
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.Store = "" }, "store: missing"},
		{func(c *Config) { c.StateDir = "" }, "state_dir: missing"},
		{func(c *Config) { c.HQ.URL = "" }, "hq.url: missing"},
		{func(c *Config) { c.HQ = HQConfig{Embedded: true} }, "hq.stripe.api_key_file: missing"},
		{func(c *Config) { c.HQ = HQConfig{Embedded: true, Stripe: StripeConfig{APIKeyFile: "/k"}} }, "hq.location: missing"},
	} {
		c := whole
		tc.change(&c)
		err := c.Complete()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.want)) {
			t.Errorf("got %v, want %q", err, tc.want)
		}
	}
}

func TestWhatMayBeTheHubsName(t *testing.T) {
	long := strings.Repeat("a", 63)
	for name, want := range map[string]string{
		"hub.shop.example": "", "hub-1.0412.example": "", "xn--bcher-kva.example": "", "a.internal": "", long + ".example": "",
		"hub": "no dot", "shop.local": "mDNS", "hub.localhost": "every machine's own",
		"192.168.7.2": "not a DNS name", "fd00::1": "not a DNS name", "hub.7": "not a DNS name", "hub.shop.example.": "not a DNS name",
		"": "not a DNS name", ".example": "not a DNS name", "a..example": "not a DNS name", "-a.example": "not a DNS name", "a-.example": "not a DNS name",
		"hub_1.example": "not a DNS name", "*.example": "not a DNS name", "bücher.example": "not a DNS name", "a b.example": "not a DNS name",
		"hub.example:7443": "not a DNS name", "https://hub.example": "not a DNS name", long + "a.example": "not a DNS name",
		strings.Repeat("a.", 124) + "example": "not a DNS name",
	} {
		if err := checkName(name); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", name, err, want)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add(DefaultConfigText)
	f.Add("store: 0412\nhq: {url: https://hq.example.com}\n")
	f.Add("checks:\n  every: off\n  readers: [10.0.0.1]\n")
	f.Add("a: &x [*x]\n")
	f.Add("tls:\n  name: Hub.shop.example\n")
	f.Add("queue:\n  max_bytes: 9223372036854775807TiB\n")
	f.Fuzz(func(t *testing.T, src string) {
		c, err := ParseConfig(strings.NewReader(src), "f")
		if err != nil {
			var located *yamlfile.Error
			if !errors.As(err, &located) {
				t.Fatalf("error without a place: %v", err)
			}
			return
		}
		if c.Queue.MaxBytes < 16<<20 || c.Checks.Workday < time.Hour || c.Checks.Every != 0 && c.Checks.Every < 30*time.Second {
			t.Fatalf("accepted out of bounds: %+v", c)
		}
	})
}

func TestDefaultsOnWindowsAreInTheFolderForPrograms(t *testing.T) {
	text := onSystem(shippedConfig, "windows", `C:\ProgramData`)
	c, err := ParseConfig(strings.NewReader(text), "hub.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if want := `C:\ProgramData\storehub\data`; c.StateDir != want || !strings.Contains(text, `#credential_file: `+want+`\hq.credential`) ||
		!strings.Contains(text, `#cert_file: C:\ProgramData\storehub\tls.crt`) || !strings.Contains(text, `#api_key_file: C:\ProgramData\storehub\stripe-test.key`) {
		t.Errorf("data are in %s:\n%s", c.StateDir, text)
	}
	if strings.Contains(text, "/storehub/") || onSystem(shippedConfig, "linux", "") != shippedConfig {
		t.Errorf("folders are mixed:\n%s", text)
	}
}
