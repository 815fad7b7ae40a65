package diagnostics

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"storehub/netcheck"
	"storehub/readers"
)

// ItemState is how far one item of the checklist is.
type ItemState string

// The states. Attention: not yet done, or due again. Unknown: it was tried and
// could not be told.
const (
	ItemPass          ItemState = "pass"
	ItemFail          ItemState = "fail"
	ItemAttention     ItemState = "attention"
	ItemNotApplicable ItemState = "not_applicable"
	ItemSignedOff     ItemState = "signed_off"
	ItemUnknown       ItemState = "unknown"
)

// Item is one line of Stripe's Terminal deployment checklist.
type Item struct {
	Number   int       `json:"number"`
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	State    ItemState `json:"state"`
	Evidence []string  `json:"evidence"`
	Remedy   []string  `json:"remedy"`
}

// TokenTest is what the road of a connection token answered when it was tried.
type TokenTest struct {
	At             time.Time
	Distinct       bool   // two requests gave two secrets
	RefusesNobody  bool   // a request without a credential was let through
	LocationScoped bool   // the token is for the store's Location alone
	Error          string // why there was no token; "" when there was one
}

// Trial is a rehearsal or a drill that was really held.
type Trial struct {
	At     time.Time
	Passed bool
	Note   string
}

// SignOff is a person's word for what no machine can see.
type SignOff struct {
	At    time.Time
	By    string
	Note  string
	Until time.Time `json:",omitzero"` // it counts until then; zero: for [SignOffAge]
}

// SignOffAge is how long a sign-off counts that names no end: what a person saw
// a year ago is no evidence any more.
const SignOffAge = 365 * 24 * time.Hour

// end is when it stops to count.
func (s SignOff) end() time.Time {
	if s.Until.IsZero() {
		return s.At.Add(SignOffAge)
	}
	return s.Until
}

// ChecklistInput is all the evidence there is. Zero values mean "not known".
type ChecklistInput struct {
	At          time.Time
	Integration string
	Report      *Report          // the last diagnosis
	Readers     []readers.Reader // nil: the list was never had
	Location    string           // tml_… that headquarters names for this store
	Token       *TokenTest
	KeyWarnings []string // embedded headquarters: what is not well with its key
	LastCapture time.Time
	LastReceipt time.Time
	LastEvent   time.Time // the last event of Stripe that headquarters took in
	Reconciled  time.Time // the last reconciliation that ended
	MinSoftware string    // oldest reader software that is still good; "": 2.42
	Rehearsals  map[string]Trial
	SignOffs    map[string]SignOff
}

const (
	// rehearsalAge is how long a rehearsal counts: SDKs and readers change every month.
	rehearsalAge = 90 * 24 * time.Hour
	// minSoftware is the first reader software that tells why an action failed.
	minSoftware = "2.42"
)

// Checklist judges the 15 items in Stripe's order. Nothing passes without
// evidence; a sign-off never covers a failure.
func Checklist(in ChecklistInput) []Item {
	items := []Item{
		{ID: "connection_token", Title: "Connection tokens come from a guarded endpoint"},
		{ID: "network", Title: "The network meets the requirements"},
		{ID: "end_to_end", Title: "Payments were tried from end to end"},
		{ID: "capture", Title: "Payments are captured"},
		{ID: "errors", Title: "Errors and declines are handled"},
		{ID: "receipts", Title: "Receipts hold what the law asks"},
		{ID: "reconcile", Title: "Payments are reconciled"},
		{ID: "webhooks", Title: "Events arrive"},
		{ID: "reader_updates", Title: "Readers update themselves"},
		{ID: "registration", Title: "Readers can be registered in the shop"},
		{ID: "locations", Title: "Readers belong to the store's Location"},
		{ID: "discovery", Title: "Staff can choose the right reader"},
		{ID: "sdk", Title: "Tills use a supported SDK"},
		{ID: "passcode", Title: "Readers have an admin passcode of their own"},
		{ID: "outages", Title: "There is a plan for outages, and it was drilled"},
	}
	judges := map[string]func(ChecklistInput, *Item){
		"connection_token": judgeToken, "network": judgeNetwork, "capture": judgeCapture, "webhooks": judgeWebhooks,
		"reader_updates": judgeUpdates, "registration": judgeRegistration, "locations": judgeLocations,
		"discovery": judgeDiscovery, "receipts": judgeReceipts, "reconcile": judgeReconcile,
		"sdk":      judgeSDK,
		"passcode": judgeByHand("no machine can see a reader's passcode", "Set a passcode in the Dashboard, then sign off: hub checklist --attest passcode --by NAME --note TEXT"),
	}
	for i := range items {
		it := &items[i]
		it.Number, it.Evidence, it.Remedy = i+1, []string{}, []string{}
		if judge := judges[it.ID]; judge != nil {
			judge(in, it)
		} else {
			judgeRehearsal(in, it)
		}
		s, signed := in.SignOffs[it.ID]
		if !signed || it.State != ItemAttention && it.State != ItemUnknown {
			continue
		}
		word := fmt.Sprintf("signed off by %s on %s: %s", s.By, s.At.UTC().Format(time.DateOnly), s.Note)
		if !in.At.Before(s.end()) {
			it.Evidence = append(it.Evidence, word+"; that counted until "+s.end().UTC().Format(time.DateOnly))
			continue
		}
		it.State, it.Remedy = ItemSignedOff, []string{}
		it.Evidence = append(it.Evidence, word)
	}
	return items
}

func (it *Item) is(s ItemState, evidence string, remedy ...string) {
	it.State = s
	it.Evidence = append(it.Evidence, evidence)
	it.Remedy = append(it.Remedy, remedy...)
}

func judgeToken(in ChecklistInput, it *Item) {
	t := in.Token
	switch {
	case t == nil:
		it.is(ItemAttention, "never tested", "Run hub checklist where the hub runs.")
	case t.Error != "":
		it.is(ItemFail, "no connection token: "+t.Error, "Run hub diagnose.")
	case t.RefusesNobody:
		it.is(ItemFail, "a request without a credential was let through", "Report this; do not go live.")
	case !t.Distinct:
		it.is(ItemFail, "two requests gave the same token", "Remove whatever caches between hub and headquarters.")
	case !t.LocationScoped:
		it.is(ItemAttention, "the token is not bound to a Location", "Give the store its Location: hq store configure.")
	default:
		it.is(ItemPass, "tokens are fresh, guarded and bound to the Location; tested "+t.At.UTC().Format(time.RFC3339))
	}
	if len(in.KeyWarnings) > 0 {
		it.Evidence = append(it.Evidence, in.KeyWarnings...)
		it.Remedy = append(it.Remedy, "Run headquarters on a machine of its own, so that no Stripe key lies in the shop.")
		if it.State == ItemPass {
			it.State = ItemAttention
		}
	}
}

// notNetwork are findings that say nothing of the network.
var notNetwork = func() []string {
	var out []string
	for _, r := range slices.Concat(hubRules, moneyRules) {
		out = append(out, r.code)
	}
	return append(out, "stripe_failing", "clock_wrong")
}

func judgeNetwork(in ChecklistInput, it *Item) {
	if in.Report == nil || len(in.Report.Probes) == 0 {
		it.is(ItemAttention, "never checked", "Run hub diagnose.")
		return
	}
	it.State = ItemPass
	skip := notNetwork()
	for _, c := range in.Report.Causes {
		if slices.Contains(skip, c.Code) || c.Severity == Info {
			continue
		}
		it.Evidence = append(it.Evidence, c.Title+" ("+c.Code+")")
		it.Remedy = append(it.Remedy, c.Remedy...)
		switch {
		case c.Severity == Critical:
			it.State = ItemFail
		case it.State == ItemPass:
			it.State = ItemAttention
		}
	}
	pass, hosts := 0, 0
	for _, p := range in.Report.Probes {
		if p.Status == netcheck.Pass {
			pass++
			hosts += b2i(strings.HasPrefix(p.Name, "https/"))
		}
	}
	it.Evidence = append(it.Evidence, fmt.Sprintf("%d of %d probes passed at %s", pass, len(in.Report.Probes), in.Report.StartedAt.UTC().Format(time.RFC3339)))
	if it.State == ItemPass && hosts == 0 {
		it.State = ItemUnknown // nothing is wrong only because nothing was reached
		it.Remedy = append(it.Remedy, "Run hub diagnose and read what could not be told.")
	}
}

func judgeRehearsal(in ChecklistInput, it *Item) {
	how := "Run hub rehearse at a test store, or try it with a test till, then sign off: hub checklist --attest " + it.ID + " --by NAME --note TEXT."
	if it.ID == "outages" {
		how = "Hold a drill while somebody tries to sell: hub drill --by NAME. Or cut the internet line on a quiet day, follow the plan, then sign off: hub checklist --attest outages --by NAME --note TEXT."
	}
	t, held := in.Rehearsals[it.ID]
	switch {
	case !held:
		it.is(ItemAttention, "never rehearsed", how)
	case !t.Passed:
		it.is(ItemFail, "the rehearsal of "+t.At.UTC().Format(time.DateOnly)+" failed: "+t.Note, how)
	case in.At.Sub(t.At) > rehearsalAge:
		it.is(ItemAttention, "last rehearsed on "+t.At.UTC().Format(time.DateOnly)+", which is too long ago", how)
	default:
		it.is(ItemPass, strings.TrimSuffix("rehearsed on "+t.At.UTC().Format(time.DateOnly)+": "+t.Note, ": "))
	}
}

func judgeCapture(in ChecklistInput, it *Item) {
	if in.Report != nil {
		for _, c := range in.Report.Causes {
			if c.Code == "captures_near_deadline" || c.Code == "authorisation_lapsed" {
				it.is(ItemFail, c.Title, c.Remedy...)
			}
		}
	}
	switch {
	case it.State == ItemFail:
	case in.LastCapture.IsZero():
		judgeRehearsal(in, it)
	default:
		it.is(ItemPass, "a payment was captured at "+in.LastCapture.UTC().Format(time.RFC3339))
	}
}

func judgeReceipts(in ChecklistInput, it *Item) {
	if in.LastReceipt.IsZero() {
		judgeRehearsal(in, it)
		return
	}
	it.is(ItemPass, "receipt fields were given out at "+in.LastReceipt.UTC().Format(time.RFC3339))
}

func judgeReconcile(in ChecklistInput, it *Item) {
	switch {
	case in.Reconciled.IsZero():
		it.is(ItemAttention, "never reconciled", "Compare the tills' day with Stripe's payments, then sign off: hub checklist --attest reconcile --by NAME --note TEXT.")
	case in.At.Sub(in.Reconciled) > 48*time.Hour:
		it.is(ItemAttention, "last reconciled "+in.Reconciled.UTC().Format(time.RFC3339), "Compare them every day.")
	default:
		it.is(ItemPass, "reconciled "+in.Reconciled.UTC().Format(time.RFC3339))
	}
}

func judgeWebhooks(in ChecklistInput, it *Item) {
	if in.LastEvent.IsZero() {
		it.is(ItemAttention, "no event of Stripe has arrived yet", "Add the webhook endpoint at Stripe, or take a test payment and look again.")
		return
	}
	it.is(ItemPass, "the last event arrived "+in.LastEvent.UTC().Format(time.RFC3339))
}

func judgeUpdates(in ChecklistInput, it *Item) {
	least := in.MinSoftware
	if least == "" {
		least = minSoftware
	}
	told, simulated := 0, 0
	for _, r := range in.Readers {
		if r.Simulated {
			simulated++
			continue
		}
		if r.Software == "" {
			continue
		}
		told++
		if older(r.Software, least) {
			it.Evidence = append(it.Evidence, fmt.Sprintf("%s runs %s, older than %s", readerName(r), r.Software, least))
		}
	}
	switch {
	case len(it.Evidence) > 0:
		it.is(ItemAttention, "readers update themselves at night when they have power", "Leave readers powered at night; restart them to look for an update.")
	case told == 0 && simulated > 0:
		it.is(ItemAttention, fmt.Sprintf("%d simulated readers are registered, which do not update themselves", simulated), "Register the store's readers.")
	case told == 0:
		it.is(ItemAttention, "no reader has told its software version", "Register a reader and leave it on.")
	default:
		it.is(ItemPass, fmt.Sprintf("%d readers run %s or newer", told, least))
	}
}

// older compares dotted versions by their numbers; what is no number is not older.
func older(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		x, errX := strconv.Atoi(as[i])
		y, errY := strconv.Atoi(bs[i])
		if errX != nil || errY != nil {
			return false
		}
		if x != y {
			return x < y
		}
	}
	return len(as) < len(bs)
}

func judgeRegistration(in ChecklistInput, it *Item) {
	switch {
	case in.Readers == nil:
		it.is(ItemUnknown, "the list of readers was never had", "Run hub diagnose.")
	case len(in.Readers) == 0:
		it.is(ItemAttention, "no reader is registered", "Register one: hub readers register.")
	default:
		it.is(ItemPass, fmt.Sprintf("%d readers are registered", len(in.Readers)))
	}
}

func judgeLocations(in ChecklistInput, it *Item) {
	if in.Report != nil {
		for _, c := range in.Report.Causes {
			if c.Code == "location_mismatch" {
				it.is(ItemFail, c.Title, c.Remedy...)
				return
			}
		}
	}
	switch {
	case in.Location == "":
		it.is(ItemUnknown, "headquarters has not named the store's Location", "Run hub diagnose.")
	case len(in.Readers) == 0:
		it.is(ItemAttention, "no reader is at "+in.Location, "Register one: hub readers register.")
	default:
		it.is(ItemPass, fmt.Sprintf("headquarters lists %d readers at %s", len(in.Readers), in.Location))
	}
}

func judgeDiscovery(in ChecklistInput, it *Item) {
	if in.Integration == "server-driven" {
		it.is(ItemNotApplicable, "server-driven tills do not discover readers")
		return
	}
	judgeByHand("no machine can see the till's screen", "Look at it with staff, then sign off: hub checklist --attest discovery --by NAME --note TEXT")(in, it)
	for _, r := range in.Readers {
		if r.Label == "" {
			it.Evidence = append(it.Evidence, r.Serial+" has no label to tell it by")
		}
	}
}

func judgeSDK(in ChecklistInput, it *Item) {
	const how = "Compare the tills' SDK with Stripe's support table, then sign off: hub checklist --attest sdk --by NAME --note TEXT"
	var told []string
	for _, r := range in.Readers {
		if r.SDK != "" {
			told = append(told, r.Label+" is used by "+r.SDK)
		}
	}
	if len(told) == 0 {
		it.is(ItemAttention, "no till has reported its SDK version", how)
		return
	}
	it.is(ItemAttention, "as tills report: "+strings.Join(told, "; "), how)
}

func judgeByHand(why, how string) func(ChecklistInput, *Item) {
	return func(_ ChecklistInput, it *Item) { it.is(ItemAttention, why, how) }
}
