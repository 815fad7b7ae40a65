package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"sync"
	"time"
)

// authority signs for whoever is asked for. The lab has a public one, which the
// hub is told to trust, and an inspector's, which it is not.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey

	mu     sync.Mutex
	issued map[string]*tls.Certificate
}

// flaw is what is wrong with a certificate.
type flaw string

const (
	sound      flaw = ""
	expired    flaw = "expired"
	selfSigned flaw = "self-signed"
	wrongName  flaw = "wrong name"
)

func newAuthority(name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	// The lab's calendar is moved by years: the authority outlasts all of it.
	now := time.Now()
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{name}},
		NotBefore: now.AddDate(-20, 0, 0), NotAfter: now.AddDate(20, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err = x509.ParseCertificate(der)
	return &authority{cert: cert, key: key, issued: map[string]*tls.Certificate{}}, err
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// bulk pads a certificate to what a public chain weighs: a handshake that fits
// one packet would pass a line that loses full-size ones.
func bulk() pkix.Extension {
	filler := make([]byte, 3200)
	_, _ = rand.Read(filler) // never fails, and random bytes do not compress
	value, err := asn1.Marshal(filler)
	if err != nil {
		panic(err) // bytes always marshal
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 25, 198, 18}, Value: value}
}

// certificate is for name, with one flaw, valid around now.
func (a *authority) certificate(name string, f flaw, now time.Time) (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := name + "\x00" + string(f) + now.Format("\x002006-01-02")
	if c := a.issued[id]; c != nil {
		return c, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: now.Add(-36 * time.Hour), NotAfter: now.AddDate(0, 2, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		ExtraExtensions: []pkix.Extension{bulk()},
	}
	parent, signer := a.cert, a.key
	switch f {
	case expired:
		leaf.NotBefore, leaf.NotAfter = now.AddDate(0, -3, 0), now.AddDate(0, 0, -2)
	case wrongName:
		leaf.Subject.CommonName, leaf.DNSNames = "shop.invalid", []string{"shop.invalid"}
	case selfSigned:
		parent, signer = leaf, key
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	a.issued[id] = c
	return c, nil
}
