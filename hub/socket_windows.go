package hub

import (
	"errors"
	"net"

	"golang.org/x/sys/windows"
)

// listenSocket listens at path, for this user alone. Windows before 1803 has no unix
// sockets; the directory's access list guards what stands in their place.
func listenSocket(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if errors.Is(err, windows.WSAEAFNOSUPPORT) {
		return listenPort(path)
	}
	return l, err
}
