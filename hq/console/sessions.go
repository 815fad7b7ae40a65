package console

import (
	"context"
	"time"

	"storehub/hq"
	"storehub/internal/web"
)

// storeWithin bounds what a session asks of the database.
const storeWithin = 5 * time.Second

// sessions keeps browsers' sessions in headquarters' database: they hold on every replica
// and after a restart, and end everywhere at once.
type sessions struct{ c *Console }

// Save begins a session, or lets one last longer that was not ended meanwhile.
func (s sessions) Save(hash string, in web.Session, ends time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), storeWithin)
	defer cancel()
	kept := hq.ConsoleSession{Operator: hq.Operator{Who: in.Who, Role: in.Role}, Began: in.Began, Seen: in.Seen, Ends: ends}
	if in.Seen.Equal(in.Began) {
		return s.c.s.BeginSession(ctx, hash, kept)
	}
	if in.Role == hq.RoleViewer {
		kept.Ends = in.Began.Add(viewerLife) // whoever looks at a wall does nothing
	}
	return s.c.s.KeepSession(ctx, hash, kept)
}

// Load is a session; while the database does not answer nobody is in.
func (s sessions) Load(hash string) (web.Session, time.Time, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), storeWithin)
	defer cancel()
	kept, ok, err := s.c.s.Session(ctx, hash)
	if err != nil {
		s.c.log.Error("look up session of the console", "err", err)
	}
	return web.Session{Who: kept.Who, Role: kept.Role, Began: kept.Began, Seen: kept.Seen}, kept.Ends, ok && err == nil
}

// Delete ends a session.
func (s sessions) Delete(hash string) error {
	ctx, cancel := context.WithTimeout(context.Background(), storeWithin)
	defer cancel()
	return s.c.s.EndSession(ctx, hash)
}
