package netcheck

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// probeProxy looks for an HTTP proxy where nothing gets out directly. Readers
// cannot use one.
func (c *checker) probeProxy(ctx context.Context) Result {
	if _, connected := c.reached(); len(connected) > 0 {
		return Result{}
	}
	var found []string
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, p := range c.proxies(ctx) {
		wg.Go(func() {
			if c.tunnels(ctx, p) {
				mu.Lock()
				defer mu.Unlock()
				found = append(found, p)
			}
		})
	}
	wg.Wait()
	if len(found) == 0 {
		return Result{}
	}
	slices.Sort(found)
	return Result{Status: Warn, Code: "proxy_required", Detail: "nothing gets out but by the proxy " + strings.Join(found, ", "),
		Evidence: map[string]any{"proxies": found}}
}

// proxies are where one would be: in the environment, in the script that the DHCP
// offer names (option 252), and on the router.
func (c *checker) proxies(ctx context.Context) []string {
	var out []string
	add := func(s string) {
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, k := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		if u, err := url.Parse(os.Getenv(k)); err == nil {
			add(u.Host)
		}
	}
	var scripts []string
	c.note(func() {
		if c.gateway.IsValid() {
			for _, port := range []uint16{3128, 8080, 8888} {
				add(netip.AddrPortFrom(c.gateway, port).String())
			}
		}
		for _, o := range c.offers {
			if o.ProxyURL != "" {
				scripts = append(scripts, strings.TrimRight(o.ProxyURL, "\x00\r\n "))
			}
		}
	})
	for _, s := range scripts {
		for _, p := range proxiesOf(c.fetch(ctx, s)) {
			add(p)
		}
	}
	return out
}

// inScript is how a proxy is named in an auto-configuration script.
var inScript = regexp.MustCompile(`\bPROXY\s+([A-Za-z0-9.-]+:[0-9]{1,5})\b`)

// proxiesOf reads the proxies out of a script without running it.
func proxiesOf(script string) []string {
	var out []string
	for _, m := range inScript.FindAllStringSubmatch(script, 8) {
		if !slices.Contains(out, m[1]) {
			out = append(out, m[1])
		}
	}
	return out
}

// fetch reads a small page over plain HTTP; "" when it cannot.
func (c *checker) fetch(ctx context.Context, page string) string {
	u, err := url.Parse(page)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" {
		return ""
	}
	at := u.Hostname()
	if _, err := netip.ParseAddr(at); err != nil {
		a := c.lookup(ctx, at)
		if len(a.Addrs) == 0 {
			return ""
		}
		at = a.Addrs[0].String()
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	conn, err := c.dial(ctx, "tcp", net.JoinHostPort(at, port))
	if err != nil {
		return ""
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: storehub\r\nConnection: close\r\n\r\n", u.RequestURI(), u.Host); err != nil {
		return ""
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxPage)), nil)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return string(body)
}

// tunnels asks a proxy for a tunnel to Stripe. One that wants to know who asks is
// a proxy; one that says yes must lead to somebody who speaks TLS, since a login
// page says yes to everything.
func (c *checker) tunnels(ctx context.Context, addr string) bool {
	at, port, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if _, err := netip.ParseAddr(at); err != nil {
		a := c.lookup(ctx, at)
		if len(a.Addrs) == 0 {
			return false
		}
		at = a.Addrs[0].String()
	}
	conn, err := c.dial(ctx, "tcp", net.JoinHostPort(at, port))
	if err != nil {
		return false
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := fmt.Fprintf(conn, "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n\r\n", required[0], required[0]); err != nil {
		return false
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, 8<<10)), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return false
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode == http.StatusProxyAuthRequired
	}
	return tls.Client(conn, &tls.Config{ServerName: required[0], InsecureSkipVerify: true}).HandshakeContext(ctx) == nil
}
