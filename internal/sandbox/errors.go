package sandbox

import "net/http"

// Stripe's types of errors.
const (
	invalidRequest = "invalid_request_error"
	apiFailure     = "api_error"
	cardFailure    = "card_error"
	idempotency    = "idempotency_error"
)

// apiError is a refusal in Stripe's shape. It is nil where nothing is refused.
type apiError struct {
	Status        int    `json:"-"`
	Retry         string `json:"-"` // Stripe-Should-Retry; "": not said
	Limited       string `json:"-"` // Stripe-Rate-Limited-Reason; "": not limited
	Type          string `json:"type"`
	Code          string `json:"code,omitempty"`
	DeclineCode   string `json:"decline_code,omitempty"`
	AdviceCode    string `json:"advice_code,omitempty"`
	Message       string `json:"message"`
	Param         string `json:"param,omitempty"`
	Charge        string `json:"charge,omitempty"`
	PaymentIntent any    `json:"payment_intent,omitempty"`
	DocURL        string `json:"doc_url,omitempty"`
	RequestLogURL string `json:"request_log_url,omitempty"`
}

func unauthorized(message string) *apiError {
	return &apiError{Status: http.StatusUnauthorized, Type: invalidRequest, Message: message}
}

func invalid(code, param, message string) *apiError {
	return &apiError{Status: http.StatusBadRequest, Type: invalidRequest, Code: code, Param: param, Message: message}
}

func missing(param string) *apiError {
	return invalid("parameter_missing", param, "Missing required param: "+param+".")
}

func unknownParam(param string) *apiError {
	return invalid("parameter_unknown", param, "Received unknown parameter: "+param)
}

// noSuch is a resource that does not exist: 404 when the path named it, 400 when
// a parameter did.
func noSuch(kind, id, param string) *apiError {
	e := invalid("resource_missing", param, "No such "+kind+": '"+id+"'")
	if param == "" || param == "id" {
		e.Status = http.StatusNotFound
		e.Param = "id"
		if kind == "payment_intent" {
			e.Param = "intent"
		}
	}
	return e
}

// unexpectedState is an intent that stands elsewhere than the call needs.
func unexpectedState(in *intentRecord, version, doing, allowed string) *apiError {
	e := invalid("payment_intent_unexpected_state", "", "This PaymentIntent could not be "+doing+
		" because it has a status of "+in.Status+". Only a PaymentIntent with one of these statuses may be "+doing+": "+allowed+".")
	e.PaymentIntent = in.wire(version)
	return e
}
