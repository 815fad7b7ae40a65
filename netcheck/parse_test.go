package netcheck

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseRanges(t *testing.T) {
	got, err := ParseRanges(strings.NewReader("# the lab\n198.18.0.0/15\n\n 8.8.8.8 # one\n2001:db8::/32\n198.18.3.4/24\n"))
	want := prefixes("198.18.0.0/15", "8.8.8.8/32", "2001:db8::/32", "198.18.3.0/24")
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v %v, want %v", got, err, want)
	}
	for text, want := range map[string]string{
		"198.18.0.0/15\nhello": `line 2: "hello" is neither an address nor a CIDR`,
		"10.0.0.0/33":          `line 1: "10.0.0.0/33" is neither`,
		"fe80::1%eth0":         `line 1: "fe80::1%eth0" is neither`,
	} {
		if _, err := ParseRanges(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestAnUnreadableRangesFileIsSaid(t *testing.T) {
	if _, err := readRanges(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing file passed")
	}
	bad := filepath.Join(t.TempDir(), "bad")
	must(t, os.WriteFile(bad, []byte("nonsense"), 0o600))
	c := newChecker(Targets{RangesFile: bad})
	if r := c.probeRanges(t.Context()); r.Status != Unknown || !strings.Contains(r.Detail, `"nonsense"`) {
		t.Errorf("the report says %+v", r)
	}
	if r := newChecker(Targets{}).probeRanges(t.Context()); r.Status != "" {
		t.Errorf("without a file the report says %+v", r)
	}
}

func TestParseResolvConf(t *testing.T) {
	got, err := ParseResolvConf(strings.NewReader("# by dhcp\nsearch store.lan\nnameserver 192.168.1.1\nnameserver nonsense\nnameserver 192.168.1.1\nnameserver\t8.8.8.8 # public\noptions timeout:1\nnameserver fe80::1%eth0\nnameserver 9.9.9.9\n"))
	if err != nil || len(got) != 3 {
		t.Fatalf("%v %v, want three resolvers", got, err)
	}
	for i, want := range []string{"192.168.1.1:53", "8.8.8.8:53", "[fe80::1%eth0]:53"} {
		if got[i].String() != want {
			t.Errorf("resolver %d is %s, want %s", i+1, got[i], want)
		}
	}
}

func TestParseLeases(t *testing.T) {
	networkd := "# This is private data. Do not parse.\nADDRESS=192.168.1.10\nNETMASK=255.255.255.0\nSERVER_ADDRESS=192.168.1.1\nT1=21600\nLIFETIME=43200\n"
	want := []lease{{Addr: netip.MustParseAddr("192.168.1.10"), Server: netip.MustParseAddr("192.168.1.1"), Length: 12 * time.Hour}}
	if got := parseNetworkd(strings.NewReader(networkd)); !reflect.DeepEqual(got, want) {
		t.Errorf("networkd: %+v, want %+v", got, want)
	}
	dhclient := `lease {
  interface "eth0";
  fixed-address 192.168.1.10;
  option dhcp-lease-time 120;
  option dhcp-server-identifier 192.168.1.1;
}
lease {
  interface "eth0";
  fixed-address 192.168.1.10;
  option dhcp-lease-time 86400;
}
`
	got := parseDhclient(strings.NewReader(dhclient))
	if len(got) != 2 || got[0].Length != 24*time.Hour || got[0].Card != "eth0" || got[1].Length != 2*time.Minute {
		t.Errorf("dhclient: %+v, want the last first", got)
	}
	for _, text := range []string{"", "LIFETIME=43200", "ADDRESS=nonsense\nLIFETIME=-1"} {
		if got := parseNetworkd(strings.NewReader(text)); got != nil {
			t.Errorf("%q gives %+v", text, got)
		}
	}
}

func TestParseHostsFile(t *testing.T) {
	got := parseHostsFile(strings.NewReader("127.0.0.1 localhost\n::1 localhost\n8.20.0.1\tAPI.stripe.com. api # now\n#8.20.0.2 api.stripe.com\n8.20.0.3 api.stripe.com\nnonsense x\n"))
	want := []netip.Addr{netip.MustParseAddr("8.20.0.1"), netip.MustParseAddr("8.20.0.3")}
	if !slices.Equal(got["api.stripe.com"], want) || len(got) != 3 {
		t.Errorf("%v", got)
	}
}

func TestProxiesAreReadOutOfAScript(t *testing.T) {
	got := proxiesOf(`if (x) { return "PROXY 10.0.0.1:8080; PROXY proxy.shop:3128; SOCKS s:1; DIRECT"; } return "PROXY 10.0.0.1:8080"`)
	if !slices.Equal(got, []string{"10.0.0.1:8080", "proxy.shop:3128"}) {
		t.Errorf("%q", got)
	}
}

func FuzzParsers(f *testing.F) {
	f.Add("nameserver 1.1.1.1\n")
	f.Add("lease {\n fixed-address 10.0.0.1;\n option dhcp-lease-time 99999999999;\n}\n")
	f.Add("ADDRESS=10.0.0.1\nLIFETIME=4294967295\n")
	f.Add("198.18.0.0/15 # lab\n")
	f.Add("127.0.0.1 localhost api.stripe.com. # here\n")
	f.Add("0.0.0.0 .")
	f.Add(`return "PROXY 10.0.0.1:8080; PROXY proxy.shop:3128; DIRECT"`)
	f.Fuzz(func(t *testing.T, text string) {
		for name, list := range parseHostsFile(strings.NewReader(text)) {
			for _, a := range list {
				if name == "" || !a.Is4() {
					t.Errorf("%q leads %q to %v", text, name, a)
				}
			}
		}
		for _, p := range proxiesOf(text) {
			if _, _, err := net.SplitHostPort(p); err != nil {
				t.Errorf("%q gives the proxy %q", text, p)
			}
		}
		if list, err := ParseRanges(strings.NewReader(text)); err == nil {
			for _, p := range list {
				if !p.IsValid() || p != p.Masked() {
					t.Errorf("%q gives %v", text, p)
				}
			}
		}
		if list, err := ParseResolvConf(strings.NewReader(text)); err == nil && len(list) > 3 {
			t.Errorf("%q gives %d resolvers", text, len(list))
		}
		for _, l := range append(parseNetworkd(strings.NewReader(text)), parseDhclient(strings.NewReader(text))...) {
			if !l.Addr.IsValid() || l.Length < 0 {
				t.Errorf("%q gives %+v", text, l)
			}
		}
	})
}
