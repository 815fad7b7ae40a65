package doors

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzParseForm(f *testing.F) {
	files, _ := filepath.Glob("testdata/requests/*.http")
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		_, body, _ := strings.Cut(string(raw), "\r\n\r\n")
		f.Add("", "application/x-www-form-urlencoded", body)
	}
	f.Add("a=1&a=2", "", "a[b[c]]=1&a[b][c]=2")
	f.Add("", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--\r\n")
	f.Add("", "application/json", "{}")
	f.Fuzz(func(t *testing.T, query, contentType, body string) {
		r := httptest.NewRequest(post, "/", strings.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", contentType)
		got, err := parseForm(r)
		if err != nil {
			if asRefusal(err, nil) == nil {
				t.Fatalf("no refusal: %v", err)
			}
			return
		}
		for key, values := range got {
			if again := normaliseKey(key); again != key {
				t.Errorf("key %q became %q", key, again)
			}
			for _, v := range values {
				if !utf8.ValidString(v) || holdsCardData(v) {
					t.Errorf("%q passed", v)
				}
			}
			if n, err := got.money(key); err == nil && (*n < 1 || *n > MaxAmount) {
				t.Errorf("%q is the amount %d", values, *n)
			}
		}
	})
}

func FuzzParseOperation(f *testing.F) {
	for _, body := range []string{
		`{"kind":"capture","ref":"pi_1","amount":1250,"currency":"eur","data":{"order":"A-1041"}}`,
		`{"kind":"receipt","ref":"pi_1","data":{"email":"a@example.com","cardholder_name":"x","last4":"4242"}}`,
		`{"kind":"order","ref":"1","data":{"lines":[{"sku":"A","quantity":0.5},"x"]}}`,
		`{"kind":"heartbeat"}`, `{"kind":"capture","ref":"pi_1","amount":1e3}`, `{"a":{"a":[[]]}}`, "null", "{}{}", "\xff",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if err := checkJSON(body); err != nil {
			return
		}
		op, err := parseOperation(body)
		if err != nil {
			if asRefusal(err, nil) == nil {
				t.Fatalf("no refusal: %v", err)
			}
			return
		}
		again, err := CheckOperation(op)
		if err != nil || BodyHash(again) != BodyHash(op) || string(again.Data) != string(op.Data) {
			t.Errorf("%+v is not stable: %+v, %v", op, again, err)
		}
		if op.Amount != nil && (*op.Amount < 1 || *op.Amount > MaxAmount) {
			t.Errorf("amount %d", *op.Amount)
		}
	})
}

func FuzzCardData(f *testing.F) {
	for _, card := range testCards {
		f.Add(card)
	}
	f.Add("%B4242424242424242^CARD/TEST^2912101?")
	f.Add(";4242424242424242=2912?")
	f.Add("4242 4242-4242.4242")
	f.Fuzz(func(t *testing.T, value string) {
		if !holdsCardData(value) {
			return
		}
		digits := 0
		for _, c := range value {
			if c >= '0' && c <= '9' || c >= '０' && c <= '９' {
				digits++
			}
		}
		if digits < 12 {
			t.Errorf("%q has %d digits", value, digits)
		}
		if holdsCardData("order " + value) {
			t.Errorf("a part of %q was looked at", "order "+value)
		}
	})
}

func FuzzParseAmount(f *testing.F) {
	for _, text := range []string{"1", "1250", "99999999", "0", "-1", "1e3", "10.50", "", "NaN", "null", "0100", "１"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := ParseAmount(text)
		if err == nil && (strconv.FormatInt(n, 10) != text || CheckAmount(n) != nil) {
			t.Errorf("%q became %d", text, n)
		}
	})
}
