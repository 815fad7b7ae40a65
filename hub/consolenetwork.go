package hub

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"storehub/diagnostics"
	"storehub/internal/web"
	"storehub/netcheck"
)

// The stretches of the way from the shop to headquarters, in order.
const (
	hopLAN    = iota // the hub and the router
	hopLine          // the router and the internet
	hopStripe        // the internet and Stripe
	hopHQ            // the internet and headquarters
	hops
)

// hopOf says on which stretch a cause lies. What is in none is beside the way: readers,
// the queue, tills.
var hopOf = map[string]int{
	"link_down": hopLAN, "no_ipv4": hopLAN, "dhcp_silent": hopLAN, "dhcp_pool_exhausted": hopLAN, "dhcp_second_server": hopLAN,
	"dhcp_lease_short": hopLAN, "ipv6_only": hopLAN, "address_not_private": hopLAN, "address_conflict": hopLAN,
	"no_default_gateway": hopLAN, "gateway_silent": hopLAN, "gateway_spoofed": hopLAN, "address_wrong_subnet": hopLAN,
	"wrong_netmask": hopLAN, "vpn_route": hopLAN, "host_firewall": hopLAN, "wifi_open": hopLAN, "wifi_security_unsupported": hopLAN, "wifi_weak": hopLAN,
	"wan_down": hopLine, "captive_portal": hopLine, "dns_not_configured": hopLine, "dns_down": hopLine, "dns_slow": hopLine,
	"dns_unreliable": hopLine, "https_blocked": hopLine, "proxy_required": hopLine, "mtu_black_hole": hopLine, "wan_slow": hopLine,
	"wan_lossy": hopLine, "double_nat": hopLine, "carrier_nat": hopLine, "multiple_uplinks": hopLine, "ipv6_broken": hopLine,
	"ntp_blocked": hopLine, "sessions_cut": hopLine, "dns_private_filtered": hopLine,
	"dns_blocks_stripe": hopStripe, "dns_hijacked": hopStripe, "firewall_blocks_stripe": hopStripe, "tls_intercepted": hopStripe, "stripe_failing": hopStripe,
	"hq_unreachable": hopHQ, "hq_credential_refused": hopHQ,
}

// Hop is one stretch as it is drawn: it leads to a place.
type Hop struct {
	To, Tone, Word string
	Causes         []diagnostics.Cause
	Broken         bool
}

// wayOf is the way as it stands by a report. link is headquarters' connectivity, "" where
// that is past and not known.
func wayOf(causes []diagnostics.Cause, probes []netcheck.Result, link string) []Hop {
	list := []Hop{{To: "Router"}, {To: "Internet"}, {To: "Stripe"}, {To: "Headquarters"}}
	for i := range list {
		list[i].Tone, list[i].Word = web.Off, "not looked at"
	}
	well := func(i int, word string) { list[i].Tone, list[i].Word = web.Good, word }
	for _, p := range probes {
		if p.Status != netcheck.Pass && p.Status != netcheck.Warn {
			continue
		}
		switch {
		case p.Name == "gateway":
			well(hopLAN, "answers")
		case strings.HasPrefix(p.Name, "https/api.stripe.com"):
			well(hopLine, "carries")
			well(hopStripe, "answers")
		case strings.HasPrefix(p.Name, "https/"):
			well(hopLine, "carries")
		}
	}
	switch link {
	case "online":
		well(hopHQ, "answers")
	case "offline":
		list[hopHQ].Tone, list[hopHQ].Word, list[hopHQ].Broken = web.Bad, "does not answer", true
	case "refused":
		list[hopHQ].Tone, list[hopHQ].Word, list[hopHQ].Broken = web.Bad, "refuses this hub", true
	case "":
		for i := range list {
			well(i, "nothing was wrong")
		}
	}
	for _, c := range causes {
		i, on := hopOf[c.Code]
		if !on {
			continue
		}
		h := &list[i]
		h.Causes = append(h.Causes, c)
		switch t := tone(c.Severity); {
		case t == web.Bad:
			h.Tone, h.Word, h.Broken = web.Bad, "broken", true
		case t == web.Warn && !h.Broken:
			h.Tone, h.Word = web.Warn, "works badly"
		}
	}
	// Beyond the first break nothing is known by itself; Stripe and headquarters are
	// beside each other.
	for i := hopLAN; i <= hopLine; i++ {
		if !list[i].Broken {
			continue
		}
		for j := i + 1; j < hops; j++ {
			if len(list[j].Causes) == 0 && list[j].Tone != web.Good {
				list[j].Tone, list[j].Word, list[j].Broken = web.Off, "out of reach", false
			}
		}
		break
	}
	return list
}

// networkData is the way, now or at a moment of the last day.
type networkData struct {
	Path      []Hop
	Causes    []diagnostics.Cause
	Probes    []netcheck.Result
	Looked    time.Time // zero: never, or checks are off
	Old       bool
	Off       bool // the hub looks at no network by itself
	Verdict   diagnostics.Verdict
	Link      Connectivity
	Day       web.Timeline
	At        time.Time // zero: now
	From, To  int64     // of the slider, Unix
	Chosen    int64
	NoHistory string
	SeenAt    time.Time
	Vantages  []vantageView
}

const networkDay = 24 * time.Hour

func (c *console) network(w http.ResponseWriter, r *http.Request, _ web.Session) {
	live := c.news.Stream("/console/live")
	h := c.hub
	now := h.now()
	d := networkData{From: now.Add(-networkDay).Unix(), To: now.Unix(), Chosen: now.Unix(), Off: h.cfg.Checks.Every <= 0}
	day, err := h.past(now.Add(-networkDay), now)
	if err != nil {
		d.NoHistory = err.Error()
	} else {
		d.Day = dayOf(day, now)
	}
	if at, ok := momentOf(r.URL.Query().Get("at"), now); ok {
		d.At, d.Chosen = at, at.Unix()
		then, err := h.past(at, at)
		if err != nil {
			d.NoHistory = err.Error()
		}
		d.Verdict, d.SeenAt = then.Verdict, then.SeenAt
		for _, p := range then.Causes {
			d.Causes = append(d.Causes, p.Cause)
		}
		link := ""
		if then.Verdict == diagnostics.Unwatched {
			link = "unknown"
		}
		d.Path = wayOf(d.Causes, nil, link)
	} else {
		report := h.monitor.current()
		d.Link = connectivity(h.link.state())
		d.Verdict, d.Causes, d.Probes = report.Verdict, report.Causes, report.Probes
		d.Path = wayOf(report.Causes, report.Probes, d.Link.State)
		d.Vantages = c.vantageViews()
		if net := h.monitor.lastLook(); net != nil {
			d.Looked = net.Started
			d.Old = h.cfg.Checks.Every > 0 && now.Sub(net.Started) > 2*h.cfg.Checks.Every+time.Minute
		}
	}
	c.show(w, r, "network.html", web.Page{Title: "Network", Here: "/console/network", Live: live, Data: d})
}

// momentOf is a moment of the last day that somebody asked for: seconds since 1970.
func momentOf(text string, now time.Time) (time.Time, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	at := time.Unix(n, 0)
	if err != nil || at.Before(now.Add(-networkDay-time.Hour)) || now.Sub(at) < 2*time.Minute {
		return time.Time{}, false
	}
	return at, true
}

// dayOf draws a day's history: the gravest of what stood at each time.
func dayOf(h diagnostics.History, now time.Time) web.Timeline {
	t := web.Timeline{Name: "The last 24 hours", From: h.From, To: h.To, Spans: []web.Span{{From: h.From, To: h.To, Tone: web.Good, Text: "nothing wrong"}}}
	for _, grade := range []diagnostics.Severity{diagnostics.Warning, diagnostics.Critical} {
		for _, p := range h.Causes {
			if p.Severity != grade {
				continue
			}
			for _, s := range p.Spans {
				end := s.GoneBy
				switch {
				case s.Stands:
					end = now
				case end.IsZero():
					end = s.LastSeen
				}
				t.Spans = append(t.Spans, web.Span{From: s.From, To: end, Tone: tone(grade), Text: p.Title})
			}
		}
	}
	for _, g := range h.Unwatched {
		t.Spans = append(t.Spans, web.Span{From: g.From, To: g.To, Tone: web.Off, Text: "nobody watched"})
	}
	// A bar of no width is not seen; what came and went at once is seen all the same.
	least := h.To.Sub(h.From) / 300
	for i := range t.Spans {
		if s := &t.Spans[i]; s.To.Sub(s.From) < least && s.Tone != web.Good {
			s.To = s.From.Add(least)
		}
	}
	slices.SortStableFunc(t.Spans[1:], func(a, b web.Span) int { return grave(a.Tone) - grave(b.Tone) })
	return t
}

func grave(tone string) int { return slices.Index([]string{web.Off, web.Warn, web.Bad}, tone) }
