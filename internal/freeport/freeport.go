// Package freeport chooses loopback ports for servers that stop and start again
// at one address, in trials and tests.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// The ports lie below the range from which Linux (32768 and up), Windows and
// macOS (49152 and up) give ports to whoever asks for any: between two starts
// of a server nobody is given its port by chance.
//
// They are dealt out to processes in blocks. Whoever listens at the first port of a
// block has the rest of it, for as long as the process lives, and gives each out once:
// so no other process takes a port between its choice and its use.
const (
	lowest  = 20000
	highest = 32000
	block   = 100
)

var taken struct {
	mu        sync.Mutex
	first     []net.Listener // of the blocks that this process has
	next, end int            // what is left of the newest
}

// Address is a host:port of 127.0.0.1 at which nobody listens, and that nobody else who
// asks here is given while this process lives.
func Address() (string, error) {
	taken.mu.Lock()
	defer taken.mu.Unlock()
	for {
		if taken.next == taken.end {
			if err := another(); err != nil {
				return "", err
			}
		}
		address := local(taken.next)
		taken.next++
		if ln, err := net.Listen("tcp", address); err == nil { // else it is somebody's who does not ask here
			return address, ln.Close()
		}
	}
}

// another takes a block that no process has.
func another() error {
	const blocks = (highest - lowest) / block
	var err error
	for n, from := 0, rand.IntN(blocks); n < blocks; n++ {
		first := lowest + (from+n)%blocks*block
		var ln net.Listener
		if ln, err = net.Listen("tcp", local(first)); err == nil {
			taken.first = append(taken.first, ln)
			taken.next, taken.end = first+1, first+block
			return nil
		}
	}
	return fmt.Errorf("find free ports between %d and %d: %w", lowest, highest, err)
}

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
