package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"storehub/diagnostics"
	"storehub/doors"
	"storehub/hq"
)

// ErrNotRunning means that no hub answers on the state directory's socket.
var ErrNotRunning = errors.New("no hub is running on this state directory")

// Admin is a running hub, as its own commands see it.
type Admin struct{ http *http.Client }

// DialAdmin finds the hub that runs on a state directory, or fails with
// [ErrNotRunning].
func DialAdmin(stateDir string) (*Admin, error) {
	socket := AdminSocket(stateDir)
	conn, err := dialSocket(context.Background(), socket)
	if err != nil {
		if errors.Is(err, os.ErrPermission) {
			return nil, fmt.Errorf("reach hub at %s: %w", socket, err)
		}
		return nil, fmt.Errorf("reach hub at %s: %w", socket, ErrNotRunning)
	}
	_ = conn.Close()
	return &Admin{&http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialSocket(ctx, socket)
			},
		},
	}}, nil
}

// Pair gives a till a credential.
func (a *Admin) Pair(ctx context.Context, p PairRequest) (Pairing, error) {
	return post[Pairing](ctx, a, "/pair", p)
}

// Revoke ends a till's credential.
func (a *Admin) Revoke(ctx context.Context, name string) error {
	_, err := post[tillList](ctx, a, "/revoke", map[string]string{"name": name})
	return err
}

// Console makes a one-time link.
func (a *Admin) Console(ctx context.Context) (ConsoleLink, error) {
	return post[ConsoleLink](ctx, a, "/console", nil)
}

// Tills lists them by name.
func (a *Admin) Tills(ctx context.Context) ([]TillInfo, error) {
	l, err := get[tillList](ctx, a, "/tills")
	return l.Tills, err
}

// Operations lists, newest first.
func (a *Admin) Operations(ctx context.Context, state doors.State, limit int) ([]doors.Operation, error) {
	l, err := get[operationList](ctx, a, "/queue?state="+string(state)+"&limit="+strconv.Itoa(limit))
	return l.Operations, err
}

// Operation is one of them.
func (a *Admin) Operation(ctx context.Context, id string) (doors.Operation, error) {
	return get[doors.Operation](ctx, a, "/queue/"+url.PathEscape(id))
}

// Receipt is what the receipt of a payment shows, as Stripe tells it now.
func (a *Admin) Receipt(ctx context.Context, paymentIntent string) (doors.ReceiptFields, error) {
	return get[doors.ReceiptFields](ctx, a, "/receipts/"+url.PathEscape(paymentIntent))
}

// Export is the open part of the queue.
func (a *Admin) Export(ctx context.Context) (hq.Export, error) {
	return get[hq.Export](ctx, a, "/export")
}

// Verify has the hub prove that nothing was lost.
func (a *Admin) Verify(ctx context.Context) (Verification, error) {
	slow := &Admin{&http.Client{Transport: a.http.Transport, Timeout: 5 * time.Minute}} // a long journal is read whole
	return get[Verification](ctx, slow, "/verification")
}

// Retry has a parked operation offered again.
func (a *Admin) Retry(ctx context.Context, id string, d Deed) (doors.Operation, error) {
	return post[doors.Operation](ctx, a, "/queue/"+url.PathEscape(id)+"/retry", d)
}

// Resolve settles that an operation about money failed or was undone.
func (a *Admin) Resolve(ctx context.Context, id string, d Deed) (doors.Operation, error) {
	return post[doors.Operation](ctx, a, "/queue/"+url.PathEscape(id)+"/resolve", d)
}

// Status is GET /v1/status.
func (a *Admin) Status(ctx context.Context) (Status, error) { return get[Status](ctx, a, "/status") }

// Diagnosis is the running hub's own.
func (a *Admin) Diagnosis(ctx context.Context) (diagnostics.Report, error) {
	return get[diagnostics.Report](ctx, a, "/diagnosis")
}

// Metrics is what /metrics says.
func (a *Admin) Metrics(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://hub/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask hub: %w", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("ask hub: %s", resp.Status)
	}
	return b, err
}

// History is the running hub's own, with the words of [Past].
func (a *Admin) History(ctx context.Context, from, to time.Time) (diagnostics.History, error) {
	q := url.Values{"from": {from.Format(time.RFC3339Nano)}, "to": {to.Format(time.RFC3339Nano)}}
	return get[diagnostics.History](ctx, a, "/history?"+q.Encode())
}

// Facts is what the running hub adds to a diagnosis.
func (a *Admin) Facts(ctx context.Context) (Facts, error) { return get[Facts](ctx, a, "/facts") }

// Checklist is the running hub's own.
func (a *Admin) Checklist(ctx context.Context) (Checklist, error) {
	return get[Checklist](ctx, a, "/checklist")
}

// Attest records a person's word for an item of the checklist.
func (a *Admin) Attest(ctx context.Context, at Attestation) error {
	_, err := post[Attestation](ctx, a, "/attest", at)
	return err
}

// Pin has a till use a reader; an empty one, none in particular.
func (a *Admin) Pin(ctx context.Context, p PinRequest) (TillReader, error) {
	return post[TillReader](ctx, a, "/readers/pin", p)
}

// Readers lists them.
func (a *Admin) Readers(ctx context.Context) (ReaderList, error) {
	return get[ReaderList](ctx, a, "/readers")
}

// Register makes the reader that shows code one of the store's, and returns
// Stripe's object as sent.
func (a *Admin) Register(ctx context.Context, r RegisterRequest) (json.RawMessage, error) {
	return post[json.RawMessage](ctx, a, "/readers", r)
}

func get[T any](ctx context.Context, a *Admin, path string) (T, error) {
	return call[T](ctx, a, http.MethodGet, path, nil)
}

func post[T any](ctx context.Context, a *Admin, path string, body any) (T, error) {
	b, err := json.Marshal(body)
	if err != nil {
		var none T
		return none, err
	}
	return call[T](ctx, a, http.MethodPost, path, bytes.NewReader(b))
}

// call decodes the answer; a refusal comes back as a *doors.Error.
func call[T any](ctx context.Context, a *Admin, method, path string, body io.Reader) (T, error) {
	var v T
	req, err := http.NewRequestWithContext(ctx, method, "http://hub"+path, body)
	if err != nil {
		return v, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return v, fmt.Errorf("ask hub: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
		if refusal := doors.ParseError(resp.StatusCode, b); refusal != nil {
			return v, refusal
		}
		return v, fmt.Errorf("ask hub: %s", resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		return v, fmt.Errorf("ask hub: %w", err)
	}
	return v, nil
}

// stream asks for an answer that comes in pieces and may take its time; ctx bounds it.
func (a *Admin) stream(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://hub"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	slow := &http.Client{Transport: a.http.Transport}
	resp, err := slow.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask hub: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if refusal := doors.ParseError(resp.StatusCode, b); refusal != nil {
		return nil, refusal
	}
	return nil, fmt.Errorf("ask hub: %s", resp.Status)
}
