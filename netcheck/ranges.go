package netcheck

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
)

// ParseRanges reads checks.ip_ranges_file: one address or CIDR a line, #
// comments.
func ParseRanges(r io.Reader) ([]netip.Prefix, error) {
	var out []netip.Prefix
	in := bufio.NewScanner(r)
	for n := 1; in.Scan(); n++ {
		text, _, _ := strings.Cut(in.Text(), "#")
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, aerr := netip.ParseAddr(text)
			if aerr != nil || a.Zone() != "" {
				return nil, fmt.Errorf("line %d: %q is neither an address nor a CIDR", n, text)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p.Masked())
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("read ranges: %w", err)
	}
	return out, nil
}

func readRanges(path string) ([]netip.Prefix, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open ranges: %w", err)
	}
	defer f.Close()
	out, err := ParseRanges(f)
	if err != nil {
		return nil, fmt.Errorf("ranges %s: %w", path, err)
	}
	return out, nil
}

// probeRanges speaks only when checks.ip_ranges_file could not be read: the
// built-in ranges then stand.
func (c *checker) probeRanges(context.Context) Result {
	if c.badRanges == nil {
		return Result{}
	}
	return Result{Status: Unknown, Detail: c.badRanges.Error()}
}

var (
	rfc1918   = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
	shared    = netip.MustParsePrefix("100.64.0.0/10")
	linkLocal = netip.MustParsePrefix("169.254.0.0/16")
	// never is where no public host can be. 192.0.0.0/24 holds NAT64's probe
	// addresses, 240/4 was never given out.
	never = prefixes("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24",
		"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "100.64.0.0/10")
)

func prefixes(text ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(text))
	for i, s := range text {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

func in(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// private says whether a reader would take the address for a private one.
func (c *checker) private(a netip.Addr) bool { return in(rfc1918, a.Unmap()) }

// bogus says whether a public host cannot be at that address.
func (c *checker) bogus(a netip.Addr) bool {
	a = a.Unmap()
	if in(c.ranges, a) {
		return false
	}
	return !a.IsValid() || in(never, a) || in(rfc1918, a) || a.Is6() && (a.IsLoopback() || a.IsUnspecified() || a.IsPrivate() || a.IsLinkLocalUnicast())
}
