package doors

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxPairs bounds a form; the longest known one has a dozen.
const maxPairs = 256

// form is what an app sent at a compatibility door, body over query string, with
// every key in the spelling a[b][c].
type form url.Values

// parseForm reads a body as those apps really send it: urlencoded with or
// without Content-Type, multipart, or none at all. A JSON body is refused: an
// app that sends one speaks another contract, and would be told that fields are
// missing which it can see itself sending.
func parseForm(r *http.Request) (form, error) {
	f := form{}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, ErrBadRequest.With("the query string could not be read")
	}
	body, err := readBody(r, MaxBody)
	if err != nil {
		return nil, err
	}
	posted, err := parseBody(r.Header.Get("Content-Type"), body)
	if err != nil {
		return nil, err
	}
	if len(query)+len(posted) > maxPairs {
		return nil, ErrBadRequest.With("more than %d fields", maxPairs)
	}
	for _, source := range []url.Values{query, posted} {
		clean := form{}
		for key, values := range source {
			key = normaliseKey(key)
			clean[key] = append(clean[key], values...)
		}
		for key, values := range clean {
			f[key] = values
		}
	}
	return f, f.check()
}

func parseBody(contentType string, body []byte) (url.Values, error) {
	if len(body) == 0 {
		return nil, nil
	}
	kind, params := "application/x-www-form-urlencoded", map[string]string(nil)
	if contentType != "" {
		var err error
		if kind, params, err = mime.ParseMediaType(contentType); err != nil {
			return nil, ErrContentType
		}
	}
	switch kind {
	case "application/x-www-form-urlencoded":
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, ErrBadRequest.With("the form could not be read")
		}
		return values, nil
	case "multipart/form-data":
		// The reader takes a body that was cut off for one that has ended.
		if end := "--" + params["boundary"] + "--"; params["boundary"] == "" || !bytes.Contains(body, []byte(end)) {
			return nil, ErrBadRequest.With("the form broke off")
		}
		return parseMultipart(multipart.NewReader(bytes.NewReader(body), params["boundary"]))
	}
	return nil, ErrContentType.With("send a form (application/x-www-form-urlencoded)")
}

func parseMultipart(mr *multipart.Reader) (url.Values, error) {
	values := url.Values{}
	for range maxPairs {
		part, err := mr.NextPart()
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil || part.FormName() == "" || part.FileName() != "" {
			return nil, ErrBadRequest.With("the form could not be read")
		}
		value, err := io.ReadAll(part) // within the body, which is bounded
		if err != nil {
			return nil, ErrBadRequest.With("the form could not be read")
		}
		values.Add(part.FormName(), string(value))
	}
	return nil, ErrBadRequest.With("more than %d fields", maxPairs)
}

// normaliseKey writes a[b[c]] and a[b][c] as a[b][c], and a[] as a[]. Rack reads
// both as nesting and apps rely on it. A key that is no nesting stays as it is:
// nobody asks for it.
func normaliseKey(key string) string {
	root, rest, nested := strings.Cut(key, "[")
	if !nested || root == "" || strings.Contains(root, "]") {
		return key
	}
	var out, segment strings.Builder
	out.WriteString(root)
	open := true
	emit := func() {
		out.WriteString("[" + segment.String() + "]")
		segment.Reset()
	}
	for _, c := range rest {
		switch {
		case c == '[':
			if open && segment.Len() > 0 {
				emit()
			}
			open = true
		case c == ']':
			if open {
				emit()
			}
			open = false
		case !open:
			return key
		default:
			segment.WriteRune(c)
		}
	}
	if segment.Len() > 0 {
		return key
	}
	return out.String()
}

// check refuses bytes that are no text, and card data in any field, known or not.
func (f form) check() error {
	for key, values := range f {
		for _, s := range append([]string{key}, values...) {
			if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
				return ErrBadRequest.With("the form is not UTF-8 text")
			}
			if holdsCardData(s) {
				return ErrCardData
			}
		}
	}
	return nil
}

// text returns a field's last value, which is the one Rack takes. Empty, and the
// words that JavaScript writes for an unset field, are absent.
func (f form) text(key string) string {
	values := f[key]
	if len(values) == 0 || absent(values[len(values)-1]) {
		return ""
	}
	return values[len(values)-1]
}

// list returns the values of key[] (or key), each once.
func (f form) list(key string) []string {
	var out []string
	seen := map[string]bool{}
	for _, v := range append(append([]string{}, f[key+"[]"]...), f[key]...) {
		if !absent(v) && !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// money returns an amount, or nil where the field is not there at all. A field
// that is there must hold one amount: "null" or "NaN" is a till that lost count,
// and taking it for "all of it" would charge what nobody typed.
func (f form) money(key string) (*int64, error) {
	values, there := f[key]
	if !there {
		return nil, nil
	}
	for _, v := range values {
		if v != values[0] {
			return nil, ErrInvalidAmount.With("%s is there twice", key)
		}
	}
	n, err := ParseAmount(values[0])
	if err != nil {
		return nil, ErrInvalidAmount.With("%s must be an integer in minor units, 1 to %d", key, MaxAmount)
	}
	return &n, nil
}

func absent(v string) bool {
	return v == "" || v == "null" || v == "NaN" || v == "undefined"
}
