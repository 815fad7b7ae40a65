package lab

import "slices"

// Row is one question of the exam: what is done to a healthy shop, and what the
// doctor has to say of it.
type Row struct {
	Name string
	Does string `json:"-"` // in a few words, for the table

	// Code is the first cause that is right; "" where nothing is wrong, and then
	// no critical or warning cause may be named.
	Code   string
	Or     string   // another name of it that is right too
	Target string   // must be found in the first cause's targets, title or evidence
	Beside []string // codes that may stand beside it
	Both   []string // of a pair: codes that must be named all, in any order
	Info   string   // a cause of severity info that must be named

	Nobody []string // codes that a doctor without rights may name in its place: less exact, and true

	HealthyFirst bool // the doctor has seen the shop in health before

	done func(*Shop) error
}

// Benign says that nothing is wrong in this shop.
func (r Row) Benign() bool { return r.Code == "" && len(r.Both) == 0 }

// notHere are the codes that no row can prove, and why.
var notHere = map[string]string{
	"wifi_open":                 "needs a radio",
	"wifi_security_unsupported": "needs a radio",
	"wifi_weak":                 "needs a radio",
	"reader_no_internet":        "needs Stripe's word on the reader, which a serving hub has",
	"hq_credential_refused":     "a serving hub's own knowledge",
	"hub_duplicated":            "a serving hub's own knowledge",
	"queue_not_draining":        "the queue's state",
	"captures_near_deadline":    "the queue's state",
	"queue_full":                "the queue's state",
	"queue_mirror_away":         "the queue's state",
	"queue_damaged":             "the queue's state",
	"disk_low":                  "the machine's state",
	"account_mode_mismatch":     "money's own finding",
	"location_mismatch":         "money's own finding",
	"twin_charge":               "money's own finding",
	"authorisation_lapsed":      "money's own finding",
	"operation_failed":          "money's own finding",
	"operation_unknown":         "money's own finding",
	"refund_failed":             "money's own finding",
	"offline_not_forwarded":     "money's own finding",
	"hub_name_needs_internet":   "a serving hub's own knowledge",
	"token_reused":              "a serving hub's own knowledge",
	"token_not_asked":           "a serving hub's own knowledge",
	"token_polling":             "a serving hub's own knowledge",
	"token_wrong_location":      "a serving hub's own knowledge",
	"till_mode_mixed":           "a serving hub's own knowledge",
	"credential_shared":         "a serving hub's own knowledge",
	"hub_certificate_due":       "a serving hub's own knowledge",
	"browser_lan_denied":        "a browser's own word",
	"disk_read_only":            "a serving hub's own knowledge",
	"hub_restarting":            "a serving hub's own knowledge",
	"clock_jumped":              "a serving hub's own knowledge",
}

// short is what `go test` asks: one of each kind, in less than a minute.
var short = []string{"healthy", "dns-rebind", "dns-nxdomain", "firewall-drop", "name-reset", "inspection", "portal", "mtu-hole", "line-down",
	"lease-short", "reader-off", "clock-behind", "gateway-deaf-to-ping", "pair-rebind-reader"}

// shortNobody is what `go test` asks as a user without rights: what needs rights to
// be proved, what does not, and a sound shop.
var shortNobody = []string{"healthy", "own-filter-drop", "dhcp-rogue", "reader-off", "router-off", "firewall-drop", "address-twice", "own-filter-names"}

// Find is the rows of those names; all of them when there are none.
func Find(rows []Row, names []string) (found []Row, unknown string) {
	return findNamed(rows, names, func(r Row) string { return r.Name })
}

func findNamed[R any](rows []R, names []string, name func(R) string) (found []R, unknown string) {
	if len(names) == 0 {
		return rows, ""
	}
	for _, n := range names {
		i := slices.IndexFunc(rows, func(r R) bool { return name(r) == n })
		if i < 0 {
			return nil, n
		}
		found = append(found, rows[i])
	}
	return found, ""
}
