package hub

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/offlinequeue"
	"storehub/readers"
)

// socketMax: a unix socket's path holds 104 bytes on macOS, 108 on Linux.
const socketMax = 100

// AdminSocket is where the hub of a state directory answers its own commands:
// hub.sock in it, or, when that path would be too long, a socket under the
// temporary directory whose name is made from it.
func AdminSocket(stateDir string) string {
	path, _ := adminSocket(stateDir)
	return path
}

// adminSocket also says whether the socket lies outside the state directory.
func adminSocket(stateDir string) (path string, outside bool) {
	if abs, err := filepath.Abs(stateDir); err == nil {
		stateDir = abs
	}
	path = filepath.Join(stateDir, "hub.sock")
	if len(path) <= socketMax {
		return path, false
	}
	sum := sha256.Sum256([]byte(stateDir))
	return filepath.Join(os.TempDir(), "storehub-"+strconv.Itoa(os.Getuid())+"-"+hex.EncodeToString(sum[:6]), "hub.sock"), true
}

// listenAdmin: whoever may open the socket is the hub's owner, so the socket is
// 0600 in a directory that is nobody else's.
func listenAdmin(stateDir string) (net.Listener, error) {
	path, outside := adminSocket(stateDir)
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("listen for commands: %w", err)
	}
	if outside {
		// Under the temporary directory somebody else may have made it first.
		if info, err := os.Lstat(dir); err != nil || !info.IsDir() || !ownedByUs(info) {
			return nil, fmt.Errorf("listen for commands: %s is not this user's directory", dir)
		}
	}
	// The queue's lock says that no other hub runs here: what is left is stale.
	if err := os.Remove(path); err != nil && !notExist(err) {
		return nil, fmt.Errorf("listen for commands: %w", err)
	}
	l, err := listenSocket(path)
	if err != nil {
		return nil, fmt.Errorf("listen for commands: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for commands: %w", err), l.Close())
	}
	if outside {
		l = &borrowed{l, dir}
	}
	return l, nil
}

// borrowed is a socket outside the state directory: it leaves nothing behind.
type borrowed struct {
	net.Listener
	dir string
}

// Close ends the socket and removes its directory.
func (b *borrowed) Close() error {
	err := b.Listener.Close()
	_ = os.Remove(b.dir) // not empty, or gone: nothing of ours
	return err
}

// PairRequest asks the admin socket for a till's credential.
type PairRequest struct {
	Name  string      `json:"name"`
	Scope doors.Scope `json:"scope"`          // "": pos
	Mode  doors.Mode  `json:"mode,omitempty"` // "": the store's
}

// Pairing is a till's new credential. It is shown once.
type Pairing struct {
	Name       string      `json:"name"`
	Scope      doors.Scope `json:"scope"`
	Credential string      `json:"credential"`
	URL        string      `json:"url"`              // of the hub, by its name if it has one
	POSURL     string      `json:"pos_url"`          // base URL for an unmodified app, credential included
	HQURL      string      `json:"hq_url,omitempty"` // the same at headquarters, for when the hub is dead

	// Code is what a till may send to POST /v1/pairings instead, until CodeExpires.
	Code        string    `json:"code,omitempty"`
	CodeExpires time.Time `json:"code_expires,omitzero"`

	// The hub's own CA, which the till must trust; "" where it has none.
	CAURL         string `json:"ca_url,omitempty"`
	CAFingerprint string `json:"ca_sha256,omitempty"` // AB:CD:…
}

// Facts is what a running hub adds to a diagnosis that somebody else makes.
type Facts struct {
	Queue   *offlinequeue.Stats `json:"queue"`
	Readers []readers.Reader    `json:"readers"`
	Hub     *diagnostics.Hub    `json:"hub"`
}

// ConsoleLink is a one-time way into the console.
type ConsoleLink struct {
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
}

type tillList struct {
	Tills []TillInfo `json:"tills"`
}

type operationList struct {
	Operations []doors.Operation `json:"operations"`
}

// admin is who asks by the socket: the machine's owner, who may see everything.
var admin = doors.Till{Name: "admin", Scope: doors.ScopeManager}

// adminHandler is the hub's own commands. It is served on the socket alone.
func (h *Hub) adminHandler(s *servers) http.Handler {
	mux := http.NewServeMux()
	route := func(pattern string, f func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			v, err := f(r)
			if err != nil {
				doors.WriteError(w, adminError(err))
				return
			}
			writeJSON(w, v)
		})
	}
	route("POST /pair", func(r *http.Request) (any, error) {
		var p PairRequest
		if err := doors.DecodeJSON(r, &p); err != nil {
			return nil, err
		}
		return s.pair(p)
	})
	route("POST /revoke", func(r *http.Request) (any, error) {
		var p struct {
			Name string `json:"name"`
		}
		if err := doors.DecodeJSON(r, &p); err != nil {
			return nil, err
		}
		if err := h.revoke(p.Name); err != nil {
			return nil, err
		}
		return tillList{h.tills.List()}, nil
	})
	route("POST /console", func(*http.Request) (any, error) {
		code, expires := h.console.invite(inviteLife)
		return ConsoleLink{URL: s.addr().URL + "/console/enter?code=" + code, Expires: expires}, nil
	})
	route("GET /tills", func(*http.Request) (any, error) { return tillList{h.tills.List()}, nil })
	route("GET /queue", func(r *http.Request) (any, error) {
		state, limit, err := listQuery(r)
		if err != nil {
			return nil, err
		}
		ops, err := h.Operations(r.Context(), admin, state, limit)
		return operationList{ops}, err
	})
	route("GET /queue/{id}", func(r *http.Request) (any, error) { return h.Operation(r.Context(), admin, r.PathValue("id")) })
	route("GET /export", func(*http.Request) (any, error) { return export(h.queue, h.personal, h.cfg.Store, h.now()) })
	route("POST /import", h.takeIn)
	route("GET /verification", func(r *http.Request) (any, error) { return h.verify(r.Context()) })
	route("POST /queue/{id}/retry", func(r *http.Request) (any, error) { return h.deed(r, h.queue.Retry) })
	route("POST /queue/{id}/resolve", func(r *http.Request) (any, error) { return h.deed(r, h.queue.Resolve) })
	route("GET /status", func(*http.Request) (any, error) { return h.status(), nil })
	route("GET /diagnosis", func(*http.Request) (any, error) { return h.monitor.current(), nil })
	route("GET /history", func(r *http.Request) (any, error) {
		from, errFrom := time.Parse(time.RFC3339, r.URL.Query().Get("from"))
		to, errTo := time.Parse(time.RFC3339, r.URL.Query().Get("to"))
		if err := errors.Join(errFrom, errTo); err != nil {
			return nil, doors.ErrInvalidField.With("from and to are times in RFC 3339: %v", err)
		}
		return h.past(from, to)
	})
	mux.Handle("GET /metrics", h.metrics.handler())
	route("GET /facts", func(*http.Request) (any, error) { return h.facts(), nil })
	route("GET /checklist", func(r *http.Request) (any, error) { return Checklist{h.checklist(r.Context(), true)}, nil })
	route("GET /checklist/since", func(r *http.Request) (any, error) {
		from, err := time.Parse(time.RFC3339, r.URL.Query().Get("from"))
		if err != nil {
			return nil, doors.ErrInvalidField.With("from is a time in RFC 3339: %v", err)
		}
		h.checklist(r.Context(), true)
		return h.checklists.between(from, h.now()), nil
	})
	mux.HandleFunc("GET /checklist/signed", h.serveSignedChecklist)
	route("GET /receipts/{payment}", func(r *http.Request) (any, error) {
		s := h.store.Load()
		if s == nil {
			return nil, doors.ErrHQUnreachable.With("this hub has never reached headquarters and does not know whether the store is live or test")
		}
		till := admin
		till.Mode = s.Mode
		return h.Receipt(r.Context(), till, r.PathValue("payment"))
	})
	route("POST /attest", func(r *http.Request) (any, error) {
		var a Attestation
		if err := doors.DecodeJSON(r, &a); err != nil {
			return nil, err
		}
		return a, h.marks.attest(a, h.now())
	})
	route("POST /readers", func(r *http.Request) (any, error) {
		var p RegisterRequest
		if err := doors.DecodeJSON(r, &p); err != nil {
			return nil, err
		}
		return h.register(r.Context(), p)
	})
	route("POST /readers/pin", func(r *http.Request) (any, error) {
		var p PinRequest
		if err := doors.DecodeJSON(r, &p); err != nil {
			return nil, err
		}
		return h.pinReader(p)
	})
	route("GET /readers", func(*http.Request) (any, error) { return h.readerList(admin), nil })
	mux.HandleFunc("POST /rehearsal", h.serveRehearsal)
	mux.HandleFunc("POST /drill", func(w http.ResponseWriter, r *http.Request) {
		self := s.addr()
		self.URL = s.tillURL()
		h.serveDrill(w, r, self)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { doors.WriteError(w, doors.ErrNotFound) })
	return mux
}

// pair is [Hub.pair] with what a till must know of this server.
func (s *servers) pair(p PairRequest) (Pairing, error) {
	made, err := s.hub.pair(p, s.tillURL())
	if err == nil && s.cert != nil {
		made.CAURL, made.CAFingerprint = made.URL+caPath, s.cert.fingerprint()
	}
	return made, err
}

// revoke ends a till's credential, and the code that may still be open for it.
func (h *Hub) revoke(name string) error {
	if err := h.tills.Revoke(name); err != nil {
		return err
	}
	h.pairings.end(name, h.now())
	h.log.Info("till revoked", "till", name)
	return nil
}

// pair gives a till a credential, and a code for a till that can be given one by hand.
func (h *Hub) pair(p PairRequest, url string) (Pairing, error) {
	made, err := h.paired(p, url)
	if err == nil {
		made.Code, made.CodeExpires = h.pairings.invite(p, url, h.now())
	}
	return made, err
}

func (h *Hub) paired(p PairRequest, url string) (Pairing, error) {
	if p.Scope == "" {
		p.Scope = doors.ScopePOS
	}
	credential, err := h.tills.Pair(p.Name, p.Scope, p.Mode)
	if err != nil {
		return Pairing{}, err
	}
	h.log.Info("till paired", "till", p.Name, "scope", p.Scope)
	made := Pairing{Name: p.Name, Scope: p.Scope, Credential: credential, URL: url, POSURL: url + "/pos/" + credential}
	if h.cfg.HQ.URL != "" {
		made.HQURL = h.cfg.HQ.URL + "/pos/" + credential
	}
	return made, nil
}

// Pair gives a till a credential; whoever holds the hub in its own process
// (`hub try`, tests) needs no socket for it.
func (h *Hub) Pair(name string, scope doors.Scope, mode doors.Mode) (credential string, err error) {
	return h.tills.Pair(name, scope, mode)
}

// ConsoleLink makes a one-time way into the console of a hub that runs at url,
// good for a working day: it is printed for whoever gets to it.
func (h *Hub) ConsoleLink(url string) string {
	code, _ := h.console.invite(sessionLife)
	return url + "/console/enter?code=" + code
}

func (h *Hub) facts() Facts {
	stats, self := h.queue.Stats(), h.selfFacts()
	self.Known = h.known(stats)
	return Facts{Queue: &stats, Readers: nonNil(h.fleet.registry.Snapshot()), Hub: &self}
}

func listQuery(r *http.Request) (doors.State, int, error) {
	q := r.URL.Query()
	limit := 100
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 10000 {
			return "", 0, doors.ErrInvalidField.With("limit %q is not a number from 1 to 10000", s)
		}
		limit = n
	}
	state := doors.State(q.Get("state"))
	switch state {
	case "", doors.Pending, doors.Accepted, doors.Succeeded, doors.Failed:
		return state, limit, nil
	}
	return "", 0, doors.ErrInvalidField.With("state %q is not one of pending, accepted, succeeded, failed", string(state))
}

// adminError keeps a refusal as it is; what else goes wrong here was asked wrongly.
func adminError(err error) error {
	var refusal *doors.Error
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.Is(err, ErrNoTill):
		return doors.ErrNotFound.With("%v", err)
	}
	return doors.ErrInvalidField.With("%v", err)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // the peer went away: nothing to tell it
}

// quiet sends net/http's own complaints (scanners, tills that hang up) where
// they can be found and disturb nobody.
func quiet(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelDebug) }
