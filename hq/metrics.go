package hq

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"storehub/doors"
)

// metrics are headquarters' own registry: nothing of another library's leaks in.
type metrics struct {
	reg      *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	toStripe *prometheus.CounterVec
	events   *prometheus.CounterVec
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		reg: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "storehub_hq_requests_total",
			Help: "Requests answered, by route and HTTP status."}, []string{"route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "storehub_hq_request_duration_seconds",
			Help: "Time to answer, by route; the feed waits on purpose.", Buckets: []float64{.01, .05, .1, .25, .5, 1, 2, 4, 6, 10, 60}}, []string{"route"}),
		toStripe: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "storehub_hq_stripe_requests_total",
			Help: "Requests to Stripe, by mode, call and result (ok, refused, failing, silent; limited: refused here, before Stripe was asked)."}, []string{"mode", "call", "result"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "storehub_hq_events_total",
			Help: "Stripe's events, by what became of them."}, []string{"result"}),
	}
	for _, r := range []string{"taken", "duplicate", "dropped", "unsigned", "unreadable", "failed", "polled"} {
		m.events.WithLabelValues(r)
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "storehub_hq_build_info",
		Help: "1, with the version.", ConstLabels: prometheus.Labels{"version": s.version}})
	info.Set(1)
	m.reg.MustRegister(m.requests, m.duration, m.toStripe, m.events, info, readMetrics{s}, ledgerMetrics{s.db, &tally{count: s.db.countOperations}},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if s.db.engine != nil {
		m.reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "storehub_hq_transactions_again_total",
			Help: "Transactions that ran again because they met another one. Absent on SQLite."}, func() float64 { return float64(s.db.again.Load()) }))
		m.reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "storehub_hq_notifications_arrive",
			Help: "1: the database tells what other replicas changed; 0: it is looked for every second. Absent on SQLite."}, func() float64 {
			if s.listening.Load() {
				return 1
			}
			return 0
		}))
	}
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.reg, promhttp.HandlerOpts{})
}

func (m *metrics) webhook(result string) { m.events.WithLabelValues(result).Inc() }

// stripe counts one request to Stripe.
func (m *metrics) stripe(mode doors.Mode, call string, err error) {
	result := "ok"
	var e *StripeError
	switch {
	case err == nil:
	case !errors.As(err, &e):
		result = "silent"
	case e.Ours:
		result = "limited"
	case e.Status >= 500 || e.Status == http.StatusTooManyRequests:
		result = "failing"
	default:
		result = "refused"
	}
	m.toStripe.WithLabelValues(string(mode), call, result).Inc()
}

// timed counts and times a route.
func (m *metrics) timed(route string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		h(sw, r)
		m.requests.WithLabelValues(route, strconv.Itoa(sw.status)).Inc()
		m.duration.WithLabelValues(route).Observe(time.Since(began).Seconds())
	}
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ledgerMetrics are counted on the disk when asked for, so that they are right
// after a restart too.
type ledgerMetrics struct {
	d     *database
	tally *tally
}

var (
	operationsDesc = prometheus.NewDesc("storehub_hq_operations", "Operations in the ledger, by kind and state, as last counted; absent until they are.", []string{"kind", "state"}, nil)
	countedDesc    = prometheus.NewDesc("storehub_hq_ledger_counted_timestamp_seconds", "When the ledger's operations were last counted: a large ledger is counted rarely.", nil, nil)
	unknownDesc    = prometheus.NewDesc("storehub_hq_operations_unknown", "Operations of which nobody can say what became of them.", nil, nil)
	oldestDesc     = prometheus.NewDesc("storehub_hq_oldest_open_timestamp_seconds", "When the oldest operation without an outcome was recorded; 0: none.", nil, nil)
	deadlineDesc   = prometheus.NewDesc("storehub_hq_next_deadline_timestamp_seconds", "When the next authorisation that is not captured lapses; 0: none known.", nil, nil)
	storesDesc     = prometheus.NewDesc("storehub_hq_stores", "Stores on record.", nil, nil)
	fleetDesc      = prometheus.NewDesc("storehub_hq_fleet_stores", "Stores in service by their hub's last report: ready, degraded, blocked; silent: it is too old; unknown: it never reported.", []string{"verdict"}, nil)
	findingsDesc   = prometheus.NewDesc("storehub_hq_findings", "Open findings that a person should look at, by code.", []string{"code"}, nil)
)

// Describe implements prometheus.Collector.
func (c ledgerMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{operationsDesc, countedDesc, unknownDesc, oldestDesc, deadlineDesc, storesDesc, fleetDesc, findingsDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c ledgerMetrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	counts, at, err := c.tally.now(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(operationsDesc, err)
		return
	}
	for k, n := range counts {
		ch <- prometheus.MustNewConstMetric(operationsDesc, prometheus.GaugeValue, n, k[0], k[1])
	}
	if counts != nil {
		ch <- prometheus.MustNewConstMetric(countedDesc, prometheus.GaugeValue, float64(at.UnixMilli())/1000)
	}
	for _, g := range []struct {
		desc  *prometheus.Desc
		query string
	}{
		{unknownDesc, `SELECT count(*) FROM operations WHERE next_look IS NOT NULL AND unknown <> '' AND ` + notStandIn},
		{oldestDesc, `SELECT coalesce(min(recorded_at), 0) / 1000.0 FROM operations WHERE next_look IS NOT NULL AND ` + notStandIn},
		{deadlineDesc, `SELECT coalesce(min(deadline), 0) / 1000.0 FROM (
			SELECT deadline FROM operations WHERE next_look IS NOT NULL AND kind = 'capture' AND deadline > 0 AND ` + notStandIn + `
			UNION ALL SELECT deadline FROM intents WHERE next_look IS NOT NULL AND authorised_at > 0 AND deadline > 0 AND ` + notStandIn + `) AS waiting`},
		{storesDesc, `SELECT count(*) FROM stores WHERE rehearses = ''`},
	} {
		var v float64
		if err := c.d.r.QueryRowContext(ctx, g.query).Scan(&v); err != nil {
			ch <- prometheus.NewInvalidMetric(g.desc, err)
			continue
		}
		ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, v)
	}
	c.collectFleet(ctx, ch)
	if err := c.each(ctx, `SELECT code, count(*) FROM findings WHERE decision = '' AND `+notStandIn+` GROUP BY code`, func(scan func(...any) error) error {
		var code string
		var n float64
		if err := scan(&code, &n); err != nil {
			return err
		}
		ch <- prometheus.MustNewConstMetric(findingsDesc, prometheus.GaugeValue, n, code)
		return nil
	}); err != nil {
		ch <- prometheus.NewInvalidMetric(findingsDesc, err)
	}
}

func (c ledgerMetrics) collectFleet(ctx context.Context, ch chan<- prometheus.Metric) {
	counts := map[string]float64{"ready": 0, "degraded": 0, "blocked": 0, VerdictSilent: 0, VerdictUnknown: 0}
	query := fmt.Sprintf(`SELECT CASE WHEN r.store IS NULL THEN 'unknown' WHEN r.at < %d THEN 'silent' ELSE r.verdict END AS stands, count(*)
		FROM stores s LEFT JOIN reports r ON r.store = s.id WHERE s.standing <> 'removed' AND s.rehearses = '' GROUP BY stands`, ms(c.d.now().Add(-silentAfter)))
	if err := c.each(ctx, query, func(scan func(...any) error) error {
		var verdict string
		var n float64
		err := scan(&verdict, &n)
		counts[verdict] = n
		return err
	}); err != nil {
		ch <- prometheus.NewInvalidMetric(fleetDesc, err)
		return
	}
	for verdict, n := range counts {
		ch <- prometheus.MustNewConstMetric(fleetDesc, prometheus.GaugeValue, n, verdict)
	}
}

func (c ledgerMetrics) each(ctx context.Context, query string, f func(scan func(...any) error) error) error {
	rows, err := c.d.r.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// readMetrics are how each mode's fullest account stands with Stripe's read allocation.
type readMetrics struct{ s *Server }

var (
	readsDesc  = prometheus.NewDesc("storehub_hq_stripe_reads", "Reads at Stripe in the last 30 days, by all replicas, of all accounts.", []string{"mode"}, nil)
	usedDesc   = prometheus.NewDesc("storehub_hq_stripe_read_budget_used_ratio", "Of its read budget of 30 days the fullest account has used.", []string{"mode"}, nil)
	slowedDesc = prometheus.NewDesc("storehub_hq_stripe_polls_slowed_ratio", "How many times as long polls of the fullest account rest, to keep within its read budget; 1: not slowed.", []string{"mode"}, nil)
)

// Describe implements prometheus.Collector.
func (c readMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- readsDesc
	ch <- usedDesc
	ch <- slowedDesc
}

// Collect implements prometheus.Collector.
func (c readMetrics) Collect(ch chan<- prometheus.Metric) {
	budgets := c.s.reads.all(c.s.now())
	for mode := range c.s.stripes {
		reads, used, slowest := int64(0), 0.0, 1.0
		for _, b := range budgets {
			if b.Mode == mode {
				reads, used, slowest = reads+b.Reads, max(used, b.Used), max(slowest, b.Slowed)
			}
		}
		for d, v := range map[*prometheus.Desc]float64{readsDesc: float64(reads), usedDesc: used, slowedDesc: slowest} {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, string(mode))
		}
	}
}
