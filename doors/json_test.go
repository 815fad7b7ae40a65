package doors

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
)

func TestDecodeJSONIsStrict(t *testing.T) {
	type inner struct {
		B int `json:"b"`
	}
	var v struct {
		A     string `json:"a"`
		Inner inner  `json:"inner"`
		Plain int
	}
	decode := func(body string) error {
		r := httptest.NewRequest(post, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json; charset=UTF-8")
		return DecodeJSON(r, &v)
	}
	if err := decode(" {\"a\":\"x\",\"inner\":{\"b\":1},\"Plain\":2}\n"); err != nil || v.A != "x" || v.Inner.B != 1 || v.Plain != 2 {
		t.Errorf("got %+v, %v", v, err)
	}
	for body, want := range map[string]*Error{
		"": ErrBadRequest, " \n": ErrBadRequest, "{": ErrBadRequest, "{}x": ErrBadRequest, "\ufeff{}": ErrBadRequest,
		`{"a":"1","a":"2"}`: ErrBadRequest, `{"inner":{"b":1,"b":2}}`: ErrBadRequest, `{"A":"1"}`: ErrUnknownField,
		`{"c":1}`: ErrUnknownField, `{"inner":{"c":1}}`: ErrUnknownField, `{"a":1}`: ErrInvalidField,
		`{"inner":{"b":"4242424242424242"}}`: ErrInvalidField, `null`: ErrInvalidField, `7`: ErrInvalidField, `"a"`: ErrInvalidField,
	} {
		err := decode(body)
		if !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", body, err, want.Code)
		}
		if err != nil && strings.Contains(err.Error(), "4242") {
			t.Errorf("%q: the error repeats a value: %v", body, err)
		}
	}
}

func TestDecodeJSONLimitBoundsWhatIsRead(t *testing.T) {
	var v []int
	for _, length := range []int64{-1, 101} { // chunked, and said
		r := httptest.NewRequest(post, "/", strings.NewReader(`[`+strings.Repeat(" ", 98)+`1]`))
		r.ContentLength = length
		r.Header.Set("Content-Type", "application/json")
		if err := DecodeJSONLimit(r, &v, 100); !errors.Is(err, ErrTooLarge) {
			t.Errorf("length %d: got %v", length, err)
		}
	}
	r := httptest.NewRequest(post, "/", iotest.ErrReader(errors.New("connection reset")))
	r.Header.Set("Content-Type", "application/json")
	if err := DecodeJSON(r, &v); !errors.Is(err, ErrBadRequest) {
		t.Errorf("a torn body: got %v", err)
	}
	r = httptest.NewRequest(post, "/", nil)
	r.Body = nil
	r.Header.Set("Content-Type", "application/json")
	if err := DecodeJSON(r, &v); !errors.Is(err, ErrBadRequest) {
		t.Errorf("no body: got %v", err)
	}
}

func TestWrittenErrorsAreReadBack(t *testing.T) {
	w := httptest.NewRecorder()
	WriteError(w, ErrRateLimited.With("slow down").Operator("Wait."))
	got := ParseError(w.Code, w.Body.Bytes())
	want := *ErrRateLimited.With("slow down").Operator("Wait.")
	if got == nil || *got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	w = httptest.NewRecorder()
	WriteError(w, errors.New("open /secret/path: no such file"))
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	WriteError(w, &Error{Code: "own_code", RetryAfter: 2})
	if w.Code != http.StatusInternalServerError || w.Header().Get("Retry-After") != "2" || !strings.Contains(w.Body.String(), "docs/api.md#own_code") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	for _, body := range []string{"", "<html>bad gateway</html>", `{}`, `{"error":"text"}`, `{"error":{}}`} {
		if e := ParseError(http.StatusBadGateway, []byte(body)); e != nil {
			t.Errorf("%q: got %v, want silence", body, e)
		}
	}
}

// A body that is somewhat too large is read to its end before it is refused, a huge
// one is not.
func TestTooLargeABodyIsHeardOutWithinBounds(t *testing.T) {
	for _, c := range []struct{ size, most int }{{MaxBody + 1, 0}, {MaxBody + 100<<10, 0}, {8 << 20, 8<<20 - heardOut - 2*MaxBody}} {
		body := strings.NewReader(strings.Repeat("x", c.size))
		for _, told := range []int64{int64(c.size), -1} {
			body.Reset(strings.Repeat("x", c.size))
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", body)
			r.ContentLength = told
			if _, err := readBody(r, MaxBody); !errors.Is(err, ErrTooLarge) {
				t.Errorf("%d bytes: %v", c.size, err)
			}
			if left := body.Len(); c.most == 0 && left != 0 || left < c.most {
				t.Errorf("of %d bytes, told %d, %d were left", c.size, told, left)
			}
		}
	}
}
