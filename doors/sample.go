package doors

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"

	"github.com/google/uuid"
)

// sampleStatus is what Stripe's server-driven sample answers whatever went wrong,
// but for the refusals that come before its road begins.
func sampleStatus(status int) int {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
		return status
	}
	return http.StatusBadRequest
}

// encodeSampleError puts the cashier's sentence where the sample's page looks for
// one.
func encodeSampleError(e *Error) []byte {
	return encodeJSON(struct {
		Error struct {
			Message string `json:"message"`
			Code    string `json:"code"`
			Doc     string `json:"doc,omitempty"`
		} `json:"error"`
	}{struct {
		Message string `json:"message"`
		Code    string `json:"code"`
		Doc     string `json:"doc,omitempty"`
	}{e.OperatorMessage, e.Code, e.Doc}})
}

// sampleBody is every field that the sample's pages send.
type sampleBody struct {
	Amount        json.RawMessage `json:"amount"`
	PaymentIntent string          `json:"payment_intent_id"`
	Reader        string          `json:"reader_id"`
}

// wrapped answers {"name": object}, the object byte for byte.
func wrapped(status int, name string, object json.RawMessage) (answer, error) {
	body := append([]byte(`{"`+name+`":`), object...)
	return answer{status: status, body: append(body, '}')}, nil
}

func (d *door) wrap(q *ask, name string, c Call, params url.Values) (answer, error) {
	raw, err := d.stripe(q, c, "", params)
	if err != nil {
		return answer{}, err
	}
	return wrapped(http.StatusOK, name, raw)
}

func sampleListReaders(d *door, q *ask) (answer, error) {
	return d.wrap(q, "readers", ListReaders, url.Values{})
}

func sampleCreateIntent(d *door, q *ask) (answer, error) {
	var body sampleBody
	if err := q.decode(&body); err != nil {
		return answer{}, err
	}
	if body.Amount == nil {
		return answer{}, missing("amount")
	}
	digits := string(body.Amount)
	if s, isText := asString(body.Amount); isText {
		digits = s // a page sends what stands in its input field
	}
	amount, err := ParseAmount(digits)
	if err != nil {
		return answer{}, err
	}
	params, err := createParams(amount, "", nil)
	if err != nil {
		return answer{}, err
	}
	raw, err := d.stripe(q, CreatePaymentIntent, "", params)
	if err != nil {
		return answer{}, err
	}
	var made struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(raw, &made); err != nil {
		return answer{}, err
	}
	return wrapped(http.StatusOK, "payment_intent_id", encodeJSON(made.ID))
}

func sampleRetrieveIntent(d *door, q *ask) (answer, error) {
	query, err := queryOf(q, "payment_intent_id")
	if err != nil {
		return answer{}, err
	}
	params := url.Values{}
	if err := setIntent(params, query.Get("payment_intent_id")); err != nil {
		return answer{}, err
	}
	return d.wrap(q, "payment_intent", RetrievePaymentIntent, params)
}

func sampleProcess(d *door, q *ask) (answer, error) {
	var body sampleBody
	if err := q.decode(&body); err != nil {
		return answer{}, err
	}
	params := url.Values{}
	if err := setReader(params, body.Reader); err != nil {
		return answer{}, err
	}
	if err := setIntent(params, body.PaymentIntent); err != nil {
		return answer{}, err
	}
	// The page sends no key. One per request lets a cashier try again after a
	// decline; a second click meets the first one's unresolved action.
	raw, err := d.stripe(q, ProcessPaymentIntent, "sample-"+uuid.NewString(), params)
	if err != nil {
		return answer{}, err
	}
	return wrapped(http.StatusOK, "reader_state", raw)
}

func sampleSimulate(d *door, q *ask) (answer, error) {
	if err := rehearsalOnly(q, "simulate-payment"); err != nil {
		return answer{}, err
	}
	return d.sampleReader(q, PresentPaymentMethod)
}

func sampleCancelAction(d *door, q *ask) (answer, error) { return d.sampleReader(q, CancelAction) }

func (d *door) sampleReader(q *ask, c Call) (answer, error) {
	var body sampleBody
	if err := q.decode(&body); err != nil {
		return answer{}, err
	}
	params := url.Values{}
	if err := setReader(params, body.Reader); err != nil {
		return answer{}, err
	}
	return d.wrap(q, "reader_state", c, params)
}

func sampleRetrieveReader(d *door, q *ask) (answer, error) {
	query, err := queryOf(q, "reader_id")
	if err != nil {
		return answer{}, err
	}
	params := url.Values{}
	if err := setReader(params, query.Get("reader_id")); err != nil {
		return answer{}, err
	}
	return d.wrap(q, "reader_state", RetrieveReader, params)
}

func setReader(params url.Values, id string) error {
	return setForm(params, "reader", "reader_id", id, readerForm)
}

func setForm(params url.Values, key, field, id string, form *regexp.Regexp) error {
	if id == "" {
		return missing(field)
	}
	if !form.MatchString(id) {
		return ErrInvalidField.With("%s has the wrong form", field)
	}
	params.Set(key, id)
	return nil
}

// sampleCapture goes through the queue like every capture. The intent as Stripe
// has it is read afterwards; while nobody can say, only its id is certain.
func sampleCapture(d *door, q *ask) (answer, error) {
	var body sampleBody
	if err := q.decode(&body); err != nil {
		return answer{}, err
	}
	params := url.Values{}
	if err := setIntent(params, body.PaymentIntent); err != nil {
		return answer{}, err
	}
	op, err := d.carryOut(q, Capture, body.PaymentIntent, nil)
	if err != nil {
		return answer{}, err
	}
	if op.State == Failed {
		return answer{}, failure(op)
	}
	known := struct {
		ID     string `json:"id"`
		Object string `json:"object"`
		Status State  `json:"status,omitempty"`
	}{ID: body.PaymentIntent, Object: "payment_intent"}
	if op.State != Succeeded {
		return wrapped(http.StatusAccepted, "payment_intent", encodeJSON(known))
	}
	raw, err := d.stripe(q, RetrievePaymentIntent, "", params)
	if err != nil {
		known.Status = Succeeded // Stripe's word for it is the same
		raw = encodeJSON(known)
	}
	return wrapped(http.StatusOK, "payment_intent", raw)
}
