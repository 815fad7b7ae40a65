package doors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"storehub/doors/words"
)

// Options are what the doors need beside their backend.
type Options struct {
	// Origins are the web origins whose pages may call, as browsers write them:
	// "https://pos.example". Any other Origin is refused before anything happens.
	Origins []string

	// Hosts says whether a Host header (without port) names this server, against
	// DNS rebinding. Nil takes any.
	Hosts func(host string) bool

	// Budget is how long a capture waits for its outcome. Zero: 6.5 s, because a
	// till's client gives up after 10 s and every answer is due within 8.
	Budget time.Duration

	// Language is what the store's staff reads, where a till does not say; see
	// [words.Languages]. "" is English.
	Language string

	// Known tells what is known already: whether headquarters is known to be out
	// of reach, and a sentence for the cashier that names the cause (may be empty).
	// Nil knows nothing.
	Known func() (down bool, sentence string)

	// Log gets one line per refusal. Nil: no log.
	Log *slog.Logger

	// StrangersWait is how long an address waits for each further 401 once it has shown
	// many credentials that nobody knows: what guesses at full speed takes the processor
	// from those who pay. Zero: it does not.
	StrangersWait time.Duration

	// OnSeen is told of each request of a till, after it was answered but for streams.
	OnSeen func(Seen)

	// OnToken is told the result of every request for a connection token: "ok" or
	// the code of the refusal.
	OnToken func(result string, took time.Duration)
}

const (
	defaultBudget = 6500 * time.Millisecond
	// answerWithin leaves a margin below the 8 s in which every answer is due.
	answerWithin = 7500 * time.Millisecond
	// bodyWithin is how long 64 KiB may take on a shop's own network.
	bodyWithin = 5 * time.Second
)

// door is the handler: one per backend, safe for concurrent use.
type door struct {
	backend Backend
	o       Options
	secrets *secrets
	limits  *limits
	origins []string
}

// Handler serves every road a till may take: the compatibility surface at the
// root and under /pos/<credential>/, the server-driven sample's contract under
// /server-driven/, and /v1. Everything else is not found. It never redirects,
// and it never logs a path: a path may hold a credential.
func Handler(b Backend, o Options) http.Handler {
	if o.Budget <= 0 {
		o.Budget = defaultBudget
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Known == nil {
		o.Known = func() (bool, string) { return false, "" }
	}
	if o.OnSeen == nil {
		o.OnSeen = func(Seen) {}
	}
	if o.OnToken == nil {
		o.OnToken = func(string, time.Duration) {}
	}
	d := &door{backend: b, o: o, secrets: newSecrets(), limits: newLimits()}
	for _, origin := range o.Origins {
		d.origins = append(d.origins, strings.ToLower(strings.TrimSuffix(origin, "/")))
	}
	return d
}

// Seen is what one request tells of how a till uses the doors.
type Seen struct {
	Till     Till
	Token    bool   // it asked for a connection token
	Location string // that it named; the store's own is taken whatever it names
	Code     string // of the refusal; "" if there was none
}

// ask is one request on its way through the doors.
type ask struct {
	*http.Request // without the credential: not in its URL, not in its headers
	w             http.ResponseWriter
	surface       surface
	credential    string
	route         *route
	vars          map[string]string
	till          Till
	location      string // that the till named
}

// answer is what a route has to say: a status and a body as it goes out.
type answer struct {
	status int
	body   []byte
	sent   bool // the route wrote by itself
}

// ok is Stripe's object, or ours, with status 200.
func ok(body []byte) (answer, error) { return answer{status: http.StatusOK, body: body}, nil }

// ServeHTTP answers one request.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	q := enter(w, r)
	q.hurry()
	h := w.Header()
	h.Set("Cache-Control", "no-store") // tokens and payments are nobody's to keep
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")

	out, err := d.serve(q)
	if q.till.Name != "" && !q.route.stream {
		d.tell(q, err)
	}
	switch {
	case err != nil:
		d.refuse(r.Context(), q, err, time.Since(started))
	case out.sent:
	case out.body == nil:
		w.WriteHeader(out.status)
	default:
		writeJSON(w, out.status, out.body)
	}
}

func (d *door) tell(q *ask, err error) {
	s := Seen{Till: q.till, Location: q.location}
	s.Token = q.route.path == "/connection_token" || q.route.path == "/v1/connection_tokens"
	if err != nil {
		s.Code = d.refusal(err).Code
	}
	d.o.OnSeen(s)
}

// serve turns a panic into a refusal: a till must never take a broken connection
// for the end of a payment.
func (d *door) serve(q *ask) (out answer, err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			panic(p)
		default:
			d.o.Log.Error("door panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			if out, err = (answer{}), ErrInternal; q.route != nil && q.route.stream {
				out, err = answer{sent: true}, nil // its head is out: it just ends
			}
		}
	}()
	if err := d.admit(q); err != nil {
		return answer{}, err
	}
	if q.Method == http.MethodOptions {
		return d.preflight(q)
	}
	if err := q.find(); err != nil {
		return answer{}, err
	}
	ctx := q.Context()
	if !q.route.stream {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, max(answerWithin, d.o.Budget+time.Second))
		defer cancel()
	}
	q.Request = q.WithContext(ctx)
	if q.route.scopes != nil {
		end, err := d.identify(q)
		if err != nil {
			return answer{}, err
		}
		defer end()
	}
	if err := q.load(); err != nil {
		return answer{}, err
	}
	return q.route.serve(d, q)
}

// identify says whose request it is, and whether that till may ask it, now. It counts
// until the function it returns is called.
func (d *door) identify(q *ask) (end func(), err error) {
	if q.till, err = d.till(q); err != nil {
		return nil, err
	}
	if !slices.Contains(q.route.scopes, q.till.Scope) {
		return nil, ErrForbidden.With("scope %s does not allow that", q.till.Scope)
	}
	return d.limits.begin(q.till.Name)
}

// hurry puts a time limit on the body. It stays on the connection when the
// request is refused before its body was read: the server would wait for the
// rest of it before it answers.
func (q *ask) hurry() {
	if q.hasBody() {
		rc := http.NewResponseController(q.w)
		_ = rc.SetReadDeadline(time.Now().Add(bodyWithin)) // not every connection has one
	}
}

// load reads the body before the route looks at it and lifts the time limit. The
// server does so too at the body's end; it is said here because a capture's wait
// for its outcome depends on it.
func (q *ask) load() error {
	if !q.hasBody() {
		return nil
	}
	body, err := readBody(q.Request, MaxBody)
	if err != nil {
		return err
	}
	q.Body = io.NopCloser(bytes.NewReader(body))
	_ = http.NewResponseController(q.w).SetReadDeadline(time.Time{})
	return nil
}

func (q *ask) hasBody() bool { return q.Body != nil && q.Body != http.NoBody }

func (d *door) till(q *ask) (Till, error) {
	if q.credential == "" {
		return Till{}, ErrUnauthorized.With("no credential was sent")
	}
	till, err := d.backend.Till(q.Context(), q.credential)
	if err != nil {
		return Till{}, err
	}
	till.Addr = q.from()
	till.Language = d.language(q)
	return till, nil
}

// from is where the request comes from; invalid where that is not known.
func (q *ask) from() netip.Addr {
	from, err := netip.ParseAddrPort(q.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return from.Addr().Unmap().WithZone("")
}

// language is what the person reads who will see the answer.
func (d *door) language(q *ask) string {
	return words.Match(q.Header.Get("Accept-Language"), d.o.Language)
}

// refuse answers in the encoding that the surface's clients read.
func (d *door) refuse(ctx context.Context, q *ask, err error, took time.Duration) {
	e := forTill(d.refusal(err))
	if said := words.In(d.language(q), e.OperatorMessage); said != e.OperatorMessage {
		e = e.Operator(said)
		q.w.Header().Set("Content-Language", d.language(q))
	}
	level := slog.LevelInfo
	if e.Status >= 500 {
		level = slog.LevelWarn
	}
	pattern := "unmatched"
	if q.route != nil {
		pattern = q.route.path
	}
	attrs := []any{"method", q.Method, "route", pattern, "till", q.till.Name, "code", e.Code, "took", took.Round(time.Millisecond)}
	if !errors.As(err, new(*Error)) {
		attrs = append(attrs, "cause", err)
	}
	if e.Code != ErrUnauthorized.Code || d.limits.worthALine(q.from(), time.Now()) {
		d.o.Log.Log(q.Context(), level, "till refused", attrs...)
	} else if d.o.StrangersWait > 0 {
		pause(ctx, d.o.StrangersWait) // the request's own has ended
	}

	refusalHeaders(q.w, e)
	switch q.surface {
	case compat:
		writeSentence(q.w, e, q.route != nil)
	case serverDriven:
		writeJSON(q.w, sampleStatus(e.Status), encodeSampleError(e))
	default:
		writeJSON(q.w, e.Status, encodeError(e))
	}
}

// refusal keeps an answer as it is and turns silence into hq_unreachable, with
// the cause in words where it is known.
func (d *door) refusal(err error) *Error {
	e := asRefusal(err, ErrHQUnreachable)
	if e.Code != ErrHQUnreachable.Code {
		return e
	}
	if _, sentence := d.o.Known(); sentence != "" {
		return e.Operator(sentence)
	}
	return e
}
