package hub

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"storehub/doors"
	"storehub/netcheck"
	"storehub/offlinequeue"
	"storehub/readers"
)

// Every metric there is. What has a state is computed from a snapshot at scrape;
// times are instants, not ages, and 0 means "never".
var (
	descBuild                           = desc("storehub_build_info", "Which program this is; always 1.", "version", "go_version")
	descProbe                           = desc("storehub_probe_status", "Last answer of a network probe: 1 pass, 0 fail, -1 skipped or unknown.", "probe")
	descFinding                         = desc("storehub_finding_active", "What the diagnosis holds to be wrong; role is cause or symptom.", "code", "severity", "role")
	descReachable                       = desc("storehub_reader_reachable", "Whether the reader answers on the LAN: 1 yes, 0 no, -1 unknown.", "serial", "label", "device_type")
	descOnline                          = desc("storehub_reader_online", "Stripe's word on the reader: 1 online, 0 offline, -1 unknown.", "serial", "label", "device_type")
	descLastSeen                        = desc("storehub_reader_last_seen_timestamp_seconds", "When Stripe last heard of the reader; 0 if never told.", "serial")
	descMoves                           = desc("storehub_reader_address_changes_total", "How often the reader's address changed since the hub started.", "serial")
	descRTT                             = desc("storehub_reader_rtt_seconds", "Time to open a connection to the reader; absent while it does not answer.", "serial")
	descWindow                          = desc("storehub_reader_update_window_active", "Whether readers restart and update at this hour, so that one that is away may be doing so: 1 yes, 0 no.")
	descOperations                      = desc("storehub_queue_operations", "Operations held on this disk.", "kind", "state")
	descOldest                          = desc("storehub_queue_oldest_pending_timestamp_seconds", "When the oldest operation that headquarters lacks was promised; 0 if there is none.")
	descDeadline                        = desc("storehub_queue_next_deadline_timestamp_seconds", "The earliest deadline of money without an outcome; 0 if there is none.")
	descQueueBytes                      = desc("storehub_queue_bytes", "Size of the queue on disk.")
	descMirror                          = desc("storehub_queue_mirror_level", "Whether the second copy has everything: 1 yes, 0 no, -1 there is to be none.")
	descParked                          = desc("storehub_queue_parked_operations", "Operations held back since headquarters takes others and refuses them.")
	descExposure                        = desc("storehub_offline_exposure", "Money that tills took offline and that is not forwarded yet, in minor units; absent where no till has reported any.", "currency")
	descLimit                           = desc("storehub_offline_exposure_limit", "What the shop allows to be taken offline, in minor units; absent where it sets no limit.", "currency")
	descHeartbeat                       = desc("storehub_heartbeat_delivered_timestamp_seconds", "When an operation last went the whole way to headquarters and back; 0 if never.")
	descContact                         = desc("storehub_hq_last_contact_timestamp_seconds", "When headquarters last answered; 0 if never.")
	descCanTake                         = desc("storehub_can_take_payments", "Whether card payments work, as /v1/status says.")
	descPublicEnds                      = desc("storehub_public_certificate_not_after_timestamp_seconds", "When the certificate of the hub's public name ends; 0 if there is none.")
	descDiskFree                        = desc("storehub_state_free_bytes", "Room left where the state directory is; absent if it cannot be told.")
	descReadOnly                        = desc("storehub_state_read_only", "Whether the disk of the state directory takes no writes: 1 yes, 0 no.")
	descUnclean                         = desc("storehub_unclean_starts", "Starts of the last hour that no stop came before.")
	descClockJumps                      = desc("storehub_clock_jumps_total", "How often the machine's clock was set by half a minute or more since the hub started.")
	allDescs                            = []*prometheus.Desc{descBuild, descProbe, descFinding, descReachable, descOnline, descLastSeen, descMoves, descRTT, descWindow, descLimit, descOperations, descOldest, descDeadline, descQueueBytes, descMirror, descParked, descExposure, descHeartbeat, descContact, descCanTake, descPublicEnds, descDiskFree, descReadOnly, descUnclean, descClockJumps}
	tokenResults                        = []string{"ok", doors.ErrHQUnreachable.Code, doors.ErrUnauthorized.Code, doors.ErrForbidden.Code, doors.ErrRateLimited.Code, doors.ErrStripeRefused.Code, doors.ErrStripeSilent.Code, doors.ErrModeMismatch.Code, doors.ErrInternal.Code}
	tokenBuckets                        = []float64{.05, .1, .25, .5, 1, 2, 4, 8} // 8 s: a till is answered by then
	syncBuckets                         = []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1}
	_              prometheus.Collector = (*metrics)(nil)
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// metrics collects the hub at each scrape; only what happens between two
// scrapes is counted as it happens.
type metrics struct {
	hub      *Hub
	registry *prometheus.Registry
	tokens   *prometheus.CounterVec
	tokenDur prometheus.Histogram
	syncs    prometheus.Histogram
	probes   func() []string // every probe there is
	exposure exposure
}

func newMetrics(h *Hub) *metrics {
	m := &metrics{
		hub:      h,
		registry: prometheus.NewRegistry(),
		tokens: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "storehub_token_requests_total", Help: "Requests of tills for a connection token.",
		}, []string{"result"}),
		tokenDur: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "storehub_token_duration_seconds", Help: "How long a till waited for a connection token or its refusal.", Buckets: tokenBuckets,
		}),
		syncs: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "storehub_queue_fsync_duration_seconds", Help: "How long the disk took to keep a promise.", Buckets: syncBuckets,
		}),
	}
	// A run without time asks nothing and names every probe.
	m.probes = sync.OnceValue(func() []string {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		targets := h.targets()
		targets.StateDir = "" // a run that saw nothing has nothing to remember
		var names []string
		for _, r := range h.parts.Check(ended, targets).Results {
			names = append(names, r.Name)
		}
		return names
	})
	for _, r := range tokenResults {
		m.tokens.WithLabelValues(r)
	}
	m.registry.MustRegister(m, m.tokens, m.tokenDur, m.syncs,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// token counts one request for a connection token.
func (m *metrics) token(result string, took time.Duration) {
	m.tokens.WithLabelValues(result).Inc()
	m.tokenDur.Observe(took.Seconds())
}

// sync counts one flush of the queue.
func (m *metrics) sync(took time.Duration) { m.syncs.Observe(took.Seconds()) }

// Describe implements [prometheus.Collector].
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range allDescs {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	h := m.hub
	gauge(descBuild, 1, h.parts.Version, runtime.Version())
	m.collectDiagnosis(gauge)
	m.collectQueue(gauge)
	for _, r := range h.fleet.registry.Snapshot() {
		gauge(descReachable, tri(r.Reachable), r.Serial, r.Label, r.DeviceType)
		gauge(descOnline, tri(r.Online), r.Serial, r.Label, r.DeviceType)
		gauge(descLastSeen, stamp(r.LastSeen), r.Serial)
		out <- prometheus.MustNewConstMetric(descMoves, prometheus.CounterValue, float64(r.AddressChanges), r.Serial)
		if r.Reachable == readers.Yes {
			gauge(descRTT, r.RTT.Seconds(), r.Serial)
		}
	}
	night := 0.0
	if h.updateWindow().Now {
		night = 1
	}
	gauge(descWindow, night)
	for currency, limit := range h.cfg.offlineLimits() {
		gauge(descLimit, float64(limit), currency)
	}
	beat := h.heartbeat.Load()
	gauge(descHeartbeat, float64(beat/int64(time.Second)))
	gauge(descContact, stamp(h.link.state().LastOK))
	can := 0.0
	if h.status().CanTakePayments {
		can = 1
	}
	gauge(descCanTake, can)
	gauge(descPublicEnds, stamp(h.public.ends()))
	if free, err := diskFree(h.cfg.StateDir); err == nil {
		gauge(descDiskFree, float64(free))
	}
	readOnly := 0.0
	if h.readOnly.Load() {
		readOnly = 1
	}
	gauge(descReadOnly, readOnly)
	unclean, _ := h.starts.unclean(h.now(), restartsIn)
	gauge(descUnclean, float64(len(unclean)))
	out <- prometheus.MustNewConstMetric(descClockJumps, prometheus.CounterValue, float64(h.clock.count()))
}

type gaugeFunc func(d *prometheus.Desc, v float64, labels ...string)

func (m *metrics) collectDiagnosis(gauge gaugeFunc) {
	r := m.hub.monitor.current()
	status := map[string]float64{}
	for _, name := range m.probes() {
		status[name] = -1
	}
	for _, p := range r.Probes {
		switch p.Status {
		case netcheck.Pass, netcheck.Warn:
			status[p.Name] = 1
		case netcheck.Fail:
			status[p.Name] = 0
		default:
			status[p.Name] = -1
		}
	}
	for name, v := range status {
		gauge(descProbe, v, name)
	}
	// Two causes may share a code; a series may not be there twice.
	seen := map[[3]string]bool{}
	active := func(code, severity, role string) {
		if k := [3]string{code, severity, role}; !seen[k] {
			seen[k] = true
			gauge(descFinding, 1, code, severity, role)
		}
	}
	for _, c := range r.Causes {
		active(c.Code, string(c.Severity), "cause")
	}
	for _, s := range r.Symptoms {
		active(s.Code, "none", "symptom") // its cause has the severity
	}
}

func (m *metrics) collectQueue(gauge gaugeFunc) {
	s := m.hub.queue.Stats()
	for _, kind := range doors.Kinds {
		for _, state := range []offlinequeue.State{offlinequeue.Pending, offlinequeue.Accepted, offlinequeue.Succeeded, offlinequeue.Failed} {
			gauge(descOperations, float64(s.Operations[string(kind)][state]), string(kind), string(state))
		}
	}
	gauge(descOldest, stamp(s.OldestPending))
	gauge(descDeadline, stamp(s.NextDeadline))
	gauge(descQueueBytes, float64(s.Bytes))
	mirror := readers.Unknown
	if s.Mirror.Path != "" {
		mirror = readers.No
		if s.Mirror.Away == "" {
			mirror = readers.Yes
		}
	}
	gauge(descMirror, tri(mirror))
	gauge(descParked, float64(s.ParkedInAll))
	sums, err := m.exposure.sum(m.hub.queue, s.Operations[string(doors.OfflinePayment)], m.hub.now())
	if err != nil {
		m.hub.log.Warn("sum what tills took offline", "err", err)
	}
	for currency, sum := range sums {
		gauge(descExposure, float64(sum), currency)
	}
}

func tri(t readers.Tri) float64 {
	switch t {
	case readers.Yes:
		return 1
	case readers.No:
		return 0
	}
	return -1
}

// stamp is a time as Prometheus counts it; "never" is 0.
func stamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
