package freeport

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// An address can be listened at again and again, and is never one that the system
// gives to others meanwhile.
func TestAddressIsFreeAndStaysFree(t *testing.T) {
	address, err := Address()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if port := ln.Addr().(*net.TCPAddr).Port; port < lowest || port >= highest {
			t.Errorf("%d is not between %d and %d", port, lowest, highest)
		}
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// role makes a process of this test binary say which addresses it is given.
const role = "STOREHUB_FREEPORT_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(role) == "" {
		os.Exit(m.Run())
	}
	for range block + block/2 {
		address, err := Address()
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(address)
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // it keeps them until nobody listens to it any more
	os.Exit(0)
}

// Processes that ask at the same time are given different addresses, more than a block
// holds, and none twice.
func TestNoTwoProcessesAreGivenTheSame(t *testing.T) {
	seen := map[string]bool{}
	for range 5 {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), role+"=asks")
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = in.Close()
			if err := c.Wait(); err != nil {
				t.Error(err)
			}
		})
		lines := bufio.NewScanner(out)
		for range block + block/2 {
			if !lines.Scan() || seen[lines.Text()] || !strings.HasPrefix(lines.Text(), "127.0.0.1:2") && !strings.HasPrefix(lines.Text(), "127.0.0.1:3") {
				t.Fatalf("given %q, %v: no address, or one that another process has", lines.Text(), lines.Err())
			}
			seen[lines.Text()] = true
		}
	}
}
