package lab

import (
	"errors"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/miekg/dns"
)

// nameRows are faults of names that are harder to see.
var nameRows = []Row{
	{Name: "dns-name-silent", Does: "the resolver is silent about one name", Code: "dns_blocks_stripe", Target: "api.stripe.com", done: dnsConducts(dnsConduct{lost: 100, names: []string{"api.stripe.com"}})},
	{Name: "dns-names-silent", Does: "the resolver is silent about three names", Code: "dns_blocks_stripe", Target: "gator.stripe.com",
		done: dnsConducts(dnsConduct{lost: 100, names: []string{"api.stripe.com", "gator.stripe.com", "armada.stripe.com"}})},
	{Name: "dns-name-servfail", Does: "one name is SERVFAIL", Code: "dns_blocks_stripe", Target: "armada.stripe.com", done: dnsConducts(dnsConduct{rcode: dns.RcodeServerFailure, names: []string{"armada.stripe.com"}})},
	{Name: "dns-name-refused", Does: "one name is REFUSED", Code: "dns_blocks_stripe", Target: "api.emms.bbpos.com", done: dnsConducts(dnsConduct{rcode: dns.RcodeRefused, names: []string{"api.emms.bbpos.com"}})},
	{Name: "dns-lan-page", Does: "a filter leads one name to its own page on the LAN", Code: "dns_blocks_stripe", Target: "gator.stripe.com", done: dnsSays("/gator.stripe.com/" + posIP)},
	{Name: "dns-files-denied", Does: "a filter denies the name of receipts and files", Code: "dns_blocks_stripe", Target: "files.stripe.com", done: dnsSays("/files.stripe.com/")},
	{Name: "dns-hijack-all", Does: "all of Stripe's names lead to a stranger, whomever one asks", Code: "dns_hijacked", Target: "198.19.6.10", done: func(s *Shop) error {
		return errors.Join(s.dhcpd("--address=/stripe.com/198.19.6.10"), s.nft("router", `add rule ip nat caught iifname "lan0" udp dport 53 redirect to :53`))
	}},
	{Name: "dns-hijack-caught", Does: "one name leads to a stranger, whomever one asks", Code: "dns_hijacked", Target: "api.stripe.com", done: func(s *Shop) error {
		return errors.Join(s.dhcpd("--address=/api.stripe.com/198.19.6.10"), s.nft("router", `add rule ip nat caught iifname "lan0" meta l4proto { tcp, udp } th dport 53 redirect to :53`))
	}},
	{Name: "dns-unreachable", Does: "the router refuses questions", Code: "dns_down", done: func(s *Shop) error { return s.deafen(`iifname "lan0" udp dport 53 reject`) }},
	{Name: "dns-by-tcp-only", Does: "answers over UDP are cut, and TCP is dropped", Code: "dns_down", done: func(s *Shop) error {
		return errors.Join(dnsConducts(dnsConduct{short: true})(s), s.deafen(`iifname "lan0" tcp dport 53 drop`))
	}},
	{Name: "dns-elsewhere", Does: "DHCP names a resolver that is not there", Code: "dns_down", done: func(s *Shop) error {
		return errors.Join(s.dhcpd("--dhcp-option=6,192.168.50.99"), s.lease("hub", "eth0"))
	}},
	{Name: "dns-very-slow", Does: "answers take 3.6 s", Code: "dns_slow", done: dnsConducts(dnsConduct{delay: 3600 * time.Millisecond})},
	{Name: "dns-slow-2500", Does: "answers take 2.5 s", Code: "dns_slow", done: dnsConducts(dnsConduct{delay: 2500 * time.Millisecond})},
	{Name: "dns-lossy-40", Does: "40 % of the answers are lost", Code: "dns_unreliable", Or: "dns_slow", done: dnsConducts(dnsConduct{lost: 40})},
	{Name: "dns-first-slow", Does: "the first of two resolvers is dead, the second is public", Code: "dns_unreliable", done: func(s *Shop) error { return s.resolver("hub", "192.168.50.98", cloudDNS) }},
	{Name: "dns-stub-dead", Does: "the hub asks a resolver of its own, which is down", Code: "dns_down", done: func(s *Shop) error { return s.resolver("hub", "127.0.0.53") }},
	{Name: "dns-rebind-range", Does: "the shop's own range is hidden and others are not", Code: "dns_private_filtered", done: func(s *Shop) error {
		return s.dhcpd("--bogus-nxdomain=192.168.0.0/16")
	}},
	{Name: "dns-rebind-lie", Does: "names of readers are denied", Code: "dns_private_filtered", done: dnsSays("/stripe-terminal-local-reader.net/")},
	{Name: "dns-caught-rebind-stub", Does: "the hub's own stub hides private addresses", Code: "dns_private_filtered", done: func(s *Shop) error { return s.stub("--stop-dns-rebind") }},
}

// stub runs a resolver on the hub itself, as many systems do.
func (s *Shop) stub(more ...string) error {
	args := append([]string{"--no-daemon", "--user=root", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces", "--listen-address=127.0.0.53",
		"--server=" + gatewayIP, "--pid-file=" + filepath.Join(s.dir, "stub.pid")}, more...)
	return errors.Join(s.start("stub", "hub", exec.Command("dnsmasq", args...)), s.resolver("hub", "127.0.0.53"),
		until(3*time.Second, "the stub", func() bool {
			return s.within("hub", func() error {
				_, err := dns.Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeA), "127.0.0.53:53")
				return err
			}) == nil
		}))
}
