package freeport

import (
	"net"
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
