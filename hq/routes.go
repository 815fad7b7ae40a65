package hq

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"storehub/doors"
)

const (
	// maxSubmission is far above what a hub offers at once; a till's body is 64 KiB at most.
	maxSubmission = 1 << 20
	// tokenBudget leaves the hub time to answer: it gives up on us after 8 s.
	tokenBudget = 6 * time.Second
)

// answer is what a store's route returns: a value to encode, or raw for Stripe's
// own bytes.
type answer struct {
	status int
	value  any
	raw    json.RawMessage
}

// route is one line of the table of what headquarters answers to hubs.
type route struct {
	method, path string
	open         bool // needs no credential
	promised     bool // hands over what a till was promised: open to a hub that may do nothing else
	serve        func(ctx context.Context, s *Server, st record, r *http.Request) (answer, error)
}

// rehearsalRoutes are those by which the hub of a live store rehearses, in the name of
// its stand-in.
var rehearsalRoutes = []route{
	{http.MethodGet, rehearsalPath + "store", false, false, serveStandIn},
	{http.MethodPost, rehearsalPath + "connection_tokens", false, false, serveToken},
	{http.MethodPost, rehearsalPath + "stripe/{call}", false, false, serveCall},
	{http.MethodPost, rehearsalPath + "operations", false, false, serveSubmission},
	{http.MethodGet, rehearsalPath + "feed", false, false, serveFeed},
}

// storeRoutes is the whole wire between hub and headquarters (see wire.go).
var storeRoutes = []route{
	{http.MethodPost, "/store/v1/enrol", true, false, serveEnrol},
	{http.MethodGet, "/store/v1/store", false, false, serveStore},
	{http.MethodPost, "/store/v1/connection_tokens", false, false, serveToken},
	{http.MethodPost, "/store/v1/stripe/{call}", false, false, serveCall},
	{http.MethodPost, "/store/v1/operations", false, true, serveSubmission},
	{http.MethodGet, "/store/v1/feed", false, false, serveFeed},
	{http.MethodGet, "/store/v1/chain", false, false, serveChain},
	{http.MethodGet, "/store/v1/readers", false, false, serveReaders},
	{http.MethodPut, "/store/v1/tills", false, false, serveTills},
	{http.MethodPost, "/store/v1/resolutions", false, false, serveResolutions},
	{http.MethodGet, "/store/v1/evidence", false, false, serveEvidence},
	{http.MethodPut, "/store/v1/report", false, false, serveReport},
	{http.MethodPut, "/store/v1/certificate", false, false, serveCertificate},
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	paths := map[string][]string{}
	for _, r := range storeRoutes {
		mux.HandleFunc(r.method+" "+r.path, s.metrics.timed(r.path, s.serveRoute(r)))
		paths[r.path] = append(paths[r.path], r.method)
	}
	for _, r := range rehearsalRoutes {
		serve := r.serve
		r.serve = func(ctx context.Context, s *Server, st record, req *http.Request) (answer, error) {
			as, err := s.standIn(ctx, st)
			if err != nil {
				return answer{}, err
			}
			return serve(ctx, s, as, req)
		}
		mux.HandleFunc(r.method+" "+r.path, s.metrics.timed(r.path, s.serveRoute(r)))
		paths[r.path] = append(paths[r.path], r.method)
	}
	mux.HandleFunc("POST "+webhookPath, s.metrics.timed(webhookPath, s.serveWebhook))
	paths[webhookPath] = []string{http.MethodPost}
	mux.HandleFunc("GET /healthz", serveHealth)
	mux.HandleFunc("GET /readyz", s.serveReady)
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(OpenAPI)
	})
	mux.Handle("GET /metrics", s.metrics.handler())
	for p, methods := range paths {
		mux.HandleFunc(p, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			s.refuse(w, doors.ErrMethod)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { s.refuse(w, doors.ErrNotFound) })
	tills := s.metrics.timed("tills", s.tills.ServeHTTP)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if forTills(r) {
			tills(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *Server) serveRoute(r route) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		var st record
		if !r.open {
			credential, _ := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
			var err error
			if st, err = s.storeOf(req.Context(), credential); err != nil {
				s.refuse(w, err)
				return
			}
			if err := st.prove(req); err != nil {
				s.refuse(w, err)
				return
			}
			if st, err = s.recognise(req, st); err != nil {
				s.refuse(w, err)
				return
			}
			if err := st.mayAsk(); err != nil && !r.promised {
				s.refuse(w, err)
				return
			}
		}
		a, err := r.serve(req.Context(), s, st, req)
		if err != nil {
			s.refuse(w, err)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-store")
		body := []byte(a.raw)
		if body == nil {
			if body, err = json.Marshal(a.value); err != nil {
				s.refuse(w, err)
				return
			}
		}
		w.WriteHeader(a.status)
		_, _ = w.Write(body) // the hub is gone: nobody is left to tell
	}
}

// refuse answers "no" in the words of doors.Error. What is no refusal is answered
// with 500 and no such words, so that the hub takes it for silence.
func (s *Server) refuse(w http.ResponseWriter, err error) {
	var e *doors.Error
	if errors.As(err, &e) {
		doors.WriteError(w, e)
		return
	}
	if !errors.Is(err, context.Canceled) {
		s.log.Error("request broke", "err", err)
	}
	http.Error(w, "headquarters could not tell", http.StatusInternalServerError)
}

func serveEnrol(ctx context.Context, s *Server, _ record, r *http.Request) (answer, error) {
	var in EnrolRequest
	if err := doors.DecodeJSON(r, &in); err != nil {
		return answer{}, err
	}
	e, err := s.enrol(ctx, in)
	return answer{status: http.StatusOK, value: e}, err
}

func serveStore(_ context.Context, s *Server, st record, _ *http.Request) (answer, error) {
	st.HeadKey, st.HubName = s.headKey(), s.hubName(st.ID)
	return answer{status: http.StatusOK, value: st.Store}, nil
}

func serveToken(ctx context.Context, s *Server, st record, r *http.Request) (answer, error) {
	var in TillRequest
	if err := doors.DecodeJSON(r, &in); err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, tokenBudget)
	defer cancel()
	raw, err := s.connectionToken(ctx, st, in.Till)
	return answer{status: http.StatusOK, raw: raw}, err
}

func serveCall(ctx context.Context, s *Server, st record, r *http.Request) (answer, error) {
	var in StripeRequest
	if err := doors.DecodeJSON(r, &in); err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, tokenBudget)
	defer cancel()
	raw, err := s.call(ctx, st, in.Till, doors.Call(r.PathValue("call")), in.Key, url.Values(in.Params))
	return answer{status: http.StatusOK, raw: raw}, err
}

func serveSubmission(ctx context.Context, s *Server, st record, r *http.Request) (answer, error) {
	var in Submission
	if err := doors.DecodeJSONLimit(r, &in, maxSubmission); err != nil {
		return answer{}, err
	}
	rc, err := s.submit(ctx, st, in)
	return answer{status: http.StatusAccepted, value: rc}, err
}

func serveFeed(ctx context.Context, s *Server, st record, r *http.Request) (answer, error) {
	q, err := query(r, "epoch", "after", "wait")
	if err != nil {
		return answer{}, err
	}
	after, err := strconv.ParseUint(q.Get("after"), 10, 63)
	if err != nil {
		return answer{}, doors.ErrInvalidField.With("after must be a number")
	}
	wait := uint64(0)
	if w := q.Get("wait"); w != "" {
		if wait, err = strconv.ParseUint(w, 10, 31); err != nil {
			return answer{}, doors.ErrInvalidField.With("wait must be a number of seconds")
		}
	}
	f, err := s.feed(ctx, st.ID, q.Get("epoch"), after, time.Duration(wait)*time.Second)
	return answer{status: http.StatusOK, value: f}, err
}

func serveChain(ctx context.Context, s *Server, st record, r *http.Request) (answer, error) {
	q, err := query(r, "epoch", "after", "nonce")
	if err != nil {
		return answer{}, err
	}
	after := uint64(0)
	if a := q.Get("after"); a != "" {
		if after, err = strconv.ParseUint(a, 10, 63); err != nil {
			return answer{}, doors.ErrInvalidField.With("after must be a number")
		}
	}
	page, err := s.chain(ctx, st.ID, q.Get("epoch"), after, q.Get("nonce"))
	return answer{status: http.StatusOK, value: page}, err
}

// query reads the query of a request, which has none but the known parameters.
func query(r *http.Request, known ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, doors.ErrBadRequest.With("the query could not be read")
	}
	for k := range q {
		if !slices.Contains(known, k) {
			return nil, doors.ErrUnknownField.With("query parameter %q is not known", k)
		}
	}
	return q, nil
}

func serveReaders(ctx context.Context, s *Server, st record, _ *http.Request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, tokenBudget)
	defer cancel()
	l, err := s.readerList(ctx, st)
	// A hub that asks just after Stripe was asked hears news at once, for no read more.
	l.Software = s.readers.software.list(st.Mode)
	l.AgainMS = max(1, l.At.Add(s.readersPaced(st.Mode, st.Account)).Sub(s.now()).Milliseconds())
	return answer{status: http.StatusOK, value: l}, err
}

func serveTills(ctx context.Context, s *Server, st record, r *http.Request) (answer, error) {
	var in TillBook
	if err := doors.DecodeJSONLimit(r, &in, maxSubmission); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, value: in}, s.keepTills(ctx, st, in)
}

func serveResolutions(ctx context.Context, s *Server, st record, r *http.Request) (answer, error) {
	var in Resolutions
	if err := doors.DecodeJSONLimit(r, &in, maxSubmission); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, value: in}, s.resolved(ctx, st, in)
}

func serveHealth(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n")
}

// serveReady says whether operations would be recorded and worked now.
func (s *Server) serveReady(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	switch err := s.db.w.PingContext(ctx); {
	case err != nil:
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
	case !s.running.Load():
		http.Error(w, "the ledger is not being worked", http.StatusServiceUnavailable)
	default:
		serveHealth(w, r)
	}
}
