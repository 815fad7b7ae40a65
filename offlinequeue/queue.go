package offlinequeue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Options tell Open what is not the default. The zero value is good.
type Options struct {
	MaxBytes int64 // operations held beyond this are refused; 0: 4 GiB
	// RetentionBytes is how much of MaxBytes what has ended may take: beyond it records
	// go before their time, but not on their first day, and money never. 0: by age alone.
	RetentionBytes int64
	Log            *slog.Logger            // nil: slog.Default()
	OnChange       func(Op)                // called after an operation's state is on disk; must not block, nor change the queue
	OnSync         func(time.Duration)     // called with how long each flush took; nil: none
	Now            func() time.Time        // where a time is stored; nil: time.Now
	Fault          func(step string) error // tests fail one named durable step; nil: none

	// Free is how many bytes may still be written below dir; nil: the file system's word.
	Free func(dir string) (uint64, error)

	// Mirror is a directory on another disk that gets all of the journal too; nothing
	// new is promised that is not on both. "": none. Owner says whose queue this is:
	// another's copy is not touched.
	Mirror string
	Owner  string

	// Keys encrypt all of it at rest, the second copy too. The first is used; what is
	// encrypted with another of them, or not at all, is encrypted with it when the queue
	// is opened. None: nothing is encrypted.
	Keys []Key

	locked      bool  // the caller holds the directory's lock
	disk        disk  // of the journal; nil: the directory
	mirror      disk  // instead of Mirror's; nil: none
	segmentSize int64 // 0: 16 MiB
	window      int   // 0: windowMost
	hintLeast   int   // 0: hintLeast
	hintGrowth  int64 // 0: no less than hints are written after otherwise
	whole       bool  // all that is held is read before Open returns
}

// Queue is the shop's memory of its promises. All methods may be called by
// several goroutines.
type Queue struct {
	dir       string
	log       *slog.Logger
	now       func() time.Time
	onChange  func(Op)
	onSync    func(time.Duration)
	fault     func(step string) error
	free      func(dir string) (uint64, error)
	maxBytes  int64
	retention int64

	lock     *os.File
	requests chan *request
	closing  chan struct{}         // closed by Close
	written  chan struct{}         // closed when the writer has ended
	upkept   chan struct{}         // closed when the upkeep has ended
	work     chan struct{}         // holds a token when there may be something to offer
	nudge    chan struct{}         // holds a token when a back-off should end
	running  sync.Mutex            // held by Run
	checked  atomic.Pointer[check] // nil: all was read when it was opened
	checks   sync.WaitGroup
	hinting  sync.Mutex // held while a hint is written

	// Of the writer alone, once Open has returned.
	journal *journal
	applier *applier
	broken  bool   // something failed: all is read again before anything else
	rotten  error  // why the store is to be made anew from the journal then
	loading bool   // a failure now ends the opening
	buf     []byte // for the next flush
	places  []overlaid
	own     map[string]owned // written by the group
	recent  *recent

	mu        sync.Mutex // guards following
	closed    bool
	store     *store
	overlay   *overlay
	st        state
	index     *index
	waiting   map[string]chan struct{} // closed when the operation has its end
	suspected map[string]bool          // set aside by Run; see park.go
	use       diskUsage
	mended    []string
	counted   time.Time // when this process counted a day
	end       journalEnd
	ahead     chan struct{} // closed when what is read of the backlog ahead of its turn is there; nil: nothing is being read
	hinted    int64         // so much of the journal was there when the last hint was written; -1: there is none

	seal        *seal // nil: nothing is encrypted
	disk        disk  // of the journal
	mirrorDir   string
	mirrorSaid  string // of the writer: why the second copy was away last time
	segmentSize int64
	window      int   // how many that wait are in memory
	hintLeast   int   // operations for which a hint is kept
	hintGrowth  int64 // after so much of the journal, at most
	whole       bool
	old         chan struct{} // holds a token when segments may be needless
	scrubbed    uint64        // of the upkeep: the journal was read up to here
	scrubbedLog string        // and the value log up to here
}

// Open opens or makes the queue in dir. A second hub is refused with ErrInUse,
// an older program with ErrTooNew. What is damaged of the journal or the store is made
// good from the other; Stats names what neither has: the shop can go on selling.
func Open(dir string, o Options) (*Queue, error) {
	q := prepared(dir, o)
	if err := q.open(o); err != nil {
		return nil, fmt.Errorf("open queue %s: %w", dir, err)
	}
	go q.write()
	go q.upkeep()
	return q, nil
}

// prepared is a queue that was not opened yet.
func prepared(dir string, o Options) *Queue {
	q := &Queue{
		dir: dir, log: o.Log, now: o.Now, onChange: o.OnChange, onSync: o.OnSync,
		fault: o.Fault, free: o.Free, maxBytes: o.MaxBytes, retention: o.RetentionBytes,
		requests:  make(chan *request),
		closing:   make(chan struct{}),
		written:   make(chan struct{}),
		upkept:    make(chan struct{}),
		work:      make(chan struct{}, 1),
		nudge:     make(chan struct{}, 1),
		waiting:   map[string]chan struct{}{},
		suspected: map[string]bool{},
		old:       make(chan struct{}, 1),
		own:       map[string]owned{},
		recent:    newRecent(),
		window:    o.window,
		hintLeast: o.hintLeast, hintGrowth: o.hintGrowth, whole: o.whole, hinted: -1,
		disk: o.disk, segmentSize: o.segmentSize, mirrorDir: o.Mirror,
	}
	if q.disk == nil {
		q.disk = osDisk(filepath.Join(dir, journalName))
	}
	switch {
	case o.mirror != nil:
		q.disk = newMirror(q.disk, o.mirror, func() error { return nil })
	case o.Mirror != "":
		q.disk = q.mirrorPlace(o.Mirror, o.Owner)
	}
	if q.window == 0 {
		q.window = windowMost
	}
	if q.hintLeast == 0 {
		q.hintLeast = hintLeast
	}
	if q.hintGrowth == 0 {
		q.hintGrowth = math.MaxInt64
	}
	if q.segmentSize == 0 {
		q.segmentSize = segmentSize
	}
	if q.log == nil {
		q.log = slog.Default()
	}
	if q.now == nil {
		q.now = time.Now
	}
	if q.fault == nil {
		q.fault = func(string) error { return nil }
	}
	if q.free == nil {
		q.free = freeSpace
	}
	if q.maxBytes == 0 {
		q.maxBytes = 4 << 30
	}
	return q
}

func (q *Queue) open(o Options) (err error) {
	if err := os.MkdirAll(filepath.Join(q.dir, journalName), 0o700); err != nil {
		return err
	}
	if !o.locked {
		if q.lock, err = lockFile(filepath.Join(q.dir, lockName)); err != nil {
			return err
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, q.release())
		}
	}()
	if _, err := readFormat(q.dir); err != nil { // before anything is touched
		return err
	}
	if err := q.roomToOpen(); err != nil {
		return err
	}
	if err := q.unlock(o); err != nil {
		return err
	}
	known, err := readFormat(q.dir)
	if err != nil {
		return err
	}
	if known == 1 {
		if err := q.migrate(); err != nil {
			return err
		}
	}
	if err := q.load(); err != nil {
		return err
	}
	if known != formatOf(q.seal != nil) {
		err := q.fault("migrate:format")
		if err == nil {
			err = writeFormat(q.dir, q.seal != nil)
		}
		if err == nil && known == 1 {
			err = q.migrated()
		}
		if err != nil {
			return errors.Join(err, q.shut(false))
		}
	}
	if err := q.journal.prepare(); err != nil {
		q.log.Warn("prepare journal", "dir", q.dir, "error", err)
	}
	return nil
}

// release lets another have the directory.
func (q *Queue) release() error {
	if q.lock == nil {
		return nil
	}
	return q.lock.Close()
}

// shut ends the applier, with everything in Badger if so wanted, and closes both.
func (q *Queue) shut(level bool) error {
	q.checking().end()
	err := q.applier.end(level)
	return errors.Join(err, q.storeNow().close(), q.journal.close())
}

// reopen reads journal and store again after a failure. What was not acknowledged
// may turn out to be there; what was is, or is named as damage.
func (q *Queue) reopen() error {
	q.log.Warn("queue reads its files again after a failure", "dir", q.dir)
	if err := q.shut(false); err != nil {
		q.log.Warn("close queue", "dir", q.dir, "error", err)
	}
	q.broken = true
	if err := q.roomToOpen(); err != nil {
		return err
	}
	return q.load()
}

// Close flushes and releases the directory. What waits in Put, Await, Run or
// Settle ends with ErrClosed. A second Close does nothing.
func (q *Queue) Close() error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil
	}
	q.closed = true
	close(q.closing)
	q.mu.Unlock()
	q.checking().end()
	<-q.written
	<-q.upkept
	q.keepHint(true)
	err := q.shut(true)
	q.checks.Wait()
	if err := errors.Join(err, q.release()); err != nil {
		return fmt.Errorf("close queue %s: %w", q.dir, err)
	}
	return nil
}

func (q *Queue) storeNow() *store {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.store
}

// Put returns when op is on disk. An operation with the same ID is returned as
// it stands; with another Hash it is ErrReused. Any other error means that
// nobody knows: to Put it again does no harm. Put sets Seq, State and Changed,
// and Created if it is zero; an outcome that came before its operation is
// joined with it.
func (q *Queue) Put(ctx context.Context, op Op) (Op, error) {
	if op.ID == "" || len(op.ID) > maxID {
		return Op{}, fmt.Errorf("put operation %q: the id has %d bytes", op.ID, len(op.ID))
	}
	op = normal(op)
	if err := storable(op); err != nil {
		return Op{}, fmt.Errorf("put operation %q: %w", op.ID, err)
	}
	r := record{Op: op}
	encoded := r.placed()
	if len(encoded) > maxRecord {
		return Op{}, fmt.Errorf("put operation %q: %d bytes are too many", op.ID, len(encoded))
	}
	var stands Op
	err := q.sure(ctx)
	if err != nil {
		return Op{}, fmt.Errorf("put operation %q: %w", op.ID, err)
	}
	err = q.do(ctx, "put", len(encoded)+512, func(c *change) error {
		r, err := c.load(op.ID)
		if err == nil {
			if r.Hash != op.Hash {
				return ErrReused
			}
			stands = c.st.show(r)
			if r.State != Pending {
				return nil // headquarters has it
			}
			return q.twice()
		}
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		if err := q.roomToPut(c, int64(len(encoded))); err != nil {
			return err
		}
		if err := q.twice(); err != nil {
			return err
		}
		r, err = c.add(op, encoded)
		stands = c.st.show(r)
		return err
	})
	if err != nil {
		return Op{}, fmt.Errorf("put operation %q: %w", op.ID, err)
	}
	return stands, nil
}

// maxID is far above any hash, and far below what a key of the store may have.
const maxID = 512

// storable refuses what could not be told again as it came.
func storable(op Op) error {
	if op.Data != nil && !wellFormed(op.Data) {
		return errors.New("its data is no JSON")
	}
	for _, t := range []time.Time{op.Created, op.Deadline} {
		if y := t.Year(); y < 0 || y > 9999 {
			return fmt.Errorf("the year %d cannot be told in JSON", y)
		}
	}
	return nil
}

// normal is op as Put takes it: what only the queue may set is unset.
func normal(op Op) Op {
	return Op{
		ID: op.ID, Hash: op.Hash, Kind: op.Kind, Ref: op.Ref,
		Amount: op.Amount, Currency: op.Currency, Data: op.Data,
		Till: op.Till, Mode: op.Mode, Money: op.Money,
		Created: op.Created.UTC(), Deadline: op.Deadline.UTC(),
	}
}

// add stores a new operation.
func (c *change) add(op Op, asked []byte) (*record, error) {
	r := &record{Op: op}
	if r.Created.IsZero() {
		r.Created = c.now
	}
	r.Changed, r.State = c.now, Pending
	c.st.Seq++
	c.st.Held++
	r.Seq = c.st.Seq
	r.asked = len(asked) - placeBytes
	b, err := []byte(nil), errAbsent
	if c.st.strays > 0 {
		b, _, err = c.get(keyStray(r.ID))
	}
	if err == nil {
		var known stray
		if err := unframe(b, &known); err != nil {
			return nil, trouble(fmt.Errorf("read outcome of %q: %w", r.ID, err))
		}
		r.settle(known.Outcome, c.now)
		r.Gen = c.st.gen()
		if err := c.remove(keyStray(r.ID)); err != nil {
			return nil, err
		}
		c.st.strays--
	} else if !errors.Is(err, errAbsent) {
		return nil, trouble(err)
	}
	c.replace(keyOp(r.ID), putPlace(asked, r.Seq), 0)
	c.tell(r)
	c.save(nil, r)
	return r, nil
}

// Cursor is what the next request for outcomes starts from.
func (q *Queue) Cursor() Cursor {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.st.Cursor
}

// Get returns an operation or ErrNotFound.
func (q *Queue) Get(id string) (Op, error) {
	rd, st := q.reader()
	r, err := rd.load(id)
	if doubtful(err) && q.remake(err) == nil {
		rd, st = q.reader()
		r, err = rd.load(id)
	}
	if err != nil {
		return Op{}, fmt.Errorf("get operation %q: %w", id, err)
	}
	return st.show(r), nil
}
