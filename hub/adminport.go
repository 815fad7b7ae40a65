package hub

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// adminPort stands in the socket's place on a system without unix sockets (Windows
// before 1803): a port of this machine alone, and a word that whoever may read the
// file begins each connection with. A browser that is led to the port does not know
// the word, and neither does another user of the machine.
type adminPort struct {
	Address string `json:"address"`
	Word    string `json:"word"`
}

// listenPort listens on a port and tells it in the file at path.
func listenPort(path string) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := adminPort{l.Addr().String(), rand.Text()}
	b, err := json.Marshal(p)
	if err == nil {
		err = writeFile(path, b)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &wordListener{l, p.Word, path}, nil
}

type wordListener struct {
	net.Listener
	word, path string
}

// Accept implements [net.Listener]. Nothing is read yet: that is the server's time.
func (l *wordListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &wordConn{Conn: c, word: l.word}, nil
}

// Close ends it and removes the file.
func (l *wordListener) Close() error {
	err := l.Listener.Close()
	_ = os.Remove(l.path) // gone already when closed twice
	return err
}

// wordConn is a connection that must begin with the word.
type wordConn struct {
	net.Conn
	word string // "": it was said
}

// Read implements [net.Conn]; one goroutine reads.
func (c *wordConn) Read(b []byte) (int, error) {
	if c.word != "" {
		said := make([]byte, len(c.word))
		if _, err := io.ReadFull(c.Conn, said); err != nil {
			return 0, err
		}
		if subtle.ConstantTimeCompare(said, []byte(c.word)) != 1 {
			return 0, errors.Join(errors.New("read command: the connection does not begin with the hub's word"), c.Close())
		}
		c.word = ""
	}
	return c.Conn.Read(b)
}

// dialSocket reaches the running hub of a socket's path.
func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	d := net.Dialer{Timeout: 2 * time.Second}
	var p adminPort
	// A socket cannot be read; a file that can is a port's.
	if b, err := os.ReadFile(path); err != nil || json.Unmarshal(b, &p) != nil || p.Word == "" {
		return d.DialContext(ctx, "unix", path)
	}
	c, err := d.DialContext(ctx, "tcp", p.Address)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(c, p.Word); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}
