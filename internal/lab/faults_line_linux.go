package lab

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Hosts without which no reader takes a payment, and where they are.
const (
	apiAddrs  = "{ 198.19.1.10, 198.19.1.11 }"
	allStripe = "{ 198.19.1.0/24, 198.19.2.0/24, 198.19.3.0/24 }"
)

// dnsRows are the faults of names.
var dnsRows = []Row{
	{Name: "dns-rebind", Does: "the router hides private addresses (dnsmasq --stop-dns-rebind)", Code: "dns_private_filtered", done: rebind},
	{Name: "dns-rebind-forced", Does: "the same, and the hub's own resolver is caught on the way", Code: "dns_private_filtered", done: func(s *Shop) error {
		return errors.Join(rebind(s), s.resolver("hub", cloudDNS), s.nft("router", `add rule ip nat caught iifname "lan0" udp dport 53 redirect to :53`))
	}},
	{Name: "dns-nxdomain", Does: "a filter denies one name", Code: "dns_blocks_stripe", Target: "api.stripe.com", done: dnsSays("/api.stripe.com/")},
	{Name: "dns-zero", Does: "a filter answers 0.0.0.0", Code: "dns_blocks_stripe", Target: "armada.stripe.com", done: dnsSays("/armada.stripe.com/0.0.0.0")},
	{Name: "dns-loopback", Does: "a filter answers 127.0.0.1", Code: "dns_blocks_stripe", Target: "gator.stripe.com", done: dnsSays("/gator.stripe.com/127.0.0.1")},
	{Name: "dns-all-denied", Does: "a filter denies all of payments' names", Code: "dns_blocks_stripe", Target: "api.emms.bbpos.com", done: dnsSays("/stripe.com/", "/bbpos.com/", "/amazonaws.com/")},
	{Name: "dns-hijack", Does: "a name leads to a stranger's server", Code: "dns_hijacked", Target: "api.stripe.com", done: dnsSays("/api.stripe.com/198.19.6.10")},
	{Name: "dns-hijack-gator", Does: "another name does", Code: "dns_hijacked", Target: "gator.stripe.com", done: dnsSays("/gator.stripe.com/198.19.6.10")},
	{Name: "dns-silent", Does: "the router drops questions", Code: "dns_down", done: func(s *Shop) error {
		return s.deafen(`iifname "lan0" meta l4proto { tcp, udp } th dport 53 drop`)
	}},
	{Name: "dns-dead", Does: "the router's resolver has crashed", Code: "dns_down", Beside: []string{"dhcp_silent"}, done: func(s *Shop) error { s.stop("dnsmasq"); return nil }},
	{Name: "dns-servfail", Does: "the provider's resolvers answer SERVFAIL", Code: "dns_down", done: dnsConducts(dnsConduct{rcode: dns.RcodeServerFailure})},
	{Name: "dns-refused", Does: "the provider's resolvers refuse", Code: "dns_down", done: dnsConducts(dnsConduct{rcode: dns.RcodeRefused})},
	{Name: "dns-slow", Does: "answers take 1.8 s", Code: "dns_slow", done: dnsConducts(dnsConduct{delay: 1800 * time.Millisecond})},
	{Name: "dns-lossy", Does: "60 % of the answers are lost", Code: "dns_unreliable", Or: "dns_slow", done: dnsConducts(dnsConduct{lost: 60})},
	{Name: "dns-first-dead", Does: "the first of two resolvers is dead", Code: "dns_unreliable", done: func(s *Shop) error { return s.resolver("hub", "192.168.50.99", gatewayIP) }},
	{Name: "dns-none", Does: "the hub knows no resolver", Code: "dns_not_configured", done: func(s *Shop) error { return s.resolver("hub") }},
}

// lineRows are the faults of the way out, and of what stands at its end.
var lineRows = []Row{
	{Name: "line-down", Does: "the router's line is unplugged", Code: "wan_down", done: func(s *Shop) error { return s.ip("router", "link set wan0 down") }},
	{Name: "provider-down", Does: "the provider's core is gone", Code: "wan_down", done: func(s *Shop) error { return s.ip("isp", "link set core0 down") }},
	{Name: "line-drop", Does: "the router drops everything outward", Code: "wan_down", done: func(s *Shop) error { return errors.Join(s.forbid("drop"), s.silentRouter()) }},
	{Name: "line-far", Does: "a round trip takes 800 ms", Code: "wan_slow", done: spoilt(impairment{delay: 400 * time.Millisecond})},
	{Name: "line-jitter", Does: "delays vary by 250 ms each way", Code: "wan_slow", done: spoilt(impairment{delay: 20 * time.Millisecond, jitter: 250 * time.Millisecond})},
	{Name: "line-narrow", Does: "the line carries 300 kbit/s", Code: "wan_slow", done: spoilt(impairment{kbit: 300})},
	{Name: "line-lossy", Does: "12 % of the packets are lost each way", Code: "wan_lossy", done: spoilt(impairment{loss: 12})},
	{Name: "mtu-hole", Does: "packets over 1280 bytes vanish, without ICMP", Code: "mtu_black_hole", done: hole(1280)},
	{Name: "mtu-hole-1400", Does: "packets over 1400 bytes vanish", Code: "mtu_black_hole", done: hole(1400)},
	{Name: "mtu-hole-far", Does: "packets over 1000 bytes vanish behind the router", Code: "mtu_black_hole", done: spoilt(impairment{mtu: 1000})},
	{Name: "portal", Does: "a login page, all else is refused", Code: "captive_portal", Beside: []string{"ntp_blocked"}, done: portal},
	{Name: "portal-tls", Does: "a login page that takes HTTPS as well", Code: "captive_portal", Beside: []string{"ntp_blocked"},
		done: func(s *Shop) error { return errors.Join(s.loginPage(), s.loginTLS()) }},
	{Name: "proxy-only", Does: "only an HTTP proxy leads out", Code: "proxy_required", Beside: []string{"ntp_blocked"}, done: func(s *Shop) error {
		return errors.Join(s.proxy(), s.forbid("tcp dport { 80, 443 } drop"))
	}},
	{Name: "firewall-drop", Does: "a firewall drops what goes to one host", Code: "firewall_blocks_stripe", Target: "api.stripe.com", done: blocked(apiAddrs, "drop")},
	{Name: "firewall-reset", Does: "a firewall resets it", Code: "firewall_blocks_stripe", Target: "api.emms.bbpos.com", done: blocked("198.19.2.10", "reject with tcp reset")},
	{Name: "firewall-icmp", Does: "a firewall forbids it by ICMP", Code: "firewall_blocks_stripe", Target: "armada.stripe.com", done: blocked("198.19.1.20", "reject with icmp type admin-prohibited")},
	{Name: "firewall-updates", Does: "a firewall drops the readers' updates", Code: "firewall_blocks_stripe", Target: "amazonaws.com", done: blocked("198.19.3.10", "drop")},
	{Name: "firewall-all-stripe", Does: "a firewall drops all of payments' hosts", Code: "firewall_blocks_stripe", Target: "gator.stripe.com", done: blocked(allStripe, "drop")},
	{Name: "name-reset", Does: "a middlebox resets one name", Code: "firewall_blocks_stripe", Target: "armada.stripe.com", done: func(s *Shop) error { return s.filterNames(false, "armada.stripe.com") }},
	{Name: "name-stall", Does: "a middlebox leaves one name hanging", Code: "firewall_blocks_stripe", Target: "gator.stripe.com", done: func(s *Shop) error { return s.filterNames(true, "gator.stripe.com") }},
	{Name: "https-drop", Does: "a firewall drops all HTTPS", Code: "https_blocked", done: func(s *Shop) error { return s.forbid("tcp dport 443 drop") }},
	{Name: "https-reset", Does: "a firewall resets all HTTPS", Code: "https_blocked", done: func(s *Shop) error { return s.forbid("tcp dport 443 reject with tcp reset") }},
	{Name: "inspection", Does: "a middlebox reads all HTTPS along", Code: "tls_intercepted", Target: "Shop Inspector", done: (*Shop).inspectTLS},
	{Name: "inspection-alien", Does: "one host shows a certificate of nobody's authority", Code: "tls_intercepted", Target: "api.stripe.com", done: behaves(conduct{alien: true}, "api.stripe.com")},
	{Name: "clock-behind", Does: "the hub's clock is 400 days behind", Code: "clock_wrong", done: clock(400 * 24 * time.Hour)},
	{Name: "clock-ahead", Does: "the hub's clock is 10 minutes ahead", Code: "clock_wrong", done: clock(-10 * time.Minute)},
	{Name: "ntp-dropped", Does: "a firewall drops NTP", Code: "ntp_blocked", done: func(s *Shop) error { return s.forbid("udp dport 123 drop") }},
	{Name: "ntp-refuses", Does: "the time servers refuse", Code: "ntp_blocked", done: clockServers(ntpRefusing)},
	{Name: "ntp-unset", Does: "the time servers are not set themselves", Code: "ntp_blocked", done: clockServers(ntpUnsynchronised)},
	{Name: "sessions-reset", Does: "more than 4 connections at once are reset", Code: "sessions_cut", done: func(s *Shop) error {
		return s.forbid("tcp dport 443 ct state new ct count over 4 reject with tcp reset")
	}},
	{Name: "sessions-drop", Does: "more than 4 connections at once are dropped", Code: "sessions_cut", done: func(s *Shop) error {
		return s.forbid("tcp dport 443 ct state new ct count over 4 drop")
	}},
	{Name: "hq-down", Does: "headquarters does not answer", Code: "hq_unreachable", Target: "hq.example.com", done: func(s *Shop) error {
		s.hq = "https://hq.example.com"
		return s.forbid("ip daddr 198.19.6.20 drop")
	}},
}

// stripeRows are Stripe's own faults: the shop is not to blame.
var stripeRows = []Row{
	{Name: "stripe-503", Does: "Stripe answers 503", Code: "stripe_failing", Target: "api.stripe.com", done: behaves(conduct{status: 503}, "api.stripe.com")},
	{Name: "stripe-500-all", Does: "every host answers 500", Code: "stripe_failing", Target: "api.stripe.com", done: behaves(conduct{status: 500}, "")},
	{Name: "stripe-expired", Does: "Stripe's certificate has ended", Code: "stripe_failing", Target: "api.stripe.com", done: behaves(conduct{flaw: expired}, "api.stripe.com")},
	{Name: "stripe-old-tls", Does: "Stripe speaks TLS 1.1 at best", Code: "stripe_failing", Target: "api.stripe.com", done: behaves(conduct{oldTLS: true}, "api.stripe.com")},
	{Name: "stripe-hangs", Does: "Stripe takes the connection and is silent", Code: "stripe_failing", Target: "api.stripe.com", done: behaves(conduct{stalls: true}, "api.stripe.com")},
	{Name: "stripe-resets", Does: "Stripe resets every hello", Code: "stripe_failing", Target: "gator.stripe.com", done: behaves(conduct{resets: true}, "gator.stripe.com")},
	{Name: "stripe-closes", Does: "Stripe closes after every hello", Code: "stripe_failing", Target: "armada.stripe.com", done: behaves(conduct{closes: true}, "armada.stripe.com")},
	{Name: "stripe-slow", Does: "Stripe takes 4 s for an answer", Code: "stripe_failing", Target: "api.stripe.com", done: behaves(conduct{after: 4 * time.Second}, "api.stripe.com")},
}

func rebind(s *Shop) error { return s.dhcpd("--stop-dns-rebind") }

// dnsSays has the router answer by itself: /name/ denies, /name/address lies.
func dnsSays(what ...string) func(*Shop) error {
	return func(s *Shop) error {
		var args []string
		for _, w := range what {
			args = append(args, "--address="+w)
		}
		return s.dhcpd(args...)
	}
}

func dnsConducts(c dnsConduct) func(*Shop) error {
	return func(s *Shop) error { s.world.change(func(w *world) { w.dns = c }); return nil }
}

func behaves(c conduct, hosts ...string) func(*Shop) error {
	return func(s *Shop) error { s.world.behave(c, hosts...); return nil }
}

// clock moves the world: no program can be lied to about its machine's clock.
func clock(ahead time.Duration) func(*Shop) error {
	return func(s *Shop) error { s.world.change(func(w *world) { w.ahead = ahead }); return nil }
}

func clockServers(c ntpConduct) func(*Shop) error {
	return func(s *Shop) error { s.world.change(func(w *world) { w.ntp = c }); return nil }
}

func spoilt(im impairment) func(*Shop) error {
	return func(s *Shop) error { return s.spoilLine(im) }
}

func blocked(addrs, verdict string) func(*Shop) error {
	return func(s *Shop) error { return s.forbid(fmt.Sprintf("ip daddr %s tcp dport 443 %s", addrs, verdict)) }
}

// hole narrows the line, and neither end says so.
func hole(mtu int) func(*Shop) error {
	return func(s *Shop) error {
		const silent = "table inet hush { chain out { type filter hook output priority 0; icmp type destination-unreachable icmp code 4 drop; }; }"
		return errors.Join(s.ip("router", fmt.Sprintf("link set wan0 mtu %d", mtu)), s.ip("isp", fmt.Sprintf("link set lan0 mtu %d", mtu)),
			s.nft("router", silent), s.nft("isp", silent))
	}
}

// silentRouter keeps the router's own questions in, as its forward rules do for others'.
func (s *Shop) silentRouter() error {
	return s.nft("router", strings.TrimSpace(`table inet own { chain out { type filter hook output priority 0; oifname "wan0" drop; }; }`))
}

func portal(s *Shop) error {
	return errors.Join(s.loginPage(), s.forbid("meta l4proto udp drop", "tcp dport 443 reject with tcp reset"))
}
