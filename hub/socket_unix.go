//go:build unix

package hub

import "net"

// listenSocket listens at path.
func listenSocket(path string) (net.Listener, error) { return net.Listen("unix", path) }
