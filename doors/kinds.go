package doors

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

var (
	intentForm = regexp.MustCompile(`^pi_[A-Za-z0-9_]{1,250}$`)
	uuidForm   = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	readerForm = regexp.MustCompile(`^tmr_[A-Za-z0-9_]{1,250}$`)
	methodForm = regexp.MustCompile(`^pm_[A-Za-z0-9_]{1,250}$`)
	emailForm  = regexp.MustCompile(`^[^\s@<>,;]{1,64}@[^\s@<>,;]{1,255}$`)
	localeForm = regexp.MustCompile(`^[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,4}$`)
)

// isIntent reports whether ref has the form of a PaymentIntent's id. A client
// secret begins like one; it must not get into the queue as an id.
func isIntent(ref string) bool {
	return intentForm.MatchString(ref) && !strings.Contains(ref, "_secret")
}

// isOfflineRef reports whether ref is the app's own UUID for a payment that was
// stored offline.
func isOfflineRef(ref string) bool { return uuidForm.MatchString(ref) }

// rule says what an operation of one kind may hold.
type rule struct {
	ref      func(string) bool
	refSays  string
	amount   need
	currency need
	data     map[string]check
}

type need int

const (
	optional need = iota
	required
	never
)

// check says whether a value may stand in a field of data.
type check func(json.RawMessage) bool

func paymentRef(ref string) bool { return isIntent(ref) || isOfflineRef(ref) }

func anyRef(ref string) bool { return ref != "" && plain(ref, 255) }

const paymentRefSays = "ref must be a pi_… or the UUID of an offline payment"

var moneyData = map[string]check{"order": text(255), "reason": text(255), "lane": text(64)}

// rules is the table of kinds: what is not in it is refused, not kept.
var rules = map[Kind]rule{
	Capture: {ref: paymentRef, refSays: paymentRefSays, data: moneyData},
	Cancel:  {ref: paymentRef, refSays: paymentRefSays, amount: never, currency: never, data: moneyData},
	Refund:  {ref: paymentRef, refSays: paymentRefSays, data: moneyData},
	OfflinePayment: {ref: isOfflineRef, refSays: "ref must be the UUID of the offline payment", amount: required, currency: required,
		data: map[string]check{"order": text(255), "reader": text(255), "stored_at": instant, "lane": text(64)}},
	Order: {ref: anyRef, refSays: "ref must be text of 1 to 255 characters",
		data: map[string]check{"order": text(255), "lines": lines, "lane": text(64)}},
	Receipt: {ref: paymentRef, refSays: paymentRefSays, data: receiptData},
	Heartbeat: {ref: func(ref string) bool { return plain(ref, 255) }, refSays: "ref must be text of at most 255 characters",
		amount: never, currency: never},
}

// receiptData is what a receipt shows: the EMV fields, and where to send it.
var receiptData = map[string]check{
	"application_preferred_name": text(64), "dedicated_file_name": text(64), "account_type": text(32),
	"authorization_response_code": text(16), "application_cryptogram": text(64),
	"terminal_verification_results": text(64), "transaction_status_information": text(64),
	"authorization_code": text(32), "cardholder_verification_method": text(64),
	"brand": text(32), "last4": matching(`^\d{4}$`), "read_method": text(64), "funding": text(32),
	"network": text(64), "wallet": text(64), "preferred_locales": texts(16, 35),
	"order": text(255), "lane": text(64), "email": of(emailForm), "locale": of(localeForm),
	"send": boolean,
}

// SendsReceipt tells the address that an operation wants Stripe's own e-mail receipt
// sent to; "": it asks only that the receipt be kept.
func SendsReceipt(op Operation) string {
	var d struct {
		Email string `json:"email"`
		Send  bool   `json:"send"`
	}
	if op.Kind != Receipt || json.Unmarshal(op.Data, &d) != nil || !d.Send {
		return ""
	}
	return d.Email
}

// dropped are fields that apps copy out of a card and that nobody here needs:
// they are taken off without a word.
var dropped = map[string]bool{
	"cardholder_name": true, "cardholderName": true, "exp_month": true, "exp_year": true,
	"expMonth": true, "expYear": true, "expiry": true,
}

// CheckOperation refuses what an operation of its kind may not be and returns it
// as it is to be stored: data canonical, with the fields that are never kept
// taken off. It looks at Kind, Ref, Amount, Currency and Data only.
func CheckOperation(op Operation) (Operation, error) {
	r, ok := rules[op.Kind]
	if !ok {
		return op, ErrInvalidField.With("kind must be one of capture, cancel, refund, offline_payment, order, receipt, heartbeat")
	}
	if !r.ref(op.Ref) {
		return op, ErrInvalidField.With("%s", r.refSays)
	}
	switch {
	case op.Amount != nil && r.amount == never:
		return op, ErrInvalidField.With("amount has no place in %s", op.Kind)
	case op.Amount == nil && r.amount == required:
		return op, ErrMissingField.With("amount is required for %s", op.Kind)
	case op.Amount != nil:
		if err := CheckAmount(*op.Amount); err != nil {
			return op, err
		}
	}
	switch {
	case op.Currency != "" && r.currency == never:
		return op, ErrInvalidField.With("currency has no place in %s", op.Kind)
	case op.Currency == "" && r.currency == required:
		return op, ErrMissingField.With("currency is required for %s", op.Kind)
	case op.Currency != "":
		if err := CheckCurrency(op.Currency); err != nil {
			return op, err
		}
	}
	data, err := r.keep(op.Kind, op.Data)
	op.Data = data
	return op, err
}

// addressed refuses a receipt that is to be sent to nobody.
func addressed(fields map[string]json.RawMessage) error {
	if _, to := fields["email"]; !to && string(fields["send"]) == "true" {
		return ErrMissingField.With("data.email is required where data.send is true")
	}
	return nil
}

func (r rule) keep(kind Kind, raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return nil, ErrInvalidField.With("data must be an object")
	}
	for name, value := range fields {
		if dropped[name] {
			delete(fields, name)
			continue
		}
		ok, known := r.data[name]
		if !known {
			e := unknownField(name)
			e = e.With("%s in data of %s", e.Message, kind)
			return nil, e
		}
		if bytes.Equal(value, []byte("null")) {
			delete(fields, name)
			continue
		}
		if !ok(value) {
			return nil, ErrInvalidField.With("data.%s has a value that cannot be", name)
		}
	}
	if err := addressed(fields); err != nil {
		return nil, err
	}
	if len(fields) == 0 {
		return nil, nil
	}
	return canonicalJSON(encodeJSON(fields)), nil
}

// plain reports whether s is printable text of at most limit characters.
func plain(s string, limit int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= limit &&
		strings.IndexFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) < 0
}

func text(limit int) check {
	return func(raw json.RawMessage) bool {
		s, ok := asString(raw)
		return ok && plain(s, limit)
	}
}

func of(form *regexp.Regexp) check {
	return func(raw json.RawMessage) bool {
		s, ok := asString(raw)
		return ok && form.MatchString(s)
	}
}

func matching(form string) check { return of(regexp.MustCompile(form)) }

func texts(count, limit int) check {
	return func(raw json.RawMessage) bool {
		var list []string
		if json.Unmarshal(raw, &list) != nil || len(list) > count {
			return false
		}
		for _, s := range list {
			if !plain(s, limit) {
				return false
			}
		}
		return true
	}
}

// instant wants RFC 3339; a number would leave open whether it counts seconds.
func boolean(raw json.RawMessage) bool {
	var b bool
	return json.Unmarshal(raw, &b) == nil
}

func instant(raw json.RawMessage) bool {
	s, ok := asString(raw)
	_, err := time.Parse(time.RFC3339, s)
	return ok && err == nil
}

func asString(raw json.RawMessage) (string, bool) {
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil && len(raw) > 0 && raw[0] == '"'
}

// lineFields are the names under which tills write the lines of an order.
var lineFields = map[string]bool{
	"id": true, "sku": true, "name": true, "description": true, "category": true, "unit": true, "note": true,
	"quantity": true, "qty": true, "amount": true, "unit_amount": true, "price": true, "discount": true,
	"tax": true, "total": true, "currency": true,
}

// lines wants a list of texts, or of flat objects with texts and numbers.
func lines(raw json.RawMessage) bool {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) > 500 {
		return false
	}
	for _, item := range list {
		if text(255)(item) {
			continue
		}
		var line map[string]json.RawMessage
		if json.Unmarshal(item, &line) != nil || line == nil {
			return false
		}
		for name, value := range line {
			if !lineFields[name] || !text(255)(value) && !number(value) {
				return false
			}
		}
	}
	return true
}

func number(raw json.RawMessage) bool {
	return len(raw) > 0 && len(raw) <= 16 && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9')
}
