package hq

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"

	"storehub/doors"
)

// A hub's credential is two things (money.md 4.3): a secret that names it, of which
// headquarters keeps a hash, and a key that was made on its machine and never leaves
// it. Each request is signed with the key, so that the secret alone, out of a backup or
// a proxy's memory, is nothing.

// proofHeader carries the signature, in hexadecimal digits.
const proofHeader = "Storehub-Proof"

// wirePath is where every path of the wire begins.
const wirePath = "/store/v1/"

// keyPrefix marks the key's line in a credential file.
const keyPrefix = "shk_"

// NewKey makes a hub's key, and the public half as it is told at enrolment.
func NewKey() (key ed25519.PrivateKey, public string) {
	pub, key, _ := ed25519.GenerateKey(rand.Reader) // never errs since Go 1.24
	return key, hex.EncodeToString(pub)
}

// CredentialText is what stands in a hub's credential file: the secret, and the key on
// a line of its own, if there is one.
func CredentialText(secret string, key ed25519.PrivateKey) string {
	if key == nil {
		return secret + "\n"
	}
	return secret + "\n" + keyPrefix + hex.EncodeToString(key.Seed()) + "\n"
}

// ParseCredential reads a credential file's text. One of an earlier version has no key.
func ParseCredential(text string) (secret string, key ed25519.PrivateKey) {
	for _, word := range strings.Fields(text) {
		seed, isKey := strings.CutPrefix(word, keyPrefix)
		b, err := hex.DecodeString(seed)
		switch {
		case isKey && err == nil && len(b) == ed25519.SeedSize:
			key = ed25519.NewKeyFromSeed(b)
		case !isKey && secret == "":
			secret = word
		}
	}
	return secret, key
}

// proven is what a request's signature is over. Path is with its query, from wirePath on:
// below which address headquarters is reached is a proxy's to say.
func proven(method, path, run string, body []byte) []byte {
	if at := strings.Index(path, wirePath); at > 0 {
		path = path[at:]
	}
	return fmt.Appendf(nil, "storehub proof 1\n%s\n%s\n%s\n%x\n", method, path, run, sha256.Sum256(body))
}

// prove refuses a request that is not signed with the key of the store's hub. A hub that
// was enrolled by an earlier version has none. The body is read, and put back.
func (r record) prove(req *http.Request) error {
	if r.hubKey == "" {
		return nil
	}
	key, err := hex.DecodeString(r.hubKey)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return fmt.Errorf("read key of store %q's hub: it is none", r.ID)
	}
	signature, err := hex.DecodeString(req.Header.Get(proofHeader))
	if err != nil || len(signature) != ed25519.SignatureSize {
		return doors.ErrCredential.With("the request is not signed with the hub's key")
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, maxSubmission+1))
	if err != nil {
		return doors.ErrBadRequest
	}
	if len(body) > maxSubmission {
		return doors.ErrTooLarge.With("the body is larger than %d KiB", maxSubmission>>10)
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	if !ed25519.Verify(key, proven(req.Method, req.URL.RequestURI(), req.Header.Get(runHeader), body), signature) {
		return doors.ErrCredential.With("the request is not signed with the hub's key")
	}
	return nil
}
