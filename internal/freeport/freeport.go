// Package freeport chooses loopback ports for servers that stop and start again
// at one address, in trials and tests.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// The ports lie below the range from which Linux (32768 and up), Windows and
// macOS (49152 and up) give ports to whoever asks for any: between two starts
// of a server nobody is given its port by chance.
const (
	lowest  = 20000
	highest = 32000
	tries   = 100
)

// Address is a host:port of 127.0.0.1 at which nobody listens.
func Address() (string, error) {
	var err error
	for range tries {
		address := fmt.Sprintf("127.0.0.1:%d", lowest+rand.IntN(highest-lowest))
		var ln net.Listener
		if ln, err = net.Listen("tcp", address); err == nil {
			return address, ln.Close()
		}
	}
	return "", fmt.Errorf("find a free port between %d and %d in %d tries: %w", lowest, highest, tries, err)
}
