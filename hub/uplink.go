package hub

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"sync"
	"time"

	"storehub/doors"
	"storehub/hq"
)

// errUplinkCut is the silence of a line that a drill holds cut.
var errUplinkCut = errors.New("a drill holds the line to headquarters cut")

// uplink is headquarters behind a switch of the hub's own. That it is cut is known to
// this process alone: a hub that starts anew starts with its line whole.
type uplink struct {
	hq HQ

	mu    sync.Mutex
	whole context.Context // ends when the line is cut; nil while it is
	sever context.CancelFunc
	mends *time.Timer // whatever becomes of whoever cut it
}

func newUplink(h HQ) *uplink {
	u := &uplink{hq: h}
	u.whole, u.sever = context.WithCancel(context.Background())
	return u
}

// cut makes headquarters silent, what is under way with it too, until mend or for the
// time given, whichever is first.
func (u *uplink) cut(atMost time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.whole == nil {
		return
	}
	u.sever()
	u.whole = nil
	u.mends = time.AfterFunc(atMost, u.mend)
}

// mend makes the line whole again. It may be called at any time.
func (u *uplink) mend() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.whole != nil {
		return
	}
	u.mends.Stop()
	u.whole, u.sever = context.WithCancel(context.Background())
}

func (u *uplink) isCut() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.whole == nil
}

// over asks headquarters over the line, as long as it is whole.
func over[T any](ctx context.Context, u *uplink, ask func(context.Context) (T, error)) (T, error) {
	var none T
	u.mu.Lock()
	whole := u.whole
	u.mu.Unlock()
	if whole == nil {
		return none, errUplinkCut
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(whole, func() { cancel(errUplinkCut) })()
	v, err := ask(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errUplinkCut) {
		return none, errUplinkCut
	}
	return v, err
}

func (u *uplink) Store(ctx context.Context) (hq.Store, error) { return over(ctx, u, u.hq.Store) }

func (u *uplink) ConnectionToken(ctx context.Context, t doors.Till) (json.RawMessage, error) {
	return over(ctx, u, func(ctx context.Context) (json.RawMessage, error) { return u.hq.ConnectionToken(ctx, t) })
}

func (u *uplink) Stripe(ctx context.Context, t doors.Till, c doors.Call, key string, params url.Values) (json.RawMessage, error) {
	return over(ctx, u, func(ctx context.Context) (json.RawMessage, error) { return u.hq.Stripe(ctx, t, c, key, params) })
}

func (u *uplink) Submit(ctx context.Context, s hq.Submission) (hq.Receipt, error) {
	return over(ctx, u, func(ctx context.Context) (hq.Receipt, error) { return u.hq.Submit(ctx, s) })
}

func (u *uplink) Feed(ctx context.Context, epoch string, after uint64, wait time.Duration) (hq.Feed, error) {
	return over(ctx, u, func(ctx context.Context) (hq.Feed, error) { return u.hq.Feed(ctx, epoch, after, wait) })
}

func (u *uplink) Chain(ctx context.Context, epoch string, after uint64, nonce string) (hq.ChainPage, error) {
	return over(ctx, u, func(ctx context.Context) (hq.ChainPage, error) { return u.hq.Chain(ctx, epoch, after, nonce) })
}

func (u *uplink) Readers(ctx context.Context) (hq.ReaderList, error) {
	return over(ctx, u, u.hq.Readers)
}

func (u *uplink) Evidence(ctx context.Context) (hq.Evidence, error) {
	return over(ctx, u, u.hq.Evidence)
}

func (u *uplink) Tills(ctx context.Context, b hq.TillBook) error {
	_, err := over(ctx, u, func(ctx context.Context) (struct{}, error) { return struct{}{}, u.hq.Tills(ctx, b) })
	return err
}

func (u *uplink) Resolve(ctx context.Context, r hq.Resolutions) error {
	_, err := over(ctx, u, func(ctx context.Context) (struct{}, error) { return struct{}{}, u.hq.Resolve(ctx, r) })
	return err
}

func (u *uplink) Report(ctx context.Context, r hq.Report) (hq.Reported, error) {
	return over(ctx, u, func(ctx context.Context) (hq.Reported, error) { return u.hq.Report(ctx, r) })
}

func (u *uplink) Certificate(ctx context.Context, r hq.CertificateRequest) (hq.Certificate, error) {
	return over(ctx, u, func(ctx context.Context) (hq.Certificate, error) { return u.hq.Certificate(ctx, r) })
}
