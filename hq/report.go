package hq

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"storehub/doors"
)

// Report is what a hub says of itself every few minutes, and at once when its
// verdict changes. It holds nothing about persons, payments or orders.
type Report struct {
	At        time.Time     `json:"at"` // by the hub's clock
	Version   string        `json:"version"`
	StartedAt time.Time     `json:"started_at"` // when this process began
	Verdict   string        `json:"verdict"`    // ready, degraded, blocked
	Causes    []ReportCause `json:"causes"`     // as diagnosed, the principal one first
	Queue     ReportQueue   `json:"queue"`
	Checklist []ReportItem  `json:"checklist"`
	// Readers counts the store's readers by state; absent: the list was never had.
	Readers map[string]int `json:"readers,omitempty"`
	// What stores may have in common.
	Resolvers []string `json:"resolvers,omitempty"` // addresses that the shop's machines ask for names
	Software  []string `json:"software,omitempty"`  // versions that readers run
	// Policy is what of headquarters' policies is in force; absent: none was ever heard of.
	Policy *ReportPolicy `json:"policy,omitempty"`
	// Unable is why the hub does not serve, told by its program before that ended. Such a
	// report has verdict and causes alone; headquarters fills in the rest as it was told last,
	// at ToldAt, by its own clock.
	Unable string    `json:"unable,omitempty"`
	ToldAt time.Time `json:"told_at,omitzero"`
}

// Untold reports whether queue, checklist and readers were never told: nothing is known of them.
func (r *Report) Untold() bool { return r.Unable != "" && r.ToldAt.IsZero() }

// over fills a report of a hub that does not serve from the store's last one.
func (r *Report) over(last Report, at time.Time) {
	if r.ToldAt = at; last.Unable != "" {
		r.ToldAt = last.ToldAt
		if len(r.Causes) == 1 && len(last.Causes) == 1 && r.Causes[0].Code == last.Causes[0].Code {
			r.Causes[0].Since = last.Causes[0].Since // each try to start tells it anew
		}
	}
	r.Queue, r.Checklist, r.Readers, r.Resolvers, r.Software, r.Policy = last.Queue, last.Checklist, last.Readers, last.Resolvers, last.Software, last.Policy
}

// ReportPolicy says which policy a hub holds, and which it could not take.
type ReportPolicy struct {
	Version uint64 `json:"version"`           // in force; 0: none
	Refused uint64 `json:"refused,omitempty"` // since then; 0: none
	Why     string `json:"why,omitempty"`
}

// ReportCause is a cause of the diagnosis, without its evidence.
type ReportCause struct {
	Code     string    `json:"code"`
	Severity string    `json:"severity"` // critical, warning, info
	Title    string    `json:"title"`
	Since    time.Time `json:"since"`
	Targets  []string  `json:"targets,omitempty"`
}

// ReportQueue counts promises that have no outcome yet.
type ReportQueue struct {
	Pending       int       `json:"pending"`    // on the hub's disk alone
	Accepted      int       `json:"accepted"`   // here, without an outcome
	Parked        int       `json:"parked"`     // of the pending, until a person retries them
	Unresolved    int       `json:"unresolved"` // failures of money that no person has settled
	OldestPending time.Time `json:"oldest_pending,omitzero"`
	NextDeadline  time.Time `json:"next_deadline,omitzero"`
	// Amounts is what pending money operations ask for, in minor units by currency,
	// as far as an amount was asked; absent: too many to count.
	Amounts map[string]int64 `json:"amounts,omitempty"`
}

// ReportItem is one item of the deployment checklist.
type ReportItem struct {
	Number   int      `json:"number"`
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	State    string   `json:"state"` // pass, fail, attention, not_applicable, signed_off, unknown
	Evidence []string `json:"evidence"`
	// Owner is whose the item is to be done; absent: a hub that tells neither it nor the date.
	Owner string `json:"owner,omitempty"`
	// NextDue is when what holds now will no longer do; absent: none, if the owner is told.
	NextDue time.Time `json:"next_due,omitzero"`
}

// Reported answers a report.
type Reported struct {
	At time.Time `json:"at"` // by headquarters' clock
}

// What a report may hold. A hub cuts what is more; headquarters refuses it.
const (
	ReportText     = 240 // bytes of a text
	ReportCauses   = 30
	ReportTargets  = 10
	ReportItems    = 40
	ReportEvidence = 3
	ReportFacts    = 20 // resolvers, versions, currencies, states of readers
)

// keepReportChanges is how many changes of verdict or causes are kept of each store.
const keepReportChanges = 200

// word is what the wire's own words look like: codes, states, currencies.
var word = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

var (
	verdicts   = map[string]bool{"ready": true, "degraded": true, "blocked": true}
	severities = map[string]bool{"critical": true, "warning": true, "info": true}
)

// check refuses what no hub of ours says, before it is kept and shown to people.
func (r Report) check() error {
	if !verdicts[r.Verdict] {
		return doors.ErrInvalidField.With("verdict must be ready, degraded or blocked")
	}
	if r.Unable != "" && r.Verdict != "blocked" {
		return doors.ErrInvalidField.With("a hub that does not serve is blocked")
	}
	lists := map[string][2]int{"causes": {len(r.Causes), ReportCauses}, "checklist": {len(r.Checklist), ReportItems}, "readers": {len(r.Readers), ReportFacts},
		"resolvers": {len(r.Resolvers), ReportFacts}, "software": {len(r.Software), ReportFacts}, "amounts": {len(r.Queue.Amounts), ReportFacts}}
	words, texts := []string{}, []string{r.Version, r.Unable}
	for _, c := range r.Causes {
		if !severities[c.Severity] {
			return doors.ErrInvalidField.With("severity must be critical, warning or info")
		}
		words, texts = append(words, c.Code), append(append(texts, c.Title), c.Targets...)
		lists["targets of "+c.Code] = [2]int{len(c.Targets), ReportTargets}
	}
	for _, it := range r.Checklist {
		words, texts = append(words, it.ID, it.State), append(append(texts, it.Title, it.Owner), it.Evidence...)
		lists["evidence of "+it.ID] = [2]int{len(it.Evidence), ReportEvidence}
	}
	for state, n := range r.Readers {
		if words = append(words, state); n < 0 {
			return doors.ErrInvalidField.With("a count is below 0")
		}
	}
	for currency, n := range r.Queue.Amounts {
		if words = append(words, currency); n < 0 {
			return doors.ErrInvalidField.With("an amount is below 0")
		}
	}
	if q := r.Queue; min(q.Pending, q.Accepted, q.Parked, q.Unresolved) < 0 {
		return doors.ErrInvalidField.With("a count is below 0")
	}
	for _, a := range r.Resolvers {
		if _, err := netip.ParseAddr(a); err != nil {
			return doors.ErrInvalidField.With("a resolver is no address")
		}
	}
	texts = append(texts, r.Software...)
	if p := r.Policy; p != nil {
		if texts = append(texts, p.Why); max(p.Version, p.Refused) > 1<<53 {
			return doors.ErrInvalidField.With("a version is too high")
		}
	}
	for what, n := range lists {
		if n[0] > n[1] {
			return doors.ErrInvalidField.With("%s: more than %d", strings.ToValidUTF8(what, "?"), n[1])
		}
	}
	for _, w := range words {
		if !word.MatchString(w) {
			return doors.ErrInvalidField.With("codes, states and currencies are words of a to z, 0 to 9 and _")
		}
	}
	for _, t := range texts {
		if len(t) > ReportText || strings.ContainsFunc(t, func(c rune) bool { return c < ' ' || c == 0x7f || c == utf8.RuneError }) {
			return doors.ErrInvalidField.With("a text is longer than %d bytes, or has control characters", ReportText)
		}
	}
	return nil
}

// standing is what of a report makes a change worth keeping.
func (r Report) standing() string {
	type cause struct {
		Code    string   `json:"code"`
		Targets []string `json:"targets,omitempty"`
	}
	list := []cause{}
	for _, c := range r.Causes {
		list = append(list, cause{c.Code, c.Targets})
	}
	b, _ := json.Marshal(list) // strings always encode
	return string(b)
}

func serveReport(ctx context.Context, s *Server, st record, r *http.Request) (answer, error) {
	var in Report
	newer, err := doors.DecodeJSONOpen(r, &in) // a hub may be newer than its headquarters
	if err != nil {
		return answer{}, err
	}
	if newer != nil {
		if _, said := s.newer.LoadOrStore(st.ID, true); !said {
			s.log.Info("a hub's report has fields that this headquarters does not know; they are left out", "store", st.ID, "first", newer)
		}
	}
	if err := in.check(); err != nil {
		return answer{}, err
	}
	at, err := s.keepReport(ctx, st.ID, in, block(r.RemoteAddr))
	return answer{status: http.StatusOK, value: Reported{At: at}}, err
}

// keepReport puts a report in place of the store's last one. A change of verdict or
// causes is kept beside it.
func (s *Server) keepReport(ctx context.Context, store string, r Report, network string) (at time.Time, err error) {
	causes := r.standing()
	told := r
	err = s.db.tx(ctx, func(t *tx) error {
		at = t.now.UTC().Truncate(time.Millisecond)
		r := told // the transaction may be done again
		r.Causes, r.ToldAt = slices.Clone(told.Causes), time.Time{}
		var wasAt int64
		var wasVerdict, wasCauses string
		var was []byte
		err := t.QueryRow(`SELECT at, verdict, causes, CASE WHEN ?2 <> '' THEN body END FROM reports WHERE store = ?1`, store, r.Unable).Scan(&wasAt, &wasVerdict, &wasCauses, &was)
		if err != nil && !isNoRows(err) {
			return err
		}
		news := err != nil || wasVerdict != r.Verdict || wasCauses != causes
		if r.Unable != "" && err == nil {
			var last Report
			if err := json.Unmarshal(was, &last); err != nil {
				return fmt.Errorf("read report of store %q: %w", store, err)
			}
			r.over(last, fromMS(wasAt))
		}
		body, err := json.Marshal(r)
		if err != nil {
			return err
		}
		if _, err := t.Exec(`INSERT INTO reports (store, at, verdict, causes, network, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
			ON CONFLICT (store) DO UPDATE SET at = ?2, verdict = ?3, causes = ?4, network = ?5, body = ?6`,
			store, ms(t.now), r.Verdict, causes, network, body); err != nil {
			return err
		}
		if err := t.holds(store, r.Policy); err != nil {
			return err
		}
		if err := s.db.fault("report:keep"); err != nil || !news {
			return err
		}
		if _, err := t.Exec(`INSERT INTO report_changes (store, at, verdict, causes) VALUES (?, ?, ?, ?)`, store, ms(t.now), r.Verdict, causes); err != nil {
			return err
		}
		_, err = t.Exec(`DELETE FROM report_changes WHERE store = ?1 AND seq <= (SELECT seq FROM report_changes WHERE store = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)`,
			store, keepReportChanges)
		return err
	})
	if err != nil {
		return at, fmt.Errorf("keep report: %w", err)
	}
	return at, nil
}

// ReportChange is that a store's verdict or causes became other ones.
type ReportChange struct {
	At      time.Time `json:"at"`
	Verdict string    `json:"verdict"`
	Causes  []string  `json:"causes"` // codes
}

// ReportChanges lists what is kept of a store's changes, oldest first.
func (s *Server) ReportChanges(ctx context.Context, store string) ([]ReportChange, error) {
	rows, err := s.db.r.QueryContext(ctx, `SELECT at, verdict, causes FROM report_changes WHERE store = ? ORDER BY seq`, store)
	if err != nil {
		return nil, fmt.Errorf("list changes: %w", err)
	}
	defer rows.Close()
	list := []ReportChange{}
	for rows.Next() {
		var at int64
		var causes string
		var of []struct{ Code string }
		c := ReportChange{Causes: []string{}}
		if err := rows.Scan(&at, &c.Verdict, &causes); err != nil {
			return nil, fmt.Errorf("list changes: %w", err)
		}
		if err := json.Unmarshal([]byte(causes), &of); err != nil {
			return nil, fmt.Errorf("list changes: %w", err)
		}
		for _, cause := range of {
			c.Causes = append(c.Causes, cause.Code)
		}
		c.At = fromMS(at)
		list = append(list, c)
	}
	return list, rows.Err()
}

// block is the block of addresses that a request came from, as providers hand them
// out: /24, or /48 of IPv6. "" is not known: behind a proxy of our own nobody can tell.
func block(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return ""
	}
	a, err := netip.ParseAddr(host)
	if err != nil || !public(a) {
		return ""
	}
	bits := 48
	if a = a.Unmap(); a.Is4() {
		bits = 24
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

// carriers is what providers give to homes behind their own translation.
var carriers = netip.MustParsePrefix("100.64.0.0/10")

// public says whether an address means the same machine everywhere.
func public(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() && !carriers.Contains(a)
}
