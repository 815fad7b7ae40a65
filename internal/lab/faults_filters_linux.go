package lab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// filterRows are what stands in the way, in its less usual forms.
var filterRows = []Row{
	{Name: "portal-511", Does: "a login page that says 511", Code: "captive_portal", Beside: []string{"ntp_blocked"}, done: portalSaying(http.StatusNetworkAuthenticationRequired)},
	{Name: "portal-200", Does: "a login page in place of every page", Code: "captive_portal", Beside: []string{"ntp_blocked"}, done: portalSaying(http.StatusOK)},
	{Name: "portal-by-names", Does: "every name leads to the login page", Code: "captive_portal", Beside: []string{"ntp_blocked"}, done: func(s *Shop) error {
		ln, err := s.listen("router", gatewayIP+":80")
		if err != nil {
			return err
		}
		s.serveHTTP(ln, http.RedirectHandler("http://router.lan/welcome", http.StatusFound), nil)
		return errors.Join(s.dhcpd("--address=/#/"+gatewayIP), s.forbid("drop"))
	}},
	{Name: "portal-drops", Does: "a login page, all else is dropped", Code: "captive_portal", Beside: []string{"ntp_blocked"}, done: func(s *Shop) error {
		return errors.Join(s.loginPage(), s.forbid("meta l4proto udp drop", "tcp dport 443 drop"))
	}},
	{Name: "firewall-one-address", Does: "one of a host's two addresses is dropped", Code: "firewall_blocks_stripe", Target: "api.stripe.com", done: blocked("198.19.1.10", "drop")},
	{Name: "firewall-files", Does: "a firewall drops receipts and files", Code: "firewall_blocks_stripe", Target: "files.stripe.com", done: blocked("198.19.1.15", "drop")},
	{Name: "firewall-port-unreachable", Does: "a firewall answers port unreachable", Code: "firewall_blocks_stripe", Target: "gator.stripe.com", done: blocked("198.19.1.21", "reject")},
	{Name: "firewall-allows-one", Does: "a firewall lets one of the hosts through", Code: "firewall_blocks_stripe", Target: "gator.stripe.com", done: func(s *Shop) error {
		return s.forbid("ip daddr != " + apiAddrs + " tcp dport 443 drop")
	}},
	{Name: "firewall-host-unreachable", Does: "a firewall answers host unreachable", Code: "firewall_blocks_stripe", Target: "armada.stripe.com", done: blocked("198.19.1.20", "reject with icmp type host-unreachable")},
	{Name: "names-reset-all", Does: "a middlebox resets all of Stripe's names", Code: "firewall_blocks_stripe", Target: "api.stripe.com", done: func(s *Shop) error {
		return s.filterNames(false, "api.stripe.com", "armada.stripe.com", "gator.stripe.com", "files.stripe.com", "js.stripe.com")
	}},
	{Name: "tcp-drop", Does: "a firewall lets UDP through alone", Code: "https_blocked", done: func(s *Shop) error { return s.forbid("meta l4proto tcp drop") }},
	{Name: "https-icmp", Does: "a firewall forbids all HTTPS by ICMP", Code: "https_blocked", done: func(s *Shop) error { return s.forbid("tcp dport 443 reject with icmp type admin-prohibited") }},
	{Name: "https-stalls", Does: "a middlebox takes all HTTPS and is silent", Code: "https_blocked", done: func(s *Shop) error {
		return errors.Join(s.catch("443", secureBox), s.box(secureBox, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }))
	}},
	{Name: "https-cut", Does: "a middlebox resets every hello", Code: "https_blocked", done: func(s *Shop) error {
		return errors.Join(s.catch("443", secureBox), s.box(secureBox, func(c net.Conn) { readHello(c); cut(c) }))
	}},
	{Name: "proxy-by-wpad", Does: "only a proxy leads out, and DHCP tells where it is", Code: "proxy_required", Nobody: []string{"https_blocked"}, Target: "192.168.50.22:8899", Beside: []string{"ntp_blocked"}, done: func(s *Shop) error {
		ln, err := s.listen("pos", ":80")
		if err != nil {
			return err
		}
		s.serveHTTP(ln, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(rw, "function FindProxyForURL(url, host) { return \"PROXY "+posIP+":8899; DIRECT\"; }\n")
		}), nil)
		return errors.Join(s.proxyAt("pos", "8899", false), s.dhcpd("--dhcp-option=252,http://"+posIP+"/wpad.dat"), s.forbid("ip saddr != "+posIP+" tcp dport { 80, 443 } drop"))
	}},
	{Name: "proxy-asks-who", Does: "only a proxy leads out, and it wants a name", Code: "proxy_required", Beside: []string{"ntp_blocked"}, done: func(s *Shop) error {
		return errors.Join(s.proxyAt("router", "8080", true), s.forbid("tcp dport { 80, 443 } reject with tcp reset"))
	}},
	{Name: "line-narrow-down", Does: "the way down carries 300 kbit/s", Code: "wan_slow", done: func(s *Shop) error { return s.spoilWays(impairment{}, impairment{kbit: 300}) }},
	{Name: "line-narrow-up", Does: "the way up carries 300 kbit/s", Code: "wan_slow", done: func(s *Shop) error { return s.spoilWays(impairment{kbit: 300}, impairment{}) }},
	{Name: "line-lossy-up", Does: "25 % of the packets are lost on the way up", Code: "wan_lossy", done: func(s *Shop) error { return s.spoilWays(impairment{loss: 25}, impairment{}) }},
	{Name: "line-lossy-down", Does: "25 % of the packets are lost on the way down", Code: "wan_lossy", done: func(s *Shop) error { return s.spoilWays(impairment{}, impairment{loss: 25}) }},
	{Name: "line-320", Does: "a round trip takes 360 ms", Code: "wan_slow", done: spoilt(impairment{delay: 180 * time.Millisecond})},
	{Name: "line-no-nat", Does: "the router forgot to translate addresses", Code: "wan_down", done: func(s *Shop) error { return s.nft("router", "flush chain ip nat after") }},
	{Name: "mtu-hole-down", Does: "packets over 1280 bytes vanish on the way down", Code: "mtu_black_hole", done: func(s *Shop) error { return s.spoilWays(impairment{}, impairment{mtu: 1280}) }},
	{Name: "mtu-hole-up", Does: "packets over 1280 bytes vanish on the way up", Code: "mtu_black_hole", done: func(s *Shop) error { return s.spoilWays(impairment{mtu: 1280}, impairment{}) }},
	{Name: "clock-90s", Does: "the hub's clock is 90 seconds behind", Code: "clock_wrong", done: clock(90 * time.Second)},
	{Name: "clock-no-ntp", Does: "the hub's clock is 5 minutes behind, and no time server answers", Code: "clock_wrong", Beside: []string{"ntp_blocked"}, done: func(s *Shop) error {
		return errors.Join(clock(5*time.Minute)(s), clockServers(ntpSilent)(s))
	}},
	{Name: "sessions-2", Does: "more than 2 connections at once are reset", Code: "sessions_cut", done: func(s *Shop) error {
		return s.forbid("tcp dport 443 ct state new ct count over 2 reject with tcp reset")
	}},
	{Name: "inspection-one", Does: "a middlebox reads one host's HTTPS along", Code: "tls_intercepted", Target: "gator.stripe.com", done: behaves(conduct{alien: true}, "gator.stripe.com")},
	{Name: "inspection-self-signed", Does: "one host shows a certificate that it signed itself", Code: "tls_intercepted", Target: "api.emms.bbpos.com", done: behaves(conduct{flaw: selfSigned}, "api.emms.bbpos.com")},

	{Name: "stripe-half-503", Does: "Stripe answers 503 to every second question", Code: "stripe_failing", Target: "api.stripe.com", done: behaves(conduct{status: 503, share: 50}, "api.stripe.com")},
	{Name: "stripe-half-resets", Does: "Stripe resets every second hello", Code: "stripe_failing", Target: "api.stripe.com", done: behaves(conduct{resets: true, share: 60}, "api.stripe.com")},
	{Name: "stripe-breaks-off", Does: "Stripe breaks its page off in the middle", Code: "stripe_failing", Target: "api.stripe.com", done: behaves(conduct{breaks: true}, "api.stripe.com")},
	{Name: "stripe-late", Does: "Stripe takes 2 s for every greeting", Code: "stripe_failing", Target: "api.stripe.com", done: behaves(conduct{late: 2 * time.Second}, "api.stripe.com")},
	{Name: "stripe-lazy", Does: "Stripe takes 1.6 s for an answer", Code: "stripe_failing", Target: "gator.stripe.com", done: behaves(conduct{after: 1600 * time.Millisecond}, "gator.stripe.com")},
	{Name: "makers-expired", Does: "the readers' maker shows a certificate that has ended", Code: "stripe_failing", Target: "api.emms.bbpos.com", done: behaves(conduct{flaw: expired}, "api.emms.bbpos.com")},
	{Name: "makers-silent", Does: "the readers' maker takes the connection and is silent", Code: "stripe_failing", Target: "api.emms.bbpos.com", done: behaves(conduct{stalls: true}, "api.emms.bbpos.com")},
	{Name: "updates-503", Does: "the readers' updates answer 503", Code: "stripe_failing", Target: "amazonaws.com", done: behaves(conduct{status: 503}, "stripe-point-of-sale-us-west-2.s3.us-west-2.amazonaws.com")},
}

// portalSaying answers every page over HTTP by one of its own.
func portalSaying(status int) func(*Shop) error {
	return func(s *Shop) error {
		ln, err := s.listen("router", ":"+plainBox)
		if err != nil {
			return err
		}
		s.serveHTTP(ln, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(status)
			fmt.Fprintln(rw, "<html><title>Guest WiFi</title><form action=/accept></form></html>")
		}), nil)
		return errors.Join(s.catch("80", plainBox), s.forbid("meta l4proto udp drop", "tcp dport 443 reject with tcp reset"))
	}
}
