package doors

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash"
	"strconv"
	"strings"
)

// OperationID names an operation by who asked and under which key, so that the
// hub, headquarters and a hub with a new disk give the same promise the same
// name. Every field is hashed with its length: no two lists of fields run
// together.
func OperationID(store string, mode Mode, till, key string) string {
	h := sha256.New()
	hashFields(h, "storehub operation 1", store, string(mode), till, key)
	enc := base32.StdEncoding.WithPadding(base32.NoPadding)
	return "op_" + strings.ToLower(enc.EncodeToString(h.Sum(nil)))
}

// BodyHash is equal for two operations exactly when they ask for the same thing:
// kind, ref, amount, currency and data, whatever the spelling of the JSON. No
// amount ("all of it") differs from every amount.
func BodyHash(op Operation) string {
	amount := "full"
	if op.Amount != nil {
		amount = strconv.FormatInt(*op.Amount, 10)
	}
	h := sha256.New()
	hashFields(h, "storehub body 1", string(op.Kind), op.Ref, amount, op.Currency, string(canonicalJSON(op.Data)))
	return hex.EncodeToString(h.Sum(nil))
}

func hashFields(h hash.Hash, fields ...string) {
	var length [8]byte
	for _, f := range fields {
		binary.BigEndian.PutUint64(length[:], uint64(len(f)))
		h.Write(length[:])
		h.Write([]byte(f))
	}
}

// canonicalJSON sorts keys and drops white space. Nothing, null and {} are the
// same: no data. What is no JSON stands for itself.
func canonicalJSON(raw json.RawMessage) []byte {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber() // a float64 would make neighbours of large integers equal
	var v any
	if err := dec.Decode(&v); err != nil {
		return bytes.TrimSpace(raw)
	}
	if m, ok := v.(map[string]any); v == nil || ok && len(m) == 0 {
		return nil
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return bytes.TrimSpace(raw)
	}
	return bytes.TrimSpace(out.Bytes())
}
