package hub

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// servePort is a hub's commands where there are no unix sockets.
func servePort(t *testing.T) (stateDir string, port net.Listener) {
	t.Helper()
	dir := t.TempDir()
	l, err := listenPort(AdminSocket(dir))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"tills":[{"name":"till-3"}]}`)
	})}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		_ = srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return dir, l
}

func TestCommandsReachAHubWithoutUnixSockets(t *testing.T) {
	dir, l := servePort(t)
	a, err := DialAdmin(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the word is said on each connection
		if tills, err := a.Tills(t.Context()); err != nil || len(tills) != 1 || tills[0].Name != "till-3" {
			t.Errorf("heard %v, %v", tills, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(AdminSocket(dir)); !os.IsNotExist(err) {
		t.Errorf("the word lies about when the hub has gone: %v", err)
	}
	if _, err := DialAdmin(dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a hub that has gone gives %v", err)
	}
}

func TestWhoDoesNotKnowTheWordIsNotHeard(t *testing.T) {
	_, l := servePort(t)
	for _, first := range []string{"GET /tills HTTP/1.1\r\nHost: hub\r\n\r\n", strings.Repeat("A", 26) + "GET /tills HTTP/1.1\r\nHost: hub\r\n\r\n"} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, first); err != nil {
			t.Fatal(err)
		}
		// The end may be a reset; an answer would be bytes.
		if b, _ := io.ReadAll(c); len(b) != 0 {
			t.Errorf("%q is answered with %q", first, b)
		}
		_ = c.Close()
	}
}

func TestFileThatIsNoPortIsNoHub(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", "{}", "socket", `{"address":"127.0.0.1:1"}`} {
		if err := os.WriteFile(filepath.Join(dir, "hub.sock"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := DialAdmin(dir); !errors.Is(err, ErrNotRunning) {
			t.Errorf("%q gives %v", text, err)
		}
	}
}
