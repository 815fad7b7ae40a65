package hub

import (
	"crypto/ed25519"
	"os"
	"sync"
	"time"

	"storehub/hq"
)

// identity reads a hub's credential and the key it signs with. Where the file cannot be
// read there is none: headquarters says 401, and the diagnosis says so.
func identity(file string) (secret string, key ed25519.PrivateKey) {
	text, err := readSecret(file)
	if err != nil {
		return "", nil
	}
	return hq.ParseCredential(text)
}

// credentialFile is a credential that is looked up for each request and read only when
// its file is another: reading it, and making the key of what stands there, takes as long
// as all the rest of a token's way through the hub.
type credentialFile struct {
	path string

	mu     sync.Mutex
	read   os.FileInfo // nil: what is in it is not known for sure
	secret string
	key    ed25519.PrivateKey
}

// settledAfter: a file that was written just now may be written again under the same time.
const settledAfter = time.Second

// identity is what stands in the file now.
func (c *credentialFile) identity() (secret string, key ed25519.PrivateKey) {
	info, err := os.Stat(c.path)
	if err != nil {
		return "", nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.read; r == nil || !os.SameFile(r, info) || !r.ModTime().Equal(info.ModTime()) || r.Size() != info.Size() || r.Mode() != info.Mode() {
		c.secret, c.key = identity(c.path)
		if c.read = info; time.Since(info.ModTime()) < settledAfter {
			c.read = nil
		}
	}
	return c.secret, c.key
}
