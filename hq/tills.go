package hq

import (
	"context"
	"errors"
	"net/http"
	"path"
	"regexp"
	"strings"
	"sync"

	"storehub/doors"
)

// maxTills bounds one store's tills; a hypermarket has a hundred lanes.
const maxTills = 2000

// TillRecord is a till as its hub tells of it. Hash is the hex SHA-256 of the
// credential, which the hub does not keep either.
type TillRecord struct {
	Name  string      `json:"name"`
	Scope doors.Scope `json:"scope"`
	Mode  doors.Mode  `json:"mode"`
	Hash  string      `json:"hash"`
}

// TillBook is all tills of a store.
type TillBook struct {
	Tills []TillRecord `json:"tills"`
}

var tillHash = regexp.MustCompile(`^[0-9a-f]{64}$`)

// keepTills takes over which tills the store has: those that are not named may
// not come in any more.
func (s *Server) keepTills(ctx context.Context, st record, book TillBook) error {
	if len(book.Tills) > maxTills {
		return doors.ErrInvalidField.With("more than %d tills", maxTills)
	}
	for _, t := range book.Tills {
		switch {
		case t.Name == "" || len(t.Name) > 255 || !tillHash.MatchString(t.Hash):
			return doors.ErrInvalidField.With("a till needs a name and the hex SHA-256 of its credential")
		case t.Scope != doors.ScopePOS && t.Scope != doors.ScopeManager && t.Scope != doors.ScopeMonitor:
			return doors.ErrInvalidField.With("scope must be pos, manager or monitor")
		case t.Mode != doors.Live && t.Mode != doors.Test:
			return doors.ErrInvalidField.With("mode must be live or test")
		}
	}
	return s.db.tx(ctx, func(t *tx) error {
		if _, err := t.Exec(`DELETE FROM tills WHERE store = ?`, st.ID); err != nil {
			return err
		}
		if err := s.db.fault("tills:keep"); err != nil {
			return err
		}
		for _, till := range book.Tills {
			r, err := t.Exec(`INSERT INTO tills (hash, store, name, scope, mode) VALUES (?,?,?,?,?) ON CONFLICT (hash) DO NOTHING`,
				till.Hash, st.ID, till.Name, till.Scope, till.Mode)
			if err != nil {
				return err
			}
			if n, err := r.RowsAffected(); err != nil || n == 0 {
				return errors.Join(err, doors.ErrInvalidField.With("two tills, or two stores, with one credential"))
			}
		}
		return nil
	})
}

// forTills says whether a request comes to the tills' doors. They are the hub's,
// under the till's credential or with it as a header (money.md 4.2).
func forTills(r *http.Request) bool {
	p := path.Clean("/" + r.URL.Path)
	return p == "/v1" || strings.HasPrefix(p, "/v1/") || strings.HasPrefix(p, "/pos/")
}

// tillDoors opens the doors of the store that a till's credential belongs to.
// Each store has doors of its own: what they remember is that store's alone.
type tillDoors struct {
	s       *Server
	origins []string
	mu      sync.Mutex
	byStore map[string]http.Handler
}

// ServeHTTP finds the store first. A credential that nobody has leads to doors
// behind which nobody is known: their refusals look like the store's.
func (d *tillDoors) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	store := ""
	if credential := doors.Credential(r); credential != "" {
		_, rec, err := d.s.tillOf(r.Context(), credential)
		switch {
		case err == nil:
			store = rec.ID
		case !errors.Is(err, doors.ErrUnauthorized):
			d.s.log.Error("find a till's store", "err", err)
			doors.WriteError(w, doors.ErrInternal)
			return
		}
	}
	d.of(store).ServeHTTP(w, r)
}

func (d *tillDoors) of(store string) http.Handler {
	d.mu.Lock()
	defer d.mu.Unlock()
	h, ok := d.byStore[store]
	if !ok {
		h = doors.Handler(tillBackend{d.s, store}, doors.Options{Origins: d.origins, Log: d.s.log.With("store", store)})
		if d.byStore == nil {
			d.byStore = map[string]http.Handler{}
		}
		d.byStore[store] = h
	}
	return h
}

// tillOf says whose credential it is.
func (s *Server) tillOf(ctx context.Context, credential string) (doors.Till, record, error) {
	var t doors.Till
	var store string
	if credential == "" || len(credential) > 256 {
		return t, record{}, doors.ErrUnauthorized
	}
	err := s.db.r.QueryRowContext(ctx, `SELECT name, scope, mode, store FROM tills WHERE hash = ?`, hexHash(credential)).Scan(&t.Name, &t.Scope, &t.Mode, &store)
	if isNoRows(err) {
		return t, record{}, doors.ErrUnauthorized
	}
	if err != nil {
		return t, record{}, err
	}
	rec, err := readStore(queryer(ctx, s.db.r), `id = ?`, store)
	if err == nil && rec.standing == storeRemoved {
		err = doors.ErrUnauthorized
	}
	return t, rec, err
}
