package hq

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"storehub/doors"
)

// Options tell NewServer what is not the default.
type Options struct {
	Database      string       // "sqlite:PATH"
	Engine        Engine       // instead of Database: one that replicas share
	PersonalKeys  PersonalKeys // lock personal fields; none: those are not kept
	Limiters      []Limiter    // to be shared by those replicas
	Stripe        Stripe       // what headquarters needs of Stripe; nil: only stores can be kept
	TestStripe    Stripe       // the test mode beside a live Stripe; nil: none
	Authority     Authority    // signs certificates of hubs' public names; nil: they have none
	WebhookSecret []string     // any may verify; none: webhooks are refused
	PublicURL     string       // where Stripe reaches the webhook; "": not known
	Origins       []string     // web origins whose pages may come to the tills' doors
	Log           *slog.Logger // nil: slog.Default()
	Version       string
	Now           func() time.Time        // stored times and deadlines; nil: time.Now
	Poll          time.Duration           // between two looks at Stripe's readers and events; 0: the default
	ReadBudget    int64                   // reads at Stripe an account has in 30 days at least; 0: Stripe's own floor
	RefundGap     time.Duration           // between the two listings that prove that there was no refund; 0: the default
	Workers       int                     // operations acted on at the same time; 0: the default
	SharedStores  int                     // so many stores with one fault are one finding; 0: the default
	Lease         time.Duration           // a replica that fell silent for so long is taken over from; 0: the default
	Fault         func(step string) error // tests fail one named durable step; nil: none
}

const (
	defaultPoll         = 20 * time.Second // Stripe calls a reader offline after 2 min
	defaultRefundGap    = 5 * time.Minute  // money.md 2.1: a refund may appear in listings late
	defaultSharedStores = 3
	defaultWorkers      = 8 // well inside Stripe's 25 requests/s per endpoint
)

// Server is headquarters' end.
type Server struct {
	db        *database
	signer    ed25519.PrivateKey // signs heads of the submit chain
	stripes   map[doors.Mode]Stripe
	secrets   []string
	publicURL string
	log       *slog.Logger
	newer     sync.Map // ids of stores whose reports had unknown fields, logged once
	version   string
	now       func() time.Time
	poll      time.Duration
	refundGap time.Duration
	workers   int
	lease     time.Duration
	keepLines int64 // of feed and chain
	// sharedStores: so many stores with one fault are one finding.
	sharedStores int
	listening    atomic.Bool // other replicas' changes are told by the database
	metrics      *metrics
	handler      http.Handler
	feeds        waiters
	readers      readerCache
	evidences    evidences
	webhooks     webhooks
	reads        readMeter
	polled       map[string]time.Time // each account's events, by this replica; runEvents' own
	tills        *tillDoors
	whose        gather[record] // stores by their credential's hash
	nudge        chan struct{}  // something is due sooner than the scheduler thinks
	silences     silences       // of Stripe
	running      atomic.Bool
	authority    Authority
	// certificatesDue: a hub asked for one.
	certificatesDue chan struct{}

	closing   chan struct{} // closed by Close: long polls end
	closeOnce sync.Once
	endOnce   sync.Once
	onClose   []func() error
	mu        sync.Mutex // guards onClose
}

// NewServer opens the database and brings its schema up to date.
func NewServer(o Options) (*Server, error) {
	s := &Server{
		stripes:         map[doors.Mode]Stripe{},
		secrets:         o.WebhookSecret,
		publicURL:       o.PublicURL,
		log:             o.Log,
		version:         o.Version,
		now:             o.Now,
		poll:            o.Poll,
		refundGap:       o.RefundGap,
		workers:         o.Workers,
		lease:           o.Lease,
		keepLines:       keepLines,
		sharedStores:    cmp.Or(max(o.SharedStores, 0), defaultSharedStores),
		nudge:           make(chan struct{}, 1),
		closing:         make(chan struct{}),
		authority:       o.Authority,
		certificatesDue: make(chan struct{}, 1),
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.poll <= 0 {
		s.poll = defaultPoll
	}
	if s.reads.floor = o.ReadBudget; s.reads.floor <= 0 {
		s.reads.floor = readsFloor
	}
	if s.refundGap <= 0 {
		s.refundGap = defaultRefundGap
	}
	if s.workers <= 0 {
		s.workers = defaultWorkers
	}
	if s.lease <= 0 {
		s.lease = defaultLease
	}
	for _, st := range []Stripe{o.Stripe, o.TestStripe} {
		if st == nil {
			continue
		}
		if _, taken := s.stripes[st.Mode()]; taken {
			return nil, errors.New("start headquarters: both Stripe keys are of mode " + string(st.Mode()))
		}
		s.stripes[st.Mode()] = st
		s.countReads(st)
	}
	fault := o.Fault
	if fault == nil {
		fault = func(string) error { return nil }
	}
	db, err := openDatabase(o.Database, o.Engine, s.now, fault)
	if err != nil {
		return nil, err
	}
	db.notify = s.feeds.wake
	if o.Engine != nil {
		db.notify = func(store string) {
			s.feeds.wake(store)
			o.Engine.Tell(store)
		}
		for _, l := range o.Limiters {
			l.Share(db.reserve)
		}
	}
	db.personal = o.PersonalKeys
	s.db = db
	s.whose.read = s.storesByCredential
	if err := s.loadKey(context.Background()); err != nil {
		return nil, errors.Join(fmt.Errorf("open database: %w", err), db.close())
	}
	s.metrics = newMetrics(s)
	s.tills = &tillDoors{s: s, origins: o.Origins}
	s.handler = s.routes()
	return s, nil
}

// Handler serves hubs, Stripe's webhooks, /healthz, /readyz and /metrics.
func (s *Server) Handler() http.Handler { return s.handler }

// Run works the ledger, polls readers and events, until ctx ends. Everything
// that a former run left unfinished is taken up again.
func (s *Server) Run(ctx context.Context) error {
	if len(s.stripes) == 0 {
		return errors.New("run headquarters: no Stripe key")
	}
	s.running.Store(true)
	defer s.running.Store(false)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.runLedger(ctx) })
	g.Go(func() error { return s.runReaders(ctx) })
	g.Go(func() error { return s.runEvents(ctx) })
	g.Go(func() error { return s.runWakes(ctx) })
	g.Go(func() error { return s.runReconcile(ctx) })
	g.Go(func() error { return s.runWatch(ctx) })
	g.Go(func() error { return s.runUpkeep(ctx) })
	g.Go(func() error { return s.runShared(ctx) })
	g.Go(func() error { return s.runReads(ctx) })
	g.Go(func() error { return s.runCertificates(ctx) })
	err := g.Wait()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// EndPolls answers every long poll that is waiting, so that an HTTP server in
// front can stop without cutting them off.
func (s *Server) EndPolls() { s.endOnce.Do(func() { close(s.closing) }) }

// Close ends long polls and closes the database.
func (s *Server) Close() error {
	s.EndPolls()
	var err error
	s.closeOnce.Do(func() {
		s.mu.Lock()
		fs := s.onClose
		s.mu.Unlock()
		for _, f := range fs {
			err = errors.Join(err, f())
		}
		err = errors.Join(err, s.db.close())
	})
	return err
}

// stripe is the Stripe of that mode, or a refusal.
func (s *Server) stripe(m doors.Mode) (Stripe, error) {
	if st, ok := s.stripes[m]; ok {
		return st, nil
	}
	return nil, doors.ErrModeMismatch.With("headquarters has no Stripe key of mode %q", m)
}

// hurry makes the scheduler look at once.
func (s *Server) hurry() {
	select {
	case s.nudge <- struct{}{}:
	default:
	}
}
