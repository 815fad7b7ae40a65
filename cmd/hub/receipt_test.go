package main

import (
	"bytes"
	"strings"
	"testing"

	"storehub/doors"
)

func TestReceiptIsShownAsAsked(t *testing.T) {
	r := doors.ReceiptFields{PaymentIntent: "pi_1", Brand: "visa", Text: "VISA\n", ESCPOS: []byte("\x1b@VISA"), Missing: []string{"dedicated_file_name"}}
	for format, want := range map[string]string{"text": "VISA\n", "escpos": "\x1b@VISA", "json": `"brand": "visa"`} {
		var out, said bytes.Buffer
		if err := writeReceipt(&app{stdout: &out, stderr: &said}, format, r); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); got != want && (format != "json" || !strings.Contains(got, want)) {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
		if told := strings.Contains(said.String(), "dedicated_file_name"); told != (format == "text") {
			t.Errorf("%s: what is missing was said: %t", format, told)
		}
	}
}

func TestReceiptWantsAPayment(t *testing.T) {
	var out, said bytes.Buffer
	if code := run(t.Context(), []string{"receipt", "ch_1"}, nil, &out, &said); code != 2 || !strings.Contains(said.String(), "pi_") {
		t.Errorf("exit %d, %q", code, said.String())
	}
}
