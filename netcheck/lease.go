package netcheck

import (
	"bufio"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// leasePlaces are where DHCP clients of the usual systems write down what they
// were given.
var leasePlaces = []struct {
	pattern string
	parse   func(io.Reader) []lease
}{
	{"/run/systemd/netif/leases/*", parseNetworkd},
	{"/var/lib/NetworkManager/internal-*.lease", parseNetworkd},
	{"/var/lib/dhcp/dhclient*.leases", parseDhclient},
	{"/var/lib/dhclient/dhclient*.leases", parseDhclient},
	{"/var/lib/NetworkManager/dhclient-*.lease", parseDhclient},
}

// maxLeaseFile bounds what is read: dhclient appends for ever.
const maxLeaseFile = 1 << 20

func readLeases() []lease {
	var out []lease
	for _, p := range leasePlaces {
		files, _ := filepath.Glob(p.pattern)
		for _, name := range files {
			f, err := os.Open(name)
			if err != nil {
				continue // no lease file is no news
			}
			out = append(out, p.parse(io.LimitReader(f, maxLeaseFile))...)
			f.Close()
		}
	}
	return out
}

// parseNetworkd reads KEY=VALUE lines, as systemd-networkd and NetworkManager's
// own client write them.
func parseNetworkd(r io.Reader) []lease {
	var l lease
	in := bufio.NewScanner(r)
	for in.Scan() {
		k, v, _ := strings.Cut(in.Text(), "=")
		switch k {
		case "ADDRESS":
			l.Addr, _ = netip.ParseAddr(v)
		case "SERVER_ADDRESS":
			l.Server, _ = netip.ParseAddr(v)
		case "LIFETIME":
			l.Length = seconds(v)
		}
	}
	if !l.Addr.IsValid() {
		return nil
	}
	return []lease{l}
}

// parseDhclient reads the blocks of isc-dhclient; the last for an address counts.
func parseDhclient(r io.Reader) []lease {
	var out []lease
	var l lease
	in := bufio.NewScanner(r)
	for in.Scan() {
		line := strings.TrimSuffix(strings.TrimSpace(in.Text()), ";")
		f := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "lease"):
			l = lease{}
		case len(f) == 2 && f[0] == "interface":
			l.Card = strings.Trim(f[1], `"`)
		case len(f) == 2 && f[0] == "fixed-address":
			l.Addr, _ = netip.ParseAddr(f[1])
		case len(f) == 3 && f[0] == "option" && f[1] == "dhcp-lease-time":
			l.Length = seconds(f[2])
		case len(f) == 3 && f[0] == "option" && f[1] == "dhcp-server-identifier":
			l.Server, _ = netip.ParseAddr(f[2])
		case line == "}" && l.Addr.IsValid():
			out = append([]lease{l}, out...)
		}
	}
	return out
}

// seconds reads a lease time; what no lease can last is not known.
func seconds(v string) time.Duration {
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}
