package hub

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// filesCheck is how soon a certificate that was renewed is served.
const filesCheck = 10 * time.Second

// certFiles is a certificate of the shop's own, which somebody else renews.
type certFiles struct {
	conf      TLSConfig
	log       *slog.Logger
	cert, key []byte // as they were read last
	complaint string // about what was read last; "": none
	current   atomic.Pointer[tls.Certificate]
}

// openCertFiles fails where there is nothing to serve.
func openCertFiles(conf TLSConfig, log *slog.Logger) (*certFiles, error) {
	f := &certFiles{conf: conf, log: log}
	if err := f.read(); err != nil {
		return nil, err
	}
	return f, nil
}

// keep reads the files anew when they change, until ctx ends. A pair that does not fit,
// or cannot be read, leaves the old one in force and is complained of once: a new
// certificate may be there a moment before its key.
func (f *certFiles) keep(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, filesCheck)
		err := f.read()
		switch {
		case err == nil:
			f.complaint = ""
		case err.Error() != f.complaint:
			f.complaint = err.Error()
			f.log.Error("keep the old certificate", "err", err)
		}
	}
}

func (f *certFiles) read() error {
	cert, err := os.ReadFile(f.conf.CertFile)
	if err != nil {
		return fmt.Errorf("read tls.cert_file: %w", err)
	}
	key, err := os.ReadFile(f.conf.KeyFile)
	if err != nil {
		return fmt.Errorf("read tls.key_file: %w", err)
	}
	if bytes.Equal(cert, f.cert) && bytes.Equal(key, f.key) {
		return nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("read tls.cert_file: %w", err)
	}
	if f.current.Swap(&pair) != nil {
		f.log.Info("a new certificate is served", "until", pair.Leaf.NotAfter)
	}
	f.cert, f.key = cert, key
	if name := f.conf.Name; name != "" && pair.Leaf.VerifyHostname(name) != nil {
		f.log.Warn("tls.cert_file does not hold tls.name: tills will refuse it", "name", name)
	}
	return nil
}
