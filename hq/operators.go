package hq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Operator is a person who may see all of headquarters in the console. There is nothing in
// between: no store's credential leads there, and nobody there sees only some stores.
type Operator struct {
	Who  string `json:"who"`  // for the audit log
	Role string `json:"role"` // RoleOperator, RoleViewer
}

// What an operator may do.
const (
	RoleOperator = "operator" // decide, enrol, and look
	RoleViewer   = "viewer"   // look: for a screen on a wall
)

// linkLife is how long a one-time link into the console works.
const linkLife = 10 * time.Minute

const (
	actConsoleLink  = "console.link"   // a one-time link was made
	actConsoleEnter = "console.enter"  // somebody came in by one
	actConsoleEnd   = "console.revoke" // a person's sessions and links were ended
)

// ErrLink is that the link was used, is too old, or was never made.
var ErrLink = errors.New("this link has been used, is too old, or was never made")

// InviteOperator makes the code of a link that lets a person in once. It works beside a
// running headquarters: whoever may read the database may look at all of it anyway.
func (s *Server) InviteOperator(ctx context.Context, o Operator) (code string, expires time.Time, err error) {
	o.Who = line(strings.TrimSpace(o.Who))
	switch {
	case o.Who == "" || len(o.Who) > maxText:
		err = fmt.Errorf("who %q: want a person's name, of at most %d bytes", o.Who, maxText)
	case o.Role != RoleOperator && o.Role != RoleViewer:
		err = fmt.Errorf("role %q: want %s or %s", o.Role, RoleOperator, RoleViewer)
	}
	if err != nil {
		return "", time.Time{}, fmt.Errorf("make link: %w", err)
	}
	code = randomHex(20)
	err = s.db.tx(ctx, func(t *tx) error {
		expires = t.now.Add(linkLife).UTC().Truncate(time.Second)
		if _, err := t.Exec(`DELETE FROM console_links WHERE expires_at <= ?`, ms(t.now)); err != nil {
			return err
		}
		if _, err := t.Exec(`INSERT INTO console_links (hash, who, role, expires_at) VALUES (?, ?, ?, ?)`, hashSecret(code), o.Who, o.Role, ms(expires)); err != nil {
			return err
		}
		return t.act(actor(ctx), actConsoleLink, "", "for "+o.Who+", as "+o.Role)
	})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("make link: %w", err)
	}
	return code, expires, nil
}

// AdmitOperator uses a link's code up and says whom it lets in; [ErrLink]: nobody.
func (s *Server) AdmitOperator(ctx context.Context, code string) (o Operator, err error) {
	if len(code) > 128 {
		return o, ErrLink
	}
	// Whoever guesses costs a read, and holds up no writer.
	var made bool
	if err := s.db.r.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM console_links WHERE hash = ?)`, hashSecret(code)).Scan(&made); err != nil {
		return o, fmt.Errorf("use link: %w", err)
	}
	if !made {
		return o, ErrLink
	}
	err = s.db.tx(ctx, func(t *tx) error {
		var expires int64
		err := t.QueryRow(`DELETE FROM console_links WHERE hash = ? RETURNING who, role, expires_at`, hashSecret(code)).Scan(&o.Who, &o.Role, &expires)
		if isNoRows(err) || err == nil && ms(t.now) >= expires {
			return ErrLink
		}
		if err != nil {
			return err
		}
		return t.act(o.Who, actConsoleEnter, "", "as "+o.Role)
	})
	if err != nil && !errors.Is(err, ErrLink) {
		err = fmt.Errorf("use link: %w", err)
	}
	return o, err
}

// ConsoleSession is an operator's browser.
type ConsoleSession struct {
	Operator
	Began time.Time `json:"began"`
	Seen  time.Time `json:"seen"` // to the minute
	Ends  time.Time `json:"ends"` // unless it is used until then
}

// BeginSession keeps a new session under the hash of its cookie.
func (s *Server) BeginSession(ctx context.Context, hash string, c ConsoleSession) error {
	err := s.db.tx(ctx, func(t *tx) error {
		if _, err := t.Exec(`DELETE FROM console_sessions WHERE ends_at <= ?`, ms(t.now)); err != nil {
			return err
		}
		_, err := t.Exec(`INSERT INTO console_sessions (hash, who, role, began_at, seen_at, ends_at) VALUES (?, ?, ?, ?, ?, ?)`,
			hash, c.Who, c.Role, ms(c.Began), ms(c.Seen), ms(c.Ends))
		return err
	})
	if err != nil {
		return fmt.Errorf("begin session: %w", err)
	}
	return nil
}

// KeepSession lets a session that is used last longer. One that was ended meanwhile, here
// or by another replica, stays ended.
func (s *Server) KeepSession(ctx context.Context, hash string, c ConsoleSession) error {
	if _, err := s.db.w.ExecContext(ctx, `UPDATE console_sessions SET seen_at = ?, ends_at = ? WHERE hash = ?`, ms(c.Seen), ms(c.Ends), hash); err != nil {
		return fmt.Errorf("keep session: %w", err)
	}
	return nil
}

// Session is the one with that hash. ok is false where there is none.
func (s *Server) Session(ctx context.Context, hash string) (c ConsoleSession, ok bool, err error) {
	c, err = scanSession(s.db.r.QueryRowContext(ctx, `SELECT who, role, began_at, seen_at, ends_at FROM console_sessions WHERE hash = ?`, hash))
	if isNoRows(err) {
		return c, false, nil
	}
	if err != nil {
		return c, false, fmt.Errorf("look up session: %w", err)
	}
	return c, true, nil
}

func scanSession(row interface{ Scan(...any) error }) (c ConsoleSession, err error) {
	var began, seen, ends int64
	err = row.Scan(&c.Who, &c.Role, &began, &seen, &ends)
	c.Began, c.Seen, c.Ends = fromMS(began), fromMS(seen), fromMS(ends)
	return c, err
}

// EndSession ends one browser's session.
func (s *Server) EndSession(ctx context.Context, hash string) error {
	if _, err := s.db.w.ExecContext(ctx, `DELETE FROM console_sessions WHERE hash = ?`, hash); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}

// Sessions lists who is in, by name.
func (s *Server) Sessions(ctx context.Context) ([]ConsoleSession, error) {
	rows, err := s.db.r.QueryContext(ctx, `SELECT who, role, began_at, seen_at, ends_at FROM console_sessions WHERE ends_at > ? ORDER BY who, began_at`, ms(s.now()))
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	defer rows.Close()
	list := []ConsoleSession{}
	for rows.Next() {
		c, err := scanSession(rows)
		if err != nil {
			return nil, fmt.Errorf("list sessions: %w", err)
		}
		list = append(list, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return list, nil
}

// RevokeOperator ends every session and every unused link of a person: the next request
// of their browsers is refused. sessions is how many were ended.
func (s *Server) RevokeOperator(ctx context.Context, who string) (sessions int64, err error) {
	err = s.db.tx(ctx, func(t *tx) error {
		r, err := t.Exec(`DELETE FROM console_sessions WHERE who = ?`, who)
		if err != nil {
			return err
		}
		if sessions, err = r.RowsAffected(); err != nil {
			return err
		}
		links, err := t.Exec(`DELETE FROM console_links WHERE who = ?`, who)
		if err != nil {
			return err
		}
		n, err := links.RowsAffected()
		if err != nil {
			return err
		}
		if sessions+n == 0 {
			return fmt.Errorf("%q has no session and no link that works", who)
		}
		return t.act(actor(ctx), actConsoleEnd, "", fmt.Sprintf("%s: %d sessions, %d links", who, sessions, n))
	})
	if err != nil {
		return 0, fmt.Errorf("revoke: %w", err)
	}
	return sessions, nil
}

// SavedView is a look at the fleet under a name, kept for everybody.
type SavedView struct {
	Name  string    `json:"name"`
	Query string    `json:"query"` // of the page's URL
	By    string    `json:"by"`
	At    time.Time `json:"at"`
}

// mostViews bounds how many there are.
const mostViews = 100

// SaveView keeps a view, in place of one of that name.
func (s *Server) SaveView(ctx context.Context, name, query string) error {
	name = line(strings.TrimSpace(name))
	if name == "" || len(name) > 60 || len(query) > 1000 {
		return errors.New("save view: want a name of 1 to 60 bytes")
	}
	err := s.db.tx(ctx, func(t *tx) error {
		var n int
		if err := t.QueryRow(`SELECT count(*) FROM console_views WHERE name <> ?`, name).Scan(&n); err != nil {
			return err
		}
		if n >= mostViews {
			return fmt.Errorf("there are %d already: delete one first", n)
		}
		_, err := t.Exec(`INSERT INTO console_views (name, query, by_whom, at) VALUES (?1, ?2, ?3, ?4)
			ON CONFLICT (name) DO UPDATE SET query = ?2, by_whom = ?3, at = ?4`, name, query, line(actor(ctx)), ms(t.now))
		return err
	})
	if err != nil {
		return fmt.Errorf("save view: %w", err)
	}
	return nil
}

// DeleteView drops the view of that name, if there is one.
func (s *Server) DeleteView(ctx context.Context, name string) error {
	if _, err := s.db.w.ExecContext(ctx, `DELETE FROM console_views WHERE name = ?`, name); err != nil {
		return fmt.Errorf("delete view: %w", err)
	}
	return nil
}

// Views lists the saved views by name.
func (s *Server) Views(ctx context.Context) ([]SavedView, error) {
	rows, err := s.db.r.QueryContext(ctx, `SELECT name, query, by_whom, at FROM console_views ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list views: %w", err)
	}
	defer rows.Close()
	list := []SavedView{}
	for rows.Next() {
		var v SavedView
		var at int64
		if err := rows.Scan(&v.Name, &v.Query, &v.By, &at); err != nil {
			return nil, fmt.Errorf("list views: %w", err)
		}
		v.At = fromMS(at)
		list = append(list, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list views: %w", err)
	}
	return list, nil
}
