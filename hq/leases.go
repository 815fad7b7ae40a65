package hq

import (
	"context"
	"errors"
	"time"
)

// defaultLease is how long a replica that fell silent keeps what it was doing:
// above the longest call to Stripe, with time to write down what came of it.
const defaultLease = stripeTimeout + 10*time.Second

// errLeaseLost ends a look at an operation that another replica took over.
var errLeaseLost = errors.New("another replica took this over")

// clock is the database's own clock in SQL.
func (d *database) clock() string {
	if d.engine == nil {
		return `CAST(unixepoch('subsec') * 1000 AS INTEGER)`
	}
	return d.engine.Clock()
}

// take gets or renews the lease, and says whether it is ours. One process on
// SQLite is alone: everything is its own. A crash of the database may take the lease
// back, to nobody or to another's earlier time: whoever relies on it holds it anew in
// the transaction that does (see hold).
func (d *database) take(ctx context.Context, name string, life time.Duration) (ours bool, err error) {
	if d.engine == nil {
		return true, nil
	}
	r, err := d.w.ExecContext(ctx, `INSERT INTO leases (name, holder, expires_at) SELECT ?1, ?2, `+d.clock()+` + ?3 WHERE `+d.engine.Loosely()+`
		ON CONFLICT (name) DO UPDATE SET holder = ?2, expires_at = `+d.clock()+` + ?3
		WHERE leases.holder = ?2 OR leases.expires_at <= `+d.clock(), name, d.holder, life.Milliseconds())
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n == 1, err
}

// drop lets the next one have the lease at once. What a dead replica cannot drop
// expires.
func (d *database) drop(ctx context.Context, name string) error {
	if d.engine == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, err := d.w.ExecContext(ctx, `DELETE FROM leases WHERE name = ? AND holder = ?`, name, d.holder)
	return err
}

// hold renews a lease in the transaction that relies on it.
func (t *tx) hold(name string, life time.Duration) error {
	if t.d.engine == nil {
		return nil
	}
	r, err := t.Exec(`UPDATE leases SET expires_at = `+t.d.clock()+` + ?3 WHERE name = ?1 AND holder = ?2 AND expires_at > `+t.d.clock(),
		name, t.d.holder, life.Milliseconds())
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return errLeaseLost
}

func (t *tx) drop(name string) error {
	if t.d.engine == nil {
		return nil
	}
	_, err := t.Exec(`DELETE FROM leases WHERE name = ? AND holder = ?`, name, t.d.holder)
	return err
}

// lineLease guards one line: its operations are looked at one after the other.
func (o operation) lineLease() string { return "line/" + o.store + "/" + o.line }

// claim makes the operation this replica's for the time of a look, as it is by
// then. It says no when another replica has its line, or somebody was there just before.
func (s *Server) claim(ctx context.Context, o operation) (operation, bool, error) {
	ours, err := s.db.take(ctx, o.lineLease(), s.lease)
	if err != nil || !ours {
		return o, false, err
	}
	now, err := scanOperation(s.db.r.QueryRowContext(ctx, `SELECT `+operationColumns+` FROM operations WHERE seq = ?`, o.seq))
	if err == nil && now.line == o.line && !now.State.Final() && !now.nextLook.After(s.now()) {
		return now, true, nil
	}
	return o, false, errors.Join(err, s.db.drop(ctx, o.lineLease()))
}

// onDuty reports whether scheduled work of that name is this replica's to do now.
// Who does it may be another one each time; nobody leads.
func (s *Server) onDuty(ctx context.Context, name string) bool {
	ours, err := s.db.take(ctx, "duty/"+name, 2*s.poll+stripeTimeout)
	if err != nil && ctx.Err() == nil {
		s.log.Error("take up scheduled work", "work", name, "err", err)
	}
	return err == nil && ours
}

// Reserve takes n rights to ask Stripe for what the bucket names, of which one
// grows each gap and burst are kept. It says how long until the last of them may be
// used, or that this would be longer than longest, and then takes nothing.
type Reserve func(ctx context.Context, bucket string, n int, gap time.Duration, burst int, longest time.Duration) (wait time.Duration, ok bool, err error)

// Limiter can count its rights together with other replicas.
type Limiter interface{ Share(Reserve) }

// reserve is a [Reserve] for all replicas.
func (d *database) reserve(ctx context.Context, bucket string, n int, gap time.Duration, burst int, longest time.Duration) (time.Duration, bool, error) {
	saved, taken := time.Duration(burst)*gap, time.Duration(n)*gap
	var ahead int64
	err := d.w.QueryRowContext(ctx, `INSERT INTO buckets (name, full_at) SELECT ?1, `+d.clock()+` + ?2 WHERE `+d.engine.Loosely()+`
		ON CONFLICT (name) DO UPDATE SET full_at = ?2 + CASE WHEN buckets.full_at > `+d.clock()+` THEN buckets.full_at ELSE `+d.clock()+` END
		WHERE buckets.full_at - `+d.clock()+` <= ?3 RETURNING full_at - `+d.clock(),
		bucket, taken.Milliseconds(), (longest + saved - taken).Milliseconds()).Scan(&ahead)
	if isNoRows(err) {
		return 0, false, nil
	}
	return max(0, time.Duration(ahead)*time.Millisecond-saved), err == nil, err
}
