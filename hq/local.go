package hq

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// NewLocal is a way to s without a port, for a hub that runs headquarters in its
// own process: requests go through the same handler over connections in memory.
// It is closed with the server. The host of a request's URL does not matter.
func NewLocal(s *Server) http.RoundTripper {
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l) // ends with Close below
	}()
	tr := &http.Transport{DialContext: l.dial, MaxIdleConnsPerHost: 8, IdleConnTimeout: 90 * time.Second}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onClose = append(s.onClose, func() error {
		tr.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		err := srv.Shutdown(ctx)
		if err != nil {
			err = srv.Close()
		}
		tr.CloseIdleConnections()
		<-done
		return err
	})
	return tr
}

// pipes is a listener whose connections never leave the process.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

var errPipesClosed = errors.New("headquarters in this process has stopped")

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.closed:
		return nil, errPipesClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements net.Listener.
func (p *pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "memory" }
func (pipeAddr) String() string  { return "headquarters in this process" }
