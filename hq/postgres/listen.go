package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// channel is where replicas of one database tell each other what changed.
const channel = "storehub"

// maxPayload is under NOTIFY's 8000 bytes.
const maxPayload = 7000

// voice collects what is to be told. A commit does not wait for it: NOTIFY
// inside of a transaction would make commits queue behind one lock of the
// server's. What a replica did not get to tell before it died, a long poll finds
// when it next looks.
type voice struct {
	self  string
	mu    sync.Mutex
	names map[string]bool
	some  chan struct{}
}

func newVoice() voice {
	return voice{self: rand.Text(), names: map[string]bool{}, some: make(chan struct{}, 1)}
}

// Tell lets the other replicas know that something of that name changed. It
// does not wait.
func (d *DB) Tell(name string) {
	d.voice.mu.Lock()
	d.voice.names[name] = true
	d.voice.mu.Unlock()
	select {
	case d.voice.some <- struct{}{}:
	default:
	}
}

// take empties the voice into payloads: a first line of our own, then names.
func (v *voice) take() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []string
	var b strings.Builder
	for n := range v.names {
		if b.Len() > 0 && b.Len()+len(n) > maxPayload {
			out = append(out, b.String())
			b.Reset()
		}
		if b.Len() == 0 {
			b.WriteString(v.self)
		}
		b.WriteString("\n" + n)
	}
	if b.Len() > 0 {
		out = append(out, b.String())
	}
	clear(v.names)
	return out
}

const (
	quiet  = 15 * time.Second // between two signs of life on the channel
	missed = 5 * time.Second  // after which one that was sent is not coming
)

// errDeaf: LISTEN was taken and yet nothing comes, as behind a pooler that hands
// each transaction to another connection.
var errDeaf = errors.New("what is notified does not arrive")

// Listen hears what other replicas tell and tells them what Tell collected, until
// ctx ends. listening is called with true once a notification has been seen to
// arrive, and with false when that no longer holds; names may have been missed
// before each true.
func (d *DB) Listen(ctx context.Context, heard func(name string), listening func(bool)) {
	for ctx.Err() == nil {
		err := d.converse(ctx, heard, listening)
		listening(false)
		if ctx.Err() != nil {
			return
		}
		wait := time.Second
		if refused(err) || errors.Is(err, errDeaf) {
			wait = time.Minute // an answer: it will not be another one soon
		}
		d.log.Warn("the database does not notify: looking for changes every second instead", "err", err, "again_in", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// converse uses one connection to hear and one to speak, until either fails.
func (d *DB) converse(ctx context.Context, heard func(string), listening func(bool)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ear, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer hangUp(ear)
	if _, err := ear.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	mouth, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer hangUp(mouth)

	spoken := make(chan error, 1)
	go func() {
		defer cancel()
		spoken <- d.speak(ctx, mouth)
	}()
	err = d.hear(ctx, ear, heard, listening)
	cancel()
	if told := <-spoken; told != nil && !errors.Is(told, context.Canceled) {
		err = told
	}
	return err
}

func (d *DB) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return pgx.ConnectConfig(ctx, d.config.Copy())
}

func hangUp(c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Close(ctx) // it is given up either way
}

// hear passes on what arrives. Our own words prove that the way is open.
func (d *DB) hear(ctx context.Context, ear *pgx.Conn, heard func(string), listening func(bool)) error {
	open := false
	for {
		patience := quiet + missed
		if !open {
			patience = missed
		}
		wait, cancel := context.WithTimeout(ctx, patience)
		n, err := ear.WaitForNotification(wait)
		late := wait.Err() != nil && ctx.Err() == nil
		cancel()
		if late {
			return errDeaf
		}
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		from, names, _ := strings.Cut(n.Payload, "\n")
		if from == d.voice.self {
			if !open {
				open = true
				listening(true)
			}
			continue
		}
		for name := range strings.SplitSeq(names, "\n") {
			if name != "" {
				heard(name)
			}
		}
	}
}

// speak sends what Tell collected, and a sign of life now and then.
func (d *DB) speak(ctx context.Context, mouth *pgx.Conn) error {
	alive := time.NewTicker(quiet)
	defer alive.Stop()
	payloads := []string{d.voice.self}
	for {
		for _, p := range append(payloads, d.voice.take()...) {
			if _, err := mouth.Exec(ctx, `SELECT pg_notify($1, $2)`, channel, p); err != nil {
				return fmt.Errorf("notify: %w", err)
			}
		}
		payloads = nil
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-alive.C:
			payloads = []string{d.voice.self}
		case <-d.voice.some:
		}
	}
}

// refused tells the server's "no" from its silence.
func refused(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && !strings.HasPrefix(e.Code, "57P") && !strings.HasPrefix(e.Code, "53")
}
