package hub

import (
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/internal/web"
	"storehub/offlinequeue"
	"storehub/readers"
)

// consoleFuncs is what the console's templates may ask beside the components'.
var consoleFuncs = template.FuncMap{
	"tone":       tone,
	"readerTone": readerTone,
	"readerName": readerLabel,
	"stateTone":  stateTone,
	"itemTone":   itemTone,
	"probeTone":  probeTone,
	"money":      amountWords,
	"words":      func(code string) string { return strings.ReplaceAll(code, "_", " ") },
}

// waitingMost bounds what is added up for a page; a backlog beyond it is named as more.
const waitingMost = 20_000

// waitingFor is how long a sum holds while the queue moves: it reads every open operation.
const waitingFor = 3 * time.Second

// waiting is the money that the shop was promised and nobody has been paid for yet.
type waiting struct {
	mu      sync.Mutex
	counted map[string]map[offlinequeue.State]int
	at      time.Time
	sum     MoneyWaiting
}

// MoneyWaiting is what waits: how many, of how much, and since when.
type MoneyWaiting struct {
	Count  int
	More   bool             // there are more than were added up
	Sums   map[string]int64 // by currency, in minor units
	Whole  int              // of the count, those that take all there is, whatever that is
	Oldest time.Time
}

// Amounts are the sums in words, by currency.
func (m MoneyWaiting) Amounts() string {
	var out []string
	for _, c := range slices.Sorted(maps.Keys(m.Sums)) {
		n := m.Sums[c]
		out = append(out, moneyWords(&n, c))
	}
	if m.Whole > 0 {
		out = append(out, fmt.Sprintf("%d of an amount that is not said", m.Whole))
	}
	return strings.Join(out, ", ")
}

func (c *console) moneyWaiting(s offlinequeue.Stats) (MoneyWaiting, error) {
	w := &c.waiting
	w.mu.Lock()
	defer w.mu.Unlock()
	now := c.hub.now()
	if age := now.Sub(w.at); age >= 0 && (age < waitingFor || age < time.Minute && maps.EqualFunc(w.counted, s.Operations, maps.Equal)) {
		return w.sum, nil
	}
	sum := MoneyWaiting{Sums: map[string]int64{}}
	for op, err := range c.hub.queue.All(offlinequeue.Pending, offlinequeue.Accepted) {
		if err != nil {
			return MoneyWaiting{}, err
		}
		if !op.Money || doors.Kind(op.Kind) == doors.Cancel {
			continue
		}
		if sum.Count == waitingMost {
			sum.More = true
			break
		}
		sum.Count++
		sum.Oldest = op.Created // the newest come first
		if op.Amount == nil {
			sum.Whole++
		} else {
			sum.Sums[op.Currency] += *op.Amount
		}
	}
	w.counted, w.at, w.sum = s.Operations, now, sum
	return sum, nil
}

// noCents are the currencies that Stripe counts in whole units.
const noCents = " bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf "

// moneyWords is an amount as people read it; nil is all there is.
func moneyWords(amount *int64, currency string) string {
	if amount == nil {
		return "all of it"
	}
	n, code := *amount, strings.ToUpper(currency)
	if strings.Contains(noCents, " "+strings.ToLower(currency)+" ") {
		return grouped(n) + " " + code
	}
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	return fmt.Sprintf("%s%s.%02d %s", sign, grouped(n/100), n%100, code)
}

// amountWords is moneyWords of what a template holds.
func amountWords(amount any, currency string) string {
	switch n := amount.(type) {
	case int64:
		return moneyWords(&n, currency)
	case *int64:
		return moneyWords(n, currency)
	}
	return ""
}

func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func readerLabel(r readers.Reader) string {
	switch {
	case r.Label != "":
		return r.Label
	case r.Serial != "":
		return r.Serial
	}
	return r.ID
}

func readerTone(state string) string {
	switch state {
	case readers.StateOnline:
		return web.Good
	case readers.StateOffline, readers.StateUnreachable:
		return web.Bad
	}
	return web.Off
}

// todayData is the first page: can we take cards, what is wrong, what waits.
type todayData struct {
	Status
	Tone     string
	Since    time.Time // of what is wrong
	First    *diagnostics.Cause
	Others   []diagnostics.Cause
	Readers  []TillReader
	Working  int
	Waiting  MoneyWaiting
	NotKnown string // why the sum is not known
	Monitor  diagnostics.Report
}

func (c *console) today(w http.ResponseWriter, r *http.Request, _ web.Session) {
	live := c.news.Stream("/console/live")
	d := todayData{Status: c.hub.status(), Readers: c.hub.readerList(admin).Readers, Monitor: c.hub.monitor.current()}
	d.Tone = web.Good
	switch {
	case d.Connectivity.State == "unknown" && d.Verdict != diagnostics.Blocked:
		d.Tone = web.Off
	case !d.CanTakePayments:
		d.Tone = web.Bad
	case d.Verdict == diagnostics.Degraded:
		d.Tone = web.Warn
	}
	if len(d.Causes) > 0 {
		d.First, d.Others = &d.Causes[0], d.Causes[1:]
	}
	if d.Tone == web.Bad {
		if d.Since = d.Connectivity.Since; d.Since.IsZero() && d.First != nil {
			d.Since = d.First.Since
		}
	}
	for _, x := range d.Readers {
		if x.State == readers.StateOnline {
			d.Working++
		}
	}
	var err error
	if d.Waiting, err = c.moneyWaiting(c.hub.queue.Stats()); err != nil {
		d.NotKnown = err.Error()
	}
	c.show(w, r, "today.html", web.Page{Title: "Today", Here: "/", Live: live, Data: d})
}
