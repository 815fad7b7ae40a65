package doors

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// writeSentence refuses as Stripe's example backend does: plain text with a
// sentence for the cashier. The status is 402 whatever went wrong, because that
// is the only one whose text every app shows, and never JSON, because one app
// takes a JSON refusal of a capture for its success.
func writeSentence(w http.ResponseWriter, e *Error, onRoute bool) {
	status := e.Status
	if onRoute && status != http.StatusUnauthorized && status != http.StatusForbidden {
		status = http.StatusPaymentRequired
	}
	sentence := e.OperatorMessage
	if sentence == "" {
		sentence = ErrInternal.OperatorMessage
	}
	hint := e.Code
	switch e.Status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		hint += ": " + e.Message // the app's developer sees nothing else
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(sentence + " (" + hint + ")\n"))
}

// greet tells a person who opens the URL that it is the right one.
func greet(_ *door, q *ask) (answer, error) {
	q.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = q.w.Write([]byte("Store Hub is running. Give this address to the till's app as its backend URL.\n"))
	return answer{sent: true}, nil
}

// connectionToken passes the road from the till to Stripe and back: the answer is
// never kept, and nothing is tried again behind the till's back.
func connectionToken(d *door, q *ask) (answer, error) {
	f, err := parseForm(q.Request)
	if err != nil {
		return answer{}, err
	}
	q.location = f.text("location")
	return d.token(q)
}

func (d *door) token(q *ask) (answer, error) {
	started := time.Now()
	token, err := d.passOn(q, func() (json.RawMessage, error) {
		return d.backend.ConnectionToken(q.Context(), q.till)
	})
	result := "ok"
	if err != nil {
		result = d.refusal(err).Code
	}
	d.o.OnToken(result, time.Since(started))
	if err != nil {
		return answer{}, err
	}
	return ok(token)
}

// passOn calls headquarters unless it is known to be out of reach: then the till
// is told at once, and not after its patience.
func (d *door) passOn(q *ask, call func() (json.RawMessage, error)) (json.RawMessage, error) {
	if down, _ := d.o.Known(); down {
		return nil, ErrHQUnreachable
	}
	return call()
}

func (d *door) stripe(q *ask, c Call, key string, params url.Values) (json.RawMessage, error) {
	return d.passOn(q, func() (json.RawMessage, error) {
		return d.backend.Stripe(q.Context(), q.till, c, key, params)
	})
}

// sensitive are parameters that would send the shop's money elsewhere, or bind a
// card to a person. Dropping them in silence would be worse than saying no.
var sensitive = []string{"transfer_data", "on_behalf_of", "application_fee_amount", "customer", "transfer_group", "stripe_account"}

func refuseSensitive(f form) error {
	for key := range f {
		root, _, _ := strings.Cut(key, "[")
		if slices.Contains(sensitive, root) && (root != key || f.text(key) != "") {
			return ErrForbidden.With("%s may not be set by a till", root)
		}
	}
	return nil
}

// createKeys is what a till may say about a new payment, beside amount, currency
// and the lists. Other keys are dropped, as Stripe's example backend does.
var createKeys = []string{
	"description", "receipt_email", "capture_method",
	"payment_method_options[card_present][request_extended_authorization]",
	"payment_method_options[card_present][request_incremental_authorization_support]",
	"payment_method_options[card_present][capture_method]",
	"payment_method_options[card_present][routing][requested_priority]",
}

func compatCreateIntent(d *door, q *ask) (answer, error) {
	f, err := parseForm(q.Request)
	if err != nil {
		return answer{}, err
	}
	if err := refuseSensitive(f); err != nil {
		return answer{}, err
	}
	amount, err := f.money("amount")
	if err != nil {
		return answer{}, err
	}
	if amount == nil {
		return answer{}, missing("amount")
	}
	params, err := createParams(*amount, f.text("currency"), f.list("payment_method_types"))
	if err != nil {
		return answer{}, err
	}
	copyTexts(params, f, createKeys)
	if m := params.Get("capture_method"); !slices.Contains([]string{"manual", "automatic", "automatic_async"}, m) {
		return answer{}, ErrInvalidField.With("capture_method must be manual, automatic or automatic_async")
	}
	if err := copyMetadata(params, f); err != nil {
		return answer{}, err
	}
	return d.intent(q, CreatePaymentIntent, params)
}

// createParams fills in what those apps leave out: the defaults of Stripe's
// example backend.
func createParams(amount int64, currency string, types []string) (url.Values, error) {
	if currency == "" {
		currency = "usd"
	}
	currency = strings.ToLower(currency)
	if err := CheckCurrency(currency); err != nil {
		return nil, err
	}
	if len(types) == 0 {
		types = []string{"card_present"}
	}
	for _, t := range types {
		if t != "card_present" && t != "interac_present" {
			return nil, ErrInvalidField.With("payment_method_types may be card_present and interac_present")
		}
	}
	return url.Values{
		"amount": {itoa(amount)}, "currency": {currency},
		"payment_method_types[]": types, "capture_method": {"manual"},
	}, nil
}

func copyTexts(params url.Values, f form, keys []string) {
	for _, key := range keys {
		if v := f.text(key); v != "" {
			params.Set(key, v)
		}
	}
}

// copyMetadata lets an app name its order. The prefix storehub_ is headquarters'
// own, but for the ref that joins an offline payment to its intent.
func copyMetadata(params url.Values, f form) error {
	for _, key := range slices.Sorted(maps.Keys(f)) {
		name, found := strings.CutPrefix(key, "metadata[")
		if !found || strings.HasPrefix(name, "storehub_") && name != "storehub_ref]" {
			continue
		}
		if len(name) > 41 || len(f.text(key)) > 500 {
			return ErrInvalidField.With("metadata has names up to 40 and values up to 500 characters")
		}
		copyTexts(params, f, []string{key})
	}
	return nil
}

// intent makes, changes or sets up an intent and answers as those apps expect.
func (d *door) intent(q *ask, c Call, params url.Values) (answer, error) {
	raw, err := d.stripe(q, c, "", params)
	if err != nil {
		return answer{}, err
	}
	var made struct {
		ID     string `json:"id"`
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal(raw, &made); err != nil {
		return answer{}, err
	}
	d.secrets.remember(made.ID, made.Secret)
	return ok(d.intentBody(made.ID))
}

// intentBody is {"intent","secret"}; the secret is empty once it is forgotten.
func (d *door) intentBody(intent string) []byte {
	return encodeJSON(struct {
		Intent string `json:"intent"`
		Secret string `json:"secret"`
	}{intent, d.secrets.of(intent)})
}

func compatCapture(d *door, q *ask) (answer, error) { return d.compatMoney(q, Capture) }

func compatCancel(d *door, q *ask) (answer, error) { return d.compatMoney(q, Cancel) }

func (d *door) compatMoney(q *ask, kind Kind) (answer, error) {
	f, err := parseForm(q.Request)
	if err != nil {
		return answer{}, err
	}
	ref := f.text("payment_intent_id")
	if ref == "" {
		return answer{}, missing("payment_intent_id")
	}
	var amount *int64
	if kind == Capture {
		if amount, err = f.money("amount_to_capture"); err != nil {
			return answer{}, err
		}
	}
	checked, err := CheckOperation(Operation{Kind: kind, Ref: ref, Amount: amount})
	if err != nil {
		return answer{}, err
	}
	op, err := d.carryOut(q, kind, checked.Ref, checked.Amount)
	if err != nil {
		return answer{}, err
	}
	if op.State == Failed {
		return answer{}, failure(op)
	}
	return answer{status: outcomeStatus(op), body: d.intentBody(ref)}, nil
}

func compatUpdateIntent(d *door, q *ask) (answer, error) {
	f, err := parseForm(q.Request)
	if err != nil {
		return answer{}, err
	}
	id := f.text("payment_intent_id")
	if id == "" {
		return answer{}, missing("payment_intent_id")
	}
	if !isIntent(id) {
		return answer{}, ErrInvalidField.With("payment_intent_id must be a pi_…")
	}
	params := url.Values{"payment_intent": {id}}
	copyTexts(params, f, []string{"receipt_email"})
	return d.intent(q, UpdatePaymentIntent, params)
}

func compatCreateSetup(d *door, q *ask) (answer, error) {
	f, err := parseForm(q.Request)
	if err != nil {
		return answer{}, err
	}
	if err := refuseSensitive(f); err != nil {
		return answer{}, err
	}
	types := f.list("payment_method_types")
	if len(types) == 0 {
		types = []string{"card_present"}
	}
	params := url.Values{"payment_method_types[]": types}
	copyTexts(params, f, []string{"description"})
	return d.intent(q, CreateSetupIntent, params)
}

func compatRegisterReader(d *door, q *ask) (answer, error) {
	f, err := parseForm(q.Request)
	if err != nil {
		return answer{}, err
	}
	q.location = f.text("location")
	if f.text("registration_code") == "" {
		return answer{}, missing("registration_code")
	}
	params := url.Values{}
	// Not location: a reader registered in this store is this store's.
	copyTexts(params, f, []string{"registration_code", "label"})
	out, err := d.object(q, RegisterReader, params)
	return out, RegistrationRefused(err)
}

// rehearsalOnly refuses in live mode what a shop's till has no business with.
func rehearsalOnly(q *ask, what string) error {
	if q.till.Mode != Test {
		return ErrForbidden.With("%s is for test mode", what).Operator("That works with test payments only.")
	}
	return nil
}

func compatAttach(d *door, q *ask) (answer, error) {
	f, err := parseForm(q.Request)
	if err != nil {
		return answer{}, err
	}
	if err := rehearsalOnly(q, "attach_payment_method_to_customer"); err != nil {
		return answer{}, err
	}
	id := f.text("payment_method_id")
	if !methodForm.MatchString(id) {
		return answer{}, missing("payment_method_id (pm_…)")
	}
	return d.object(q, AttachPaymentMethod, url.Values{"payment_method": {id}})
}

func compatCreateLocation(d *door, q *ask) (answer, error) {
	f, err := parseForm(q.Request)
	if err != nil {
		return answer{}, err
	}
	if err := rehearsalOnly(q, "create_location"); err != nil {
		return answer{}, err
	}
	if f.text("display_name") == "" {
		return answer{}, missing("display_name")
	}
	params := url.Values{}
	copyTexts(params, f, []string{"display_name", "address[line1]", "address[line2]", "address[city]",
		"address[state]", "address[postal_code]", "address[country]"})
	return d.object(q, CreateLocation, params)
}

func compatListLocations(d *door, q *ask) (answer, error) {
	return d.object(q, ListLocations, url.Values{})
}

// object answers with Stripe's object byte for byte: apps hand it on to an SDK
// that knows fields which nobody here does.
func (d *door) object(q *ask, c Call, params url.Values) (answer, error) {
	raw, err := d.stripe(q, c, "", params)
	if err != nil {
		return answer{}, err
	}
	return ok(raw)
}

func missing(field string) *Error { return ErrMissingField.With("%s is required", field) }
