// Package hub is the daemon of one store: what runs beside what, and in which
// order it stops. Each road has its file: tokens.go straight to headquarters and
// back, captures.go through the queue, monitor.go from facts to a diagnosis,
// fleet.go from sightings to readers.
package hub

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"storehub/doors"
	"storehub/hq"
	"storehub/internal/localdns"
	"storehub/internal/mdns"
	"storehub/netcheck"
	"storehub/offlinequeue"
)

// Parts are what a hub is made of beside its configuration. The zero value is
// the real ones; a test sets what it plays itself.
type Parts struct {
	HQ        HQ                                                        // nil: [*hq.Client] by the configuration
	Rehearsal HQ                                                        // where a live store's stand-in asks; nil: as HQ, if that is a [*hq.Client]
	Check     func(context.Context, netcheck.Targets) netcheck.Report   // nil: [netcheck.Run]
	Announce  func(context.Context, mdns.Service) error                 // nil: [mdns.Announce]
	Browse    func(context.Context, time.Duration) ([]mdns.Peer, error) // nil: [mdns.Browse]
	Resolvers func() ([]netip.AddrPort, error)                          // nil: [netcheck.Resolvers]
	// Dial opens connections to readers; nil: [net.Dialer.DialContext].
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Networks are those of this machine's cards, each with its own address; nil: they are asked.
	Networks func() []netip.Prefix
	Log      *slog.Logger // nil: [slog.Default]
	Version  string
	Machine  string // fingerprint of the machine, as it was enrolled; "": not told
	// KeyWarnings is what is not well with an embedded headquarters' key; the
	// checklist says it.
	KeyWarnings []string
	Now         func() time.Time // for times that are stored; nil: [time.Now]
	Fault       func(step string) error
	// Bundle makes the bundle that the console hands out; net is the hub's last look
	// at the network, nil if there was none. nil: the console has no bundle.
	Bundle func(ctx context.Context, net *netcheck.Report) ([]byte, error)
	// Components has the console show its components on a page, for who works on them.
	Components bool
}

// Hub is one store's daemon.
type Hub struct {
	cfg        Config
	parts      Parts
	log        *slog.Logger
	now        func() time.Time
	tills      *Tills
	lanes      *lanes
	limits     limits
	tokenAt    atomic.Int64 // when a till last had a token; 0: never
	queue      *offlinequeue.Queue
	personal   *personal
	link       *link
	hq         HQ // watched
	events     *ring
	fleet      *fleet
	monitor    *monitor
	name       nameKnown
	starts     starts
	clock      clockWatch
	readOnly   atomic.Bool // the disk of the state directory takes no writes
	habits     habits
	answers    atomic.Pointer[localdns.Server] // nil: dns.listen is not set, or could not be opened yet
	metrics    *metrics
	marks      *marks
	console    *console
	tokenTest  tokenTester
	told       hqWord
	checklists *checklistPast
	door       http.Handler // everything on the main address; nil until it listens
	stage      rehearsals
	uplink     *uplink
	pairings   *pairings
	owners     owners
	refunds    refunds
	store      atomic.Pointer[hq.Store] // headquarters' record; nil: never told
	policy     atomic.Pointer[policyFile]
	decided    chan struct{}          // a policy of headquarters was taken or refused
	heartbeat  atomic.Int64           // UnixNano of the last one that went the whole way
	full       atomic.Int64           // UnixNano of the last refusal for want of room
	second     atomic.Pointer[string] // another hub of this store on the LAN
	settled    chan struct{}          // a person has settled something
	stopping   atomic.Bool
	closeOnce  sync.Once
	public     *publicName
	vantages   *vantages
}

// Addr is where a hub that runs can be reached. URLs have no trailing slash.
type Addr struct {
	URL     string // API and console
	Metrics string // whole, with /metrics
	DNS     string // host:port where it answers for its name; "": it does not, or not yet
	CAFile  string // trust this to reach URL; "" for plain HTTP or a certificate of the shop's own
}

// New opens the state directory. Nothing runs before [Hub.Run]; a hub that is
// never run must be closed.
func New(cfg Config, p Parts) (*Hub, error) {
	if err := cfg.Complete(); err != nil {
		return nil, err
	}
	if p.Log == nil {
		p.Log = slog.Default()
	}
	if p.Check == nil {
		p.Check = netcheck.Run
	}
	if p.Announce == nil {
		p.Announce = mdns.Announce
	}
	if p.Browse == nil {
		p.Browse = mdns.Browse
	}
	if p.Resolvers == nil {
		p.Resolvers = netcheck.Resolvers
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.HQ == nil {
		if cfg.HQ.Embedded {
			return nil, errors.New("hq.embedded: headquarters must be handed over by whoever starts it")
		}
		client, err := newClient(cfg, p.Version, p.Machine)
		if err != nil {
			return nil, err
		}
		p.HQ = client
	}
	h := &Hub{cfg: cfg, parts: p, log: p.Log, now: p.Now, settled: make(chan struct{}, 1), decided: make(chan struct{}, 1)}
	if err := h.open(); err != nil {
		return nil, err
	}
	return h, nil
}

func queueDir(stateDir string) string { return filepath.Join(stateDir, "queue") }

func (h *Hub) open() error {
	if err := os.MkdirAll(h.cfg.StateDir, 0o700); err != nil {
		return fmt.Errorf("open state directory: %w", err)
	}
	if err := reclaim(h.cfg.StateDir); err != nil {
		return err
	}
	tills, err := OpenTills(h.cfg.StateDir)
	if err != nil {
		return err
	}
	h.tills = tills
	if h.lanes, err = openLanes(h.cfg.StateDir); err != nil {
		return err
	}
	if h.checklists, err = openChecklistPast(h.cfg.StateDir); err != nil {
		return err
	}
	if h.marks, err = openMarks(h.cfg.StateDir); err != nil {
		return err
	}
	h.store.Store(rememberedStore(h.cfg.StateDir, h.cfg.Store))
	policy, err := rememberedPolicy(h.cfg.StateDir)
	if err != nil {
		h.log.Error("the policy of headquarters is not known until it tells it again", "err", err)
	}
	h.policy.Store(&policy)
	h.events = newRing()
	h.metrics = newMetrics(h)
	h.fleet = newFleet(h)
	h.monitor = newMonitor(h, h.parts.Check)
	if h.console, err = newConsole(h); err != nil {
		return err
	}
	h.public = newPublicName(h)
	h.pairings = newPairings()
	h.vantages = newVantages()
	h.link = &link{changed: h.linkChanged}
	h.uplink = newUplink(h.parts.HQ)
	h.hq = &watched{hq: h.uplink, link: h.link, slow: h.monitor.look}

	keys, err := queueKeys(h.cfg)
	if err != nil {
		return fmt.Errorf("open queue: %w", err)
	}
	h.queue, err = offlinequeue.Open(queueDir(h.cfg.StateDir), offlinequeue.Options{
		MaxBytes:       h.cfg.Queue.MaxBytes,
		RetentionBytes: h.cfg.Queue.RetentionBytes,
		Mirror:         h.cfg.Queue.Mirror,
		Owner:          h.cfg.Store,
		Keys:           keys,
		Log:            h.log,
		OnChange:       h.operationChanged,
		OnSync:         h.metrics.sync,
		Now:            h.now,
		Fault:          h.parts.Fault,
	})
	if err != nil {
		return err
	}
	if h.personal, err = openPersonal(h.cfg, h.parts.Fault); err != nil {
		return errors.Join(err, h.queue.Close())
	}
	// Only the owner of the queue counts events, so that a second hub on the
	// directory is refused before it writes anything.
	base, err := nextBase(h.cfg.StateDir, h.now())
	if err != nil {
		return errors.Join(err, h.queue.Close(), h.personal.close())
	}
	h.events.begin(base)
	return nil
}

// linkChanged is called when headquarters falls silent, or is heard again.
func (h *Hub) linkChanged(up bool) {
	if up {
		h.log.Info("headquarters answers")
		h.queue.Nudge()
		h.fleet.look()
		h.tills.tell() // it may have come back from a backup
		signal(h.public.news)
	} else {
		h.log.Warn("headquarters does not answer", "err", h.link.state().Err)
	}
	h.monitor.look()
	h.monitor.judge()
	h.console.news.Tell() // its silence alone is a no; the diagnosis may come later
}

// readyAtMost is how long the first look at the readers may hold up readiness: a
// hub whose headquarters is silent takes captures all the same.
const readyAtMost = 3 * time.Second

// Run serves until ctx ends, then stops within five seconds: tills that wait get
// an answer, streams end, the queue is closed last. ready is called once, when
// the hub serves and has looked at the readers.
func (h *Hub) Run(ctx context.Context, ready func(Addr)) error {
	defer h.Close()
	if !h.beginRun(ctx) {
		return errors.Join(h.starts.stopped(), h.Close())
	}
	srv, err := h.listen()
	if err != nil {
		return err
	}
	// Work goes on after ctx has ended, until nobody waits for it.
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	tasks, work := errgroup.WithContext(work)
	srv.serve(tasks)
	tasks.Go(func() error { return h.queue.Run(work, sender{h.hq, h.now, h.personal}) })
	tasks.Go(func() error { return h.feed(work) })
	tasks.Go(func() error { return h.fleet.run(work) })
	tasks.Go(func() error { return h.monitor.run(work) })
	tasks.Go(func() error { return h.beat(work) })
	tasks.Go(func() error { return h.tellTills(work) })
	tasks.Go(func() error { return h.tellResolved(work) })
	tasks.Go(func() error { return h.console.tell(work) })
	tasks.Go(func() error { return h.reporter().run(work) })
	tasks.Go(func() error { return srv.keepCertificate(work) })
	if srv.cert != nil {
		tasks.Go(func() error { h.public.keep(work); return nil })
	}
	tasks.Go(func() error { return srv.serveName(work) })
	tasks.Go(func() error { return h.save(work) })
	tasks.Go(func() error { return h.erasePersonal(work) })
	announced, stopAnnounce := context.WithCancel(work)
	defer stopAnnounce()
	if h.cfg.MDNS {
		tasks.Go(func() error { return h.announce(announced, srv.port()) })
		tasks.Go(func() error { return h.lookForSecond(work) })
	}
	tasks.Go(func() error {
		wait, cancel := context.WithTimeout(work, readyAtMost)
		defer cancel()
		select {
		case <-h.fleet.first:
		case <-wait.Done():
		}
		if ready != nil && work.Err() == nil && ctx.Err() == nil {
			h.monitor.refresh()
			ready(srv.addr())
		}
		return nil
	})

	select {
	case <-ctx.Done():
	case <-work.Done(): // a task failed; its error is Wait's
	}
	h.log.Info("stopping")
	h.stopping.Store(true)
	stopAnnounce()
	h.events.close()
	srv.shutdown()
	stopWork()
	err = tasks.Wait()
	if err == nil {
		if err := h.starts.stopped(); err != nil {
			h.log.Warn("record the stop", "err", err)
		}
	}
	return errors.Join(err, h.Close())
}

// Close releases the state directory. [Hub.Run] does it by itself.
func (h *Hub) Close() (err error) {
	h.closeOnce.Do(func() {
		h.events.close()
		err = errors.Join(h.queue.Close(), h.personal.close(), h.tills.flush(), h.marks.flush())
	})
	return err
}

// saveEvery: each time two files are replaced and flushed, which on ext4 is 128 KiB of a
// flash disk's life. A power cut forgets at most so much of what is good to know.
const saveEvery = 10 * time.Minute

// save keeps what is good to know and not worth a flush to disk for each
// request: when tills were last used, when things last went well.
func (h *Hub) save(ctx context.Context) error {
	for ctx.Err() == nil {
		pause(ctx, saveEvery)
		if err := errors.Join(h.tills.flush(), h.marks.flush()); err != nil {
			h.log.Warn("save", "err", err)
		}
	}
	return nil
}

// heartbeatEvery: a stall shows within minutes without a sale. It costs headquarters
// 170 records a second with ten thousand stores, and both sides keep each briefly.
const heartbeatEvery = time.Minute

// beat sends an operation the whole way: disk, headquarters, outcome, back. One
// is under way at most, an earlier process's counted, so that an outage does not
// pile them up.
func (h *Hub) beat(ctx context.Context) error {
	id := h.underWay()
	for ctx.Err() == nil {
		s := h.store.Load()
		if s == nil {
			pause(ctx, time.Second) // the store's mode is not known yet
			continue
		}
		if op, err := h.queue.Get(id); err != nil || op.State.Final() {
			op := h.newHeartbeat(s.Mode, "heartbeat:"+h.now().UTC().Format(time.RFC3339Nano))
			if _, err := h.queue.Put(ctx, toQueue(op, h.now())); err != nil {
				h.log.Debug("store heartbeat", "err", err)
			} else {
				id = op.ID
			}
		}
		pause(ctx, heartbeatEvery)
	}
	return nil
}

// newHeartbeat moves no money. The key is one of the hub's own.
func (h *Hub) newHeartbeat(mode doors.Mode, key string) doors.Operation {
	return doors.Operation{ID: doors.OperationID(h.cfg.Store, mode, hubTill, key),
		Kind: doors.Heartbeat, Ref: h.cfg.Store, Till: hubTill, Mode: mode}
}

// tellTills keeps headquarters' record of the store's tills true, so that a till
// can go there when this hub is dead, and a revoked one cannot.
func (h *Hub) tellTills(ctx context.Context) error {
	for ctx.Err() == nil {
		s := h.store.Load()
		if s == nil {
			pause(ctx, time.Second) // the store's mode is not known yet
			continue
		}
		telling, cancel := context.WithTimeout(ctx, submitTimeout)
		err := h.hq.Tills(telling, h.tills.book(s.Mode))
		cancel()
		if err != nil {
			h.log.Debug("tell headquarters of the tills", "err", err)
			pause(ctx, feedPause)
			continue
		}
		select {
		case <-h.tills.news:
		case <-ctx.Done():
		}
	}
	return nil
}

// underWay is a heartbeat that an earlier process sent off; "" if there is none.
func (h *Hub) underWay() string {
	for op, err := range h.queue.All(offlinequeue.Pending, offlinequeue.Accepted) {
		if err == nil && op.Till == hubTill {
			return op.ID
		}
	}
	return ""
}

func newClient(cfg Config, version, machine string) (*hq.Client, error) {
	transport, err := hqTransport(cfg.HQ.CAFile)
	if err != nil {
		return nil, err
	}
	file := &credentialFile{path: cfg.CredentialFile()}
	if _, err := readSecret(file.path); err != nil {
		return nil, fmt.Errorf("read hq.credential_file: %w", err)
	}
	return &hq.Client{
		URL: cfg.HQ.URL, HTTP: transport, Version: version, Machine: machine, Run: rand.Text(),
		Credential: func() string { secret, _ := file.identity(); return secret },
		Key:        func() ed25519.PrivateKey { _, key := file.identity(); return key },
	}, nil
}
