package netcheck

import (
	"bufio"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

var shop = Targets{Readers: []string{"192.168.1.31", "192.168.1.32"}}

func probes(r Report) map[string]Result {
	out := map[string]Result{}
	for _, p := range r.Results {
		out[p.Name] = p
	}
	return out
}

func TestASoundStoreGivesNoCode(t *testing.T) {
	var told []string
	targets := shop
	targets.Progress = func(r Result) { told = append(told, r.Name) }
	r := newWorld(t).run(targets)
	for _, p := range r.Results {
		if p.Code != "" || p.Status != Pass {
			t.Errorf("%s is %s %s: %s", p.Name, p.Status, p.Code, p.Detail)
		}
		if p.Detail == "" {
			t.Errorf("%s says nothing", p.Name)
		}
	}
	if len(told) != len(r.Results) {
		t.Errorf("progress told of %d probes, the report of %d", len(told), len(r.Results))
	}
	if r.Took > 5*time.Second { // 1 s on an idle machine
		t.Errorf("took %v", r.Took)
	}
}

// One fault in an otherwise sound world: the probe that should see it does.
func TestFaults(t *testing.T) {
	t.Parallel()
	api := "https/api.stripe.com"
	tests := []struct {
		name   string
		change func(*world)
		probe  string
		status Status
		code   string
		detail string
	}{
		{"no cable", func(w *world) { w.cards[1].Carrier = false }, "link", Fail, "link_down", "eth0 no carrier"},
		{"no card", func(w *world) { w.cards = w.cards[:1] }, "link", Fail, "link_down", "no network interface but the loopback"},
		{"a VPN alone is no link", func(w *world) { w.cards[1].Tunnel = true }, "link", Fail, "link_down", ""},
		{"no address", func(w *world) { w.cards[1].Addrs = nil }, "ipv4", Fail, "no_ipv4", "no IPv4 address on eth0"},
		{"self-assigned", func(w *world) { w.cards[1].Addrs[0].Prefix = netip.MustParsePrefix("169.254.3.4/16") }, "ipv4", Fail, "no_ipv4", "self-assigned"},
		{"IPv6 only", func(w *world) {
			w.cards[1].Addrs[0].Prefix = netip.MustParsePrefix("2001:2::5/64")
			w.paths = []route{{Dst: netip.MustParsePrefix("::/0"), Card: "eth0"}}
		}, "ipv4", Fail, "ipv6_only", "2001:2::5"},
		{"public LAN", func(w *world) {
			w.cards[1].Addrs[0].Prefix = netip.MustParsePrefix("8.30.0.5/24")
			w.dhcp = nil
		}, "ipv4", Warn, "address_not_private", "8.30.0.5"},
		{"no way out", func(w *world) { w.paths = nil }, "route", Fail, "no_default_gateway", ""},
		{"two ways out", func(w *world) {
			w.cards = append(w.cards, card{Name: "wlan0", Index: 3, Up: true, Carrier: true})
			w.paths = append(w.paths, route{Dst: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("10.0.0.1"), Card: "wlan0", Metric: 600})
		}, "route", Warn, "multiple_uplinks", "eth0 and wlan0"},
		{"mask cuts off the gateway", func(w *world) { w.cards[1].Addrs[0].Prefix = netip.MustParsePrefix(hubAddr + "/30") }, "route", Warn, "wrong_netmask", ""},
		{"everything by VPN", func(w *world) {
			w.cards = append(w.cards, card{Name: "wg0", Index: 3, Up: true, Carrier: true, Tunnel: true})
			w.paths[0].Card = "wg0"
		}, "route", Warn, "vpn_route", "wg0"},
		{"half by VPN", func(w *world) {
			w.cards = append(w.cards, card{Name: "tun0", Index: 3, Up: true, Carrier: true, Tunnel: true})
			w.way = "tun0"
		}, "route", Warn, "vpn_route", "tun0"},
		{"internet by another card", func(w *world) { w.way = "wwan0" }, "route", Warn, "multiple_uplinks", "wwan0"},
		{"one way", func(w *world) { w.way = "eth0" }, "route", Pass, "", ""},
		{"gateway dead", func(w *world) { w.macs = map[netip.Addr][]string{} }, "gateway", Fail, "gateway_silent", gwAddr},
		{"gateway twice", func(w *world) {
			w.macs[netip.MustParseAddr(gwAddr)] = []string{gwMAC, "02:00:00:00:00:66"}
		}, "arp", Warn, "gateway_spoofed", "02:00:00:00:00:66"},
		{"our address twice", func(w *world) { w.macs[netip.MustParseAddr(hubAddr)] = []string{"02:00:00:00:00:66"} }, "arp", Fail, "address_conflict", hubAddr},
		{"our address on our other card", func(w *world) {
			w.cards = append(w.cards, card{Name: "eth1", Index: 3, Up: true, Carrier: true, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 0x11}})
			w.macs[netip.MustParseAddr(hubAddr)] = []string{"02:00:00:00:00:11"}
		}, "arp", Pass, "", ""},
		{"a reader's address twice", func(w *world) {
			w.macs[netip.MustParseAddr("192.168.1.31")] = []string{"02:00:00:00:00:31", "02:00:00:00:00:66"}
		}, "arp", Warn, "address_conflict", "192.168.1.31"},

		{"short lease offered", func(w *world) { w.dhcp[0].Lease = time.Hour }, "dhcp", Warn, "dhcp_lease_short", "1h"},
		{"short lease held", func(w *world) {
			w.held = []lease{{Addr: netip.MustParseAddr(hubAddr), Length: 10 * time.Minute}}
		}, "dhcp", Warn, "dhcp_lease_short", "10m"},
		{"short offer, long lease held", func(w *world) {
			w.dhcp[0].Lease = time.Hour
			w.held = []lease{{Addr: netip.MustParseAddr(hubAddr), Length: 24 * time.Hour}}
		}, "dhcp", Pass, "", ""},
		{"second server", func(w *world) {
			w.dhcp = append(w.dhcp, dhcpOffer{Server: netip.MustParseAddr("192.168.1.66"), Addr: netip.MustParseAddr("192.168.77.5"), Mask: 24, Lease: 24 * time.Hour})
		}, "dhcp", Warn, "dhcp_second_server", "192.168.1.66"},
		{"failover pair, each its own resolver first", func(w *world) {
			a, b := netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("192.168.1.2")
			other := w.dhcp[0]
			other.Server = b
			w.dhcp[0].DNS, other.DNS = []netip.Addr{a, b}, []netip.Addr{b, a}
			w.dhcp = append(w.dhcp, other)
		}, "dhcp", Pass, "", ""},
		{"failover pair", func(w *world) {
			other := w.dhcp[0]
			other.Server = netip.MustParseAddr("192.168.1.2")
			w.dhcp = append(w.dhcp, other)
		}, "dhcp", Pass, "", ""},
		{"static in another subnet", func(w *world) { w.dhcp[0].Addr = netip.MustParseAddr("192.168.2.5") }, "dhcp", Fail, "address_wrong_subnet", "192.168.2.0/24"},
		{"no server, static", func(w *world) { w.dhcp = nil }, "dhcp", Pass, "", "static"},
		{"no server, leased", func(w *world) { w.dhcp = nil; w.cards[1].Addrs[0].Dynamic = true }, "dhcp", Warn, "dhcp_silent", ""},
		{"no server, no address", func(w *world) { w.dhcp = nil; w.cards[1].Addrs = nil }, "dhcp", Fail, "dhcp_silent", ""},
		{"pool empty", func(w *world) {
			w.dhcp, w.cards[1].Addrs, w.naked = nil, nil, netip.MustParseAddr(gwAddr)
		}, "dhcp", Fail, "dhcp_pool_exhausted", gwAddr},

		{"no resolver", func(w *world) { w.names = nil }, "dns", Fail, "dns_not_configured", ""},
		{"name hidden", func(w *world) { w.say = saying("api.stripe.com", dns.RcodeNameError, "") }, "dns/api.stripe.com", Fail, "", "NXDOMAIN"},
		{"name refused", func(w *world) { w.say = saying("api.stripe.com", dns.RcodeRefused, "") }, "dns/api.stripe.com", Fail, "", "REFUSED"},
		{"name nowhere", func(w *world) { w.say = saying("api.stripe.com", 0, "0.0.0.0") }, "dns/api.stripe.com", Fail, "", "0.0.0.0"},
		{"name at home", func(w *world) { w.say = saying("api.stripe.com", 0, "192.168.1.1") }, "dns/api.stripe.com", Fail, "", "no address of a public host"},
		{"private names hidden", func(w *world) { w.say = saying(privateTest, dns.RcodeNameError, "") }, "dns/private", Fail, "dns_private_filtered", "NXDOMAIN"},
		{"private names elsewhere", func(w *world) { w.say = saying(privateTest, 0, "8.20.0.1") }, "dns/private", Fail, "dns_private_filtered", "8.20.0.1"},
		{"resolver broken", func(w *world) {
			w.say = func(_ string, public bool) (int, string) {
				if public {
					return asIs, ""
				}
				return dns.RcodeServerFailure, ""
			}
		}, "resolver/1", Fail, "", "5 SERVFAIL"},
		{"resolver silent", func(w *world) { w.fate["udp "+gwAddr+":53"], w.fate["tcp "+gwAddr+":53"] = "silent", "refused" }, "resolver/1", Fail, "", "5 silent"},
		{"wrong machine by DNS", func(w *world) {
			w.impostor = "8.20.0.99"
			w.say = func(name string, public bool) (int, string) {
				if name == required[0] && !public {
					return dns.RcodeSuccess, w.impostor
				}
				return asIs, ""
			}
		}, "hijack", Fail, "dns_hijacked", "8.20.0.99"},

		{"host silent", func(w *world) { w.fate["tcp "+addrOf[required[0]]+":443"] = "silent" }, api, Fail, "", "silent"},
		{"host refused", func(w *world) { w.fate["tcp "+addrOf[required[0]]+":443"] = "refused" }, api, Fail, "", "refused"},
		{"own filter", func(w *world) { w.fate["tcp *:443"], w.raw = "refused", true }, "host_firewall", Fail, "host_firewall", ""},
		{"name reset", func(w *world) { w.host["api.stripe.com"] = "reset" }, "sni/api.stripe.com", Fail, "", "unrelated address"},
		{"name hangs", func(w *world) { w.host["api.stripe.com"] = "hang" }, api, Fail, "", "silent"},
		{"answers 503", func(w *world) { w.host["api.stripe.com"] = "503" }, api, Warn, "stripe_failing", "503"},
		{"the maker's 503", func(w *world) { w.host["api.emms.bbpos.com"] = "503" }, "https/api.emms.bbpos.com", Warn, "stripe_failing", "503"},
		{"one that is not needed answers 503", func(w *world) { w.host["js.stripe.com"] = "503" }, "https/js.stripe.com", Pass, "", "503"},
		{"proves itself, says nothing", func(w *world) { w.host["api.stripe.com"] = "mute" }, api, Fail, "", "does not answer"},
		{"inspected", func(w *world) { w.cert["api.stripe.com"] = "untrusted" }, api, Fail, "", `untrusted, issued by "CN=NetNanny"`},
		{"expired", func(w *world) { w.cert["api.stripe.com"] = "expired" }, api, Fail, "", "expired"},
		{"of the future", func(w *world) { w.cert["api.stripe.com"] = "early" }, api, Fail, "", "not yet valid"},
		{"somebody else's", func(w *world) { w.cert["api.stripe.com"] = "wrong" }, api, Fail, "", "wrong name"},
		{"old TLS", func(w *world) { w.cert["api.stripe.com"] = "tls11" }, api, Fail, "", "tls version"},
		{"large packets vanish", func(w *world) { w.fullSize = "silent" }, "mtu", Fail, "mtu_black_hole", "536"},
		{"portal", func(w *world) { w.pageCode = 302 }, "portal", Fail, "captive_portal", "http://portal.example/login"},
		{"page cut off", func(w *world) { w.host["api.stripe.com"] = "cut" }, api, Fail, "", "does not answer"},
		{"fails now and then", func(w *world) { w.host["api.stripe.com"] = "503 later" }, "steady/api.stripe.com", Warn, "stripe_failing", "HTTP 503"},
		{"events hidden", func(w *world) { w.say = saying(events, dns.RcodeNameError, "") }, "dns/" + events, Unknown, "", "NXDOMAIN"},
		{"events nowhere", func(w *world) {
			w.say = func(name string, _ bool) (int, string) {
				if name == events {
					return dns.RcodeNameError, ""
				}
				return asIs, ""
			}
		}, "public/1.1.1.1", Pass, "", ""},
		{"events of another name", func(w *world) { w.cert[events] = "wrong" }, "https/" + events, Warn, "", "wrong name"},
		{"steady", func(*world) {}, "steady/api.stripe.com", Pass, "", "visits were answered"},
		{"hosts by another router", func(w *world) { w.way = "eth1" }, "ways", Warn, "vpn_route", "eth1"},
		{"default route without a router", func(w *world) { w.paths[0].Gateway = netip.Addr{} }, "route", Pass, "", "straight out by eth0"},
		{"reader hidden by the mask", func(w *world) {
			w.cards[1].Addrs[0].Prefix = netip.MustParsePrefix(hubAddr + "/28")
		}, "mask", Warn, "wrong_netmask", "192.168.1.31, 192.168.1.32"},
		{"own filter before DNS", func(w *world) {
			w.fate["udp "+gwAddr+":53"], w.fate["tcp "+gwAddr+":53"], w.raw = "silent", "silent", true
		}, "host_firewall", Fail, "host_firewall", gwAddr + ":53"},
		{"own filter before a reader", func(w *world) { w.fate["tcp 192.168.1.31:4443"], w.raw = "silent", true }, "host_firewall", Fail, "host_firewall", "192.168.1.31:4443"},
		{"silent about one name", func(w *world) { w.say = saying("gator.stripe.com", 0, "") }, "dns/gator.stripe.com", Fail, "", "silent"},
		{"own range hidden", func(w *world) {
			w.say = saying("192-168-1-10.test.device.stripe-terminal-local-reader.net", dns.RcodeNameError, "")
		}, "dns/private", Fail, "dns_private_filtered", "192-168-1-10"},
		{"portal by its own status", func(w *world) { w.pageCode = 511 }, "portal", Fail, "captive_portal", ""},
		{"portal page", func(w *world) { w.pageCode = 200 }, "portal", Fail, "captive_portal", ""},
		{"pages are down", func(w *world) { w.pageCode = 503 }, "portal", Unknown, "", ""},
		{"time blocked", func(w *world) { w.fate["udp *:123"] = "silent" }, "ntp/time.android.com", Warn, "", "silent"},
		{"clock behind", func(w *world) { w.ahead = time.Hour }, "clock", Fail, "clock_wrong", "60 minutes behind"},
		{"clock ahead", func(w *world) { w.ahead = -400 * 24 * time.Hour }, "clock", Fail, "clock_wrong", "400 days ahead"},
		{"clock a little off", func(w *world) { w.ahead = 30 * time.Second }, "clock", Pass, "", ""},
		{"second router", func(w *world) { w.hop[2] = netip.MustParseAddr("10.0.0.1") }, "hops", Pass, "double_nat", "10.0.0.1"},
		{"provider's NAT", func(w *world) { w.hop[2] = netip.MustParseAddr("100.64.3.1") }, "hops", Pass, "carrier_nat", "100.64.3.1"},

		{"reader silent", func(w *world) {
			w.fate["tcp 192.168.1.31:4443"] = "unreachable"
			delete(w.macs, netip.MustParseAddr("192.168.1.31"))
		}, "reader/192.168.1.31", Fail, "reader_offline", "no sign of life"},
		{"reader refuses", func(w *world) { w.fate["tcp 192.168.1.31:4443"] = "refused" }, "reader/192.168.1.31", Warn, "reader_port_closed", ""},
		{"reader dropped", func(w *world) { w.fate["tcp 192.168.1.31:4443"] = "silent" }, "reader/192.168.1.31", Warn, "reader_port_blocked", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tt.change(w)
			p := probes(w.run(shop))[tt.probe]
			if p.Status != tt.status || p.Code != tt.code || !strings.Contains(strings.ReplaceAll(p.Detail, "_", " "), strings.ReplaceAll(tt.detail, "_", " ")) {
				t.Errorf("%s is %q %q: %s; want %s %q … %s", tt.probe, p.Status, p.Code, p.Detail, tt.status, tt.code, tt.detail)
			}
		})
	}
}

// saying bends one name; public resolvers go on telling the truth.
func saying(name string, rcode int, addr string) func(string, bool) (int, string) {
	return func(n string, public bool) (int, string) {
		if n == name && !public {
			return rcode, addr
		}
		return asIs, ""
	}
}

func TestADeadLineIsAskedAboutAndNothingElseWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fate["tcp *:443"], w.fate["tcp *:80"], w.fate["udp *:123"] = "silent", "silent", "silent"
	w.fate["udp 1.1.1.1:53"], w.fate["udp 8.8.8.8:53"] = "silent", "silent"
	w.say = func(string, bool) (int, string) { return dns.RcodeServerFailure, "" }
	r := w.run(shop)
	got := probes(r)
	if p := got["beyond"]; p.Status != Fail {
		t.Errorf("beyond is %s: %s", p.Status, p.Detail)
	}
	if p := got["https/api.stripe.com"]; p.Status != Skip || p.Because != "dns/api.stripe.com" {
		t.Errorf("https is %s because of %q", p.Status, p.Because)
	}
	if r.Took > 5*time.Second {
		for _, p := range r.Results {
			t.Logf("%s took %d ms", p.Name, p.TookMS)
		}
		t.Errorf("took %v, want less than 5 s", r.Took)
	}
}

func TestOnlyAProxyLeadsOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fate["tcp *:443"], w.fate["tcp *:80"] = "silent", "silent"
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { proxy.Close() })
	go func() {
		for {
			conn, err := proxy.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = conn.Write([]byte("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"))
			}
			conn.Close()
		}
	}()
	w.start()
	dial := w.dial
	c := newChecker(shop)
	c.sys, c.roots = w, w.ca.pool
	c.connect = dialer(func(network, addr string) (string, bool) { return proxy.Addr().String(), addr == gwAddr+":3128" }, dial)
	if p := probes(c.run(t.Context()))["proxy"]; p.Code != "proxy_required" {
		t.Errorf("proxy is %s %q: %s", p.Status, p.Code, p.Detail)
	}
}

// TestAnAddressThatNoVisitNeededIsAskedToo: a client may happen to take it.
func TestAnAddressThatNoVisitNeededIsAskedToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fate["tcp 8.20.0.77:443"] = "refused"
	w.start()
	c := newChecker(shop)
	c.sys, c.connect, c.roots = w, w.dial, w.ca.pool
	c.hostsFile = map[string][]netip.Addr{required[0]: {netip.MustParseAddr(addrOf[required[0]]), netip.MustParseAddr("8.20.0.77")}}
	got := probes(c.run(t.Context()))
	if p := got["https/"+required[0]]; p.Status != Pass {
		t.Errorf("the visit is %s: %s", p.Status, p.Detail)
	}
	if p := got["addresses"]; p.Status != Warn || !strings.Contains(p.Detail, "8.20.0.77") {
		t.Errorf("addresses is %s: %s", p.Status, p.Detail)
	}
	if p := got["dns/"+required[0]]; p.Evidence["hosts_file"] != true {
		t.Errorf("the hosts file was passed over: %v", p.Evidence)
	}
}

func TestWithoutRawSocketsTheWayOutOfUnknownIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.arp, w.macs = errNeedsRaw, nil
	got := probes(w.run(shop))
	for _, name := range []string{"arp", "gateway"} {
		if p := got[name]; p.Status != Unknown || !strings.Contains(p.Detail, "CAP_NET_RAW") {
			t.Errorf("%s is %s: %s", name, p.Status, p.Detail)
		}
	}
	if p := got["https/api.stripe.com"]; p.Status != Pass {
		t.Errorf("an unknown gateway stopped the rest: %s %s", p.Status, p.Detail)
	}
}

func TestExtraEndpointsAreVisited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fate["tcp 10.1.1.1:8443"] = "refused"
	got := probes(w.run(Targets{Endpoints: []string{"pos.example.org", "10.1.1.1:8443", "api.stripe.com"}}))
	if p := got["https/pos.example.org"]; p.Status != Pass {
		t.Errorf("by name: %s %s", p.Status, p.Detail)
	}
	if p := got["https/10.1.1.1:8443"]; p.Status != Fail || p.Evidence["problem"] != "refused" {
		t.Errorf("by address: %s %s", p.Status, p.Detail)
	}
}

func TestRangesOfTheShopAreNeverBogus(t *testing.T) {
	c := newChecker(Targets{})
	lab := netip.MustParseAddr("198.18.4.4")
	if !c.bogus(lab) {
		t.Error("a benchmark address is no public host")
	}
	c.ranges = prefixes("198.18.0.0/15")
	if c.bogus(lab) {
		t.Error("the ranges file was not heeded")
	}
	for _, s := range []string{"0.0.0.0", "127.0.0.1", "10.0.0.1", "192.168.4.4", "169.254.1.1", "100.64.0.1", "::1", "fd00::1"} {
		if !c.bogus(netip.MustParseAddr(s)) {
			t.Errorf("%s passes for a public host", s)
		}
	}
	for _, s := range []string{"198.137.150.21", "8.8.8.8", "2600::1"} {
		if c.bogus(netip.MustParseAddr(s)) {
			t.Errorf("%s does not pass for a public host", s)
		}
	}
}

func TestPlanIsWhole(t *testing.T) {
	plan := newChecker(Targets{Readers: []string{"192.168.1.31"}, Endpoints: []string{"a.example"}, HQ: "https://hq.example"}).plan()
	var names []string
	for _, p := range plan {
		if slices.Contains(names, p.name) {
			t.Errorf("%s stands twice", p.name)
		}
		names = append(names, p.name)
	}
	for _, p := range plan {
		if p.budget <= 0 || p.budget > 8*time.Second {
			t.Errorf("%s has a budget of %v", p.name, p.budget)
		}
		for _, n := range append(slices.Clone(p.needs), p.after...) {
			if !slices.Contains(names, n) {
				t.Errorf("%s waits for %s, which does not exist", p.name, n)
			}
		}
	}
}
