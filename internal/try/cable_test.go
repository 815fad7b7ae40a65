package try

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"
)

// echo serves an echo on loopback until the test ends.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				conn.Close()
			}()
		}
	}()
	return ln.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func says(t *testing.T, conn net.Conn, line string) error {
	t.Helper()
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return err
	}
	got, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if got != line+"\n" {
		t.Errorf("got %q, want %q", got, line)
	}
	return nil
}

func TestCableCarriesUntilCutAndAgainWhenMended(t *testing.T) {
	c, err := NewCable(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	open := dial(t, c.Addr())
	if err := says(t, open, "whole"); err != nil {
		t.Fatalf("whole: %v", err)
	}
	c.Cut()
	if err := says(t, open, "cut"); err == nil {
		t.Error("an open connection outlived the cut")
	}
	if conn, err := net.Dial("tcp", c.Addr()); err == nil { // it may be reset before it is open
		defer conn.Close()
		if says(t, conn, "cut") == nil {
			t.Error("a new connection passed a cut cable")
		}
	}
	c.Mend()
	if err := says(t, dial(t, c.Addr()), "mended"); err != nil {
		t.Errorf("mended: %v", err)
	}
}

func TestSilentCableHangsInsteadOfRefusing(t *testing.T) {
	c, err := NewCable(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Silence()
	conn := dial(t, c.Addr())
	if err := conn.SetDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	err = says(t, conn, "anyone")
	if e, ok := err.(net.Error); !ok || !e.Timeout() {
		t.Errorf("got %v, want a timeout", err)
	}
	c.Mend()
	if err := says(t, dial(t, c.Addr()), "back"); err != nil {
		t.Errorf("mended: %v", err)
	}
}
