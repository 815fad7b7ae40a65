package doors

import (
	"net/http"
	"slices"
	"strings"
)

// route is one line of the table: who may ask what, and what answers.
type route struct {
	method string
	path   string  // {name} stands for one segment
	scopes []Scope // nil: whoever asks needs no credential
	stream bool    // no time limit
	serve  func(*door, *ask) (answer, error)
}

var (
	anyone    = []Scope{ScopePOS, ScopeManager, ScopeMonitor}
	tills     = []Scope{ScopePOS, ScopeManager}
	onManager = []Scope{ScopeManager}
)

const (
	get  = http.MethodGet
	post = http.MethodPost
)

// routes is every route there is.
var routes = []*route{
	// Stripe's example backend.
	{get, "/", anyone, false, greet},
	{post, "/connection_token", tills, false, connectionToken},
	{post, "/register_reader", onManager, false, compatRegisterReader},
	{post, "/create_payment_intent", tills, false, compatCreateIntent},
	{post, "/capture_payment_intent", tills, false, compatCapture},
	{post, "/cancel_payment_intent", tills, false, compatCancel},
	{post, "/update_payment_intent", tills, false, compatUpdateIntent},
	{post, "/create_setup_intent", tills, false, compatCreateSetup},
	{post, "/attach_payment_method_to_customer", tills, false, compatAttach},
	{post, "/create_location", onManager, false, compatCreateLocation},
	{get, "/list_locations", tills, false, compatListLocations},

	// Stripe's server-driven sample.
	{get, "/server-driven/list-readers", tills, false, sampleListReaders},
	{post, "/server-driven/create-payment-intent", tills, false, sampleCreateIntent},
	{get, "/server-driven/retrieve-payment-intent", tills, false, sampleRetrieveIntent},
	{post, "/server-driven/process-payment-intent", tills, false, sampleProcess},
	{post, "/server-driven/simulate-payment", tills, false, sampleSimulate},
	{get, "/server-driven/retrieve-reader", tills, false, sampleRetrieveReader},
	{post, "/server-driven/capture-payment-intent", tills, false, sampleCapture},
	{post, "/server-driven/cancel-reader-action", tills, false, sampleCancelAction},

	// Our own.
	{post, "/v1/pairings", nil, false, v1Trade},
	{post, "/v1/connection_tokens", tills, false, v1ConnectionToken},
	{post, "/v1/operations", tills, false, v1PutOperation},
	{get, "/v1/operations", anyone, false, v1ListOperations},
	{get, "/v1/operations/{id}", anyone, false, v1Operation},
	{get, "/v1/readers", anyone, false, v1Value(Backend.Readers)},
	{post, "/v1/readers", onManager, false, v1RegisterReader},
	{post, "/v1/readers/{id}/process_payment_intent", tills, false, v1Process},
	{post, "/v1/readers/{id}/cancel_action", tills, false, v1CancelAction},
	{post, "/v1/readers/{id}/refund_payment", tills, false, v1RefundPayment},
	{post, "/v1/readers/{id}/set_reader_display", tills, false, v1SetDisplay},
	{post, "/v1/readers/{id}/reports", tills, false, v1ReportReader},
	{get, "/v1/readers/{id}/timeline", anyone, false, v1ReaderTimeline},
	{get, "/v1/status", anyone, false, v1Value(Backend.Status)},
	{get, "/v1/diagnosis", anyone, false, v1Value(Backend.Diagnosis)},
	{get, "/v1/checklist", anyone, false, v1Value(Backend.Checklist)},
	{get, "/v1/receipts/{payment_intent}", tills, false, v1Receipt},
	{get, "/v1/events", anyone, true, v1Events},
}

// Routes is every route that a till's credential opens, each "METHOD /path/{name}".
func Routes() (list []string) {
	for _, r := range routes {
		if r.scopes != nil {
			list = append(list, r.method+" "+r.path)
		}
	}
	return list
}

// followed is what can be had as server-sent events too, by path.
var followed = map[string]*route{
	"/v1/readers": {get, "/v1/readers", anyone, true, v1FollowReaders},
}

// find looks the request up in the table.
func (q *ask) find() error {
	for _, r := range routes {
		vars, matches := match(r.path, q.URL.Path)
		if matches && (r.method == q.Method || r.method == http.MethodGet && q.Method == http.MethodHead && !r.stream) {
			q.route, q.vars = r, vars
			if f := followed[r.path]; f != nil && r.method == get && q.Method == get && strings.Contains(q.Header.Get("Accept"), "text/event-stream") {
				q.route = f
			}
			return nil
		}
	}
	methods := methodsAt(q.URL.Path)
	if len(methods) == 0 {
		return ErrNotFound.With("no such route")
	}
	q.w.Header().Set("Allow", strings.Join(methods, ", "))
	return ErrMethod.With("allowed here: %s", strings.Join(methods, ", "))
}

// methodsAt lists what a path answers to; nothing for an unknown path.
func methodsAt(path string) []string {
	var methods []string
	for _, r := range routes {
		if _, matches := match(r.path, path); matches && !slices.Contains(methods, r.method) {
			methods = append(methods, r.method)
		}
	}
	if len(methods) > 0 {
		methods = append(methods, http.MethodOptions)
	}
	return methods
}

func match(pattern, path string) (map[string]string, bool) {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	var vars map[string]string
	for i, segment := range want {
		if name, isVar := strings.CutPrefix(segment, "{"); isVar && got[i] != "" {
			if vars == nil {
				vars = map[string]string{}
			}
			vars[strings.TrimSuffix(name, "}")] = got[i]
		} else if segment != got[i] {
			return nil, false
		}
	}
	return vars, true
}
