package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"storehub/hq"
)

// TestMain serves a seeded headquarters to a browser when it is told to, for `make js`:
// `console.test serve STORES` names its links on its first line, and ends with whoever
// started it.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		if err := serve(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func serve(stores string) (err error) {
	n, err := strconv.Atoi(stores)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "hq-console-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the other end
		stop()
	}()
	file := filepath.Join(dir, "hq.db")
	s, err := hq.NewServer(hq.Options{Database: "sqlite:" + file, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := seedFile(ctx, file, n, time.Now()); err != nil {
		return err
	}
	c, err := New(Options{Server: s, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ready := map[string]string{"url": "http://" + ln.Addr().String()}
	for name, role := range map[string]string{"operator": hq.RoleOperator, "viewer": hq.RoleViewer} {
		code, _, err := s.InviteOperator(hq.By(ctx, "root"), hq.Operator{Who: "Ada the " + name, Role: role})
		if err != nil {
			return err
		}
		ready[name] = Link(ready["url"], code)
	}
	line, err := json.Marshal(ready)
	if err != nil {
		return err
	}
	fmt.Println(string(line))
	web := &http.Server{Handler: c.Beside(s.Handler()), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		c.Run(ctx)
		_ = web.Close() // Serve says so
	}()
	if err := web.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
