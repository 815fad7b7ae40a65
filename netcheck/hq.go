package netcheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// probeHQ asks headquarters whether it lives. Any HTTP answer below 500 says yes.
func (c *checker) probeHQ(ctx context.Context) Result {
	ev := map[string]any{"url": c.t.HQ}
	u, err := url.Parse(c.t.HQ)
	if err != nil || u.Hostname() == "" {
		return Result{Status: Unknown, Detail: fmt.Sprintf("hq.url %q is no URL", c.t.HQ)}
	}
	roots := c.roots
	if c.t.HQCAFile != "" {
		pem, err := os.ReadFile(c.t.HQCAFile)
		if err != nil {
			return Result{Status: Unknown, Detail: fmt.Sprintf("read hq.ca_file: %v", err), Evidence: ev}
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return Result{Status: Unknown, Detail: fmt.Sprintf("hq.ca_file %s holds no certificate", c.t.HQCAFile), Evidence: ev}
		}
	}
	tr := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, ServerName: u.Hostname(), MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			name, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			if _, err := netip.ParseAddr(name); err != nil && name != "localhost" && len(c.resolvers) > 0 {
				a := c.lookup(ctx, name)
				if len(a.Addrs) == 0 {
					if conn, err := c.dial(ctx, network, addr); err == nil { // a name of the hosts file
						return conn, nil
					}
					return nil, fmt.Errorf("look up %s: %s", name, a.said())
				}
				name = a.Addrs[0].String()
			}
			return c.dial(ctx, network, net.JoinHostPort(name, port))
		},
	}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.t.HQ, "/")+"/healthz", nil)
	if err != nil {
		return Result{Status: Unknown, Detail: err.Error(), Evidence: ev}
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		ev["problem"] = problem(err)
		return Result{Status: Fail, Code: "hq_unreachable", Evidence: ev, Detail: "headquarters does not answer: " + problem(err)}
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4<<10))
	resp.Body.Close()
	ev["http_status"] = resp.StatusCode
	if resp.StatusCode >= 500 {
		return Result{Status: Fail, Code: "hq_unreachable", Evidence: ev, Detail: fmt.Sprintf("headquarters answers HTTP %d", resp.StatusCode)}
	}
	return Result{Status: Pass, Evidence: ev, Detail: "headquarters answers"}
}
