package hub

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	caLife   = 10 * 365 * 24 * time.Hour // put on tills by hand; a shop does it once
	leafLife = 180 * 24 * time.Hour      // no client refuses it as too long; renewed at half
	// certCheck is how soon a new address of this machine is in the certificate.
	certCheck = time.Minute
)

// certificate is the hub's own: a leaf for every address and name of this
// machine, signed by a CA that lives in the state directory.
type certificate struct {
	dir    string
	name   string // tls.name; "": none
	caFile string // to be trusted by tills
	now    func() time.Time
	log    *slog.Logger
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey
	leaf   atomic.Pointer[tls.Certificate]
}

// suites are those of TLS 1.2 that encrypt and authenticate in one: what is older than
// these cannot run a till's app.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// tlsConfig serves the shop's own certificate if it has one, else the hub's.
func (s *servers) tlsConfig() (*tls.Config, error) {
	c := s.hub.cfg.TLS
	conf := &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: suites, NextProtos: []string{"h2", "http/1.1"}}
	if c.CertFile != "" {
		files, err := openCertFiles(c, s.hub.log)
		if err != nil {
			return nil, err
		}
		s.files = files
		conf.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return files.current.Load(), nil }
		return conf, nil
	}
	cert, err := openCertificate(filepath.Join(s.hub.cfg.StateDir, "tls"), c.Name, s.hub.now, s.hub.log)
	if err != nil {
		return nil, err
	}
	s.cert = cert
	conf.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if public := s.hub.public.offer(strings.ToLower(h.ServerName)); public != nil {
			return public, nil
		}
		return cert.leaf.Load(), nil
	}
	return conf, nil
}

// keepCertificate renews the hub's own certificate, or reads the shop's anew, until ctx
// ends.
func (s *servers) keepCertificate(ctx context.Context) error {
	if s.files != nil {
		s.files.keep(ctx)
	}
	for s.cert != nil && ctx.Err() == nil {
		pause(ctx, certCheck)
		if err := s.cert.renew(machineNames(s.cert.name)); err != nil {
			s.hub.log.Error("renew certificate", "err", err)
		}
	}
	return nil
}

func openCertificate(dir, name string, now func() time.Time, log *slog.Logger) (*certificate, error) {
	c := &certificate{dir: dir, name: name, caFile: filepath.Join(dir, "ca.pem"), now: now, log: log}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open local CA: %w", err)
	}
	if err := c.openCA(); err != nil {
		return nil, fmt.Errorf("open local CA in %s: %w", dir, err)
	}
	if pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "leaf.pem"), filepath.Join(dir, "leaf.key")); err == nil && pair.Leaf.CheckSignatureFrom(c.ca) == nil {
		c.leaf.Store(&pair)
	}
	if err := c.renew(machineNames(name)); err != nil {
		return nil, fmt.Errorf("issue certificate: %w", err)
	}
	return c, nil
}

func (c *certificate) openCA() error {
	pair, err := tls.LoadX509KeyPair(c.caFile, filepath.Join(c.dir, "ca.key"))
	if err == nil {
		key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
		if !ok || !pair.Leaf.IsCA {
			return errors.New("ca.pem and ca.key are not the hub's")
		}
		c.ca, c.key = pair.Leaf, key
		return nil
	}
	if !notExist(err) {
		return err
	}
	if err := c.trustClock(); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	machine, _ := os.Hostname()
	t := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "Store Hub local CA " + machine},
		NotBefore:             c.now().Add(-time.Hour),
		NotAfter:              c.now().Add(caLife),
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	// The key goes first: a certificate without its key would never be mended.
	if err := c.write("ca", der, key); err != nil {
		return err
	}
	c.ca, err = x509.ParseCertificate(der)
	c.key = key
	return err
}

// renew issues a leaf if there is none, or it has passed half of its life, or
// lacks an address or name of this machine. With a clock that cannot be right the
// old one is kept, and without an old one that is an error.
func (c *certificate) renew(names []string, ips []net.IP) error {
	now := c.now()
	if old := c.leaf.Load(); old != nil && !due(old.Leaf, now, names, ips) {
		return nil
	}
	if err := c.trustClock(); err != nil {
		if c.leaf.Load() != nil {
			c.log.Warn("keep the old certificate", "err", err)
			return nil
		}
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: "Store Hub"},
		NotBefore:    now.Add(-time.Hour), // tills' clocks are not ours
		NotAfter:     now.Add(leafLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     names,
		IPAddresses:  ips,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, c.ca, key.Public(), c.key)
	if err != nil {
		return err
	}
	if err := c.write("leaf", der, key); err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	c.leaf.Store(&tls.Certificate{Certificate: [][]byte{der, c.ca.Raw}, PrivateKey: key, Leaf: leaf})
	return nil
}

// caPEM is what tills are to trust.
func (c *certificate) caPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.ca.Raw})
}

// fingerprint is the CA's, as every platform shows it.
func (c *certificate) fingerprint() string {
	sum := sha256.Sum256(c.ca.Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

func due(leaf *x509.Certificate, now time.Time, names []string, ips []net.IP) bool {
	half := leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)
	if !now.Before(half) {
		return true
	}
	for _, n := range names {
		if !slices.Contains(leaf.DNSNames, n) {
			return true
		}
	}
	for _, ip := range ips {
		if !slices.ContainsFunc(leaf.IPAddresses, ip.Equal) {
			return true
		}
	}
	return false
}

// trustClock refuses to mint under a clock that is behind this program's own
// build or an earlier certificate: tills would refuse what comes of it.
func (c *certificate) trustClock() error {
	floor := buildTime()
	for _, cert := range []*x509.Certificate{c.ca, leafOf(c.leaf.Load())} {
		if cert != nil && cert.NotBefore.After(floor) {
			floor = cert.NotBefore
		}
	}
	if now := c.now(); now.Before(floor) {
		return fmt.Errorf("this machine's clock says %s, which is before %s; set the clock", now.UTC().Format(time.RFC3339), floor.UTC().Format(time.RFC3339))
	}
	return nil
}

func leafOf(c *tls.Certificate) *x509.Certificate {
	if c == nil {
		return nil
	}
	return c.Leaf
}

// buildTime is when this program's source was committed; zero if not known.
func buildTime() time.Time {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.time" {
				t, _ := time.Parse(time.RFC3339, s.Value) // zero if malformed
				return t
			}
		}
	}
	return time.Time{}
}

func (c *certificate) write(name string, der []byte, key *ecdsa.PrivateKey) error {
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(c.dir, name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k})); err != nil {
		return err
	}
	return writeFile(filepath.Join(c.dir, name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return n
}

// machineNames is what tills may call this machine by, own (if it is not "") included.
func machineNames(own string) (names []string, ips []net.IP) {
	names = []string{"localhost"}
	if own != "" {
		names = append(names, own)
	}
	if machine, err := os.Hostname(); err == nil {
		machine = strings.ToLower(strings.TrimSuffix(machine, "."))
		if short, _, _ := strings.Cut(machine, "."); short != "" && short != "localhost" && validName(machine) {
			names = append(names, machine, short+".local")
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return names, []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	for _, a := range addrs {
		// Link-local addresses need a zone, which no certificate holds.
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
			ips = append(ips, n.IP)
		}
	}
	return names, ips
}

func validName(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !idRune(r) || r == '_' })
}
