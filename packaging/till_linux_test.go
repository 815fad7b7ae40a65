package packaging

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// till is a till that trusts the hub's own CA.
type till struct {
	m          *machine
	credential string
	client     *http.Client
}

func (m *machine) till() *till {
	m.t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(m.read("/var/lib/private/storehub/tls/ca.pem"))) {
		m.t.Fatal("the hub has no CA")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	m.t.Cleanup(transport.CloseIdleConnections)
	return &till{m: m, credential: strings.TrimSpace(m.read("/root/lane-1")), client: &http.Client{Transport: transport, Timeout: patience}}
}

// promise has the hub take a capture on.
func (p *till) promise(intent string) {
	p.m.t.Helper()
	req, err := http.NewRequestWithContext(p.m.t.Context(), http.MethodPost, "https://127.0.0.1:7443/v1/operations",
		strings.NewReader(fmt.Sprintf(`{"kind":"capture","ref":%q}`, intent)))
	if err != nil {
		p.m.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+p.credential)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", "capture-"+intent)
	resp, err := p.client.Do(req)
	if err != nil {
		p.m.t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode/100 != 2 {
		p.m.t.Fatalf("capture %s: %s %s %v", intent, resp.Status, body, err)
	}
}
