package hq

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"time"

	"storehub/doors"
)

// Chain extends the submit chain by one operation: the hex SHA-256 over the head
// before it and its id. The empty chain's head is "". Hub and headquarters keep
// it apart from each other, so that either notices when the other lost
// something or was copied.
func Chain(head, id string) string {
	sum := sha256.Sum256([]byte(head + id))
	return hex.EncodeToString(sum[:])
}

// Head is headquarters' word on how far it has a store's submit chain, signed with
// its own key. Whoever keeps it can show later what was said.
type Head struct {
	Store     string    `json:"store"`
	Epoch     string    `json:"epoch"`
	Number    uint64    `json:"number"`
	Head      string    `json:"head"` // the submit chain's hash at Number
	At        time.Time `json:"at"`
	Nonce     string    `json:"nonce"` // of whoever asked: the word is not an old one
	Key       string    `json:"key"`   // ed25519, hex
	Signature string    `json:"signature"`
}

// Link is one step of the submit chain. The first of an epoch has no operation.
type Link struct {
	Number uint64 `json:"number"`
	ID     string `json:"id"`
}

// ChainPage is the signed head, and part of the chain that leads to it.
type ChainPage struct {
	Head  Head   `json:"head"`
	Links []Link `json:"links"`
}

// message is what is signed.
func (h Head) message() []byte {
	return fmt.Appendf(nil, "storehub submit chain 1\n%s\n%s\n%d\n%s\n%s\n%s\n",
		h.Store, h.Epoch, h.Number, h.Head, h.At.UTC().Format(time.RFC3339Nano), h.Nonce)
}

// Verify reports what is not right about a signed head: it is not of that store, not
// an answer to that nonce, or not signed with that key.
func (h Head) Verify(store, nonce, key string) error {
	k, err := hex.DecodeString(key)
	if err != nil || len(k) != ed25519.PublicKeySize {
		return fmt.Errorf("verify headquarters' word: %q is no key", key)
	}
	signature, err := hex.DecodeString(h.Signature)
	switch {
	case h.Store != store:
		return fmt.Errorf("verify headquarters' word: it is about store %q", h.Store)
	case h.Nonce != nonce:
		return errors.New("verify headquarters' word: it is an answer to another question")
	case h.Key != key:
		return fmt.Errorf("verify headquarters' word: it is signed with key %s, this hub knows %s", short(h.Key), short(key))
	case err != nil || !ed25519.Verify(k, h.message(), signature):
		return errors.New("verify headquarters' word: the signature is not right")
	}
	return nil
}

func short(key string) string { return key[:min(len(key), 16)] }

var nonceForm = regexp.MustCompile(`^[A-Za-z0-9]{0,64}$`)

// chainPageMost bounds a page of links.
const chainPageMost = 1000

// loadKey reads the key that heads are signed with; the first start makes it.
func (s *Server) loadKey(ctx context.Context) error {
	return s.db.tx(ctx, func(t *tx) error {
		if _, err := t.Exec(`INSERT INTO keys VALUES ('head', ?) ON CONFLICT (name) DO NOTHING`, randomHex(ed25519.SeedSize)); err != nil {
			return err
		}
		var text string
		if err := t.QueryRow(`SELECT seed FROM keys WHERE name = 'head'`).Scan(&text); err != nil {
			return err
		}
		seed, err := hex.DecodeString(text)
		if err != nil || len(seed) != ed25519.SeedSize {
			return errors.New("the key that signs heads cannot be read")
		}
		s.signer = ed25519.NewKeyFromSeed(seed)
		return nil
	})
}

// headKey is the public half, as hubs keep it.
func (s *Server) headKey() string { return hex.EncodeToString(s.signer.Public().(ed25519.PublicKey)) }

// chain is the signed head of a store's submit chain with the links after a number.
// Links are of today's epoch; asked for another's, there are none.
func (s *Server) chain(ctx context.Context, store, epoch string, after uint64, nonce string) (ChainPage, error) {
	if !nonceForm.MatchString(nonce) {
		return ChainPage{}, doors.ErrInvalidField.With("nonce must be at most 64 letters and digits")
	}
	rec, err := readStore(queryer(ctx, s.db.r), `id = ?`, store)
	if err != nil {
		return ChainPage{}, err
	}
	h := Head{Store: store, Epoch: rec.epoch, Number: rec.acceptedThrough, Head: rec.head,
		At: s.now().UTC().Truncate(time.Millisecond), Nonce: nonce, Key: s.headKey()}
	h.Signature = hex.EncodeToString(ed25519.Sign(s.signer, h.message()))
	page := ChainPage{Head: h, Links: []Link{}}
	if epoch != rec.epoch {
		return page, nil
	}
	rows, err := s.db.r.QueryContext(ctx, `SELECT number, id FROM chain WHERE store = ? AND epoch = ? AND number > ? AND number <= ? ORDER BY number LIMIT ?`,
		store, epoch, after, rec.acceptedThrough, chainPageMost)
	if err != nil {
		return ChainPage{}, err
	}
	defer rows.Close()
	for rows.Next() {
		var l Link
		if err := rows.Scan(&l.Number, &l.ID); err != nil {
			return ChainPage{}, err
		}
		page.Links = append(page.Links, l)
	}
	return page, rows.Err()
}
