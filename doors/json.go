package doors

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxBody is the largest body a till may send.
const MaxBody = 64 << 10

// maxDepth bounds the nesting of a body; the deepest known one has five levels.
const maxDepth = 16

// CodeHeader repeats a refusal's code where the body is a sentence for a person.
const CodeHeader = "Storehub-Code"

// DecodeJSON reads the whole body of r into v, strictly: Content-Type
// application/json, at most [MaxBody] bytes of valid UTF-8, one value and nothing
// after it, no key twice, no key that v does not know in exactly that spelling.
// The error is an *[Error] that never repeats a value of the body.
func DecodeJSON(r *http.Request, v any) error { return DecodeJSONLimit(r, v, MaxBody) }

// DecodeJSONLimit is [DecodeJSON] with another limit in bytes.
func DecodeJSONLimit(r *http.Request, v any, limit int64) error {
	body, err := readJSON(r, limit)
	if err != nil {
		return err
	}
	return decodeStrict(body, v)
}

// DecodeJSONOpen is [DecodeJSON] for what a newer program may send: fields that v does
// not have are left out, and newer is what DecodeJSON would have said of the first.
// Whatever else it refuses is refused here too. v points to a struct.
func DecodeJSONOpen(r *http.Request, v any) (newer, err error) {
	body, err := readJSON(r, MaxBody)
	if err != nil {
		return nil, err
	}
	var e *Error
	if err := decodeStrict(body, v); !errors.As(err, &e) || e.Code != ErrUnknownField.Code {
		return nil, err
	}
	newer = e
	into := reflect.ValueOf(v).Elem()
	into.SetZero() // the strict decoder may have begun to fill it
	var m map[string]json.RawMessage
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, ErrBadRequest
	}
	for key := range m {
		if !hasTag(into.Type(), key) {
			delete(m, key) // encoding/json would fold its case
		}
	}
	if body, err = json.Marshal(m); err != nil {
		return nil, ErrBadRequest
	}
	return newer, decode(json.NewDecoder(bytes.NewReader(body)), v)
}

// decodeOptional is DecodeJSON for calls whose body may be missing.
func decodeOptional(r *http.Request, v any) error {
	body, err := readBody(r, MaxBody)
	if err != nil || len(body) == 0 {
		return err
	}
	if err := wantJSON(r); err != nil {
		return err
	}
	if err := checkJSON(body); err != nil {
		return err
	}
	return decodeStrict(body, v)
}

// readJSON returns a body that is one well-formed JSON value.
func readJSON(r *http.Request, limit int64) ([]byte, error) {
	if err := wantJSON(r); err != nil {
		return nil, err
	}
	body, err := readBody(r, limit)
	if err != nil {
		return nil, err
	}
	return body, checkJSON(body)
}

func wantJSON(r *http.Request) error {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return ErrContentType.With("Content-Type must be application/json")
	}
	if c := params["charset"]; c != "" && !strings.EqualFold(c, "utf-8") {
		return ErrContentType.With("the charset of JSON is utf-8")
	}
	return nil
}

func readBody(r *http.Request, limit int64) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	if r.ContentLength > limit {
		hearOut(r)
		return nil, tooLarge(limit)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, ErrBadRequest.With("the body broke off")
	}
	if int64(len(body)) > limit {
		hearOut(r)
		return nil, tooLarge(limit)
	}
	return body, nil
}

// heardOut is how much of a body is read that is refused all the same.
const heardOut = 256 << 10

// hearOut lets whoever sends somewhat too much finish: one that is still writing when
// the connection ends sees a broken pipe instead of the refusal.
func hearOut(r *http.Request) {
	_, _ = io.CopyN(io.Discard, r.Body, heardOut) // a body that breaks off is refused too
}

func tooLarge(limit int64) *Error {
	return ErrTooLarge.With("the body is larger than %d KiB", limit>>10)
}

// checkJSON refuses what encoding/json would let pass: bad UTF-8, a key twice
// (in any spelling: encoding/json folds case), text after the value, deep nests.
func checkJSON(body []byte) error {
	if !utf8.Valid(body) {
		return ErrBadRequest.With("the body is not UTF-8")
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return ErrBadRequest.With("the body is empty")
	}
	if !json.Valid(body) {
		return ErrBadRequest.With("the body is not one JSON value")
	}
	return walkJSON(body, nil)
}

// walkJSON calls visit for every key (with a nil value) and for every scalar of
// a valid JSON text, with the keys that lead there.
func walkJSON(body []byte, visit func(path []string, scalar any) error) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if visit == nil {
		visit = func([]string, any) error { return nil }
	}
	return walkValue(dec, nil, 0, visit)
}

func walkValue(dec *json.Decoder, path []string, depth int, visit func([]string, any) error) error {
	if depth > maxDepth {
		return ErrBadRequest.With("the body is nested deeper than %d levels", maxDepth)
	}
	tok, err := dec.Token()
	if err != nil {
		return ErrBadRequest.With("the body is not one JSON value")
	}
	switch tok {
	case json.Delim('['):
		for dec.More() {
			if err := walkValue(dec, path, depth+1, visit); err != nil {
				return err
			}
		}
		_, err = dec.Token()
		return err
	case json.Delim('{'):
		seen := map[string]bool{}
		for dec.More() {
			tok, err := dec.Token()
			if err != nil {
				return ErrBadRequest.With("the body is not one JSON value")
			}
			key, _ := tok.(string)
			folded := strings.ToLower(key)
			if seen[folded] {
				return ErrBadRequest.With("a key occurs twice")
			}
			seen[folded] = true
			at := append(path[:len(path):len(path)], key)
			if err := visit(at, nil); err != nil {
				return err
			}
			if err := walkValue(dec, at, depth+1, visit); err != nil {
				return err
			}
		}
		_, err = dec.Token()
		return err
	}
	if tok == nil {
		return nil
	}
	return visit(path, tok)
}

func decodeStrict(body []byte, v any) error {
	if err := exactKeys(body, v); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	return decode(dec, v)
}

// decode says of what dec refuses no more than may be logged.
func decode(dec *json.Decoder, v any) error {
	err := dec.Decode(v)
	if err == nil {
		return nil
	}
	var typed *json.UnmarshalTypeError
	if errors.As(err, &typed) {
		if typed.Field == "" {
			return ErrInvalidField.With("the body must be a JSON object")
		}
		return ErrInvalidField.With("%s has the wrong type", typed.Field) // not typed.Value: it may be anything
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return unknownField(strings.Trim(name, `"`))
	}
	return ErrBadRequest
}

// exactKeys holds the outermost object to the spelling of v's tags;
// encoding/json would take "AMOUNT" for "amount".
func exactKeys(body []byte, v any) error {
	t := reflect.TypeOf(v)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var m map[string]json.RawMessage
	if t.Kind() != reflect.Struct || json.Unmarshal(body, &m) != nil {
		return nil // decoding says what is wrong
	}
	if m == nil {
		return ErrInvalidField.With("the body must be a JSON object")
	}
	for key := range m {
		if !hasTag(t, key) {
			return unknownField(key)
		}
	}
	return nil
}

func hasTag(t reflect.Type, key string) bool {
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == key && key != "-" || name == "" && f.Name == key && !f.Anonymous {
			return true
		}
	}
	return false
}

// unknownField names the field unless it is too long to be a name.
func unknownField(name string) *Error {
	if len(name) > 64 || holdsCardData(name) {
		return ErrUnknownField
	}
	return ErrUnknownField.With("%q is not a known field", name)
}

// WriteError answers with the refusal err as /v1 does: {"error":{…}}. What is no
// *[Error] is answered as internal and its text stays inside.
func WriteError(w http.ResponseWriter, err error) {
	e := asRefusal(err, ErrInternal)
	refusalHeaders(w, e)
	writeJSON(w, e.Status, encodeError(e))
}

// ParseError reads what [WriteError] wrote. It returns nil for anything else:
// then nobody knows.
func ParseError(status int, body []byte) *Error {
	var wire struct {
		Error *Error `json:"error"`
	}
	if json.Unmarshal(body, &wire) != nil || wire.Error == nil || wire.Error.Code == "" {
		return nil
	}
	wire.Error.Status = status
	return wire.Error
}

func encodeError(e *Error) []byte {
	return encodeJSON(struct {
		Error *Error `json:"error"`
	}{e})
}

// asRefusal turns silence into the given refusal. A refusal that came without a
// status or a link (a backend may make its own) gets them.
func asRefusal(err error, silence *Error) *Error {
	var e *Error
	if !errors.As(err, &e) {
		return silence
	}
	if e.Status >= 400 && e.Status <= 599 && e.Doc != "" {
		return e
	}
	c := *e
	if c.Status < 400 || c.Status > 599 {
		c.Status = http.StatusInternalServerError
	}
	c.Doc = cmp.Or(c.Doc, "docs/api.md#"+c.Code)
	return &c
}

func refusalHeaders(w http.ResponseWriter, e *Error) {
	w.Header().Set(CodeHeader, e.Code)
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.RetryAfter))
	}
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
}

// encodeJSON is for values that always encode; a value that does not is a
// programming error and becomes the refusal internal.
func encodeJSON(v any) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimRight(out.Bytes(), "\n")
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the till is gone: nobody is left to tell
}
