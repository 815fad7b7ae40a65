// Package acmelab is a public certificate authority and a name server for tests: pebble,
// Let's Encrypt's own test server, which proves names against a zone that BIND serves and
// that is changed with a signed update. Both listen on loopback alone.
package acmelab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"storehub/hq"
	"storehub/internal/freeport"
)

// Zone is the zone that the name server has.
const Zone = "hubs.example.com"

// startWithin is generous: the machine may be busy.
const startWithin = 30 * time.Second

// Lab is a running authority with its name server.
type Lab struct {
	// Config is what headquarters is told.
	Config hq.ACMEConfig

	dir                   string
	pebble, named         *exec.Cmd
	listen, manage, dnsAt string
	client                *http.Client
}

// Start makes everything in dir.
func Start(dir string) (*Lab, error) {
	l := &Lab{dir: dir}
	for _, at := range []*string{&l.listen, &l.manage, &l.dnsAt} {
		var err error
		if *at, err = freeport.Address(); err != nil {
			return nil, err
		}
	}
	l.Config = hq.ACMEConfig{
		Directory: "https://" + l.listen + "/dir", CAFile: l.path("pebble.pem"), Terms: true, Contact: "operations@example.com",
		AccountKeyFile: l.path("account.key"), Zone: Zone,
		DNS: hq.ACMEDNSConfig{Server: l.dnsAt, KeyFile: l.path("dns.key"), Servers: []string{l.dnsAt}},
	}
	if err := l.writeKeys(); err != nil {
		return nil, err
	}
	if err := l.startNamed(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if err := l.StartCA(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) path(name string) string { return filepath.Join(l.dir, name) }

// writeKeys makes the account's key, the update key, and pebble's own certificate.
func (l *Lab) writeKeys() error {
	account, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := writeKey(l.path("account.key"), account); err != nil {
		return err
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never errs since Go 1.24
	text := fmt.Sprintf("key \"hq\" {\n\talgorithm hmac-sha256;\n\tsecret \"%s\";\n};\n", base64.StdEncoding.EncodeToString(secret))
	if err := os.WriteFile(l.path("dns.key"), []byte(text), 0o600); err != nil {
		return err
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, t, t, own.Public(), own)
	if err != nil {
		return err
	}
	text = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(text))
	l.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	return errors.Join(os.WriteFile(l.path("pebble.pem"), []byte(text), 0o600), writeKey(l.path("pebble.key"), own))
}

func writeKey(file string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// startNamed serves the zone as docs/operations.md has it configured.
func (l *Lab) startNamed() error {
	host, port, err := net.SplitHostPort(l.dnsAt)
	if err != nil {
		return err
	}
	zone := "$TTL 60\n@ SOA ns1 hostmaster 1 3600 600 86400 60\n@ NS ns1\nns1 A " + host + "\n"
	conf := fmt.Sprintf(`options {
	directory %[1]q; pid-file none; session-keyfile none; managed-keys-directory %[1]q;
	listen-on port %[2]s { %[3]s; }; listen-on-v6 { none; };
	recursion no; notify no; dnssec-validation no;
};
controls { };
include %[4]q;
zone %[5]q {
	type primary;
	file "zone";
	update-policy { grant hq wildcard *.%[5]s TXT; };
};
`, l.dir, port, host, l.path("dns.key"), Zone)
	if err := errors.Join(os.WriteFile(l.path("zone"), []byte(zone), 0o600), os.WriteFile(l.path("named.conf"), []byte(conf), 0o600)); err != nil {
		return err
	}
	if l.named, err = l.run("named", nil, "named", "-g", "-c", l.path("named.conf")); err != nil {
		return err
	}
	return l.await(l.named, "named", func() error {
		c, err := net.DialTimeout("tcp", l.dnsAt, time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// StartCA starts the authority at the address it had before, with a new root and
// without the accounts it had. It signs nothing for the blocked names.
func (l *Lab) StartCA(blocked ...string) error {
	conf := map[string]any{"pebble": map[string]any{
		"listenAddress": l.listen, "managementListenAddress": l.manage, "certificate": l.path("pebble.pem"), "privateKey": l.path("pebble.key"),
		"httpPort": 1, "tlsPort": 1, "domainBlocklist": blocked, "keyAlgorithm": "ecdsa", "retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles": map[string]any{"default": map[string]any{"description": "90 days", "validityPeriod": 90 * 24 * 60 * 60}},
	}}
	text, err := json.Marshal(conf)
	if err != nil {
		return err
	}
	if err := os.WriteFile(l.path("pebble.json"), text, 0o600); err != nil {
		return err
	}
	program, err := find("pebble")
	if err != nil {
		return err
	}
	if l.pebble, err = l.run("pebble", []string{"PEBBLE_VA_NOSLEEP=1", "PEBBLE_AUTHZREUSE=0"}, program, "-strict", "-config", l.path("pebble.json"), "-dnsserver", l.dnsAt); err != nil {
		return err
	}
	return l.await(l.pebble, "pebble", func() error { _, err := l.get(l.Config.Directory); return err })
}

// StopCA ends the authority.
func (l *Lab) StopCA() error {
	err := end(l.pebble)
	l.pebble = nil
	return err
}

// Root is what tills trust.
func (l *Lab) Root() (*x509.CertPool, error) {
	text, err := l.get("https://" + l.manage + "/roots/0")
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("read the authority's root: none in the answer")
	}
	return pool, nil
}

// Close ends both.
func (l *Lab) Close() error { return errors.Join(end(l.pebble), end(l.named)) }

func (l *Lab) get(url string) ([]byte, error) {
	resp, err := l.client.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

func (l *Lab) run(name string, env []string, program string, args ...string) (*exec.Cmd, error) {
	log, err := os.OpenFile(l.path(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s (make apt installs it): %w", name, err)
	}
	return cmd, nil
}

func (l *Lab) await(cmd *exec.Cmd, name string, up func() error) error {
	var err error
	for deadline := time.Now().Add(startWithin); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = up(); err == nil {
			return nil
		}
	}
	log, _ := os.ReadFile(l.path(name + ".log"))
	return fmt.Errorf("start %s: %w\n%s", cmd.Path, err, log)
}

func end(cmd *exec.Cmd) error {
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Kill(); err != nil {
		return err
	}
	_ = cmd.Wait() // it was killed
	return nil
}

// find looks for a tool that make builds.
func find(name string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if p := filepath.Join(dir, ".tools", name); executable(p) {
			return p, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			break
		}
		dir = up
	}
	p, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find %s: run make .tools/%[1]s", name)
	}
	return p, nil
}

func executable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
