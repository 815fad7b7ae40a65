package diagnostics

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"storehub/readers"
)

// HQFacts is what headquarters says of the store, by its own clock. Untold has, by part
// (place, configuration, webhooks, undelivered), why it could not tell.
type HQFacts struct {
	At              time.Time
	Place           string // why Location, account and mode do not belong together
	Offline         string // on, off
	UpdateWindow    string
	Passcode        string // own, weak, default, none, hidden
	Endpoint        string // enabled, disabled, none, polled
	Missing         []string
	SelfTest        string
	Delivered       time.Time
	Undelivered     int
	CopiesKept      bool
	Reconciled      time.Time
	Day             string
	Findings        int
	Uncaptured      int
	UncapturedSince time.Time
	Untold          map[string]string
}

// reconcileAge is how long a comparison counts: a day, and room for a late one.
const reconcileAge = 48 * time.Hour

// untold says that headquarters did not tell what an item needs.
func (in ChecklistInput) untold(it *Item, part string) bool {
	why := in.HQSilent
	if in.HQ != nil {
		var missing bool
		if why, missing = in.HQ.Untold[part]; !missing {
			return false
		}
	}
	if why == "" {
		why = "it was not asked"
	}
	it.worse(ItemUnknown, "headquarters could not tell: "+why, "Run hub checklist when headquarters answers, or sign off: "+attest(it.ID)+".")
	return true
}

func judgeReconcile(in ChecklistInput, it *Item) {
	if in.untold(it, "books") {
		return
	}
	h := in.HQ
	switch age := h.At.Sub(h.Reconciled); {
	case h.Reconciled.IsZero():
		it.is(ItemAttention, "no day was compared with Stripe yet; headquarters does so when the shop's day is over", "Look again tomorrow, or run hq reconcile.")
	case age > reconcileAge:
		it.is(ItemFail, fmt.Sprintf("%s was compared with Stripe at %s, and nothing since", h.Day, stamp(h.Reconciled)), "Run hq reconcile, and look why headquarters does not.")
	default:
		it.is(ItemPass, fmt.Sprintf("%s was compared with Stripe at %s", h.Day, stamp(h.Reconciled)))
		it.NextDue = h.Reconciled.Add(reconcileAge).UTC()
	}
	if h.Findings > 0 {
		it.worse(ItemAttention, many(h.Findings, "finding")+" of the store not decided by a person", "Decide them: hq reconcile --store.")
	}
}

// leastEvents is what Stripe's own checklist asks for; readers' events are needed by
// server-driven tills alone.
var leastEvents = []string{"payment_intent.succeeded", "payment_intent.payment_failed", "charge.refunded"}

func judgeWebhooks(in ChecklistInput, it *Item) {
	if in.untold(it, "webhooks") {
		return
	}
	h := in.HQ
	need := leastEvents
	if in.Integration == "server-driven" {
		need = append(slices.Clone(need), "terminal.reader.action_succeeded", "terminal.reader.action_failed")
	}
	const edit = "Change the endpoint in the Dashboard: Developers, Webhooks."
	lacks := slices.DeleteFunc(slices.Clone(h.Missing), func(kind string) bool { return !slices.Contains(need, kind) })
	switch {
	case h.Endpoint == "none":
		it.is(ItemFail, "Stripe has no webhook endpoint with headquarters' address", "Add it in the Dashboard: Developers, Webhooks; its address is headquarters' public_url with /stripe/webhook.")
	case h.Endpoint == "disabled":
		it.is(ItemFail, "Stripe has disabled the webhook endpoint", "Enable it in the Dashboard: Developers, Webhooks.")
	case h.SelfTest != "":
		it.is(ItemFail, h.SelfTest, "Put the endpoint's signing secret into the file that stripe.webhook_secret_file names.")
	case len(lacks) > 0:
		it.is(ItemFail, "the endpoint does not send "+strings.Join(lacks, ", "), edit)
	case len(h.Missing) > 0:
		it.is(ItemAttention, "the endpoint does not send "+strings.Join(h.Missing, ", "), edit)
	}
	if h.Undelivered > 0 {
		it.worse(ItemFail, "Stripe could not deliver "+many(h.Undelivered, "event")+" since the last that came", "Look at the endpoint's deliveries in the Dashboard: an answer of 400 is a wrong secret, none is a wall between.")
	}
	if it.State == ItemFail {
		return
	}
	last, how := h.Delivered, "the endpoint is enabled, a signed event of our own is verified; Stripe delivered the last one at "
	if h.Endpoint == "polled" {
		last, how = in.LastEvent, "headquarters has no webhook secret and asks Stripe for events; the last one came at "
	}
	if last.IsZero() {
		it.worse(ItemAttention, "no event of Stripe has arrived yet", "Take a test payment, or run hub rehearse, and look again.")
		return
	}
	it.worse(ItemPass, how+stamp(last))
}

func judgePasscode(in ChecklistInput, it *Item) {
	const do = "Set one: hq config apply with passcode_file, or in the Dashboard."
	if in.untold(it, "configuration") {
		return
	}
	switch in.HQ.Passcode {
	case "own":
		it.is(ItemPass, "the Location's configuration has a passcode of 5 digits that is not the usual one and no sequence")
	case "weak":
		it.is(ItemFail, "the passcode is one digit repeated, a sequence, or not 5 digits", do)
	case "default":
		it.is(ItemFail, "the passcode is the one that every reader comes with", do)
	case "hidden":
		it.is(ItemUnknown, "a passcode is set, and Stripe does not show headquarters whether it is a good one", "Look at it in the Dashboard, then sign off: "+attest(it.ID))
	default:
		it.is(ItemAttention, "no passcode is set: readers have the one that every reader comes with", do)
	}
}

// judgeOutages holds what the shop decided beside what its readers are told, and wants a
// drill.
func judgeOutages(in ChecklistInput, it *Item) {
	native := in.Integration != "sdk-js" && in.Integration != "server-driven"
	switch {
	case len(in.Limits) > 0 && !native:
		it.worse(ItemAttention, "the shop allows offline payments ("+strings.Join(in.Limits, ", ")+"), and "+in.Integration+" has no offline mode", "Take offline.limits out of hub.yaml.")
	case len(in.Limits) > 0 && in.Offline == "off":
		it.worse(ItemAttention, "the shop allows offline payments ("+strings.Join(in.Limits, ", ")+"), and offline mode is off in the Location's configuration", "Turn it on: hq config apply; or take offline.limits out of hub.yaml.")
	case len(in.Limits) == 0 && in.Offline == "on" && native:
		it.worse(ItemAttention, "offline mode is on in the Location's configuration, and the shop has set no limit for it", "Set offline.limits in hub.yaml, or turn it off: hq config apply.")
	case in.Offline == "on":
		it.worse(ItemPass, "offline mode is on, within "+strings.Join(in.Limits, ", "))
	case in.Offline == "off":
		it.worse(ItemPass, "offline mode is off: without the line tills take no cards")
	default:
		it.worse(ItemPass, "whether offline mode is on is not known")
	}
	judgeRehearsal(in, it)
}

// support says until when an SDK's major version is patched
// (stripe/stripe-terminal-android and -ios, SUPPORT.md).
var support = map[string]time.Time{
	"2": time.Date(2024, 11, 1, 0, 0, 0, 0, time.UTC),
	"3": time.Date(2025, 11, 1, 0, 0, 0, 0, time.UTC),
	"4": time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
	"5": time.Date(2027, 11, 1, 0, 0, 0, 0, time.UTC),
}

// newestMajor is the last one that the table knows.
const newestMajor = "5"

// supportSoon is how long before the end of patches an update should be planned.
const supportSoon = 90 * 24 * time.Hour

func judgeSDK(in ChecklistInput, it *Item) {
	if in.Integration == "server-driven" {
		it.is(ItemNotApplicable, "server-driven tills have no Terminal SDK")
		return
	}
	how := "Compare the tills' SDK with Stripe's support table, then sign off: " + attest(it.ID)
	for _, r := range in.Readers {
		if r.SDK == "" {
			continue
		}
		state, says := supported(r.SDK, in.At)
		it.worse(state, readerName(r)+" is used by "+r.SDK+": "+says)
		if until, ok := patchedUntil(r.SDK); ok && state == ItemPass && (it.NextDue.IsZero() || until.Before(it.NextDue)) {
			it.NextDue = until.Add(-supportSoon)
		}
	}
	switch it.State {
	case "":
		it.is(ItemAttention, "no till has reported its SDK version", how)
	case ItemFail:
		it.Remedy = append(it.Remedy, "Update the app's Terminal SDK.")
	case ItemAttention:
		it.Remedy = append(it.Remedy, "Plan an update of the app's Terminal SDK.", how)
	}
}

func patchedUntil(sdk string) (time.Time, bool) {
	_, version := readers.SDK(sdk)
	major, _, _ := strings.Cut(version, ".")
	until, known := support[major]
	return until, known
}

func supported(sdk string, now time.Time) (ItemState, string) {
	platform, version := readers.SDK(sdk)
	major, _, _ := strings.Cut(version, ".")
	switch {
	case platform == "js":
		return ItemPass, "it comes from Stripe each time"
	case platform == "react-native":
		return ItemAttention, "a public preview, which Stripe's table does not have"
	case platform == "" || version == "":
		return ItemAttention, "which SDK that is, or its version, cannot be read"
	case readers.CompareVersions(version, newestMajor+".0") > 0 && major != newestMajor:
		return ItemPass, "newer than the table that this hub has"
	}
	until, known := support[major]
	switch {
	case !known:
		return ItemFail, "it gets no patches any more"
	case !now.Before(until):
		return ItemFail, "its patches ended with " + until.AddDate(0, 0, -1).Format("January 2006")
	case until.Sub(now) < supportSoon:
		return ItemAttention, "its patches end with " + until.AddDate(0, 0, -1).Format("January 2006")
	}
	return ItemPass, "patched until " + until.AddDate(0, 0, -1).Format("January 2006")
}
