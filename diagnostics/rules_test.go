package diagnostics

import (
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// contract is every code that people may script against.
var contract = strings.Fields(`link_down no_ipv4 dhcp_silent dhcp_pool_exhausted dhcp_second_server dhcp_lease_short ipv6_only
	address_not_private address_conflict no_default_gateway gateway_silent gateway_spoofed address_wrong_subnet wrong_netmask
	vpn_route host_firewall ipv6_broken multiple_uplinks dns_not_configured dns_down dns_slow dns_unreliable dns_blocks_stripe
	dns_hijacked dns_private_filtered wan_down captive_portal firewall_blocks_stripe https_blocked proxy_required tls_intercepted
	clock_wrong ntp_blocked mtu_black_hole wan_slow wan_lossy double_nat carrier_nat sessions_cut stripe_failing client_isolation
	multicast_filtered reader_offline reader_moved reader_port_closed reader_port_blocked reader_link_poor reader_other_subnet
	reader_no_internet wifi_open wifi_security_unsupported wifi_weak hq_unreachable hq_credential_refused queue_not_draining
	captures_near_deadline queue_full queue_mirror_away queue_damaged disk_low hub_duplicated
	operation_failed operation_unknown authorisation_lapsed refund_failed twin_charge offline_not_forwarded account_mode_mismatch
	location_mismatch hub_name_needs_internet
	token_reused token_not_asked token_polling token_wrong_location till_mode_mixed credential_shared hub_certificate_due browser_lan_denied
	disk_read_only hub_restarting clock_jumped`)

func TestEveryCodeOfTheContractHasARule(t *testing.T) {
	var have []string
	for _, r := range rules {
		have = append(have, r.code)
		if r.match == nil {
			t.Errorf("%s can never be found", r.code)
		}
	}
	for _, code := range contract {
		if !slices.Contains(have, code) {
			t.Errorf("%s has no rule", code)
		}
	}
	for _, code := range have {
		if !slices.Contains(contract, code) {
			t.Errorf("%s is not of the contract", code)
		}
	}
}

func TestRulesAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rules {
		if seen[r.code] {
			t.Errorf("%s stands twice", r.code)
		}
		seen[r.code] = true
		if r.title == "" || strings.HasSuffix(r.title, ".") {
			t.Errorf("%s: title %q", r.code, r.title)
		}
		if len(r.remedy) == 0 {
			t.Errorf("%s has no remedy", r.code)
		}
		for _, s := range r.remedy {
			if first := []rune(s)[0]; !unicode.IsUpper(first) || !strings.HasSuffix(s, ".") && !strings.Contains(s, ": ") {
				t.Errorf("%s: remedy %q is no sentence", r.code, s)
			}
		}
		if r.severity != Info && r.operator == "" {
			t.Errorf("%s has no word for the shop's staff", r.code)
		}
	}
	for _, r := range rules {
		for _, up := range r.dependsOn {
			if !seen[up] {
				t.Errorf("%s depends on %s, which does not exist", r.code, up)
			}
		}
	}
}

func TestRulesExplainEachOtherInNoCircle(t *testing.T) {
	direct := map[string][]string{}
	for _, r := range rules {
		direct[r.code] = r.dependsOn
	}
	state := map[string]int{} // 1: on the way, 2: done
	var walk func(string, []string)
	walk = func(code string, path []string) {
		switch state[code] {
		case 1:
			t.Fatalf("a circle: %s", strings.Join(append(path, code), " <- "))
		case 2:
			return
		}
		state[code] = 1
		for _, up := range direct[code] {
			walk(up, append(path, code))
		}
		state[code] = 2
	}
	for code := range direct {
		walk(code, nil)
	}
}

// TestNothingIsDocumentedThatDoesNotExist: the other way round is TestEveryCodeIsWhole's.
func TestNothingIsDocumentedThatDoesNotExist(t *testing.T) {
	doc, err := os.ReadFile("../docs/findings.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(doc)) {
		if code, ok := strings.CutPrefix(strings.TrimSpace(line), "### "); ok && !slices.Contains(contract, code) {
			t.Errorf("docs/findings.md explains %s, which does not exist", code)
		}
	}
}
