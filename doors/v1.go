package doors

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	keyForm       = regexp.MustCompile(`^[!-~]{1,255}$`)
	operationForm = regexp.MustCompile(`^op_[A-Za-z0-9_-]{1,250}$`)
)

// idempotencyKey reads the header, which must be there when it is required. A key
// of digits alone is looked at like any value: someone may have taken the card
// for one.
func (q *ask) idempotencyKey(required bool) (string, error) {
	keys := q.Header.Values("Idempotency-Key")
	switch {
	case len(keys) == 0 && !required:
		return "", nil
	case len(keys) != 1 || !keyForm.MatchString(keys[0]):
		return "", ErrKeyMissing.With("Idempotency-Key must be there once, with 1 to 255 visible ASCII characters")
	case holdsCardData(keys[0]):
		return "", ErrCardData
	}
	return keys[0], nil
}

// v1Trade answers whoever has the code.
func v1Trade(d *door, q *ask) (answer, error) {
	var in struct {
		Code string `json:"code"`
	}
	if err := q.decode(&in); err != nil {
		return answer{}, err
	}
	if strings.TrimSpace(in.Code) == "" {
		return answer{}, missing("code")
	}
	v, err := d.backend.Trade(q.Context(), in.Code)
	if err != nil {
		return answer{}, err
	}
	return ok(encodeJSON(v))
}

// put is the body of POST /v1/operations. Amount stays text until it is read:
// encoding/json would round, and would take null for absent.
type put struct {
	Kind     Kind            `json:"kind"`
	Ref      string          `json:"ref"`
	Amount   json.RawMessage `json:"amount"`
	Currency json.RawMessage `json:"currency"`
	Data     json.RawMessage `json:"data"`
}

// parseOperation reads the body of POST /v1/operations.
func parseOperation(body []byte) (Operation, error) {
	if err := refuseCardData(body); err != nil {
		return Operation{}, err
	}
	var p put
	if err := decodeStrict(body, &p); err != nil {
		return Operation{}, err
	}
	if p.Kind == "" {
		return Operation{}, missing("kind")
	}
	op := Operation{Kind: p.Kind, Ref: p.Ref, Data: p.Data}
	if p.Amount != nil {
		n, err := ParseAmount(string(p.Amount))
		if err != nil {
			return Operation{}, err
		}
		op.Amount = &n
	}
	if p.Currency != nil {
		currency, isText := asString(p.Currency)
		if !isText || currency == "" {
			return Operation{}, ErrInvalidCurrency
		}
		op.Currency = currency
	}
	return CheckOperation(op)
}

// refuseCardData looks at every key and value of a body but ref and data.order,
// which name things in the till's own numbering.
func refuseCardData(body []byte) error {
	return walkJSON(body, func(path []string, scalar any) error {
		if scalar == nil {
			if holdsCardData(path[len(path)-1]) {
				return ErrCardData
			}
			return nil
		}
		if len(path) == 1 && path[0] == "ref" || len(path) == 2 && path[0] == "data" && path[1] == "order" {
			return nil
		}
		var text string
		switch v := scalar.(type) {
		case string:
			text = v
		case json.Number:
			text = v.String()
		}
		if holdsCardData(text) {
			return ErrCardData
		}
		return nil
	})
}

// RefuseCardData looks at the data of an operation as the doors look at what a till
// sends: for one that did not come through them.
func RefuseCardData(op Operation) error {
	if len(op.Data) == 0 {
		return nil
	}
	return refuseCardData(encodeJSON(map[string]json.RawMessage{"data": op.Data}))
}

func v1PutOperation(d *door, q *ask) (answer, error) {
	key, err := q.idempotencyKey(true)
	if err != nil {
		return answer{}, err
	}
	body, err := readJSON(q.Request, MaxBody)
	if err != nil {
		return answer{}, err
	}
	op, err := parseOperation(body)
	if err != nil {
		return answer{}, err
	}
	stored, err := d.put(q, key, op)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusAccepted, body: encodeJSON(operationForTill(q.till, stored))}, nil
}

func v1Operation(d *door, q *ask) (answer, error) {
	id := q.vars["id"]
	if !operationForm.MatchString(id) {
		return answer{}, ErrNotFound
	}
	op, err := d.backend.Operation(q.Context(), q.till, id)
	if err != nil {
		return answer{}, err
	}
	return ok(encodeJSON(operationForTill(q.till, op)))
}

// The number of operations that a list shows: asked for nothing, and at most.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

func v1ListOperations(d *door, q *ask) (answer, error) {
	query, err := queryOf(q, "state", "limit")
	if err != nil {
		return answer{}, err
	}
	state := State(query.Get("state"))
	switch state {
	case "", Pending, Accepted, Succeeded, Failed:
	default:
		return answer{}, ErrInvalidField.With("state must be pending, accepted, succeeded or failed")
	}
	limit := defaultLimit
	if query.Has("limit") {
		limit, err = strconv.Atoi(query.Get("limit"))
		if err != nil || limit < 1 || limit > maxLimit {
			return answer{}, ErrInvalidField.With("limit must be 1 to %d", maxLimit)
		}
	}
	list, err := d.backend.Operations(q.Context(), q.till, state, limit)
	if err != nil {
		return answer{}, err
	}
	shown := make([]Operation, 0, len(list))
	for _, op := range list {
		shown = append(shown, operationForTill(q.till, op))
	}
	return ok(encodeJSON(struct {
		Operations []Operation `json:"operations"`
	}{shown}))
}

// queryOf reads the query string: each known key at most once, nothing else.
func queryOf(q *ask, known ...string) (url.Values, error) {
	query, err := url.ParseQuery(q.URL.RawQuery)
	if err != nil {
		return nil, ErrBadRequest.With("the query string could not be read")
	}
	for key, values := range query {
		if len(values) != 1 {
			return nil, ErrBadRequest.With("a query key occurs twice")
		}
		if !slices.Contains(known, key) {
			return nil, unknownField(key)
		}
	}
	return query, nil
}

func v1ConnectionToken(d *door, q *ask) (answer, error) {
	var nothing struct{}
	if err := decodeOptional(q.Request, &nothing); err != nil {
		return answer{}, err
	}
	return d.token(q)
}

// v1Value answers with what the backend knows, as it is.
func v1Value(read func(Backend, context.Context, Till) (any, error)) func(*door, *ask) (answer, error) {
	return func(d *door, q *ask) (answer, error) {
		v, err := read(d.backend, q.Context(), q.till)
		if err != nil {
			return answer{}, err
		}
		return ok(encodeJSON(v))
	}
}

func v1Receipt(d *door, q *ask) (answer, error) {
	ref := q.vars["payment_intent"]
	if !paymentRef(ref) {
		return answer{}, ErrNotFound
	}
	v, err := d.backend.Receipt(q.Context(), q.till, ref)
	if err != nil {
		return answer{}, err
	}
	return ok(encodeJSON(v))
}
