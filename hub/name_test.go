package hub

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
)

// hubName is the hub's name in tests; nothing resolves it.
const hubName = "hub.shop.example"

func named(c *Config, _ *Parts) { c.TLS.Name = hubName }

func admined(t *testing.T, s *shop) *Admin {
	t.Helper()
	a, err := DialAdmin(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A till is pointed at the hub by its name, and reaches it there: the name stands in
// the certificate of the hub's own CA.
func TestMoney_4_4_TillsAreGivenTheHubsNameAndItsCertificateHoldsIt(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir(), named, func(c *Config, _ *Parts) { c.Listen = "0.0.0.0:0" })
	p, err := admined(t, s).Pair(t.Context(), PairRequest{Name: "lane-1"})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(s.addr.URL)
	if err != nil {
		t.Fatal(err)
	}
	if p.URL != "https://"+hubName+":"+u.Port() || p.POSURL != p.URL+"/pos/"+p.Credential {
		t.Errorf("paired at %s, %s; the hub listens at %s", p.URL, strings.ReplaceAll(p.POSURL, p.Credential, "…"), s.addr.URL)
	}
	pem, err := os.ReadFile(s.addr.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	conn, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", u.Port()), &tls.Config{RootCAs: pool, ServerName: hubName})
	if err != nil {
		t.Fatalf("by its name: %v", err)
	}
	_ = conn.Close()
}

func TestMoney_4_4_OnLoopbackTheHubsNameIsItsOwnAndOthersAreNot(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir(), named)
	p, err := admined(t, s).Pair(t.Context(), PairRequest{Name: "lane-1"})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(p.URL, "http://"+hubName+":") {
		t.Errorf("paired at %s", p.URL)
	}
	for host, want := range map[string]int{hubName: http.StatusOK, "HUB.Shop.Example:7443": http.StatusOK, "other.shop.example": http.StatusForbidden} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.addr.URL+"/v1/status", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		req.Header.Set("Authorization", "Bearer "+p.Credential)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("Host %s: %d, want %d", host, resp.StatusCode, want)
		}
	}
}
