package doors

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strconv"
	"time"
)

func v1RegisterReader(d *door, q *ask) (answer, error) {
	key, err := q.idempotencyKey(false)
	if err != nil {
		return answer{}, err
	}
	var body struct {
		RegistrationCode string `json:"registration_code"`
		Label            string `json:"label"`
	}
	if err := q.decode(&body); err != nil {
		return answer{}, err
	}
	if body.RegistrationCode == "" {
		return answer{}, missing("registration_code")
	}
	if !plain(body.RegistrationCode, 255) || !plain(body.Label, 255) {
		return answer{}, ErrInvalidField.With("registration_code and label are text of at most 255 characters")
	}
	params := url.Values{"registration_code": {body.RegistrationCode}}
	if body.Label != "" {
		params.Set("label", body.Label)
	}
	out, err := d.keyed(q, RegisterReader, key, params)
	return out, RegistrationRefused(err)
}

// decode is DecodeJSON with a look for card data in every value.
func (q *ask) decode(v any) error {
	body, err := readJSON(q.Request, MaxBody)
	if err != nil {
		return err
	}
	if err := refuseCardData(body); err != nil {
		return err
	}
	return decodeStrict(body, v)
}

// action reads what every reader action needs: which reader, and a key, because
// an action that was sent twice would ask a customer to pay twice.
func (q *ask) action() (key string, params url.Values, err error) {
	if key, err = q.idempotencyKey(true); err != nil {
		return "", nil, err
	}
	id := q.vars["id"]
	if !readerForm.MatchString(id) {
		return "", nil, ErrNotFound.With("no such reader")
	}
	return key, url.Values{"reader": {id}}, nil
}

func (d *door) keyed(q *ask, c Call, key string, params url.Values) (answer, error) {
	raw, err := d.stripe(q, c, key, params)
	if err != nil {
		return answer{}, err
	}
	return ok(raw)
}

func v1Process(d *door, q *ask) (answer, error) {
	key, params, err := q.action()
	if err != nil {
		return answer{}, err
	}
	var body struct {
		PaymentIntent string `json:"payment_intent"`
		ProcessConfig struct {
			EnableCustomerCancellation *bool `json:"enable_customer_cancellation"`
			SkipTipping                *bool `json:"skip_tipping"`
			Tipping                    struct {
				AmountEligible json.RawMessage `json:"amount_eligible"`
			} `json:"tipping"`
		} `json:"process_config"`
	}
	if err := q.decode(&body); err != nil {
		return answer{}, err
	}
	if err := setIntent(params, body.PaymentIntent); err != nil {
		return answer{}, err
	}
	setBool(params, "process_config[enable_customer_cancellation]", body.ProcessConfig.EnableCustomerCancellation)
	setBool(params, "process_config[skip_tipping]", body.ProcessConfig.SkipTipping)
	if err := setAmount(params, "process_config[tipping][amount_eligible]", body.ProcessConfig.Tipping.AmountEligible); err != nil {
		return answer{}, err
	}
	return d.keyed(q, ProcessPaymentIntent, key, params)
}

func v1CancelAction(d *door, q *ask) (answer, error) {
	key, params, err := q.action()
	if err != nil {
		return answer{}, err
	}
	var nothing struct{}
	if err := decodeOptional(q.Request, &nothing); err != nil {
		return answer{}, err
	}
	return d.keyed(q, CancelAction, key, params)
}

func v1RefundPayment(d *door, q *ask) (answer, error) {
	key, params, err := q.action()
	if err != nil {
		return answer{}, err
	}
	var body struct {
		PaymentIntent string          `json:"payment_intent"`
		Amount        json.RawMessage `json:"amount"`
	}
	if err := q.decode(&body); err != nil {
		return answer{}, err
	}
	if err := setIntent(params, body.PaymentIntent); err != nil {
		return answer{}, err
	}
	if err := setAmount(params, "amount", body.Amount); err != nil {
		return answer{}, err
	}
	return d.keyed(q, RefundPayment, key, params)
}

// maxLines is how many lines a reader's cart may have; a longer one is a mistake.
const maxLines = 100

func v1SetDisplay(d *door, q *ask) (answer, error) {
	key, params, err := q.action()
	if err != nil {
		return answer{}, err
	}
	var body struct {
		Type string `json:"type"`
		Cart *struct {
			Currency  string          `json:"currency"`
			Tax       json.RawMessage `json:"tax"`
			Total     json.RawMessage `json:"total"`
			LineItems []struct {
				Description string          `json:"description"`
				Amount      json.RawMessage `json:"amount"`
				Quantity    json.RawMessage `json:"quantity"`
			} `json:"line_items"`
		} `json:"cart"`
	}
	if err := q.decode(&body); err != nil {
		return answer{}, err
	}
	if body.Type != "cart" || body.Cart == nil {
		return answer{}, ErrInvalidField.With("type must be cart, with a cart")
	}
	cart := body.Cart
	if err := CheckCurrency(cart.Currency); err != nil {
		return answer{}, err
	}
	if len(cart.LineItems) == 0 || len(cart.LineItems) > maxLines {
		return answer{}, ErrInvalidField.With("line_items must have 1 to %d lines", maxLines)
	}
	params.Set("type", "cart")
	params.Set("cart[currency]", cart.Currency)
	if err := setShown(params, "cart[total]", cart.Total, true); err != nil {
		return answer{}, err
	}
	if err := setShown(params, "cart[tax]", cart.Tax, false); err != nil {
		return answer{}, err
	}
	for i, line := range cart.LineItems {
		at := "cart[line_items][" + strconv.Itoa(i) + "]"
		if line.Description == "" || !plain(line.Description, 255) {
			return answer{}, ErrInvalidField.With("each line has a description of 1 to 255 characters")
		}
		params.Set(at+"[description]", line.Description)
		if err := setShown(params, at+"[amount]", line.Amount, true); err != nil {
			return answer{}, err
		}
		if err := setAmount(params, at+"[quantity]", line.Quantity); err != nil {
			return answer{}, err
		}
		if line.Quantity == nil {
			params.Set(at+"[quantity]", "1")
		}
	}
	return d.keyed(q, SetReaderDisplay, key, params)
}

var (
	readerName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`) // an id or a serial number
	codeForm   = regexp.MustCompile(`^[A-Za-z0-9_.-]{0,64}$`)
)

func v1ReportReader(d *door, q *ask) (answer, error) {
	name := q.vars["id"]
	if !readerName.MatchString(name) {
		return answer{}, ErrNotFound.With("no such reader")
	}
	var r ReaderReport
	if err := q.decode(&r); err != nil {
		return answer{}, err
	}
	share := func(v *float64) bool { return v == nil || *v >= 0 && *v <= 1 }
	switch {
	case r == ReaderReport{}:
		return answer{}, missing("connected, code, battery, charging, update, software or sdk")
	case !codeForm.MatchString(r.Code):
		return answer{}, ErrInvalidField.With("code is the SDK's word, of at most 64 letters, digits, dots, hyphens and underscores")
	case !share(r.Battery) || !share(r.Update):
		return answer{}, ErrInvalidField.With("battery and update are numbers from 0 to 1")
	case !plain(r.Software, 64) || !plain(r.SDK, 64):
		return answer{}, ErrInvalidField.With("software and sdk are text of at most 64 characters")
	}
	v, err := d.backend.ReportReader(q.Context(), q.till, name, r)
	if err != nil {
		return answer{}, err
	}
	return ok(encodeJSON(v))
}

func v1ReaderTimeline(d *door, q *ask) (answer, error) {
	name := q.vars["id"]
	if !readerName.MatchString(name) {
		return answer{}, ErrNotFound.With("no such reader")
	}
	query, err := queryOf(q, "since")
	if err != nil {
		return answer{}, err
	}
	var since time.Time
	if text := query.Get("since"); text != "" {
		if since, err = time.Parse(time.RFC3339, text); err != nil {
			return answer{}, ErrInvalidField.With("since is a time such as 2026-11-23T09:00:00Z")
		}
	}
	v, err := d.backend.ReaderTimeline(q.Context(), q.till, name, since)
	if err != nil {
		return answer{}, err
	}
	return ok(encodeJSON(v))
}

func setIntent(params url.Values, id string) error {
	if id == "" {
		return missing("payment_intent")
	}
	if !isIntent(id) {
		return ErrInvalidField.With("payment_intent must be a pi_…")
	}
	params.Set("payment_intent", id)
	return nil
}

func setBool(params url.Values, key string, v *bool) {
	if v != nil {
		params.Set(key, strconv.FormatBool(*v))
	}
}

func setAmount(params url.Values, key string, raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	n, err := ParseAmount(string(raw))
	if err != nil {
		return err
	}
	params.Set(key, itoa(n))
	return nil
}

// setShown sets an amount that is only shown: a tax or a free item may be 0, and
// a discount is below it.
func setShown(params url.Values, key string, raw json.RawMessage, wanted bool) error {
	if raw == nil && !wanted {
		return nil
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < -MaxAmount || n > MaxAmount {
		return ErrInvalidAmount.With("%s must be an integer in minor units", key)
	}
	params.Set(key, itoa(n))
	return nil
}
