package netcheck

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"
)

// endpoint is one host to visit.
type endpoint struct {
	name  string
	port  string
	tls   bool
	extra bool // of checks.endpoints, not Stripe's
}

func (e endpoint) String() string {
	if e.port == "443" {
		return e.name
	}
	return net.JoinHostPort(e.name, e.port)
}

// visit is how far one got with a host: tcp, tls, http, done.
type visit struct {
	endpoint
	addr     string // the address and port that took the connection, else the first tried
	stage    string // where it ended: tcp, tls, http or done
	problem  string // "" when done
	issuer   string
	proven   bool // the certificate is that host's, by a public CA
	status   int
	connect  time.Duration
	took     time.Duration // handshake and page
	answered bool          // any TLS record came back
	brief    bool          // with a short hello: the long one has passed already
}

// maxPage is how much of a page is read.
const maxPage = 64 << 10

// maxAddrs is how many addresses of a host are tried.
const maxAddrs = 3

// visitProbe connects, proves the certificate, and asks for one small page. Any
// HTTP answer shows that the host is reached.
func (c *checker) visitProbe(e endpoint) func(context.Context) Result {
	return func(ctx context.Context) Result {
		var addrs []netip.Addr
		c.note(func() { addrs = c.addrs[e.name] })
		if e.name == events && len(addrs) == 0 {
			return Result{}
		}
		v := &visit{endpoint: e, stage: "tcp"}
		ev := map[string]any{"host": e.name, "required": c.isRequired(e.name), "addresses": text(addrs)}
		if e.extra {
			ev["extra"] = true
		}
		defer c.note(func() { c.hosts[e.String()] = v })
		conn, err := c.connectAny(ctx, addrs, e.port, v)
		ev["address"] = v.addr
		if err != nil {
			v.problem = problem(err)
			return v.result(ev, fmt.Sprintf("%s (%s) does not take a connection: %s", v.name, v.addr, v.problem))
		}
		defer conn.Close()
		ev["connect_ms"] = ms(v.connect)
		c.tookConnection(v)
		if !e.tls {
			v.stage = "done"
			return v.result(ev, v.addr+" takes connections")
		}
		return c.overTLS(ctx, conn, v, ev)
	}
}

// tookConnection tells whoever waits to measure the line.
func (c *checker) tookConnection(v *visit) {
	if v.extra {
		return
	}
	c.note(func() {
		if c.taken = append(c.taken, taken{v.name, v.addr, v.connect}); len(c.taken) > 1 {
			return
		}
		close(c.reaching)
		if v.connect > tooFar {
			close(c.far)
		}
	})
}

// sessionsWith are those with that host at that address.
func (c *checker) sessionsWith(v *visit) (cache tls.ClientSessionCache) {
	c.note(func() {
		key := v.name + " " + v.addr
		if c.sessions[key] == nil {
			c.sessions[key] = tls.NewLRUClientSessionCache(1)
		}
		cache = c.sessions[key]
	})
	return cache
}

// overTLS goes on after the connection. The handshake does not verify, so that a
// certificate that proves nothing can still be named; proof is a second step.
func (c *checker) overTLS(ctx context.Context, conn net.Conn, v *visit, ev map[string]any) Result {
	v.stage = "tls"
	start := time.Now()
	hctx, cancel := context.WithTimeout(ctx, budgetTLS)
	defer cancel()
	watch := &watched{Conn: conn}
	conf := &tls.Config{ServerName: v.name, InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS10, ClientSessionCache: c.sessionsWith(v)}
	if v.brief {
		conf.CurvePreferences = []tls.CurveID{tls.X25519}
	}
	tc := tls.Client(watch, conf)
	err := tc.HandshakeContext(hctx)
	v.answered = watch.got
	if err != nil {
		v.problem = tlsProblem(err, watch.got)
		return v.result(ev, fmt.Sprintf("%s (%s) takes the connection, but the TLS handshake ends: %s", v.name, v.addr, v.problem))
	}
	defer tc.Close()
	ev["tls_ms"] = ms(time.Since(start))
	state := tc.ConnectionState()
	ev["tls"] = tls.VersionName(state.Version)
	leaf := state.PeerCertificates[0]
	v.issuer = leaf.Issuer.String()
	ev["issuer"], ev["not_after"] = v.issuer, leaf.NotAfter.UTC().Format(time.RFC3339)
	v.problem = c.prove(state.PeerCertificates, v.name)
	v.proven = v.problem == ""
	if v.problem == "" && state.Version < tls.VersionTLS12 {
		v.problem = "tls_version"
	}
	status, date, err := c.getOver(ctx, tc, v.name, "/healthcheck", ev)
	v.took = time.Since(start)
	if err == nil {
		v.status = status
		ev["http_status"] = status
		if !date.IsZero() && (v.proven || v.problem == "not_yet_valid" || v.problem == "expired") {
			c.readClock("https://"+v.name, date)
		}
	}
	switch {
	case v.problem == "no_roots":
		r := v.result(ev, v.name+" answers, but this machine knows no public authority to prove it by; install ca-certificates")
		r.Status = Unknown
		return r
	case v.problem != "":
		ev["certificate"] = v.problem
		return v.result(ev, fmt.Sprintf("%s (%s) shows a certificate that does not prove it: %s, issued by %q", v.name, v.addr, strings.ReplaceAll(v.problem, "_", " "), v.issuer))
	case err != nil:
		v.stage, v.problem = "http", problem(err)
		return v.result(ev, fmt.Sprintf("%s proves itself, but does not answer: %s", v.name, v.problem))
	}
	v.stage = "done"
	return v.result(ev, fmt.Sprintf("reached, HTTP %d in %.0f ms", v.status, ms(time.Since(start))))
}

func (v *visit) result(ev map[string]any, detail string) Result {
	ev["stage"] = v.stage
	r := Result{Status: Pass, Detail: detail, Evidence: ev}
	if v.problem != "" {
		ev["problem"] = v.problem
		r.Status = Fail
	}
	if v.name == events {
		ev["required"], ev["sample"] = true, true
		if v.problem != "" && !slices.Contains([]string{"silent", "reset", "closed", "untrusted"}, v.problem) && v.stage != "tcp" {
			delete(ev, "certificate") // who answers to a name of ours may well answer so
			r.Status = Warn
		}
	}
	if v.stage == "done" && v.status >= 500 && slices.Contains(required, v.name) {
		ev["problem"] = "server_error"
		r.Status, r.Code = Warn, "stripe_failing"
		r.Detail = fmt.Sprintf("%s is reached and answers HTTP %d", v.name, v.status)
	}
	return r
}

// connectAny tries the host's addresses side by side; the first connection wins.
func (c *checker) connectAny(ctx context.Context, addrs []netip.Addr, port string, v *visit) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, budgetConnect)
	defer cancel()
	if len(addrs) > maxAddrs {
		addrs = addrs[:maxAddrs]
	}
	type try struct {
		conn net.Conn
		addr string
		took time.Duration
		err  error
	}
	got := make(chan try, len(addrs))
	for _, a := range addrs {
		go func() {
			start := time.Now()
			addr := net.JoinHostPort(a.String(), port)
			conn, err := c.dial(ctx, "tcp", addr)
			got <- try{conn, addr, time.Since(start), err}
		}()
	}
	err := error(context.DeadlineExceeded)
	var won net.Conn
	for range addrs {
		t := <-got
		switch {
		case t.err == nil && won == nil:
			won, v.addr, v.connect = t.conn, t.addr, t.took
			cancel()
		case t.err == nil:
			t.conn.Close()
		case won == nil:
			err = t.err
			if v.addr == "" {
				v.addr = t.addr
			}
		}
	}
	if won != nil {
		return won, nil
	}
	return nil, err
}

// getOver asks for one page on an open connection. The request holds nothing of the shop's.
func (c *checker) getOver(ctx context.Context, conn net.Conn, host, path string, ev map[string]any) (int, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, budgetHTTP)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	start := time.Now()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: storehub\r\nConnection: close\r\n\r\n", path, host); err != nil {
		return 0, time.Time{}, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxPage)), nil)
	if err != nil {
		return 0, time.Time{}, err
	}
	ev["http_ms"] = ms(time.Since(start))
	n, err := io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	// Where the end was promised and we did not stop by ourselves, it was cut off.
	if err != nil && n < maxPage/2 && (resp.ContentLength > 0 || len(resp.TransferEncoding) > 0) {
		return 0, time.Time{}, err
	}
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return resp.StatusCode, time.Time{}, nil
	}
	return resp.StatusCode, date, nil
}

// prove says why a chain does not prove that its sender is host; "" when it does.
func (c *checker) prove(chain []*x509.Certificate, host string) string {
	opts := x509.VerifyOptions{DNSName: host, Roots: c.roots, Intermediates: x509.NewCertPool(), CurrentTime: c.now()}
	for _, crt := range chain[1:] {
		opts.Intermediates.AddCert(crt)
	}
	_, err := chain[0].Verify(opts)
	if err == nil {
		return ""
	}
	var name x509.HostnameError
	var roots x509.SystemRootsError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &roots), errors.As(err, &unknown) && c.roots == nil && !haveRoots():
		return "no_roots"
	case errors.As(err, &name):
		return "wrong_name"
	case errors.As(err, &unknown):
		return "untrusted"
	}
	// Only the time can be wrong now, if the chain holds at a time of its own.
	opts.CurrentTime = chain[0].NotBefore.Add(chain[0].NotAfter.Sub(chain[0].NotBefore) / 2)
	if _, err := chain[0].Verify(opts); err != nil {
		return "untrusted"
	}
	if c.now().Before(chain[0].NotBefore) {
		return "not_yet_valid"
	}
	return "expired"
}

// haveRoots says whether the system has any list of authorities. Without one
// every certificate would look like an inspector's.
func haveRoots() bool {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return true // these verify by themselves
	}
	pool, err := x509.SystemCertPool()
	return err == nil && !pool.Equal(x509.NewCertPool())
}

// watched notes whether the far end ever said anything.
type watched struct {
	net.Conn
	got bool
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.got = w.got || n > 0
	return n, err
}

func tlsProblem(err error, answered bool) string {
	var alert tls.AlertError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &alert) && (alert == 70 || alert == 71), strings.Contains(err.Error(), "protocol version"), strings.Contains(err.Error(), "unsupported version"):
		return "tls_version"
	case errors.As(err, &alert):
		return "alert"
	case errors.As(err, &record):
		return "not_tls"
	}
	if p := problem(err); slices.Contains([]string{"silent", "reset", "closed"}, p) {
		return p
	}
	if answered {
		return "not_tls"
	}
	return problem(err)
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
