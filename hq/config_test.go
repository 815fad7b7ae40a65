package hq

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"storehub/internal/yamlfile"
)

func TestShippedFileIsTheDefaultsAndAMinimalFileToo(t *testing.T) {
	for name, text := range map[string]string{"shipped": DefaultConfigText, "empty": "", "comment": "# nothing\n", "one default": "listen: 127.0.0.1:7480\n",
		"empty sections": "stripe:\n  #api_base: x\nlog:\ntls: ~\n"} {
		c, err := ParseConfig(strings.NewReader(text), "hq.yaml")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(c, DefaultConfig()) {
			t.Errorf("%s: %+v\nwant %+v", name, c, DefaultConfig())
		}
	}
}

func TestEveryKeyIsInTheShippedFile(t *testing.T) {
	for key := range keys {
		if last := key[strings.LastIndexByte(key, '.')+1:]; !strings.Contains(DefaultConfigText, last+":") {
			t.Errorf("hq.yaml does not explain %s", key)
		}
	}
}

func TestConfigMistakesAreShownWithLineAndKey(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":    {"listen: 127.0.0.1:1\nlistn: x\n", `hq.yaml:2: listn: unknown key`},
		"unknown nested": {"stripe:\n  api_key: sk_x\n", `hq.yaml:2: stripe.api_key: unknown key`},
		"unknown, empty": {"listn:\n", `hq.yaml:1: listn: unknown key`},
		"twice":          {"listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n", `hq.yaml:2: mapping key "listen" already defined at [1:1]`},
		"type":           {"stripe:\n  rate_per_endpoint: many\n", `hq.yaml:2: `},
		"syntax":         {"listen: [\n", `hq.yaml:1: `},
		"two documents":  {"listen: 127.0.0.1:1\n---\nlisten: 127.0.0.1:2\n", `hq.yaml:3: a second document; there may be one`},
		"no loopback":    {"listen: 0.0.0.0:443\n", `hq.yaml:1: listen: "0.0.0.0:443" is no loopback address: hubs' credentials must not travel in the clear; set tls.cert_file and tls.key_file`},
		"no port":        {"listen: localhost\n", `hq.yaml:1: listen: want HOST:PORT, not "localhost"`},
		"port":           {"listen: localhost:http\n", `hq.yaml:1: listen: "http" is not a port`},
		"half a pair":    {"tls:\n  cert_file: a\n", `hq.yaml:1: tls: needs both cert_file and key_file, or neither`},
		"public url":     {"public_url: hq.example.com\n", `hq.yaml:1: public_url: want an http or https URL, not "hq.example.com"`},
		"plain http":     {"stripe:\n  api_base: http://api.stripe.com\n", `hq.yaml:2: stripe.api_base: "http://api.stripe.com": plain http only on a loopback address`},
		"database":       {"database: mysql://u:secret@h/db\n", `hq.yaml:1: database: want sqlite:PATH or postgres://USER@HOST/DATABASE, not "mysql://u:xxxxx@h/db"`},
		"no key":         {"stripe:\n  api_key_file: \"\"\n", `hq.yaml:2: stripe.api_key_file: empty; leave the key out for the default`},
		"rate":           {"stripe:\n  rate_per_endpoint: 0\n", `hq.yaml:2: stripe.rate_per_endpoint: 0 is not between 1 and 100`},
		"shared":         {"fleet:\n  shared_stores: 1\n", `hq.yaml:2: fleet.shared_stores: 1 is not between 2 and 1000`},
		"test secret":    {"stripe:\n  test:\n    webhook_secret_file: x\n", `hq.yaml:3: stripe.test.webhook_secret_file: needs stripe.test.api_key_file`},
		"level":          {"log:\n  level: loud\n", `hq.yaml:2: log.level: "loud" is not one of debug, info, warn, error`},
		"format":         {"log:\n  format: xml\n", `hq.yaml:2: log.format: "xml" is not one of text, json`},
		"not UTF-8":      {"listen: \xff\n", `hq.yaml: not UTF-8 text`},
		"a list":         {"- listen\n", `hq.yaml:1: `},
		"much too large": {strings.Repeat("#", 300<<10), `hq.yaml: larger than 256 KiB`},
		"half an acme":   {"acme:\n  zone: hubs.example.com\n", `hq.yaml:1: acme: acme.directory is missing; without it hubs have no public names`},
		"acme, no zone":  {"acme:\n  directory: https://ca.example/dir\n", `hq.yaml:2: acme.directory: needs acme.zone`},
		"acme, zone":     {"acme:\n  zone: com\n", `hq.yaml:2: acme.zone: "com" is not a DNS zone such as hubs.example.com`},
		"acme, server":   {"acme:\n  dns:\n    server: ns1.example.com\n", `hq.yaml:3: acme.dns.server: want HOST:PORT, not "ns1.example.com"`},
		"acme, plain":    {"acme:\n  directory: http://ca.example/dir\n", `hq.yaml:2: acme.directory: "http://ca.example/dir": plain http only on a loopback address`},
		"acme, no terms": {"acme:\n  directory: https://ca.example/dir\n  zone: hubs.example.com\n  account_key_file: a\n  dns:\n    server: ns:53\n    key_file: k\n",
			`hq.yaml:2: acme.directory: needs acme.terms_agreed: true, once you have read and agreed to the authority's terms`},
		"NUL":             {"listen: a\x00b\n", `hq.yaml: not UTF-8 text`},
		"key of a secret": {"stripe:\n  api_key: sk_live_abc\n", `hq.yaml:2: stripe.api_key: unknown key`},
	} {
		_, err := ParseConfig(strings.NewReader(c.text), "hq.yaml")
		var wrong *yamlfile.Error
		if !errors.As(err, &wrong) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", name, err, c.want)
			continue
		}
		if strings.Contains(err.Error(), "secret@") || strings.Contains(err.Error(), "sk_live") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: says too much: %v", name, err)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add(DefaultConfigText)
	f.Add("listen: 127.0.0.1:1\nstripe: {api_key_file: x}\n")
	f.Add("a: &a [*a]\n")
	f.Add("? [x]\n: y\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseConfig(strings.NewReader(text), "hq.yaml")
		if err == nil {
			if _, err := c.check(); err != nil {
				t.Errorf("took a file that does not pass its own check: %v", err)
			}
		}
	})
}
