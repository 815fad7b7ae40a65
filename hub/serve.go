package hub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"storehub/doors"
)

// Limits of the servers. Headers come from tills on the same LAN.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 15 * time.Second // 64 KiB over the poorest Wi-Fi
	idleTimeout   = 2 * time.Minute
	headerBytes   = 16 << 10

	// strangersWait: a connection that guesses credentials has one try a second.
	strangersWait = time.Second

	// A stop takes under 5 s: captures that wait for their outcome have a second
	// to see it, then they get their 202; what is left is cut after three more.
	stopWaiting = time.Second
	stopAll     = 4 * time.Second
)

// servers is everything that listens.
type servers struct {
	hub      *Hub
	api      *http.Server
	apiL     net.Listener
	metrics  *http.Server // nil: on api
	metricsL net.Listener
	admin    *http.Server
	adminL   net.Listener
	nameErr  string          // why dns.listen could not be opened; said once
	cert     *certificate    // nil: plain HTTP, or the shop's own files
	files    *certFiles      // nil: the shop has none
	requests context.Context // ends when those who wait have to go
	release  context.CancelFunc
	tls      bool
}

// listen opens every listener or none.
func (h *Hub) listen() (_ *servers, err error) {
	s := &servers{hub: h, tls: !loopback(h.cfg.Listen) || h.cfg.TLS.CertFile != ""}
	s.requests, s.release = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			s.release()
			for _, l := range []net.Listener{s.apiL, s.metricsL, s.adminL} {
				if l != nil {
					_ = l.Close()
				}
			}
		}
	}()
	if s.apiL, err = net.Listen("tcp", h.cfg.Listen); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s.apiL = newFair(s.apiL, connsMost, connsOfOne)
	if s.tls {
		conf, err := s.tlsConfig()
		if err != nil {
			return nil, err
		}
		s.apiL = tls.NewListener(s.apiL, conf)
	}
	if h.cfg.Metrics.Listen != "" {
		if s.metricsL, err = net.Listen("tcp", h.cfg.Metrics.Listen); err != nil {
			return nil, fmt.Errorf("listen for metrics: %w", err)
		}
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", h.metrics.handler())
		s.metrics = s.server(mux)
	}
	if s.adminL, err = listenAdmin(h.cfg.StateDir); err != nil {
		return nil, err
	}
	s.listenForName()
	s.admin = s.server(h.adminHandler(s))
	h.door = h.handler(s)
	s.api = s.server(h.door)
	return s, nil
}

func (s *servers) server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerBytes,
		BaseContext:       func(net.Listener) context.Context { return s.requests },
		ErrorLog:          quiet(s.hub.log),
	}
}

// handler is everything on the main address: the doors, and what needs no credential.
func (h *Hub) handler(s *servers) http.Handler {
	till := doors.Handler(h, doors.Options{
		Origins:  h.cfg.API.Origins,
		Language: h.cfg.API.Language,
		Hosts:    s.hosts(),
		Known:    h.knownDown,
		Log:      h.log,
		OnToken:  h.metrics.token,
		OnSeen:   h.seen,

		StrangersWait: strangersWait,
	})
	own := http.NewServeMux()
	own.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })
	own.HandleFunc("GET /readyz", h.readyz)
	own.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(doors.OpenAPI)
	})
	if s.cert != nil {
		own.HandleFunc("GET "+caPath, s.giveCA)
	}
	if h.cfg.Metrics.Listen == "" {
		own.Handle("GET /metrics", h.metrics.handler())
	}
	pages := h.console.handler(s)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.hear(r)
		// The doors never redirect; ServeMux would, for an unclean path. So only
		// exact paths go there.
		switch r.URL.Path {
		case "/healthz", "/readyz", "/metrics", "/openapi.json", caPath:
			own.ServeHTTP(w, r)
		default:
			if isConsole(r.URL.Path) {
				pages.ServeHTTP(w, r)
				return
			}
			till.ServeHTTP(w, r)
		}
	})
}

// caPath is where tills get the hub's own CA, before they trust it.
const caPath = "/ca.crt"

func (s *servers) giveCA(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-x509-ca-cert")
	w.Header().Set("Content-Disposition", `attachment; filename="storehub-ca.crt"`)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(s.cert.caPEM())
}

// readyz: ready to keep a promise. Headquarters need not be there for that.
func (h *Hub) readyz(w http.ResponseWriter, _ *http.Request) {
	if h.stopping.Load() {
		plain(w, http.StatusServiceUnavailable, "stopping")
		return
	}
	plain(w, http.StatusOK, "ready")
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}

// hosts guards plain HTTP on loopback against DNS rebinding. With TLS a browser
// checks the name itself.
func (s *servers) hosts() func(string) bool {
	if s.tls {
		return nil
	}
	machine, _ := os.Hostname()
	return func(host string) bool {
		host = strings.ToLower(host)
		if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
			return true // an address is not a name that somebody could re-point
		}
		return host == "localhost" || strings.HasSuffix(host, ".localhost") || host != "" && (host == strings.ToLower(machine) || host == s.hub.cfg.TLS.Name)
	}
}

func (s *servers) serve(tasks *errgroup.Group) {
	start := func(srv *http.Server, l net.Listener) {
		if srv == nil {
			return
		}
		tasks.Go(func() error {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	start(s.api, s.apiL)
	start(s.metrics, s.metricsL)
	start(s.admin, s.adminL)
}

// shutdown lets those who wait go with an answer, and returns when all have gone
// or the time is up.
func (s *servers) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), stopAll)
	defer cancel()
	defer time.AfterFunc(stopWaiting, s.release).Stop()
	defer s.release()
	done := make(chan struct{})
	for _, srv := range []*http.Server{s.api, s.metrics, s.admin} {
		go func() {
			defer func() { done <- struct{}{} }()
			if srv == nil {
				return
			}
			if err := srv.Shutdown(ctx); err != nil {
				s.hub.log.Warn("cut connections that did not end", "err", err)
				_ = srv.Close()
			}
		}()
	}
	for range 3 {
		<-done
	}
}

func (s *servers) port() int {
	if a, ok := s.apiL.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// addr is where this machine reaches the hub.
func (s *servers) addr() Addr {
	a := Addr{URL: baseURL(s.apiL.Addr(), s.tls)}
	a.Metrics = a.URL + "/metrics"
	if s.metricsL != nil {
		a.Metrics = baseURL(s.metricsL.Addr(), false) + "/metrics"
	}
	if name := s.hub.answers.Load(); name != nil {
		a.DNS = name.Addr()
	}
	if s.cert != nil {
		a.CAFile = s.cert.caFile
	}
	return a
}

func baseURL(l net.Addr, secure bool) string {
	scheme := "http"
	if secure {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(l.String())
	if err != nil {
		return scheme + "://" + l.String()
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// hqTransport is how the hub dials headquarters: its own CA if there is one, and
// connections that are noticed when they die.
func hqTransport(caFile string) (*http.Client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: 4 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 4 * time.Second
	// As many as tills may ask at once: one that is closed after its answer costs the
	// next till a connection, and with TLS two more round trips.
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 256, 256
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("read hq.ca_file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read hq.ca_file %s: no certificate in it", caFile)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{
		Transport: t,
		// A redirect would carry a credential or an operation elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
