package hub

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestOffLoopbackTheHubSpeaksTLSFromItsOwnCA(t *testing.T) {
	dir := t.TempDir()
	s := open(t, newFakeHQ(), dir, func(c *Config, _ *Parts) { c.Listen = "0.0.0.0:0" })
	if !strings.HasPrefix(s.addr.URL, "https://localhost:") || s.addr.CAFile == "" {
		t.Fatalf("address: %+v", s.addr)
	}
	pem, err := os.ReadFile(s.addr.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.addr.URL, "https://"))
	for _, host := range []string{"localhost", "127.0.0.1"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+host+":"+port+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.ProtoMajor != 2 {
			t.Errorf("%s: answered in %s, want HTTP/2: a page with several event streams needs it", host, resp.Proto)
		}
	}
	for _, name := range []string{"ca.key", "leaf.key"} {
		if info, err := os.Stat(filepath.Join(dir, "tls", name)); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestTheCASurvivesAndTheLeafIsRenewedAtHalfLife(t *testing.T) {
	dir := t.TempDir()
	now := time.Now().Truncate(time.Second)
	clock := func() time.Time { return now }
	first, err := openCertificate(dir, "", clock, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	names, ips := machineNames("")
	leaf := first.leaf.Load().Leaf
	if err := first.renew(names, ips); err != nil || first.leaf.Load().Leaf != leaf {
		t.Errorf("renewed without need: %v", err)
	}
	again, err := openCertificate(dir, "", clock, slog.New(slog.DiscardHandler))
	if err != nil || !again.ca.Equal(first.ca) || !again.leaf.Load().Leaf.Equal(leaf) {
		t.Fatalf("opened anew, CA or leaf differ: %v", err)
	}
	now = now.Add(leafLife/2 + time.Hour)
	if err := again.renew(names, ips); err != nil || again.leaf.Load().Leaf.Equal(leaf) {
		t.Errorf("not renewed after half of its life: %v", err)
	}
	if err := again.renew(names, append(ips, net.IPv4(10, 9, 8, 7))); err != nil || again.leaf.Load().Leaf.VerifyHostname("10.9.8.7") != nil {
		t.Errorf("not renewed for a new address: %v", err)
	}
	if err := again.renew(append(names, "new-name"), ips); err != nil || again.leaf.Load().Leaf.VerifyHostname("new-name") != nil {
		t.Errorf("not renewed for a new name: %v", err)
	}
}

func TestNothingIsMintedUnderAClockThatCannotBeRight(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	log := &recorder{}
	c, err := openCertificate(dir, "", func() time.Time { return now }, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	leaf := c.leaf.Load()
	now = now.AddDate(-3, 0, 0)
	if err := c.renew([]string{"new-name"}, nil); err != nil || c.leaf.Load() != leaf || !strings.Contains(log.String(), "set the clock") {
		t.Errorf("the old one was not kept: %v\n%s", err, log)
	}
	// Without an old one there is nothing to serve.
	for _, f := range []string{"leaf.pem", "leaf.key"} {
		if err := os.Remove(filepath.Join(dir, f)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openCertificate(dir, "", func() time.Time { return now }, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "set the clock") {
		t.Errorf("got %v", err)
	}
}

func TestADamagedCAIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	if _, err := openCertificate(dir, "", time.Now, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.key"), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	// Every till trusts the old one; a new one in silence would lock them all out.
	if _, err := openCertificate(dir, "", time.Now, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a damaged CA was replaced in silence")
	}
}

func TestTheShopsOwnCertificateIsServed(t *testing.T) {
	own := t.TempDir()
	if _, err := openCertificate(own, "", time.Now, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	s := open(t, newFakeHQ(), t.TempDir(), func(c *Config, _ *Parts) {
		c.TLS = TLSConfig{CertFile: filepath.Join(own, "leaf.pem"), KeyFile: filepath.Join(own, "leaf.key")}
	})
	if !strings.HasPrefix(s.addr.URL, "https://") || s.addr.CAFile != "" {
		t.Errorf("address: %+v", s.addr)
	}
	cfg := testConfig(t.TempDir())
	cfg.TLS = TLSConfig{CertFile: "/nowhere", KeyFile: "/nowhere"}
	h, err := New(cfg, testParts(newFakeHQ(), &recorder{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "tls.cert_file") {
		t.Errorf("got %v", err)
	}
}

func TestATakenPortIsSaid(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	cfg := testConfig(t.TempDir())
	cfg.Listen = strings.TrimPrefix(s.addr.URL, "http://")
	h, err := New(cfg, testParts(newFakeHQ(), &recorder{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Run(t.Context(), func(Addr) { t.Error("ready") }); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
}

func TestRealPartsWantTheirFiles(t *testing.T) {
	cfg := testConfig(t.TempDir())
	parts := testParts(nil, &recorder{})
	parts.HQ = nil
	if _, err := New(cfg, parts); err == nil || !strings.Contains(err.Error(), "hq.credential_file") {
		t.Errorf("without a credential: %v", err)
	}
	file := filepath.Join(cfg.StateDir, "hq.credential")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := New(cfg, parts)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(file, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := New(cfg, parts); err == nil || !strings.Contains(err.Error(), "chmod 600") || strings.Contains(err.Error(), "secret\n") {
			t.Errorf("a credential that everyone reads: %v", err)
		}
		_ = os.Chmod(file, 0o600)
	}
	cfg.HQ.CAFile = file
	if _, err := New(cfg, parts); err == nil || !strings.Contains(err.Error(), "hq.ca_file") {
		t.Errorf("a CA file without a certificate: %v", err)
	}
	cfg.HQ = HQConfig{Embedded: true, Location: "tml_1", Stripe: StripeConfig{APIKeyFile: "/k"}}
	if _, err := New(cfg, parts); err == nil || !strings.Contains(err.Error(), "hq.embedded") {
		t.Errorf("an embedded headquarters that nobody started: %v", err)
	}
}

func TestALocalNameIsPlainHTTP(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, ":1": false, "0.0.0.0:1": false, "192.168.1.2:1": false, "x": false} {
		if loopback(addr) != want {
			t.Errorf("%s: %t", addr, !want)
		}
	}
}

func TestATillOfTLS12IsOfferedNothingWithCBC(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir(), func(c *Config, _ *Parts) { c.Listen = "0.0.0.0:0" })
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.addr.URL, "https://"))
	for suite, want := range map[uint16]bool{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: true, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: true,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: false, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: false,
	} {
		c, err := tls.Dial("tcp", "127.0.0.1:"+port, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
		if (err == nil) != want {
			t.Errorf("%s: %v", tls.CipherSuiteName(suite), err)
		}
		if err == nil {
			_ = c.Close()
		}
	}
}
