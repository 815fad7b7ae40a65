package hq

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"storehub/doors"
)

// Authority has certificates signed that every till trusts (hq/acme).
type Authority interface {
	// Zone is the DNS zone in which hubs have their names.
	Zone() string
	// Issue returns the certificates that sign a request for one name, the name's own
	// first, as PEM. A "no" is an [*AuthorityRefusal]; after any other error nobody knows.
	Issue(ctx context.Context, name string, csr []byte) (chain []byte, err error)
}

// AuthorityRefusal is the authority's "no".
type AuthorityRefusal struct {
	Why   string
	After time.Duration // not asked again before; 0: it did not say
	All   bool          // it holds for every name
}

// Error is the authority's words.
func (e *AuthorityRefusal) Error() string { return "the certificate authority refuses: " + e.Why }

// ErrCertificateUnknown is in what Issue ends with when the authority may have signed,
// and counted, what never arrived.
var ErrCertificateUnknown = errors.New("the authority may have signed it")

// CertificateRequest asks to have a key of the hub's signed for the hub's public name.
// It may be repeated: the same key is signed once.
type CertificateRequest struct {
	CSR string `json:"csr"` // PEM; the key stays in the shop
}

// Certificate is what became of a request so far.
type Certificate struct {
	Chain   string `json:"chain,omitempty"`    // PEM, the name's own first; absent: not signed yet
	AgainMS int64  `json:"again_ms,omitempty"` // when to ask again, in ms from now
	// Why it is not signed yet, since when that is so; absent: it is being ordered.
	Why   string    `json:"why,omitempty"`
	Since time.Time `json:"since,omitzero"`
}

const (
	// certificateOrders in certificateSpan for one name, whatever became of them: public
	// authorities sign one set of names five times in seven days.
	certificateOrders = 4
	certificateSpan   = 7 * 24 * time.Hour
	// A refusal is tried again after that, doubled each time. Public authorities take
	// five failed proofs an hour for one name.
	certificateRefused = 15 * time.Minute
	certificateRefusal = 12 * time.Hour // at most
	certificateSilent  = time.Minute
	certificateSilence = time.Hour // at most
	// certificateTakes bounds one order: a zone's secondaries and the authority take their time.
	certificateTakes = 4 * time.Minute
	certificateLook  = 20 * time.Second
	certificateAgain = 3 * time.Second // a hub whose order is under way asks again
)

// hubLabel is a store's id that is a DNS label as it stands.
var hubLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// hubName is a store's public name: its id in the zone, or, where the id is no DNS
// label, its hash. That no two stores have one name the database holds.
func (s *Server) hubName(store string) string {
	switch {
	case s.authority == nil:
		return ""
	case hubLabel.MatchString(store):
		return store + "." + s.authority.Zone()
	}
	sum := sha256.Sum256([]byte(store))
	return "hub-" + hex.EncodeToString(sum[:10]) + "." + s.authority.Zone()
}

func serveCertificate(ctx context.Context, s *Server, st record, r *http.Request) (answer, error) {
	var in CertificateRequest
	if err := doors.DecodeJSON(r, &in); err != nil {
		return answer{}, err
	}
	c, err := s.certificate(ctx, st, in)
	return answer{status: http.StatusOK, value: c}, err
}

// certificate takes a request up, or tells what became of it.
func (s *Server) certificate(ctx context.Context, st record, in CertificateRequest) (Certificate, error) {
	name := s.hubName(st.ID)
	if name == "" {
		return Certificate{}, doors.ErrNotFound.With("this headquarters has no certificates signed")
	}
	csr, key, err := readCSR(in.CSR, name)
	if err != nil {
		return Certificate{}, err
	}
	var c Certificate
	err = s.db.tx(ctx, func(t *tx) error {
		c = Certificate{}
		have, err := readCertificate(t, st.ID)
		switch {
		case isNoRows(err):
			var taken bool
			if err := t.QueryRow(`SELECT EXISTS (SELECT 1 FROM certificates WHERE name = ?)`, name).Scan(&taken); err != nil {
				return err
			}
			if taken {
				return doors.ErrInvalidField.With("another store has the name %s", name)
			}
			have = certificateRow{store: st.ID, name: name, next: t.now}
			if _, err := t.Exec(`INSERT INTO certificates (store, name, csr, wanted, next_try) VALUES (?, ?, ?, 1, ?)`, st.ID, name, csr, ms(t.now)); err != nil {
				return err
			}
		case err != nil:
			return err
		case have.name == name && have.hasKey(key) && have.chain != nil && t.now.Before(have.renewAt):
			c.Chain = string(have.chain)
			return nil
		case have.name != name || !have.hasKey(key) || !have.wanted:
			// Another key does not end a wait that the authority or its bounds impose.
			if _, err := t.Exec(`UPDATE certificates SET name = ?, csr = ?, chain = NULL, wanted = 1 WHERE store = ?`, name, csr, st.ID); err != nil {
				return err
			}
		}
		c.Why, c.Since = have.why, have.failingSince
		c.AgainMS = max(certificateAgain, have.next.Sub(t.now)).Milliseconds()
		return nil
	})
	if err == nil && c.Chain == "" {
		select {
		case s.certificatesDue <- struct{}{}:
		default:
		}
	}
	return c, err
}

// readCSR takes a request for one name and nothing else, signed with the key that it is for.
func readCSR(text, name string) (der []byte, key *ecdsa.PublicKey, err error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(rest) > 0 {
		return nil, nil, doors.ErrInvalidField.With("csr must be one CERTIFICATE REQUEST in PEM")
	}
	r, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || r.CheckSignature() != nil {
		return nil, nil, doors.ErrInvalidField.With("csr is not signed with its own key")
	}
	key, ok := r.PublicKey.(*ecdsa.PublicKey)
	switch {
	case !ok || key.Curve != elliptic.P256() && key.Curve != elliptic.P384():
		return nil, nil, doors.ErrInvalidField.With("csr must be for a key on P-256 or P-384")
	case len(r.DNSNames) != 1 || r.DNSNames[0] != name || r.Subject.CommonName != "" && r.Subject.CommonName != name ||
		len(r.IPAddresses)+len(r.EmailAddresses)+len(r.URIs) > 0:
		return nil, nil, doors.ErrInvalidField.With("csr must be for %s and nothing else", name)
	}
	return block.Bytes, key, nil
}

// certificateRow is what is known of one store's certificate.
type certificateRow struct {
	store, name, why            string
	csr, chain                  []byte
	wanted                      bool
	failures                    int
	next, failingSince, renewAt time.Time
}

// hasKey reports whether the last request was for that key.
func (c certificateRow) hasKey(key *ecdsa.PublicKey) bool {
	r, err := x509.ParseCertificateRequest(c.csr)
	return err == nil && key.Equal(r.PublicKey)
}

const certificateColumns = `store, name, why, csr, chain, wanted, failures, next_try, failing_since, renew_at`

func scanCertificate(row interface{ Scan(...any) error }) (c certificateRow, err error) {
	var next, since, renew int64
	err = row.Scan(&c.store, &c.name, &c.why, &c.csr, &c.chain, &c.wanted, &c.failures, &next, &since, &renew)
	c.next, c.failingSince, c.renewAt = fromMS(next), fromMS(since), fromMS(renew)
	return c, err
}

func readCertificate(q queries, store string) (certificateRow, error) {
	return scanCertificate(q.QueryRow(`SELECT `+certificateColumns+` FROM certificates WHERE store = ?`, store))
}

// runCertificates orders what hubs asked for, one at a time, until ctx ends.
func (s *Server) runCertificates(ctx context.Context) error {
	if s.authority == nil {
		return nil
	}
	for {
		if err := s.orderCertificates(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("order certificates", "err", err)
		}
		look := time.NewTimer(jitter(certificateLook))
		select {
		case <-s.certificatesDue:
		case <-look.C:
		case <-ctx.Done():
		}
		look.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// orderCertificates orders what is due, of stores whose hub may have it.
func (s *Server) orderCertificates(ctx context.Context) error {
	for ctx.Err() == nil {
		c, err := scanCertificate(s.db.r.QueryRowContext(ctx, `SELECT `+certificateColumns+` FROM certificates
			WHERE wanted = 1 AND next_try <= ? AND EXISTS (SELECT 1 FROM stores WHERE id = certificates.store AND standing = '')
			ORDER BY next_try, store LIMIT 1`, ms(s.now())))
		if isNoRows(err) {
			return nil
		}
		if err != nil {
			return err
		}
		lease := "certificate/" + c.store
		ours, err := s.db.take(ctx, lease, certificateTakes+time.Minute)
		if err != nil || !ours {
			return err // the next look finds what another replica left
		}
		err = s.orderCertificate(ctx, c)
		if err := errors.Join(err, s.db.drop(ctx, lease)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// errCertificateChanged: the hub asked for another key, or another replica was there.
var errCertificateChanged = errors.New("the request is another one by now")

// orderCertificate makes one order and writes down what came of it.
func (s *Server) orderCertificate(ctx context.Context, c certificateRow) error {
	var at int64 // by which the order is known; 0: it waits
	err := s.db.tx(ctx, func(t *tx) error {
		at = 0
		now, err := readCertificate(t, c.store)
		if err != nil {
			return err
		}
		if !now.wanted || string(now.csr) != string(c.csr) || now.next.After(t.now) {
			return errCertificateChanged
		}
		var n int
		var oldest, newest int64
		if err := t.QueryRow(`SELECT count(*), coalesce(min(at), 0), coalesce(max(at), 0) FROM certificate_orders WHERE store = ? AND at > ?`, c.store, ms(t.now.Add(-certificateSpan))).Scan(&n, &oldest, &newest); err != nil {
			return err
		}
		if n >= certificateOrders {
			return t.holdCertificate(now, fromMS(oldest).Add(certificateSpan), fmt.Sprintf("it was ordered %d times within a week, and the authority counts", n))
		}
		at = max(ms(t.now), newest+1)
		_, err = t.Exec(`INSERT INTO certificate_orders (store, at) VALUES (?, ?)`, c.store, at)
		return err
	})
	if errors.Is(err, errCertificateChanged) || err == nil && at == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	order, cancel := context.WithTimeout(ctx, certificateTakes)
	chain, err := s.authority.Issue(order, c.name, c.csr)
	cancel()
	var leaf *x509.Certificate
	if err == nil {
		leaf, err = checkChain(chain, c)
	}
	if ctx.Err() != nil {
		return ctx.Err() // this replica stops: the next start asks again
	}
	if err != nil {
		s.log.Error("order certificate", "store", c.store, "name", c.name, "err", err)
	} else {
		s.log.Info("certificate signed", "store", c.store, "name", c.name, "until", leaf.NotAfter)
	}
	return s.db.tx(ctx, func(t *tx) error {
		now, rerr := readCertificate(t, c.store)
		switch {
		case rerr != nil:
			return rerr
		case err != nil:
			if !errors.Is(err, ErrCertificateUnknown) { // the authority counts what it signs
				if _, err := t.Exec(`DELETE FROM certificate_orders WHERE store = ? AND at = ?`, c.store, at); err != nil {
					return err
				}
			}
			return t.certificateFailed(now, err)
		case string(now.csr) != string(c.csr):
			return nil // nobody has the key any more
		}
		_, err := t.Exec(`UPDATE certificates SET wanted = 0, failures = 0, failing_since = 0, why = '', chain = ?, renew_at = ?, not_after = ?, next_try = ? WHERE store = ?`,
			chain, ms(halfLife(leaf)), ms(leaf.NotAfter), ms(t.now), c.store)
		return err
	})
}

// certificateFailed sets when the order is made again: later after a "no", later with
// each time.
func (t *tx) certificateFailed(c certificateRow, err error) error {
	first, most := certificateSilent, certificateSilence
	var refused *AuthorityRefusal
	if errors.As(err, &refused) {
		first, most = certificateRefused, certificateRefusal
	}
	wait := min(first<<min(c.failures, 10), most)
	if refused != nil {
		wait = max(wait, refused.After)
		if refused.All {
			if _, err := t.Exec(`UPDATE certificates SET next_try = ?1 WHERE next_try < ?1 AND wanted = 1`, ms(t.now.Add(wait))); err != nil {
				return err
			}
		}
	}
	return t.holdCertificate(c, t.now.Add(wait), err.Error())
}

// holdCertificate says why an order waits, and until when.
func (t *tx) holdCertificate(c certificateRow, until time.Time, why string) error {
	since := c.failingSince
	if since.IsZero() {
		since = t.now
	}
	_, err := t.Exec(`UPDATE certificates SET failures = failures + 1, failing_since = ?, why = ?, next_try = ? WHERE store = ?`,
		ms(since), why[:min(len(why), ReportText)], ms(until), c.store)
	return err
}

// checkChain takes certificates of the name and key that were asked for.
func checkChain(chain []byte, c certificateRow) (*x509.Certificate, error) {
	block, _ := pem.Decode(chain)
	if block == nil {
		return nil, errors.New("read certificate: the authority sent none")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || !c.hasKey(key) || leaf.VerifyHostname(c.name) != nil {
		return nil, errors.New("read certificate: it is for another name or key")
	}
	return leaf, nil
}

// halfLife is when a certificate is to be renewed (money.md 4.4).
func halfLife(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 2)
}
