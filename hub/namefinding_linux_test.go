package hub

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"

	"storehub/diagnostics"
)

// inShopVar says that this is the child, in a network of its own.
const inShopVar = "HUB_TEST_IN_SHOP"

const routerIP, ownIP, providerIP = "10.9.0.1", "10.9.0.2", "10.9.1.1"

// TestMoney_4_4_ARealRouterIsAskedForTheName has dnsmasq be the shop's router, and
// another one the provider. Nothing can leave: the namespace has no way out.
func TestMoney_4_4_ARealRouterIsAskedForTheName(t *testing.T) {
	if os.Getenv(inShopVar) != "" {
		askRealRouters(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inShopVar+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("in the shop: %v\n%s(a kernel that forbids namespaces cannot run this test)", err, out)
	}
}

func askRealRouters(t *testing.T) {
	a := netlink.NewLinkAttrs()
	a.Name = "eth0"
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: a, PeerName: "router0"}); err != nil {
		t.Fatal(err)
	}
	for name, addrs := range map[string][]string{"lo": nil, "eth0": {ownIP + "/24"}, "router0": {routerIP + "/24", providerIP + "/24"}} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range addrs {
			addr, err := netlink.ParseAddr(s)
			if err != nil {
				t.Fatal(err)
			}
			if err := netlink.AddrAdd(link, addr); err != nil {
				t.Fatal(err)
			}
		}
		if err := netlink.LinkSetUp(link); err != nil {
			t.Fatal(err)
		}
	}
	router := netip.AddrPortFrom(netip.MustParseAddr(routerIP), 53)
	s := open(t, newFakeHQ(), t.TempDir(), named, func(c *Config, p *Parts) {
		c.Listen, c.DNS.Listen = ownIP+":0", ownIP+":53"
		p.Resolvers = func() ([]netip.AddrPort, error) { return []netip.AddrPort{router}, nil }
	})
	if s.addr.DNS != ownIP+":53" {
		t.Fatalf("answers at %q:\n%s", s.addr.DNS, s.log)
	}
	from := func(upstream string) string { return "--server=" + upstream }
	for _, c := range []struct {
		name             string
		router, provider []string
		want             string // evidence; "" is none
	}{
		{"an entry in the router", []string{"--address=/" + hubName + "/" + ownIP}, nil, ""},
		{"the provider knows it", []string{from(providerIP)}, []string{"--address=/" + hubName + "/" + ownIP},
			"10.9.0.1 knows hub.shop.example (10.9.0.2) from another resolver: its answer is not authoritative"},
		{"the router asks the hub for it", []string{from(providerIP), "--server=/" + hubName + "/" + ownIP + "@" + routerIP}, []string{"--address=/" + hubName + "/10.9.0.9"}, ""},
		{"the provider does not know it", []string{from(providerIP)}, []string{"--address=/shop.example/"}, "10.9.0.1 does not know hub.shop.example: NXDOMAIN"},
		{"an old entry", []string{"--address=/" + hubName + "/10.9.0.9"}, nil, "10.9.0.1 leads hub.shop.example to 10.9.0.9, which is not this hub"},
		{"the router hides private addresses", []string{from(providerIP), "--stop-dns-rebind"}, []string{"--address=/" + hubName + "/" + ownIP},
			"10.9.0.1 does not know hub.shop.example: no address"},
	} {
		stopProvider := func() {}
		if c.provider != nil {
			stopProvider = dnsmasq(t, providerIP, c.provider...)
		}
		stopRouter := dnsmasq(t, routerIP, c.router...) // it answers once the provider does
		s.hub.name.note(hubName, nil, true, time.Now()) // nothing is known of an earlier router
		s.hub.lookForName(t.Context())
		var got []string
		for _, k := range s.hub.name.findings() {
			got = append(got, k.Evidence...)
		}
		if got := strings.Join(got, "; "); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		stopProvider()
		stopRouter()
	}
	s.hub.lookForName(t.Context()) // the router is dead
	s.hub.monitor.refresh()
	report := s.hub.monitor.current()
	i := slices.IndexFunc(report.Causes, func(c diagnostics.Cause) bool { return c.Code == "hub_name_needs_internet" })
	if i < 0 || !strings.Contains(fmt.Sprint(report.Causes[i].Evidence), "no address") {
		t.Errorf("the diagnosis is %+v", report.Causes)
	}
}

// dnsmasq answers there until it is stopped.
func dnsmasq(t *testing.T, at string, more ...string) (stop func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "dnsmasq", append([]string{"--keep-in-foreground", "--user=root", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
		"--bind-interfaces", "--listen-address=" + at, "--pid-file=", "--log-facility=-", "--local-ttl=60"}, more...)...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin")
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatalf("start dnsmasq: %v", err)
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c := dns.Client{Timeout: time.Second}
		_, _, err := c.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion(hubName+".", dns.TypeA), at+":53")
		if err == nil {
			return stop
		}
		if time.Now().After(deadline) {
			stop()
			t.Fatalf("dnsmasq at %s: %v\n%s", at, err, out.String())
		}
	}
}
