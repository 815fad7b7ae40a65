package hub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
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

// lookUp asks a resolver as a till's system does.
func lookUp(t *testing.T, network, resolver, name string) ([]string, error) {
	t.Helper()
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, resolver)
	}}
	addrs, err := r.LookupHost(t.Context(), name)
	return addrs, err
}

// The line is cut, and no resolver but the hub is left: a till finds the hub by its
// name, and nothing else.
func TestMoney_4_4_WithTheLineCutATillFindsTheHubByItsName(t *testing.T) {
	f := newFakeHQ()
	f.cut()
	s := open(t, f, t.TempDir(), named, func(c *Config, _ *Parts) { c.DNS.Listen = "127.0.0.1:0" })
	for _, network := range []string{"udp", "tcp"} {
		addrs, err := lookUp(t, network, s.addr.DNS, hubName)
		if err != nil || !slices.Equal(addrs, []string{"127.0.0.1"}) {
			t.Fatalf("%s: %v, %v", network, addrs, err)
		}
		if addrs, err := lookUp(t, network, s.addr.DNS, "api.stripe.com"); err == nil {
			t.Errorf("%s: the hub resolves what is not its own: %v", network, addrs)
		}
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.addr.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	way := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		addrs, err := lookUp(t, "udp", s.addr.DNS, host)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(addrs[0], port))
	}}
	defer way.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+hubName+":"+port+"/v1/operations",
		strings.NewReader(`{"kind":"capture","ref":"pi_1","amount":1250,"currency":"eur"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.credential)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", "sale-1")
	resp, err := (&http.Client{Transport: way}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		t.Errorf("a capture by the hub's name: %d", resp.StatusCode)
	}
}

// Payments do not wait for the name.
func TestMoney_4_4_ATakenDNSPortStopsNoPaymentAndIsTriedAgain(t *testing.T) {
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	at := taken.LocalAddr().String()
	s := open(t, newFakeHQ(), t.TempDir(), named, func(c *Config, _ *Parts) { c.DNS.Listen = at })
	s.capture("pi_1", "k")
	if s.addr.DNS != "" || !strings.Contains(s.log.String(), "address already in use") {
		t.Errorf("answers at %q; the log:\n%s", s.addr.DNS, s.log)
	}
	_ = taken.Close()
	eventually(t, "the hub answers for its name", func() bool {
		m, err := dns.Exchange(new(dns.Msg).SetQuestion(hubName+".", dns.TypeA), at)
		return err == nil && m.Authoritative && len(m.Answer) == 1
	})
}

func TestTillsAreToldWhatTheHubListensOn(t *testing.T) {
	one := func(s string) string {
		cards, err := cardsBehind(s)
		if err != nil || len(cards) != 1 || len(cards[0]) != 1 {
			t.Fatalf("%s: %v, %v", s, cards, err)
		}
		return cards[0][0].String()
	}
	for listen, want := range map[string]string{"192.168.7.2:7443": "192.168.7.2/32", "localhost:1": "127.0.0.1/32", "[fd00::1]:1": "fd00::1/128"} {
		if got := one(listen); got != want {
			t.Errorf("%s: %s, want %s", listen, got, want)
		}
	}
	for _, listen := range []string{":7443", "0.0.0.0:7443"} {
		cards, err := cardsBehind(listen)
		if err != nil || !slices.ContainsFunc(cards, func(c []netip.Prefix) bool { return slices.Contains(c, netip.MustParsePrefix("127.0.0.1/8")) }) {
			t.Errorf("%s: %v, %v", listen, cards, err)
		}
		for _, p := range slices.Concat(cards...) {
			if listen[0] == '0' && !p.Addr().Is4() {
				t.Errorf("%s: %s is not listened on", listen, p)
			}
		}
	}
}
