package hub

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// issued is the PEM of a certificate and its key, of a CA made for it.
func issued(t *testing.T) (cert, key []byte) {
	t.Helper()
	dir := t.TempDir()
	if _, err := openCertificate(dir, "", time.Now, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	for name, into := range map[string]*[]byte{"leaf.pem": &cert, "leaf.key": &key} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		*into = b
	}
	return cert, key
}

// A certificate that is renewed by somebody else is served without a restart; one that
// does not fit its key, or is not there, changes nothing and is complained of once.
func TestMoney_4_4_TheShopsOwnCertificateIsReadAnewWhenItChanges(t *testing.T) {
	firstCert, firstKey := issued(t)
	nextCert, nextKey := issued(t)
	dir := t.TempDir()
	conf := TLSConfig{CertFile: filepath.Join(dir, "c"), KeyFile: filepath.Join(dir, "k"), Name: hubName}
	write := func(file string, b []byte) {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(conf.CertFile, firstCert)
	write(conf.KeyFile, firstKey)
	synctest.Test(t, func(t *testing.T) {
		log := &recorder{}
		f, err := openCertFiles(conf, slog.New(slog.NewTextHandler(log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var keeping sync.WaitGroup
		keeping.Go(func() { f.keep(ctx) })
		defer keeping.Wait()
		defer cancel()
		serves := func(what string, want []byte) {
			t.Helper()
			time.Sleep(3 * filesCheck) // of the bubble
			if got := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.current.Load().Certificate[0]}); string(got) != string(want) {
				t.Errorf("%s: another certificate is served", what)
			}
		}
		time.Sleep(filesCheck / 2) // never write in the moment of a look
		serves("nothing changed", firstCert)
		write(conf.CertFile, nextCert)
		serves("the key is not there yet", firstCert)
		write(conf.KeyFile, nextKey)
		serves("both are new", nextCert)
		write(conf.CertFile, []byte("torn"))
		serves("a torn file", nextCert)
		if err := os.Remove(conf.KeyFile); err != nil {
			t.Fatal(err)
		}
		serves("a file that is gone", nextCert)
		write(conf.CertFile, firstCert)
		write(conf.KeyFile, firstKey)
		serves("the first pair again", firstCert)
		for text, want := range map[string]int{"keep the old certificate": 3, "a new certificate is served": 2, "does not hold tls.name": 3} {
			if n := strings.Count(log.String(), text); n != want {
				t.Errorf("%q is logged %d times, want %d:\n%s", text, n, want, log)
			}
		}
	})
}

// A till is given the CA without a credential, and whoever puts it there compares the
// fingerprint that pairing showed.
func TestMoney_4_4_TheCAIsGivenToTillsAndPairingShowsItsFingerprint(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir(), func(c *Config, _ *Parts) { c.Listen = "0.0.0.0:0" })
	p, err := admined(t, s).Pair(t.Context(), PairRequest{Name: "lane-1"})
	if err != nil {
		t.Fatal(err)
	}
	// Nothing is trusted yet: the fingerprint is what tells.
	unknown := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer unknown.CloseIdleConnections()
	resp, err := unknown.Get(p.CAURL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	onDisk, err := os.ReadFile(s.addr.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/x-x509-ca-cert" || string(body) != string(onDisk) {
		t.Errorf("%d %s:\n%s", resp.StatusCode, resp.Header.Get("Content-Type"), body)
	}
	block, _ := pem.Decode(body)
	sum := sha256.Sum256(block.Bytes)
	if got := strings.ToLower(strings.ReplaceAll(p.CAFingerprint, ":", "")); got != hex.EncodeToString(sum[:]) || strings.Count(p.CAFingerprint, ":") != 31 {
		t.Errorf("pairing shows %s", p.CAFingerprint)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(body)
	trusting := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer trusting.CloseIdleConnections()
	if resp, err = trusting.Get(p.URL + "/healthz"); err != nil {
		t.Fatalf("with the CA: %v", err)
	}
	_ = resp.Body.Close()
}

// A hub without a CA of its own gives none out.
func TestWithoutItsOwnCATheHubGivesNone(t *testing.T) {
	s := open(t, newFakeHQ(), t.TempDir())
	if status, body := s.ask("GET", "/ca.crt", "", ""); status != http.StatusNotFound || strings.Contains(body, "CERTIFICATE") {
		t.Errorf("%d %s", status, body)
	}
	if p, err := admined(t, s).Pair(t.Context(), PairRequest{Name: "lane-1"}); err != nil || p.CAURL != "" || p.CAFingerprint != "" {
		t.Errorf("paired with %q %q, %v", p.CAURL, p.CAFingerprint, err)
	}
}
