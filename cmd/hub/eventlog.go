package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"storehub/diagnostics"
	"storehub/internal/service"
)

// The hub's kinds of event in Windows' event log; internal/service has 1 to 5. An id
// means the same for ever: monitoring systems are set up by it. docs/windows.md lists
// them, and a test holds the list.
const (
	eventDiagnosis = 22
	eventWarning   = 90  // a warning that has no id of its own
	eventError     = 91  // an error that has none
	eventFinding   = 100 // and the finding's place in findingEvents
)

// recordEvents gives records their ids by their message.
var recordEvents = map[string]uint32{
	"headquarters does not answer": 20,
	"headquarters answers":         21,
	"diagnosis changed":            eventDiagnosis,

	"operation parked": 30,
	"queue damaged":    31,
	"queue healed":     32,
	"the second copy is away: nothing new is promised":                            33,
	"the second copy is level again":                                              34,
	"the disk is nearly full: nothing new is promised, the journal goes on alone": 35,
	"the disk has room again":                                                     36,
	"settle outcomes":                                                             37,
	"store operation":                                                             38,
	"till paired":                                                                 40,
	"till revoked":                                                                41,
	"reader pinned":                                                               42,
	"policy of headquarters is in force":                                          50,
	"take policy of headquarters; the one before stays in force":                  51,
	"headquarters knows this credential as another store's":                       52,
	"headquarters signs with another key than before; enrol anew if that is right": 53,
	"headquarters has a new ledger": 54,
	"renew certificate":             60,
	"a new certificate is served":   61,
}

// findingEvents is every finding in the order in which they came: new ones go to the
// end, and one that goes leaves its place empty.
var findingEvents = strings.Fields(`
link_down no_ipv4 dhcp_silent dhcp_pool_exhausted dhcp_second_server dhcp_lease_short ipv6_only
address_not_private address_conflict no_default_gateway gateway_silent gateway_spoofed address_wrong_subnet
wrong_netmask vpn_route multiple_uplinks host_firewall ipv6_broken double_nat carrier_nat client_isolation
multicast_filtered wifi_open wifi_security_unsupported wifi_weak captive_portal proxy_required wan_down
wan_lossy wan_slow dns_not_configured dns_down dns_slow dns_unreliable dns_blocks_stripe dns_hijacked
dns_private_filtered clock_wrong ntp_blocked mtu_black_hole https_blocked tls_intercepted
firewall_blocks_stripe stripe_failing sessions_cut reader_offline reader_moved reader_port_closed
reader_port_blocked reader_link_poor reader_other_subnet reader_no_internet hq_unreachable
hq_credential_refused queue_not_draining captures_near_deadline queue_full queue_mirror_away queue_damaged
disk_low hub_duplicated operation_failed operation_unknown authorisation_lapsed refund_failed twin_charge
offline_not_forwarded account_mode_mismatch location_mismatch hub_name_needs_internet
token_reused token_not_asked token_polling token_wrong_location till_mode_mixed credential_shared hub_certificate_due
browser_lan_denied
disk_read_only hub_restarting clock_jumped`)

// hubEvents says what the hub's log records are in the event log: a cause is an event
// when it appears, not each time it is said again.
func hubEvents() func(slog.Record) []service.Event {
	var mu sync.Mutex
	var causes []string
	return func(r slog.Record) []service.Event {
		id, listed := recordEvents[r.Message]
		level := service.EventInfo
		switch {
		case r.Level >= slog.LevelError:
			level = service.EventError
			if !listed {
				id = eventError
			}
		case r.Level >= slog.LevelWarn:
			level = service.EventWarning
			if !listed {
				id = eventWarning
			}
		case !listed:
			return nil
		}
		text := r.Message
		blocked := false
		var now []string
		r.Attrs(func(a slog.Attr) bool {
			text += fmt.Sprintf("\n%s: %v", a.Key, a.Value)
			switch v := a.Value.Any().(type) {
			case []string:
				now = v
			case diagnostics.Verdict:
				blocked = v == diagnostics.Blocked
			}
			return true
		})
		events := []service.Event{{ID: id, Level: level, Text: text}}
		if id != eventDiagnosis {
			return events
		}
		mu.Lock()
		defer mu.Unlock()
		titles := diagnostics.Titles()
		level = service.EventWarning
		if blocked {
			level = service.EventError
		}
		for _, code := range now {
			if place := slices.Index(findingEvents, code); place >= 0 && !slices.Contains(causes, code) {
				events = append(events, service.Event{ID: eventFinding + uint32(place), Level: level,
					Text: fmt.Sprintf("%s: %s\n`hub diagnose` says how we know, and what to do.", code, titles[code])})
			}
		}
		causes = now
		return events
	}
}
