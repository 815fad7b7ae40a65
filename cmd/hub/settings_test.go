package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"storehub/hub"
)

func TestSetKeyKeepsTheRestOfTheFile(t *testing.T) {
	for name, c := range map[string]struct{ text, key, want string }{
		"uncomments where it stands": {"# about\n#store: \"0412\"\nlisten: x\n", "store", "# about\nstore: \"new\"\nlisten: x\n"},
		"is set already":             {"store: mine\n", "store", "store: mine\n"},
		"goes first":                 {"listen: x\n", "store", "store: \"new\"\nlisten: x\n"},
		"empty file":                 {"", "store", "store: \"new\"\n"},
		"nested, uncommented":        {"hq:\n  # where\n  #url: https://x\n  embedded: false\nmdns: on\n", "hq.url", "hq:\n  # where\n  url: \"new\"\n  embedded: false\nmdns: on\n"},
		"nested, set already":        {"hq:\n  url: mine\n", "hq.url", "hq:\n  url: mine\n"},
		"nested, inserted":           {"hq:\n    embedded: false\nmdns: on\n", "hq.url", "hq:\n    url: \"new\"\n    embedded: false\nmdns: on\n"},
		"nested, section is missing": {"store: x\n", "hq.url", "store: x\n\nhq:\n  url: \"new\"\n"},
		"another section's key":      {"hq:\n  embedded: false\ntls:\n  #url: x\n", "hq.url", "hq:\n  url: \"new\"\n  embedded: false\ntls:\n  #url: x\n"},
		"a longer name":              {"store_name: x\n", "store", "store: \"new\"\nstore_name: x\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := setKey(c.text, c.key, "new"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestConfigIsCompletedInAnyForm(t *testing.T) {
	settings := map[string]string{"store": "0412", "hq.url": "https://hq.example.com", "hq.ca_file": "/etc/ca.pem"}
	for name, text := range map[string]string{
		"none":            "",
		"shipped":         hub.DefaultConfigText,
		"comments alone":  "# nothing here\n",
		"some keys":       "listen: 127.0.0.1:7443\nhq:\n  credential_file: /x\n",
		"one of them set": "store: \"0412\"\n",
		"flow style":      "{listen: \"127.0.0.1:7443\"}\n",
		"broken":          "listen: [\n",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "etc", "hub.yaml")
			if text != "" {
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			changed, err := completeConfig(file, settings)
			b, _ := os.ReadFile(file)
			if name == "flow style" || name == "broken" {
				if err == nil || changed || string(b) != text {
					t.Fatalf("a file that cannot be completed: changed %v, %v:\n%s", changed, err, b)
				}
				return
			}
			if err != nil || !changed {
				t.Fatalf("changed %v, %v", changed, err)
			}
			cfg, err := hub.ParseConfig(strings.NewReader(string(b)), file)
			if err != nil || cfg.Store != "0412" || cfg.HQ.URL != "https://hq.example.com" || cfg.HQ.CAFile != "/etc/ca.pem" {
				t.Errorf("reads as %+v, %v", cfg, err)
			}
			for line := range strings.Lines(text) {
				if strings.Contains(line, "# ") && !strings.Contains(string(b), line) {
					t.Errorf("lost the comment %q", line)
				}
			}
			if again, err := completeConfig(file, settings); again || err != nil {
				t.Errorf("completed twice: %v, %v", again, err)
			}
		})
	}
}

func FuzzCompleteConfig(f *testing.F) {
	f.Add(hub.DefaultConfigText)
	f.Add("hq:\n\turl: x\n")
	f.Add("store: \"a\"\nhq: {url: x}\n")
	f.Add("hq: # here\n#url:\n")
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "hub.yaml")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		changed, err := completeConfig(file, map[string]string{"store": "0412", "hq.url": "https://hq.example.com"})
		b, rerr := os.ReadFile(file)
		if rerr != nil {
			t.Fatal(rerr)
		}
		if !changed && string(b) != text {
			t.Fatalf("changed without saying so: %v", err)
		}
		if changed {
			if cfg, err := hub.ParseConfig(strings.NewReader(string(b)), file); err != nil || cfg.Store != "0412" || cfg.HQ.URL != "https://hq.example.com" {
				t.Fatalf("reads as %q %q, %v", cfg.Store, cfg.HQ.URL, err)
			}
		}
	})
}
