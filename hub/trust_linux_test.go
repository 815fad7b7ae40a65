package hub

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestChromiumTrustsTheHubAsTheDocumentsSay does what docs/operations.md asks of
// whoever sets up a till with Chromium on Linux: before it the browser refuses the
// hub's page, after it the page is there.
func TestChromiumTrustsTheHubAsTheDocumentsSay(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir(), func(c *Config, _ *Parts) { c.Listen = "0.0.0.0:0" })
	home := t.TempDir()
	ca := filepath.Join(home, "storehub-ca.crt")
	pem, err := os.ReadFile(s.addr.CAFile) // what /ca.crt serves
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ca, pem, 0o600); err != nil {
		t.Fatal(err)
	}

	// net::ERR_CERT_AUTHORITY_INVALID: nothing vouches for the chain.
	const refused = "net_error -202"
	if page, said := seenByChromium(t, home, s.addr.URL+"/healthz"); strings.Contains(page, "ok") || !strings.Contains(said, refused) {
		t.Fatalf("a browser that was told nothing shows %q and says:\n%s", page, said)
	}
	store := filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(store, 0o700); err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`certutil -d sql:$HOME/.pki/nssdb -N --empty-password`,
		`certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n "Store Hub" -i storehub-ca.crt`,
	} {
		if !strings.Contains(string(docs), line) {
			t.Errorf("docs/operations.md does not say %q", line)
		}
		c := exec.CommandContext(t.Context(), "sh", "-ec", line)
		c.Dir, c.Env = home, append(os.Environ(), "HOME="+home)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	if page, said := seenByChromium(t, home, s.addr.URL+"/healthz"); !strings.Contains(page, "ok") || strings.Contains(said, refused) {
		t.Errorf("a browser that trusts the hub's CA shows %q and says:\n%s", page, said)
	}
}

// seenByChromium is a page as Chromium shows it with that home, and what Chromium
// says meanwhile. It can reach this machine and no other.
func seenByChromium(t *testing.T, home, url string) (page, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-domain-reliability",
		"--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost", "--user-data-dir="+filepath.Join(home, "profile"), "--dump-dom", url)
	c.Env = append(os.Environ(), "HOME="+home)
	var out, complaints strings.Builder
	c.Stdout, c.Stderr = &out, &complaints
	if err := c.Run(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, complaints.String())
	}
	return out.String(), complaints.String()
}
