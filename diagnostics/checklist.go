package diagnostics

import (
	"fmt"
	"slices"
	"time"

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
	Owner    string    `json:"owner"`  // whose it is to be done
	Tested   string    `json:"tested"` // what was looked at
	State    ItemState `json:"state"`
	Evidence []string  `json:"evidence"`
	Remedy   []string  `json:"remedy"`
	LastPass time.Time `json:"last_pass,omitzero"` // when it was last seen to pass or was signed off
	NextDue  time.Time `json:"next_due,omitzero"`  // when what holds now will no longer do
}

// TokenTest is what the road of a connection token answered when it was tried.
type TokenTest struct {
	At             time.Time
	Distinct       bool // two requests gave two secrets
	Served         int  // so much of what the hub serves was looked through
	Leaks          []string
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
	Strangers   []string         // readers that tills use and that are not at the Location, as sentences
	Token       *TokenTest
	KeyWarnings []string // embedded headquarters: what is not well with its key
	HQ          *HQFacts // nil: headquarters did not say, HQSilent why
	HQSilent    string
	LastCapture time.Time
	LastReceipt time.Time // receipt fields were last given out
	LastCopy    time.Time // a copy of a receipt was last kept at headquarters
	LastEvent   time.Time // the last event of Stripe that came here
	ListSeen    time.Time // a till last had the list of readers
	Registered  time.Time // a reader was last registered from here
	MinSoftware string    // oldest reader software that is still good; "": 2.42
	Window      string    // when readers restart and update, in the shop's time
	WindowOpen  readers.Tri
	Offline     string   // offline mode in the Location's configuration: on, off; "": not known
	Limits      []string // what the shop lets tills take offline: "eur 50000"
	Rehearsals  map[string]Trial
	SignOffs    map[string]SignOff
	LastPass    map[string]time.Time // by item, as remembered
}

const (
	// rehearsalAge is how long a rehearsal counts: SDKs and readers change every month.
	rehearsalAge = 90 * 24 * time.Hour
	// minSoftware is the first reader software that tells why an action failed.
	minSoftware = "2.42"
)

// whose it is to see to an item.
const (
	ownHeadquarters = "headquarters"
	ownShop         = "shop"
	ownNetwork      = "network"
	ownApp          = "app"
)

// theItem is an item with how it is judged.
type theItem struct {
	id, title, owner, tested string
	judge                    func(ChecklistInput, *Item)
}

var theItems = []theItem{
	{"connection_token", "Connection tokens come from a guarded endpoint", ownApp,
		"three doors without a credential, two tokens with one, their Location, keys in what the hub serves", judgeToken},
	{"network", "The network meets the requirements", ownNetwork, "every probe of hub diagnose", judgeNetwork},
	{"end_to_end", "Payments were tried from end to end", ownShop, "the rehearsal: accepted, declined, interrupted, refunded", judgeRehearsal},
	{"capture", "Payments are captured", ownApp, "captures, authorisations without one, deadlines", judgeCapture},
	{"errors", "Errors and declines are handled", ownApp, "the rehearsal: each way to decline, the same payment resumed", judgeRehearsal},
	{"receipts", "Receipts hold what the law asks", ownApp, "the fields of a chip card's receipt, the copy that is kept", judgeReceipts},
	{"reconcile", "Payments are reconciled", ownHeadquarters, "the last comparison of a day with Stripe, what it left open", judgeReconcile},
	{"webhooks", "Events arrive", ownHeadquarters, "the endpoint at Stripe and what it sends, deliveries, a signed event of our own", judgeWebhooks},
	{"reader_updates", "Readers update themselves", ownShop, "each reader's software, the update window beside the opening hours", judgeUpdates},
	{"registration", "Readers can be registered in the shop", ownShop, "readers at the Location, a registration from here, a wrong code's refusal", judgeRegistration},
	{"locations", "Readers belong to the store's Location", ownHeadquarters, "the Location at Stripe, its readers, those that tills use", judgeLocations},
	{"discovery", "Staff can choose the right reader", ownApp, "labels and serial numbers, whether a till had the list", judgeDiscovery},
	{"sdk", "Tills use a supported SDK", ownApp, "SDK versions as tills report them, beside Stripe's support table", judgeSDK},
	{"passcode", "Readers have an admin passcode of their own", ownHeadquarters, "the passcode in the Location's configuration; it is never shown", judgePasscode},
	{"outages", "There is a plan for outages, and it was drilled", ownShop, "offline mode beside the shop's limits, the last drill", judgeOutages},
}

// Checklist judges the 15 items in Stripe's order. Nothing passes without
// evidence; a sign-off never covers a failure.
func Checklist(in ChecklistInput) []Item {
	items := make([]Item, 0, len(theItems))
	for i, t := range theItems {
		it := Item{Number: i + 1, ID: t.id, Title: t.title, Owner: t.owner, Tested: t.tested, Evidence: []string{}, Remedy: []string{}}
		t.judge(in, &it)
		it.signOff(in)
		it.LastPass = in.LastPass[it.ID]
		if it.State == ItemPass || it.State == ItemSignedOff {
			it.LastPass = in.At.UTC().Truncate(time.Second)
		}
		if it.State != ItemPass && it.State != ItemSignedOff {
			it.NextDue = time.Time{} // it is due now
		}
		items = append(items, it)
	}
	return items
}

// signOff lets a person's word hold where no machine said yes or no.
func (it *Item) signOff(in ChecklistInput) {
	s, signed := in.SignOffs[it.ID]
	if !signed || it.State != ItemAttention && it.State != ItemUnknown {
		return
	}
	word := fmt.Sprintf("signed off by %s on %s: %s", s.By, s.At.UTC().Format(time.DateOnly), s.Note)
	if !in.At.Before(s.end()) {
		it.Evidence = append(it.Evidence, word+"; that counted until "+s.end().UTC().Format(time.DateOnly))
		return
	}
	it.State, it.Remedy, it.NextDue = ItemSignedOff, []string{}, s.end().UTC().Truncate(time.Second)
	it.Evidence = append(it.Evidence, word)
}

func (it *Item) is(s ItemState, evidence string, remedy ...string) {
	it.State = s
	it.Evidence = append(it.Evidence, evidence)
	it.Remedy = append(it.Remedy, remedy...)
}

// worse is is, unless it is worse already.
func (it *Item) worse(s ItemState, evidence string, remedy ...string) {
	if rank(s) < rank(it.State) {
		s = it.State
	}
	it.is(s, evidence, remedy...)
}

func rank(s ItemState) int {
	return slices.Index([]ItemState{"", ItemPass, ItemAttention, ItemUnknown, ItemFail}, s)
}

// What is done by a command or by a button of the hub's console names both.
const (
	testAnew    = "Run hub checklist where the hub runs, or press Test anew on the console's page Checklist."
	registerOne = "Register one: hub readers register, or press Register a reader on the console's page Readers."
)

// attest is how an item is signed off.
func attest(item string) string {
	return "hub checklist --attest " + item + " --by NAME --note TEXT, or press Sign off on the console's page Checklist"
}
